//! `keymoot audit logs`: the logs of the cluster, and who has cosigned what of them.

use std::collections::BTreeMap;

use keymoot_cluster::{AdminRequest, AdminResponse, AuditLogs, KnownLog};
use keymoot_command::Column::{Left, Right};
use keymoot_command::Table;
use keymoot_model::NodeId;

use super::args::LogsArgs;
use super::event_text::time_text;
use crate::cli::Failure;
use crate::cli::args::OutputFormat;
use crate::cli::operator::{Operator, say, unexpected};

/// Runs `logs`.
pub(super) async fn run(args: LogsArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let logs = logs_of(&operator).await?;
    match args.output {
        OutputFormat::Table => {
            say(&table(&logs));
            for warning in unknown(&logs).chain(without_quorum(&logs)) {
                eprintln!("keymoot: warning: {warning}");
            }
        }
        OutputFormat::Json => {
            say(&format!("{:#}\n", serde_json::to_value(&logs).map_err(Failure::runtime)?));
        }
    }
    Ok(())
}

/// Every log that the asked node knows.
pub(super) async fn logs_of(operator: &Operator) -> Result<AuditLogs, Failure> {
    match operator.ask(AdminRequest::AuditLogs).await? {
        AdminResponse::AuditLogs(logs) => Ok(*logs),
        _ => Err(unexpected()),
    }
}

/// What each node writes that the cluster does not know of.
pub(super) fn unknown(logs: &AuditLogs) -> impl Iterator<Item = String> {
    logs.unknown.iter().map(|(node, why)| format!("the audit log of node {node} is not among these: {why}"))
}

/// That nothing is cosigned now, and since when.
pub(super) fn without_quorum(logs: &AuditLogs) -> Option<String> {
    if logs.quorum {
        return None;
    }
    let last =
        logs.logs.iter().filter_map(|log| log.last_cosigned()).map(last_signed_s).max().unwrap_or_default();
    let since = if last == 0 { "ever".to_owned() } else { format!("since {}", time_text(last * 1000)) };
    Some(format!(
        "node {} is in contact with no quorum, so nothing is cosigned {since}; events go on being written",
        logs.asked
    ))
}

fn last_signed_s(checkpoint: &keymoot_cluster::KnownCheckpoint) -> u64 {
    checkpoint.cosigned_by.values().copied().max().unwrap_or_default()
}

fn table(logs: &AuditLogs) -> String {
    let mut table = Table::new([
        Left("LOG"),
        Left("STATE"),
        Right("EVENTS"),
        Right("COSIGNED"),
        Left("BY"),
        Left("LAST COSIGNED"),
        Left("FOLLOWS"),
    ]);
    for log in &logs.logs {
        let last = log.last_cosigned();
        table.row([
            log.name.to_string(),
            state(log),
            log.held.as_ref().map_or_else(|| format!("{}?", log.known_size()), |held| held.size.to_string()),
            last.map_or_else(|| "none".to_owned(), |last| last.size.to_string()),
            last.map(|last| nodes(&last.cosigned_by)).unwrap_or_default(),
            last.map(|last| time_text(last_signed_s(last) * 1000)).unwrap_or_default(),
            log.before.map(|before| before.name.to_string()).unwrap_or_default(),
        ]);
    }
    table.to_string()
}

fn state(log: &KnownLog) -> String {
    match (&log.held, &log.not_held) {
        (Some(held), _) if held.unwritable.is_some() => "cannot be written".to_owned(),
        (Some(held), _) if held.ended => format!("ended, kept by node {}", held.at),
        (Some(_), _) => "written".to_owned(),
        (None, _) if log.followed_by.is_some() => "ended".to_owned(),
        (None, _) if log.removed => "of a removed node".to_owned(),
        (None, Some(why)) => format!("not known: {why}"),
        (None, None) => "not known".to_owned(),
    }
}

/// Nodes, with commas between.
pub(super) fn nodes(cosigned_by: &BTreeMap<NodeId, u64>) -> String {
    cosigned_by.keys().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
