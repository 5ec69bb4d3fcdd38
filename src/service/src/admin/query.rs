//! What reads are asked with: the members of a query, all of them texts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use keymoot_cluster::{AdminRequest, ContentsQuery};
use keymoot_model::{AccountId, ContentId, NodeId, PolicyName};

use super::call::{ParameterError, read};
use super::{Call, UseCase, audit_query};

/// The versions or contents on a page, if nobody says.
const PAGE: u32 = 100;

/// The members of a query; which of them a use case takes, its structure below says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfNode {
    /// The id of the node that is meant; empty: the one that is asked.
    #[serde(default)]
    node: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    #[serde(default)]
    count: String,
    #[serde(default)]
    node: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfAccount {
    account: AccountId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaybeAccount {
    /// Empty: all of them.
    #[serde(default)]
    account: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContentsOf {
    account: AccountId,
    /// Empty: all of them.
    #[serde(default)]
    content: String,
    /// The mark that the page before ended with.
    #[serde(default)]
    after: String,
    #[serde(default)]
    versions_max: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UsesOf {
    account: AccountId,
    policy: PolicyName,
    /// The content that the page before ended with.
    #[serde(default)]
    after: String,
    #[serde(default)]
    contents_max: String,
}

/// Reads what a read is asked with.
pub(super) fn parse(case: UseCase, parameters: Value) -> Result<Call, ParameterError> {
    let request = match case {
        UseCase::Status => return of_node(parameters, AdminRequest::Status),
        UseCase::Complaints => return of_node(parameters, AdminRequest::Complaints),
        UseCase::Notices => return of_node(parameters, AdminRequest::Notices),
        UseCase::CredentialUses => return of_node(parameters, AdminRequest::CredentialUses),
        UseCase::RenewCertificate => return of_node(parameters, AdminRequest::RenewCertificate),
        UseCase::Keyring => {
            let Count { count, node } = read(parameters)?;
            let count = match count.as_str() {
                "true" => true,
                "" | "false" => false,
                other => return Err(ParameterError(format!("count is true or false, not `{other}`"))),
            };
            return asked_of(&node, AdminRequest::Keyring { count });
        }
        UseCase::Accounts => nothing(parameters, AdminRequest::Accounts)?,
        UseCase::Backups => nothing(parameters, AdminRequest::Backups)?,
        UseCase::JoinTokens => nothing(parameters, AdminRequest::JoinTokens)?,
        UseCase::WitnessTokens => nothing(parameters, AdminRequest::WitnessTokens)?,
        UseCase::Witnesses => nothing(parameters, AdminRequest::Witnesses)?,
        UseCase::AuditLogs => nothing(parameters, AdminRequest::AuditLogs)?,
        UseCase::AuditReceivers => nothing(parameters, AdminRequest::AuditReceivers { everywhere: true })?,
        UseCase::AuditSearch => AdminRequest::AuditSearch(Box::new(audit_query::parse(parameters)?)),
        UseCase::AuditEvents => {
            let asked = audit_query::parse_events(parameters)?;
            return Ok(Call::OfNode(asked.at, AdminRequest::AuditEvents(asked)));
        }
        UseCase::Verifiers => nothing(parameters, AdminRequest::Verifiers)?,
        UseCase::NodeKeys => nothing(parameters, AdminRequest::NodeKeys)?,
        UseCase::Authority => nothing(parameters, AdminRequest::Authority { step: false })?,
        UseCase::StepAuthority => nothing(parameters, AdminRequest::Authority { step: true })?,
        UseCase::CancelAuthority => nothing(parameters, AdminRequest::CancelAuthority)?,
        UseCase::Policies => AdminRequest::Policies(read::<OfAccount>(parameters)?.account),
        UseCase::AccountDetails => {
            let MaybeAccount { account } = read(parameters)?;
            AdminRequest::AccountDetails(name("account", &account, AccountId::new)?)
        }
        UseCase::Contents => {
            let ContentsOf { account, content, after, versions_max } = read(parameters)?;
            AdminRequest::Contents(ContentsQuery {
                account,
                content: name("content", &content, ContentId::new)?,
                after: mark(&after)?,
                versions_max: number("versions_max", &versions_max)?,
            })
        }
        UseCase::PolicyUses => {
            let UsesOf { account, policy, after, contents_max } = read(parameters)?;
            let after = name("after", &after, ContentId::new)?;
            let contents_max = number("contents_max", &contents_max)?;
            AdminRequest::PolicyUses { account, policy, after, contents_max }
        }
        other => return Err(ParameterError(format!("{} is asked with more than a query", other.name()))),
    };
    Ok(Call::Request(request))
}

/// The members that [`parse`] reads.
pub(super) fn of(request: &AdminRequest) -> Value {
    match request {
        AdminRequest::Policies(account) => json!({ "account": account }),
        AdminRequest::Keyring { count } => json!({ "count": count.to_string() }),
        AdminRequest::AccountDetails(account) => {
            json!({ "account": account.as_ref().map(ToString::to_string).unwrap_or_default() })
        }
        AdminRequest::Contents(ContentsQuery { account, content, after, versions_max }) => json!({
            "account": account,
            "content": content.as_ref().map(ToString::to_string).unwrap_or_default(),
            "after": after.as_deref().map(mark_text).unwrap_or_default(),
            "versions_max": versions_max.to_string(),
        }),
        AdminRequest::PolicyUses { account, policy, after, contents_max } => json!({
            "account": account,
            "policy": policy,
            "after": after.as_ref().map(ToString::to_string).unwrap_or_default(),
            "contents_max": contents_max.to_string(),
        }),
        AdminRequest::AuditSearch(search) => audit_query::of(search),
        AdminRequest::AuditEvents(asked) => audit_query::of_events(asked),
        _ => json!({}),
    }
}

fn nothing(parameters: Value, request: AdminRequest) -> Result<AdminRequest, ParameterError> {
    read::<Nothing>(parameters)?;
    Ok(request)
}

fn of_node(parameters: Value, request: AdminRequest) -> Result<Call, ParameterError> {
    asked_of(&read::<OfNode>(parameters)?.node, request)
}

fn asked_of(node: &str, request: AdminRequest) -> Result<Call, ParameterError> {
    if node.is_empty() {
        return Ok(Call::Request(request));
    }
    match node.parse::<NodeId>() {
        Ok(node) => Ok(Call::OfNode(node, request)),
        Err(_) => Err(ParameterError(format!("node is a node's id, not `{node}`"))),
    }
}

/// An identifier, if there is one.
pub(super) fn name<T, E: std::fmt::Display>(
    member: &str,
    text: &str,
    parse: impl FnOnce(String) -> Result<T, E>,
) -> Result<Option<T>, ParameterError> {
    if text.is_empty() {
        return Ok(None);
    }
    parse(text.to_owned()).map(Some).map_err(|error| ParameterError(format!("{member}: {error}")))
}

pub(super) fn number(member: &str, text: &str) -> Result<u32, ParameterError> {
    if text.is_empty() {
        return Ok(PAGE);
    }
    text.parse().map_err(|_| ParameterError(format!("{member} is a number, not `{text}`")))
}

fn mark(text: &str) -> Result<Option<Vec<u8>>, ParameterError> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong =
        |_| ParameterError("after is no mark of a page: give it as the page before has it".to_owned());
    URL_SAFE_NO_PAD.decode(text).map(Some).map_err(wrong)
}

/// A mark of a page as text.
pub(super) fn mark_text(mark: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(mark)
}

/// The mark in such a text.
pub(super) fn mark_of(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A SHA-256 in JSON: 64 hexadecimal digits.
pub(super) mod digest {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use keymoot_model::Fingerprint;

    pub(in crate::admin) fn serialize<S: Serializer>(
        digest: &[u8; 32],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Fingerprint::from_bytes(*digest).serialize(serializer)
    }

    pub(in crate::admin) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        Fingerprint::deserialize(from).map(|digest| *digest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_is_asked_with_reads_back_and_a_mistake_is_named() {
        let query = ContentsQuery {
            account: AccountId::new("acme").unwrap(),
            content: None,
            after: Some(vec![1, 0xfe]),
            versions_max: 7,
        };
        let asked = AdminRequest::Contents(query.clone());
        let Call::Request(AdminRequest::Contents(again)) = parse(UseCase::Contents, of(&asked)).unwrap()
        else {
            panic!("another request");
        };
        assert_eq!(again, query);
        let wrong = |case, parameters| parse(case, parameters).unwrap_err().to_string();
        let many = json!({ "account": "acme", "versions_max": "many" });
        assert!(wrong(UseCase::Contents, many).contains("versions_max is a number, not `many`"));
        let bent = json!({ "account": "acme", "after": "?" });
        assert!(wrong(UseCase::Contents, bent).contains("after is no mark"));
        assert!(wrong(UseCase::Status, json!({ "node": "a" })).contains("node is a node's id"));
    }
}
