//! What is wrong with a cluster, and what to do about it. Pure: what was seen in, findings out.

use serde::Serialize;

use super::status::{Row, Seen};
use crate::cluster::{NodeStatus, advice, failures_survived, fenced_off};

/// Entries that a node may lack; less is on its way.
const LAG_MAX: u64 = 1000;
/// A certificate that ends so soon is renewed now.
const CERTIFICATE_DAYS: i64 = 30;
/// The least that should be free on a node's disk.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Why one node refuses another says what to do, and depends on which of the two is out of date.
const REFUSED_CURE: &str = "do what the reason says, at the node that is out of date";
const DAY_S: i64 = 24 * 3600;

/// How a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All is as it should be.
    Healthy,
    /// It works, and something needs looking after.
    Degraded,
    /// It does not work.
    Error,
}

/// Something that is wrong, and what helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub problem: String,
    /// What to do.
    pub cure: String,
}

/// All that there is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// How the cluster is.
    pub health: Health,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What could be better about where the voters are.
    pub advice: Vec<String>,
}

/// Assesses what was seen at `now_s`, seconds since 1970 UTC.
pub fn assess(seen: &Seen, now_s: i64) -> Assessment {
    let mut findings = Vec::new();
    let voters = seen.rows.iter().filter(|row| row.member.voter);
    let (all, up) = (voters.clone().count(), voters.clone().filter(|row| row.answer.is_ok()).count());
    let quorum = all / 2 + 1;
    let works = up >= quorum && seen.leader().is_some();
    if !works {
        findings.push(Finding {
            problem: format!(
                "no quorum: {up} of {all} voters answer, {quorum} are needed, and {}",
                match seen.leader() {
                    Some(id) => format!("node {id} leads"),
                    None => "nobody leads".to_owned(),
                }
            ),
            cure: "start the silent voters; keys are still read where the account allows local reads"
                .to_owned(),
        });
    } else if up == quorum {
        findings.push(Finding {
            problem: match (all, failures_survived(all)) {
                (1, _) => "the only voter survives no failure".to_owned(),
                (_, 0) => format!("{all} voters survive no failure"),
                _ => format!("{up} of {all} voters answer: no further failure is survived"),
            },
            cure: match failures_survived(all) {
                0 => "let nodes join until there are three voters: keymoot cluster token create".to_owned(),
                _ => "bring the silent voters back, or remove them and let others join".to_owned(),
            },
        });
    }
    for row in &seen.rows {
        match &row.answer {
            Ok(node) => of_node(seen, row, node, now_s, &mut findings),
            Err(reason) => findings.push(Finding {
                problem: format!("node {} is silent: {reason}", row.member.id),
                cure: format!("start it; if it is gone for good: keymoot cluster remove {}", row.member.id),
            }),
        }
    }
    let health = match (works, findings.is_empty()) {
        (false, _) => Health::Error,
        (true, true) => Health::Healthy,
        (true, false) => Health::Degraded,
    };
    Assessment { health, findings, advice: advice(voters.map(|row| row.zone())) }
}

fn of_node(seen: &Seen, row: &Row, node: &NodeStatus, now_s: i64, findings: &mut Vec<Finding>) {
    let id = node.id;
    let mut found = |problem: String, cure: &str| findings.push(Finding { problem, cure: cure.to_owned() });
    let lag = seen.lag(row).unwrap_or(0);
    if lag > LAG_MAX {
        found(
            format!("node {id} lacks {lag} entries"),
            "see its log; a node that never catches up has too slow a disk or network",
        );
    }
    if let Some(left_s) = node.certificate_expires_at_s.map(|at_s| at_s - now_s)
        && left_s < CERTIFICATE_DAYS * DAY_S
    {
        let problem = match left_s {
            ..=0 => format!("the certificate of node {id} has expired"),
            _ => format!("the certificate of node {id} ends in {} days", left_s / DAY_S),
        };
        found(problem, "issue a new one, replace the file cluster.cert_file names, and restart the node");
    }
    for (peer, reason) in &node.refusals {
        found(format!("node {id} refuses node {peer}: {reason}"), REFUSED_CURE);
    }
    if let Some(reason) = fenced_off(seen.status.node.fence, node.fence) {
        found(format!("node {id}, as node {} sees it: {reason}", seen.status.node.id), REFUSED_CURE);
    }
    if node.disk.is_some_and(|disk| disk.read_only) {
        found(
            format!("node {id} is read-only: its disk is nearly full"),
            "free some, or enlarge it: docs/disks.md",
        );
    } else if let Some(disk) = node.disk
        // A snapshot that is received needs room for itself and for the state made of it.
        && disk.free_bytes < FREE_BYTES_MIN.max(disk.data_bytes.saturating_mul(2))
    {
        found(
            format!("the disk of node {id} has {} MiB left", disk.free_bytes / (1024 * 1024)),
            "make room: a node whose disk is full takes no writes",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::tests::{node, seen};
    use super::*;
    use crate::cluster::DiskStatus;

    const NOW_S: i64 = 1_000_000_000;

    fn said(seen: &Seen) -> (Health, String) {
        let found = assess(seen, NOW_S);
        let text: Vec<String> = found.findings.into_iter().map(|finding| finding.problem).collect();
        (found.health, text.join("\n"))
    }

    #[test]
    fn three_voters_that_answer_are_healthy() {
        assert_eq!(said(&seen(3, |_| {})), (Health::Healthy, String::new()));
    }

    #[test]
    fn one_silent_voter_of_three_leaves_no_tolerance_and_two_no_quorum() {
        let (health, text) = said(&seen(3, |rows| rows[2].answer = Err("gone".into())));
        assert_eq!(health, Health::Degraded);
        assert!(text.contains("no further failure") && text.contains("node 3 is silent: gone"), "{text}");
        let (health, text) = said(&seen(3, |rows| {
            rows[1].answer = Err("gone".into());
            rows[2].answer = Err("gone".into());
        }));
        assert_eq!(health, Health::Error);
        assert!(text.contains("no quorum: 1 of 3 voters answer, 2 are needed"), "{text}");
        let nobody = seen(3, |rows| {
            for row in rows {
                if let Ok(node) = &mut row.answer {
                    node.leader = None;
                }
            }
        });
        assert_eq!(said(&nobody).0, Health::Error);
    }

    #[test]
    fn one_voter_alone_is_degraded() {
        let (health, text) = said(&seen(1, |_| {}));
        assert_eq!((health, text.as_str()), (Health::Degraded, "the only voter survives no failure"));
    }

    #[test]
    fn a_node_of_another_fence_is_told() {
        let (health, text) = said(&seen(3, |rows| {
            let refusals = [(3, "it is of before".to_owned())].into();
            rows[0].answer = Ok(NodeStatus { refusals, ..node(1) });
            rows[2].answer = Ok(NodeStatus { fence: 7, ..node(3) });
        }));
        assert_eq!(health, Health::Degraded);
        assert!(text.contains("node 1 refuses node 3: it is of before"), "{text}");
        assert!(text.contains("node 3, as node 1 sees it: "), "{text}");
    }

    #[test]
    fn lag_certificate_and_disk_are_told() {
        let (health, text) = said(&seen(3, |rows| {
            let full =
                DiskStatus { total_bytes: 1 << 30, free_bytes: 1 << 20, data_bytes: 0, read_only: false };
            rows[0].answer = Ok(NodeStatus { disk: Some(full), ..node(1) });
            let ends = Some(NOW_S + 29 * DAY_S);
            rows[1].answer = Ok(NodeStatus { certificate_expires_at_s: ends, ..node(2) });
            rows[2].answer = Ok(NodeStatus { applied_index: 1, ..node(3) });
        }));
        assert_eq!(health, Health::Degraded);
        for part in ["disk of node 1 has 1 MiB left", "certificate of node 2 ends in 29 days", "node 3 lacks"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}
