//! `keymoot audit receivers`: how far each receiver of the audit is, at all nodes.

use keymoot_cluster::{AdminRequest, AdminResponse, AuditReceivers, ReceiverState};
use keymoot_command::Column::{Left, Right};
use keymoot_command::Table;
use keymoot_telemetry::visible;

use super::args::ReceiversArgs;
use crate::cli::Failure;
use crate::cli::args::OutputFormat;
use crate::cli::clock::instant;
use crate::cli::operator::{Operator, say, unexpected};

/// Runs the command.
pub(super) async fn run(args: ReceiversArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let all = match operator.ask(AdminRequest::AuditReceivers { everywhere: true }).await? {
        AdminResponse::AuditReceivers(all) => *all,
        _ => return Err(unexpected()),
    };
    match args.output {
        OutputFormat::Json => say(&format!("{:#}\n", serde_json::to_value(&all).map_err(Failure::runtime)?)),
        OutputFormat::Table if all.nodes.iter().all(|node| node.receivers.is_empty()) => {
            eprintln!(
                "keymoot: no node that answers has a receiver: see audit.receiver in the configuration"
            );
        }
        OutputFormat::Table => say(&table(&all)),
    }
    for (node, why) in &all.silent {
        eprintln!("keymoot: warning: node {node} does not say how far its receivers are: {why}");
    }
    verdict(&all)
}

fn table(all: &AuditReceivers) -> String {
    let mut table = Table::new([
        Left("NODE"),
        Left("RECEIVER"),
        Left("PLACE"),
        Right("ACKNOWLEDGED"),
        Left("LAST"),
        Right("WAITING"),
        Right("OLDEST"),
        Left("STATE"),
    ]);
    for node in &all.nodes {
        for receiver in &node.receivers {
            table.row([
                node.node.to_string(),
                receiver.name.clone(),
                visible(&receiver.place),
                format!("{} of {}", receiver.acknowledged, node.events),
                receiver.acknowledged_at_ms.map_or_else(|| "-".to_owned(), instant),
                receiver.lag_events.to_string(),
                format!("{} s", receiver.lag_s),
                visible(&state(receiver)),
            ]);
        }
    }
    table.to_string()
}

fn state(receiver: &ReceiverState) -> String {
    match &receiver.error {
        Some(error) => format!("away for {} s: {error}", receiver.troubled_s.unwrap_or_default()),
        None if receiver.lag_events == 0 => "has all".to_owned(),
        None => "takes events".to_owned(),
    }
}

/// Who watches this by its exit code is told of receivers that get nothing.
fn verdict(all: &AuditReceivers) -> Result<(), Failure> {
    let of_nodes = all.nodes.iter().flat_map(|node| node.receivers.iter().map(move |it| (node.node, it)));
    let away = of_nodes.filter(|(_, receiver)| receiver.error.is_some());
    let away: Vec<_> = away.map(|(node, receiver)| format!("{} of node {node}", receiver.name)).collect();
    match away.is_empty() {
        true => Ok(()),
        false => Err(Failure::degraded(format!("receivers that get nothing now: {}", away.join(", "))).hint(
            "their events are kept for them; see what is said of each, and keymoot doctor on its node",
        )),
    }
}

#[cfg(test)]
mod tests {
    use keymoot_cluster::NodeReceivers;

    use super::*;

    fn receiver(name: &str, lag_events: u64, error: Option<&str>) -> ReceiverState {
        ReceiverState {
            name: name.to_owned(),
            place: "siem.example.net:6514".to_owned(),
            acknowledged: 100 - lag_events,
            acknowledged_at_ms: (lag_events == 0).then_some(1_800_000_000_000),
            lag_events,
            lag_s: lag_events * 2,
            error: error.map(str::to_owned),
            troubled_s: error.map(|_| 90),
        }
    }

    #[test]
    fn each_receiver_has_a_row_and_one_that_is_away_is_named_by_the_exit_code() {
        let receivers = vec![receiver("siem", 0, None), receiver("lake", 7, Some("nobody\u{202e} there"))];
        let mut all = AuditReceivers {
            nodes: vec![NodeReceivers { node: 2, events: 100, receivers }],
            ..AuditReceivers::default()
        };
        let shown = table(&all);
        let rows: Vec<_> = shown.lines().collect();
        assert_eq!(rows.len(), 3, "{shown}");
        assert!(rows[1].contains("100 of 100") && rows[1].contains("2027-01-15T08:00:00Z"), "{shown}");
        assert!(rows[1].ends_with("has all"), "{shown}");
        assert!(rows[2].contains("93 of 100") && rows[2].contains("14 s"), "{shown}");
        assert!(rows[2].contains("away for 90 s: nobody") && !shown.contains('\u{202e}'), "{shown}");
        assert!(verdict(&all).unwrap_err().to_string().contains("lake of node 2"));
        all.nodes[0].receivers.pop();
        assert!(verdict(&all).is_ok());
    }
}
