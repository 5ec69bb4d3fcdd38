//! What the audit is searched for, as the members of a query.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use keymoot_audit::{Outcome, Query};
use keymoot_cluster::{AuditSearch, EventsQuery, audit_mark, audit_positions};
use keymoot_model::{AccountId, ContentId, Kid, NodeId, TimeStamp};
use keymoot_state::AuditLogName;

use crate::clock::moment;

use super::call::{ParameterError, read};
use super::query::{name, number};

/// The members; an empty one asks for nothing.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Members {
    account: String,
    content: String,
    key_id: String,
    credential: String,
    operator: String,
    address: String,
    /// An action, or with a dot at its end those that begin so.
    action: String,
    outcome: String,
    from: String,
    to: String,
    reference: String,
    /// The keyed digest of a viewer or a device.
    viewer: String,
    newest_first: String,
    limit: String,
    /// The mark that the page before ended with.
    after: String,
}

/// Reads what is searched for.
pub(super) fn parse(parameters: Value) -> Result<AuditSearch, ParameterError> {
    let members: Members = read(parameters)?;
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let outcome = |text: String| serde_json::from_value::<Outcome>(Value::String(text)).map_err(|_| OUTCOMES);
    let query = Query {
        account: name("account", &members.account, AccountId::new)?,
        content: name("content", &members.content, ContentId::new)?,
        kid: name("key_id", &members.key_id, |text| Kid::from_any_form(&text))?,
        credential: text(members.credential),
        operator: text(members.operator),
        address: name("address", &members.address, |text| text.parse())?,
        action: text(members.action),
        outcome: name("outcome", &members.outcome, outcome)?,
        from_ms: time_ms("from", &members.from)?,
        to_ms: time_ms("to", &members.to)?,
        reference: text(members.reference),
        viewer: text(members.viewer),
        newest_first: match members.newest_first.as_str() {
            "true" => true,
            "" | "false" => false,
            other => return Err(ParameterError(format!("newest_first is true or false, not `{other}`"))),
        },
        cursor: None,
        limit: number("limit", &members.limit)? as usize,
    };
    if query.limit == 0 || query.limit > Query::LIMIT_MAX {
        return Err(ParameterError(format!("limit is a number from 1 to {}", Query::LIMIT_MAX)));
    }
    let positions =
        audit_positions(&members.after).map_err(|error| ParameterError(format!("after: {error}")))?;
    Ok(AuditSearch { query, positions, everywhere: true })
}

const OUTCOMES: &str = "it is one of intended, done, not_found, refused, failed and unknown";

/// The members that [`parse`] reads.
pub(super) fn of(search: &AuditSearch) -> Value {
    let query = &search.query;
    let text = |text: Option<String>| text.unwrap_or_default();
    let outcome = query.outcome.and_then(|outcome| serde_json::to_value(outcome).ok());
    // Whole seconds as such, because that is how times are written; anything finer in milliseconds.
    json!({
        "account": text(query.account.as_ref().map(ToString::to_string)),
        "content": text(query.content.as_ref().map(ToString::to_string)),
        "key_id": text(query.kid.map(|kid| kid.to_string())),
        "credential": text(query.credential.clone()),
        "operator": text(query.operator.clone()),
        "address": text(query.address.map(|address| address.to_string())),
        "action": text(query.action.clone()),
        "outcome": outcome.unwrap_or_else(|| Value::String(String::new())),
        "from": text(query.from_ms.map(moment)),
        "to": text(query.to_ms.map(moment)),
        "reference": text(query.reference.clone()),
        "viewer": text(query.viewer.clone()),
        "newest_first": query.newest_first.to_string(),
        "limit": query.limit.to_string(),
        "after": audit_mark(&search.positions),
    })
}

fn time_ms(member: &str, text: &str) -> Result<Option<u64>, ParameterError> {
    let time = name(member, text, |text| text.parse::<TimeStamp>())?;
    let seconds = time.map(|time| u64::try_from(time.unix_s()).unwrap_or_default());
    Ok(seconds.map(|seconds| seconds.saturating_mul(1000)))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsMembers {
    /// The node whose log it is.
    node: String,
    log: String,
    /// The node that has it, if another one does: its data directory was of that node before.
    #[serde(default)]
    at: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    events_max: String,
}

/// Reads which events of a log are wanted.
pub(super) fn parse_events(parameters: Value) -> Result<EventsQuery, ParameterError> {
    let EventsMembers { node, log, at, from, events_max } = read(parameters)?;
    let wrong = |member: &str, error: &dyn std::fmt::Display| ParameterError(format!("{member}: {error}"));
    let node: NodeId =
        node.parse().map_err(|_| ParameterError(format!("node is a node's id, not `{node}`")))?;
    let log = log.parse().map_err(|error| wrong("log", &error))?;
    let at = name("at", &at, |text| text.parse::<NodeId>())?.unwrap_or(node);
    let from = name("from", &from, |text| text.parse::<u64>())?.unwrap_or_default();
    let events_max = number("events_max", &events_max)?;
    Ok(EventsQuery { name: AuditLogName { node, log }, at, from, events_max })
}

/// The members that [`parse_events`] reads.
pub(super) fn of_events(asked: &EventsQuery) -> Value {
    json!({
        "node": asked.name.node.to_string(),
        "log": asked.name.log.to_string(),
        "at": asked.at.to_string(),
        "from": asked.from.to_string(),
        "events_max": asked.events_max.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_is_read_in_every_form_and_a_mistake_is_named() {
        let kid = Kid::from_bytes([0xab; 16]);
        for text in [kid.to_string(), kid.to_hex(), kid.to_base64(), kid.to_hex().to_uppercase()] {
            assert_eq!(parse(json!({ "key_id": text })).unwrap().query.kid, Some(kid));
        }
        for (member, text, said) in [
            ("key_id", "abc", "key_id: "),
            ("address", "nowhere", "address: "),
            ("outcome", "good", "one of intended, done"),
            ("from", "yesterday", "from: not an instant"),
            ("newest_first", "yes", "true or false, not `yes`"),
            ("limit", "0", "limit is a number from 1 to 1000"),
            ("after", "x", "after: this is no mark of a page"),
        ] {
            let error = parse(json!({ member: text })).unwrap_err().to_string();
            assert!(error.contains(said), "{member}: {error}");
        }
    }
}
