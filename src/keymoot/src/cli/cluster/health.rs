//! What is wrong with a cluster, and what to do about it. Pure: what was seen in, findings out.

mod resources;

use serde::Serialize;

use super::look::{Row, Seen};
use keymoot_cluster::{NodeStatus, UNDECIDED, advice, failures_survived, fenced_off};
use keymoot_model::NodeId;
use resources::resources;

/// How a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Health {
    /// All is as it should be.
    Healthy,
    /// It works, and something needs looking after.
    Degraded,
    /// It does not work.
    Error,
}

/// Something that is wrong, and what helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct HealthFinding {
    /// What.
    pub problem: String,
    /// What to do.
    pub cure: String,
}

/// All that there is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Assessment {
    /// How the cluster is.
    pub health: Health,
    /// What is wrong.
    pub findings: Vec<HealthFinding>,
    /// What could be better about where the voters are and how nodes are configured.
    pub advice: Vec<String>,
    /// Something of it may pass by itself within seconds, or show to be worse.
    pub may_pass: bool,
}

#[derive(Default)]
struct Findings {
    list: Vec<HealthFinding>,
    may_pass: bool,
}

impl Findings {
    fn add(&mut self, problem: String, cure: impl Into<String>) {
        self.list.push(HealthFinding { problem, cure: cure.into() });
    }

    fn add_passing(&mut self, problem: String, cure: impl Into<String>) {
        self.may_pass = true;
        self.add(problem, cure);
    }
}

/// Assesses what was seen at `now_s`, seconds since 1970 UTC.
pub(super) fn assess(seen: &Seen, now_s: i64) -> Assessment {
    let mut findings = Findings::default();
    let voters = Voters::of(seen);
    let writes = can_write(seen, &voters, &mut findings) && !undecided(seen, &mut findings);
    if writes {
        margin(&voters, &mut findings);
    }
    for row in &seen.rows {
        match &row.answer {
            Ok(node) => {
                progress(seen, row, node, writes, &mut findings);
                refusals(seen, node, writes, &mut findings);
                resources(node, now_s, &mut findings);
                for text in &row.complaints {
                    let (problem, cure) = split(node.id, text);
                    findings.add(format!("node {}: {problem}", node.id), in_order(writes, cure));
                }
                moved(seen, row, writes, &mut findings);
            }
            Err(reason) => silent(seen, row.member.id, reason, writes, &mut findings),
        }
    }
    let health = match (writes, findings.list.is_empty()) {
        (false, _) => Health::Error,
        (true, true) => Health::Healthy,
        (true, false) => Health::Degraded,
    };
    let zones = seen.rows.iter().filter(|row| row.member.voter).map(Row::zone);
    let notices = seen
        .rows
        .iter()
        .flat_map(|row| row.notices.iter().map(move |notice| format!("node {}: {notice}", row.member.id)));
    let advice = advice(zones).into_iter().chain(notices).collect();
    Assessment { health, findings: findings.list, advice, may_pass: findings.may_pass }
}

/// The voters, by what they can do for a write.
struct Voters {
    all: usize,
    /// Those that answer.
    up: usize,
    /// Those that can store a write: they answer, hear the leader, have room, and do not stand still behind
    /// the others.
    able: Vec<NodeId>,
}

impl Voters {
    fn of(seen: &Seen) -> Self {
        let voters = seen.rows.iter().filter(|row| row.member.voter);
        let able = voters.clone().filter_map(|row| {
            let node = row.answer.as_ref().ok()?;
            let stuck = seen.is_behind(node) && seen.stands_still(node);
            (!is_full(node) && !seen.is_cut_off(row) && !stuck).then_some(node.id)
        });
        Self {
            all: voters.clone().count(),
            up: voters.clone().filter(|row| row.answer.is_ok()).count(),
            able: able.collect(),
        }
    }

    fn quorum(&self) -> usize {
        self.all / 2 + 1
    }
}

fn is_full(node: &NodeStatus) -> bool {
    node.disk.is_some_and(|disk| disk.read_only)
}

/// Whether a write can commit; if not, that is a finding.
fn can_write(seen: &Seen, voters: &Voters, findings: &mut Findings) -> bool {
    let (all, up, quorum) = (voters.all, voters.up, voters.quorum());
    let Some(leader) = seen.leading().filter(|_| up >= quorum) else {
        let leads = seen.leader().map_or_else(|| "nobody leads".to_owned(), |id| format!("node {id} leads"));
        let problem = format!("no quorum: {up} of {all} voters answer, {quorum} are needed, and {leads}");
        let local = "keys are still read where the account allows local reads";
        if up < quorum {
            let recover = "if a majority is gone for good: keymoot cluster recover, docs/backup.md";
            findings.add(problem, format!("start the silent voters; {recover}; {local}"));
        } else {
            let look = "see the logs of the voters, and whether they reach each other's peer ports";
            findings.add_passing(problem, format!("{look}; {local}"));
        }
        return false;
    };
    let id = leader.id;
    if let Some(first) = voters.able.first()
        && is_full(leader)
    {
        findings.add_passing(
            format!("no write can commit: node {id} leads, and its disk is nearly full"),
            format!("wait until it transfers the leadership, or: keymoot cluster transfer-leader {first}"),
        );
        return false;
    }
    if voters.able.len() < quorum {
        let able = voters.able.len();
        findings.add(
            format!("no write can commit: {able} of {all} voters can store one, {quorum} are needed"),
            "fix the voters that are named below, beginning with what is fixed soonest",
        );
        return false;
    }
    let waits = seen.first.as_ref().filter(|first| leader.applied_index < first.last_log_index);
    if let Some(first) = waits {
        // Under load, entries are on their way whenever somebody looks.
        findings.add_passing(
            format!(
                "no write can commit: node {id} leads, and its entry {} has waited {} s for a quorum",
                first.last_log_index,
                first.ago().as_secs()
            ),
            "see the logs of the voters, and whether they reach each other's peer ports",
        );
    }
    waits.is_none()
}

/// How many failures the cluster survives as it is.
fn margin(voters: &Voters, findings: &mut Findings) {
    let (all, able) = (voters.all, voters.able.len());
    if able > voters.quorum() {
        return;
    }
    if failures_survived(all) == 0 {
        let problem = match all {
            1 => "the only voter survives no failure".to_owned(),
            _ => format!("{all} voters survive no failure"),
        };
        return findings
            .add(problem, "let nodes join until there are three voters: keymoot cluster token create");
    }
    let can = if able == voters.up { "answer" } else { "can store a write" };
    findings.add(
        format!("{able} of {all} voters {can}: no further failure is survived"),
        "bring the others back, or remove them and let new ones join",
    );
}

fn silent(seen: &Seen, id: NodeId, reason: &str, writes: bool, findings: &mut Findings) {
    let refused = seen.rows.iter().filter_map(|row| row.answer.as_ref().ok()?.refusals.get(&id)).next();
    let cure = match refused {
        Some(refusal) => in_order(writes, split(id, refusal).1),
        None if writes => format!(
            "start it; if its data are lost: keymoot cluster replace-disk on its machine; if it is gone for good: \
             keymoot cluster remove {id}"
        ),
        None => "start it".to_owned(),
    };
    findings.add(format!("node {id} is silent: {reason}"), cure);
}

/// What a node lacks, unless it is said elsewhere why.
fn progress(seen: &Seen, row: &Row, node: &NodeStatus, writes: bool, findings: &mut Findings) {
    let id = node.id;
    if let Some(leader) = seen.leader().filter(|_| seen.is_cut_off(row)) {
        let known = row.by_leader.as_ref().and_then(|known| known.last_contact_ms);
        let since = known.map_or_else(String::new, |ms| format!(" for {} s", ms / 1000));
        return findings.add_passing(
            format!("node {id} answers, but the leader, node {leader}, has not heard of it{since}"),
            "see whether the two reach each other's peer ports, and the logs of both",
        );
    }
    if !seen.is_behind(node) || is_full(node) {
        return;
    }
    let lacks = seen.lag(row).unwrap_or(0);
    let wait = "look again in some minutes: a snapshot may be on its way";
    let replace = match writes {
        true => format!(
            "if it stays so, stop it and run keymoot cluster replace-disk on its machine (or keymoot cluster remove \
             {id} at another node, and join anew): docs/disks.md"
        ),
        false => "if a majority lost its data for good: keymoot cluster recover, docs/backup.md".to_owned(),
    };
    let (problem, cure) = match (node.applied_index, seen.stands_still(node)) {
        (0, true) if row.member.voter => {
            (format!("node {id} votes and has applied nothing"), format!("{wait}; {replace}"))
        }
        (applied, true) => (
            format!("node {id} is stalled at entry {applied}"),
            format!("{wait}; see its log, and start it again; {replace}"),
        ),
        (_, false) if seen.falls_behind(row) => (
            format!("node {id} falls further behind"),
            "see its disk and its network, and keymoot doctor on its machine: it takes less than what is written"
                .to_owned(),
        ),
        (_, false) => (
            format!("node {id} is catching up"),
            "wait; a node that never catches up has too slow a disk or network".to_owned(),
        ),
    };
    findings.add_passing(format!("{problem}: it lacks {lacks} entries"), cure);
}

/// Whether the nodes' states differ and no majority decides which is right: nothing is written then.
fn undecided(seen: &Seen, findings: &mut Findings) -> bool {
    let mut texts =
        seen.rows.iter().filter_map(|row| row.answer.as_ref().ok()).flat_map(|node| node.refusals.values());
    let Some(text) = texts.find(|text| text.contains(UNDECIDED)) else { return false };
    let (reason, cure) = split(seen.status.node.id, text);
    findings.add_passing(format!("no write can commit: {reason}"), cure);
    true
}

/// Who does not speak to whom, and what helps: that comes with the reason.
fn refusals(seen: &Seen, node: &NodeStatus, writes: bool, findings: &mut Findings) {
    let id = node.id;
    for (peer, text) in node.refusals.iter().filter(|(_, text)| !text.contains(UNDECIDED)) {
        let (reason, cure) = split(id, text);
        findings.add(format!("node {id} refuses node {peer}: {reason}"), in_order(writes, cure));
    }
    let asked = &seen.status.node;
    if let Some(text) = fenced_off(asked.fence, node.fence) {
        let (reason, cure) = split(asked.id, &text);
        findings.add(format!("node {id}, as node {} sees it: {reason}", asked.id), cure);
    }
}

/// A cure that takes a quorum, such as removing a node, comes after bringing that back.
fn in_order(writes: bool, cure: String) -> String {
    match writes {
        false if cure.contains("keymoot cluster remove") => {
            format!("bring back a quorum first, as said above; then: {cure}")
        }
        _ => cure,
    }
}

/// Whether the asked node answers elsewhere than the members know it.
fn moved(seen: &Seen, row: &Row, writes: bool, findings: &mut Findings) {
    let (id, known, now) = (row.member.id, &row.member.peer_address, &seen.asked_at);
    if id != seen.status.node.id || known == now {
        return;
    }
    let problem = format!("node {id} is reached at {now}, and the members know it at {known}");
    match writes {
        true => findings.add_passing(problem, "wait: it tells the cluster by itself; if it does not, see its log"),
        false => findings.add(
            problem,
            "it tells the cluster by itself once a quorum of the voters reach each other; where more moved than may fail, \
             see docs/cluster.md",
        ),
    }
}

/// The reason and the cure in what node `id` says of a peer that it refuses: `reason; cure`.
fn split(id: NodeId, text: &str) -> (String, String) {
    let text = text.replace("this node", &format!("node {id}"));
    match text.split_once("; ") {
        Some((reason, cure)) => (reason.to_owned(), cure.to_owned()),
        None => (text, format!("see the log of node {id}")),
    }
}

#[cfg(test)]
mod tests;
