//! `keymoot keyring status`, `activate`, `rewrap` and `remove`: the master keys of a whole cluster.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::Failure;
use super::args::{ConfigArg, OutputFormat};
use super::operator::{Operator, say, unexpected};
use keymoot_cluster::{AdminRequest, AdminResponse, KeyringStatus};
use keymoot_command::{Column, Table};
use keymoot_crypto::{Keyring, WRAPS_MAX, keyring_edit};
use keymoot_model::{MasterKeyId, NodeId};
use keymoot_state::OPERATORS;

/// What every member said of its keyring, or why it said nothing.
type Keyrings = BTreeMap<NodeId, Result<KeyringStatus, String>>;

/// How long running nodes may take to read a keyring file that has changed.
const FILE_READ_WITHIN: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// What to do when no node can be asked.
const NOBODY_ASKED: &str = "pass the --config of a node that runs, so that the members can be asked whether they have the \
     key; or --force, if no cluster uses this file yet or its nodes are down";

/// What every member said, and what stands under which key.
struct RewrapProgress {
    members: Keyrings,
    secrets: BTreeMap<String, u64>,
}

impl RewrapProgress {
    /// Whether some member has the master key.
    fn is_held(&self, id: &str) -> bool {
        self.members.values().flatten().any(|status| status.fingerprints.contains_key(id))
    }
}

/// Shows which master keys each member has, and how many secrets stand under each.
pub(super) async fn status(config: &ConfigArg, output: OutputFormat) -> Result<(), Failure> {
    let operator = Operator::new(config)?;
    let seen = look(&operator).await?;
    // What a key that nobody has any more did is of no interest.
    let wraps = wraps(&operator).await.map(|mut all| {
        all.retain(|id, _| seen.is_held(id));
        all
    });
    say(&match output {
        OutputFormat::Table => table(&seen) + &wraps_text(&wraps),
        OutputFormat::Json => format!("{:#}\n", as_json(&seen, &wraps)),
    });
    Ok(())
}

/// Puts everything under the active master key, and says how far it is.
pub(super) async fn rewrap(config: &ConfigArg) -> Result<(), Failure> {
    let operator = Operator::new(config)?;
    let active = agreed_active(&look(&operator).await?)?;
    let (mut after, mut records, mut exchanged) = (None, 0, 0);
    let terminal = std::io::stderr().is_terminal();
    loop {
        let AdminResponse::Rewrapped(stretch) = operator.ask(AdminRequest::Rewrap(after)).await? else {
            return Err(unexpected());
        };
        records += stretch.records;
        exchanged += stretch.exchanged;
        if terminal {
            // Nobody hears a progress that cannot be written.
            let _ =
                write!(std::io::stderr(), "\r{records} records, {exchanged} secrets put under {active}  ");
        }
        after = stretch.next;
        if after.is_none() {
            break;
        }
    }
    if terminal {
        let _ = writeln!(std::io::stderr());
    }
    say(&format!("{records} records looked at, {exchanged} secrets put under {active}\n"));
    let left: Vec<String> = left_behind(&look(&operator).await?, &active);
    if left.is_empty() {
        say("every secret stands under it; see keymoot keyring remove for the others\n");
        return Ok(());
    }
    Err(Failure::because(format!("there still are {}", left.join(", ")))
        .hint("they were wrapped meanwhile; run the command again"))
}

/// Removes a master key from a file, when nothing of the cluster stands under it.
pub(super) async fn remove(path: &Path, id: &MasterKeyId, config: &ConfigArg) -> Result<(), Failure> {
    let operator = Operator::new(config)?;
    let seen = look(&operator).await?;
    if let Some(count) = seen.secrets.get(&id.0) {
        return Err(Failure::because(format!("{count} secrets stand under master key {id}"))
            .hint("put them under the active one with keymoot keyring rewrap"));
    }
    for (node, status) in &seen.members {
        match status {
            Ok(status) if status.active == id.0 => {
                return Err(Failure::because(format!("node {node} still wraps under master key {id}"))
                    .hint("activate another in its keyring file, too"));
            }
            Ok(_) => {}
            Err(reason) => {
                return Err(Failure::because(format!(
                    "node {node} does not say what it wraps under: {reason}"
                ))
                .hint("a key is removed when every member is known not to use it"));
            }
        }
    }
    permit_removal(&operator, id).await?;
    keyring_edit::remove(path, id).map_err(Failure::usage)?;
    say(&format!(
        "removed {id} from {}; do the same on every node, and keep a copy for backups from before\n",
        path.display()
    ));
    Ok(())
}

/// Asks the cluster, which may demand two persons for it.
async fn permit_removal(operator: &Operator, id: &MasterKeyId) -> Result<(), Failure> {
    let AdminResponse::Status(status) = operator.ask(AdminRequest::Status).await? else {
        return Err(unexpected());
    };
    // A cluster of before knows no second person.
    if status.feature_level < OPERATORS {
        return Ok(());
    }
    operator.permit_key_removal(id).await
}

/// Makes a master key of a file the active one, when every member has it.
pub(super) async fn activate(
    path: &Path,
    id: &MasterKeyId,
    config: &ConfigArg,
    force: bool,
) -> Result<(), Failure> {
    let ring = Keyring::load(path).map_err(Failure::usage)?;
    // A key that the file lacks is named by the change itself.
    if let Some(fingerprint) = ring.fingerprints().get(id) {
        match Operator::new(config) {
            Ok(operator) => await_key(&operator, path, id, fingerprint, force).await?,
            Err(_) if force => {}
            Err(failure) => return Err(failure.hint(NOBODY_ASKED)),
        }
    }
    keyring_edit::activate(path, id).map_err(Failure::usage)
}

/// Waits until every member that answers has the key; running nodes follow their file within a second.
async fn await_key(
    operator: &Operator,
    path: &Path,
    id: &MasterKeyId,
    fingerprint: &str,
    force: bool,
) -> Result<(), Failure> {
    let until = Instant::now() + FILE_READ_WITHIN;
    loop {
        let refusal = match members(operator).await {
            Ok(members) => without_key(&members, path, id, fingerprint, force),
            Err(_) if force => return Ok(()),
            Err(failure) => return Err(Failure::because(failure.message()).hint(NOBODY_ASKED)),
        };
        match refusal {
            None => return Ok(()),
            Some(refusal) if Instant::now() >= until => return Err(refusal),
            Some(_) => sleep(LOOK_AGAIN).await,
        }
    }
}

/// Why the key cannot be activated yet.
fn without_key(
    members: &Keyrings,
    path: &Path,
    id: &MasterKeyId,
    fingerprint: &str,
    force: bool,
) -> Option<Failure> {
    members.iter().find_map(|(node, status)| match status {
        Ok(status) if status.fingerprints.get(&id.0).is_some_and(|theirs| theirs == fingerprint) => None,
        Ok(status) => {
            let lacks = match status.fingerprints.contains_key(&id.0) {
                true => format!("node {node} has another master key of the id {id}"),
                false => format!("node {node} lacks master key {id}: it could open nothing that stands under it"),
            };
            let copy = format!("copy {} to its keys.keyring_file first; see keymoot keyring status", path.display());
            Some(Failure::because(lacks).hint(copy))
        }
        Err(_) if force => None,
        Err(reason) => {
            let silent = format!("node {node} does not say whether it has master key {id}: {reason}");
            Some(Failure::because(silent).hint(
                "start it; or pass --force if it is away, and give it a copy of the file before it is started again",
            ))
        }
    })
}

/// Asks the configured node, which counts, and then every member.
async fn look(operator: &Operator) -> Result<RewrapProgress, Failure> {
    let AdminResponse::Keyring(own) = operator.ask(AdminRequest::Keyring { count: true }).await? else {
        return Err(unexpected());
    };
    Ok(RewrapProgress { members: members(operator).await?, secrets: own.secrets })
}

/// How many times each master key may have wrapped, or why that is not known.
type Wraps = Result<BTreeMap<String, u64>, String>;

async fn wraps(operator: &Operator) -> Wraps {
    match operator.ask(AdminRequest::Wraps).await {
        Ok(AdminResponse::Wraps(wraps)) => Ok(wraps),
        Ok(_) => Err(unexpected().message().to_owned()),
        Err(failure) => Err(failure.message().to_owned()),
    }
}

fn wraps_text(wraps: &Wraps) -> String {
    let wraps = match wraps {
        Ok(wraps) => wraps,
        Err(reason) => {
            return format!(
                "how often each master key wrapped is not told ({reason}): see keymoot_master_key_wraps\n"
            );
        }
    };
    let line = |(id, count): (&String, &u64)| {
        let remedy = match *count > WRAPS_MAX / 2 {
            true => ": make a new one with keymoot keyring add, activate and rewrap, docs/backup.md",
            false => "",
        };
        // A part of 2^32 is exact as a float.
        let percent = *count as f64 * 100.0 / WRAPS_MAX as f64;
        format!(
            "{id} wrapped at most {count} times, {percent:.3} % of what is safe for one master key{remedy}\n"
        )
    };
    wraps.iter().map(line).collect()
}

/// Asks every member that the configured node knows.
async fn members(operator: &Operator) -> Result<Keyrings, Failure> {
    let AdminResponse::Status(status) = operator.ask(AdminRequest::Status).await? else {
        return Err(unexpected());
    };
    let mut members = BTreeMap::new();
    // A witness has no keyring, and needs none.
    let witnesses = operator.witnesses().await;
    for member in status.members.iter().filter(|member| !witnesses.contains(&member.id)) {
        let asked =
            operator.ask_node(member.id, &member.peer_address, AdminRequest::Keyring { count: false });
        let answer = match asked.await {
            Ok(AdminResponse::Keyring(status)) => Ok(*status),
            Ok(_) => Err(unexpected().message().to_owned()),
            Err(failure) => Err(failure.message().to_owned()),
        };
        members.insert(member.id, answer);
    }
    Ok(members)
}

/// The key that every member wraps under, and that every member has alike.
fn agreed_active(seen: &RewrapProgress) -> Result<String, Failure> {
    let mut agreed: Option<(&String, Option<&String>)> = None;
    for (node, status) in &seen.members {
        let status = status.as_ref().map_err(|reason| {
            Failure::because(format!("node {node} does not say which master keys it has: {reason}"))
                .hint("every member must have the active master key before anything is put under it")
        })?;
        let active = (&status.active, status.fingerprints.get(&status.active));
        if *agreed.get_or_insert(active) != active {
            return Err(Failure::because("the members do not wrap under the same master key")
                .hint("see keymoot keyring status; the same keyring file belongs on every node"));
        }
    }
    agreed.map(|(id, _)| id.clone()).ok_or_else(|| Failure::because("the node belongs to no cluster yet"))
}

fn left_behind(seen: &RewrapProgress, active: &str) -> Vec<String> {
    let others = seen.secrets.iter().filter(|(id, _)| *id != active);
    others.map(|(id, count)| format!("{count} secrets under {id}")).collect()
}

fn table(seen: &RewrapProgress) -> String {
    let mut table = Table::new(["NODE", "MASTER KEY", "FINGERPRINT", "ACTIVE"].map(Column::Left));
    let mut silent = String::new();
    for (node, status) in &seen.members {
        match status {
            Ok(status) => {
                for (id, fingerprint) in &status.fingerprints {
                    let active = if *id == status.active { "yes" } else { "no" };
                    table.row([node.to_string(), id.clone(), fingerprint.clone(), active.to_owned()]);
                }
            }
            Err(reason) => silent.push_str(&format!("node {node} does not say: {reason}\n")),
        }
    }
    let mut text = format!("{table}{silent}");
    for (id, count) in &seen.secrets {
        text.push_str(&format!("{count} secrets stand under {id}\n"));
    }
    text
}

fn as_json(seen: &RewrapProgress, wraps: &Wraps) -> serde_json::Value {
    let members = seen.members.iter().map(|(node, status)| {
        json!({
            "id": node,
            "active": status.as_ref().ok().map(|status| &status.active),
            "fingerprints": status.as_ref().ok().map(|status| &status.fingerprints),
            "error": status.as_ref().err(),
        })
    });
    let wraps = wraps.as_ref().ok();
    json!({ "members": members.collect::<Vec<_>>(), "secrets": seen.secrets, "wraps_at_most": wraps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_that_wrapped_half_as_often_as_is_safe_comes_with_the_remedy() {
        let text = |count| wraps_text(&Ok(BTreeMap::from([("mk1".to_owned(), count)])));
        let few = text(131_072);
        assert_eq!(few, "mk1 wrapped at most 131072 times, 0.003 % of what is safe for one master key\n");
        assert!(!text(WRAPS_MAX / 2).contains("keyring add"));
        assert!(text(WRAPS_MAX / 2 + 1).contains("keymoot keyring add, activate and rewrap"));
        let unknown = wraps_text(&Err("no answer".to_owned()));
        assert!(unknown.contains("no answer") && unknown.contains("keymoot_master_key_wraps"), "{unknown}");
    }
}
