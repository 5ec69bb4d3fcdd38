//! `keymoot cluster status`: who is in the cluster, how far each node is, and what is wrong.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::time::Instant;

use super::health::{Assessment, Health, assess};
use super::look::{Row, Seen, look};
use crate::cli::args::{ClusterStatusArgs, OutputFormat};
use crate::cli::operator::{Operator, say};
use keymoot_command::Column::{Left, Right};
use keymoot_command::{Failure, Table};

/// For how long what may pass by itself is looked at.
const LOOK_FOR: Duration = Duration::from_secs(3);
/// How often, meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node does not answer, no write can commit, or the cluster is degraded.
pub(super) async fn run(args: ClusterStatusArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let (seen, assessment) = watch(&operator).await?;
    if seen.rows.is_empty() {
        return Err(Failure::because(format!(
            "node {} runs, but belongs to no cluster yet",
            seen.status.node.id
        ))
        .hint(
            "see keymoot init, keymoot cluster join and keymoot cluster init; if it was a member before, ask with \
             another node's --config",
        ));
    }
    say(&match args.output {
        OutputFormat::Table => table(&seen, &assessment, now_s()),
        OutputFormat::Json => format!("{:#}\n", as_json(&seen, &assessment)),
    });
    match assessment.health {
        Health::Healthy => Ok(()),
        Health::Degraded => Err(Failure::degraded("the cluster is degraded")),
        Health::Error => Err(Failure::because("no write can commit")),
    }
}

/// Looks until all is well, or what is wrong has had time to pass.
async fn watch(operator: &Operator) -> Result<(Seen, Assessment), Failure> {
    let began = Instant::now();
    let mut seen = look(operator).await?;
    loop {
        let assessment = assess(&seen, now_s());
        if !assessment.may_pass || began.elapsed() >= LOOK_FOR {
            return Ok((seen, assessment));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        seen = look(operator).await?.after(seen.first);
    }
}

fn table(seen: &Seen, assessment: &Assessment, now_s: i64) -> String {
    let status = &seen.status;
    let mut text = format!(
        "cluster {}, feature level {}, as node {} sees it\n",
        status.cluster, status.feature_level, status.node.id
    );
    text.push_str(&members(seen, now_s));
    let mark = if assessment.health == Health::Error { "error" } else { "degraded" };
    for finding in &assessment.findings {
        text.push_str(&format!("{mark}: {}\n  to do: {}\n", finding.problem, finding.cure));
    }
    for advice in &assessment.advice {
        text.push_str(&format!("advice: {advice}\n"));
    }
    text
}

fn members(seen: &Seen, now_s: i64) -> String {
    let mut table = Table::new([
        Left("NODE"),
        Left("ROLE"),
        Left("VOTES"),
        Left("ZONE"),
        Right("TERM"),
        Right("APPLIED"),
        Right("LAG"),
        Right("CONTACT"),
        Right("DATA"),
        Right("DISK FREE"),
        Right("CERTIFICATE"),
        Left("VERSION"),
        Left("ADDRESS"),
    ]);
    for row in &seen.rows {
        table.row(cells(seen, row, now_s));
    }
    table.to_string()
}

fn cells(seen: &Seen, row: &Row, now_s: i64) -> [String; 13] {
    let dash = || "-".to_owned();
    let votes = if row.member.voter { "yes" } else { "no" }.to_owned();
    let zone = if row.zone().is_empty() { dash() } else { row.zone().to_owned() };
    let (id, address) = (row.member.id.to_string(), row.member.peer_address.clone());
    let Ok(node) = &row.answer else {
        let [term, applied, lag, contact, data, free, certificate, version] = std::array::from_fn(|_| dash());
        let role = "silent".to_owned();
        return [
            id,
            role,
            votes,
            zone,
            term,
            applied,
            lag,
            contact,
            data,
            free,
            certificate,
            version,
            address,
        ];
    };
    let contact = match (seen.leader() == Some(&node.id), &row.by_leader) {
        (true, _) => "leads".to_owned(),
        (false, Some(known)) => known.last_contact_ms.map_or_else(dash, |ms| format!("{ms} ms")),
        (false, None) => dash(),
    };
    let free = node
        .disk
        .map_or_else(dash, |disk| format!("{} of {}", size(disk.free_bytes), size(disk.total_bytes)));
    [
        id,
        node.role.clone(),
        votes,
        zone,
        node.term.to_string(),
        node.applied_index.to_string(),
        seen.lag(row).map_or_else(dash, |lag| lag.to_string()),
        contact,
        node.disk.map_or_else(dash, |disk| size(disk.data_bytes)),
        free,
        node.certificate_expires_at_s.map_or_else(dash, |at_s| format!("{} days", (at_s - now_s) / 86_400)),
        node.version.clone(),
        address,
    ]
}

fn size(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    match bytes {
        GIB.. => format!("{}G", bytes / GIB),
        _ => format!("{}M", bytes >> 20),
    }
}

fn as_json(seen: &Seen, assessment: &Assessment) -> serde_json::Value {
    let members = seen.rows.iter().map(|row| {
        json!({
            "id": row.member.id,
            "peer_address": row.member.peer_address,
            "voter": row.member.voter,
            "zone": row.zone(),
            "witness": row.witness,
            "lag": seen.lag(row),
            "last_contact_ms": row.by_leader.as_ref().and_then(|known| known.last_contact_ms),
            "status": row.answer.as_ref().ok(),
            "error": row.answer.as_ref().err(),
        })
    });
    json!({
        "cluster": seen.status.cluster,
        "feature_level": seen.status.feature_level,
        "asked": seen.status.node.id,
        "leader": seen.leader(),
        "health": assessment.health,
        "findings": assessment.findings,
        "advice": assessment.advice,
        "members": members.collect::<Vec<_>>(),
    })
}

fn now_s() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::look::samples::seen;
    use super::*;

    #[test]
    fn the_table_shows_every_member_and_what_is_wrong() {
        let seen = seen(3, |rows| {
            rows[2].answer = Err("cannot reach node 3".into());
        });
        let text = table(&seen, &assess(&seen, 0), 0);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].contains("leads") && lines[3].contains("7 ms"), "{text}");
        assert!(lines[4].starts_with("3     silent    yes    -"), "{text}");
        let address = |line: &str| line.find("h:").or_else(|| line.find("ADDRESS"));
        assert!(lines[1..5].iter().all(|line| address(line) == address(lines[1])), "{text}");
        assert!(
            text.contains("degraded: node 3 is silent: cannot reach node 3\n  to do: start it"),
            "{text}"
        );
        let json = as_json(&seen, &assess(&seen, 0));
        assert_eq!(json["health"], "degraded");
        assert_eq!(json["members"][1]["lag"], 0);
        assert_eq!(json["leader"], 1);
    }
}
