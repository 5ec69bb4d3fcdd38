//! `keymoot keyring status`, `rewrap` and `remove`: the master keys of a whole cluster.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use serde_json::json;

use super::Failure;
use super::args::OutputFormat;
use super::operator::{Operator, say, unexpected};
use keymoot_cluster::{AdminRequest, AdminResponse, KeyringStatus};
use keymoot_command::{Column, Table};
use keymoot_crypto::keyring_edit;
use keymoot_model::{MasterKeyId, NodeId};

/// What every member said, and what stands under which key.
struct RewrapProgress {
    members: BTreeMap<NodeId, Result<KeyringStatus, String>>,
    secrets: BTreeMap<String, u64>,
}

/// Shows which master keys each member has, and how many secrets stand under each.
pub(super) async fn status(config: Option<&Path>, output: OutputFormat) -> Result<(), Failure> {
    let seen = look(&Operator::new(config)?).await?;
    say(&match output {
        OutputFormat::Table => table(&seen),
        OutputFormat::Json => format!("{:#}\n", as_json(&seen)),
    });
    Ok(())
}

/// Puts everything under the active master key, and says how far it is.
pub(super) async fn rewrap(config: Option<&Path>) -> Result<(), Failure> {
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
pub(super) async fn remove(path: &Path, id: &MasterKeyId, config: Option<&Path>) -> Result<(), Failure> {
    let seen = look(&Operator::new(config)?).await?;
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
    keyring_edit::remove(path, id).map_err(Failure::usage)?;
    say(&format!(
        "removed {id} from {}; do the same on every node, and keep a copy for backups from before\n",
        path.display()
    ));
    Ok(())
}

/// Asks the configured node, which counts, and then every member.
async fn look(operator: &Operator) -> Result<RewrapProgress, Failure> {
    let AdminResponse::Keyring(own) = operator.ask(AdminRequest::Keyring { count: true }).await? else {
        return Err(unexpected());
    };
    let AdminResponse::Status(status) = operator.ask(AdminRequest::Status).await? else {
        return Err(unexpected());
    };
    let mut members = BTreeMap::new();
    for member in &status.members {
        let asked =
            operator.ask_node(member.id, &member.peer_address, AdminRequest::Keyring { count: false });
        let answer = match asked.await {
            Ok(AdminResponse::Keyring(status)) => Ok(*status),
            Ok(_) => Err(unexpected().message().to_owned()),
            Err(failure) => Err(failure.message().to_owned()),
        };
        members.insert(member.id, answer);
    }
    Ok(RewrapProgress { members, secrets: own.secrets })
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

fn as_json(seen: &RewrapProgress) -> serde_json::Value {
    let members = seen.members.iter().map(|(node, status)| {
        json!({
            "id": node,
            "active": status.as_ref().ok().map(|status| &status.active),
            "fingerprints": status.as_ref().ok().map(|status| &status.fingerprints),
            "error": status.as_ref().err(),
        })
    });
    json!({ "members": members.collect::<Vec<_>>(), "secrets": seen.secrets })
}
