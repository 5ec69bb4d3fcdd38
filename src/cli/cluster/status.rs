//! `keymoot cluster status`: every member is asked, and what they say is laid side by side.

use std::time::{SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use serde_json::json;

use super::health::{Assessment, Health, assess};
use crate::cli::Failure;
use crate::cli::args::{ClusterStatusArgs, OutputFormat};
use crate::cli::operator::{Operator, say, unexpected};
use crate::cluster::{AdminRequest, AdminResponse, ClusterStatus, NodeStatus, PeerStatus};
use crate::model::NodeId;

/// A member, and what it said of itself or why it said nothing.
pub struct Row {
    /// The member as the asked node knows it.
    pub member: PeerStatus,
    /// What it said.
    pub answer: Result<NodeStatus, String>,
    /// The member as the leader knows it.
    pub by_leader: Option<PeerStatus>,
}

impl Row {
    /// The zone: as the node says, else as the cluster remembers.
    pub fn zone(&self) -> &str {
        self.answer.as_ref().map_or(self.member.zone.as_str(), |node| node.zone.as_str())
    }
}

/// All that was seen.
pub struct Seen {
    /// What the asked node said.
    pub status: ClusterStatus,
    /// The members, by id.
    pub rows: Vec<Row>,
}

impl Seen {
    /// Who says of itself that it leads; of two, the one of the later term.
    pub fn leader(&self) -> Option<&NodeId> {
        let answers = self.rows.iter().filter_map(|row| row.answer.as_ref().ok());
        let leaders = answers.filter(|node| node.leader == Some(node.id));
        leaders.max_by_key(|node| node.term).map(|node| &node.id)
    }

    /// How many entries a node lacks, of those in the leader's log.
    pub fn lag(&self, row: &Row) -> Option<u64> {
        let leader = self.leader()?;
        let leads = self.rows.iter().find(|row| row.member.id == *leader)?.answer.as_ref().ok()?;
        Some(leads.last_log_index.saturating_sub(row.answer.as_ref().ok()?.applied_index))
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node does not answer, there is no quorum, or the cluster is degraded.
pub async fn run(args: ClusterStatusArgs) -> Result<(), Failure> {
    let operator = Operator::new(args.config.config.as_deref())?;
    let seen = look(&operator).await?;
    if seen.rows.is_empty() {
        return Err(Failure::because(format!(
            "node {} runs, but belongs to no cluster yet",
            seen.status.node.id
        ))
        .hint("see keymoot init, keymoot cluster join and keymoot cluster init"));
    }
    let assessment = assess(&seen, now_s());
    say(&match args.output {
        OutputFormat::Table => table(&seen, &assessment, now_s()),
        OutputFormat::Json => format!("{:#}\n", as_json(&seen, &assessment)),
    });
    match assessment.health {
        Health::Healthy => Ok(()),
        Health::Degraded => Err(Failure::degraded("the cluster is degraded")),
        Health::Error => Err(Failure::because("the cluster has no quorum")),
    }
}

/// Asks every member.
pub async fn look(operator: &Operator) -> Result<Seen, Failure> {
    let AdminResponse::Status(status) = operator.ask(AdminRequest::Status).await? else {
        return Err(unexpected());
    };
    let answers = join_all(status.members.iter().map(|member| ask_member(operator, member))).await;
    let leading = answers.iter().filter_map(|answer| answer.as_ref().ok());
    let leading = leading.filter(|said| said.node.leader == Some(said.node.id)).max_by_key(|s| s.node.term);
    let by_leader: Vec<PeerStatus> = leading.map(|said| said.members.clone()).unwrap_or_default();
    let rows = status.members.iter().zip(answers).map(|(member, answer)| Row {
        by_leader: by_leader.iter().find(|known| known.id == member.id).cloned(),
        member: member.clone(),
        answer: answer.map(|said| said.node),
    });
    let rows = rows.collect();
    Ok(Seen { status: *status, rows })
}

async fn ask_member(operator: &Operator, member: &PeerStatus) -> Result<ClusterStatus, String> {
    match operator.ask_node(member.id, &member.peer_address, AdminRequest::Status).await {
        Ok(AdminResponse::Status(status)) => Ok(*status),
        Ok(_) => Err(unexpected().message().to_owned()),
        Err(failure) => Err(failure.message().to_owned()),
    }
}

fn table(seen: &Seen, assessment: &Assessment, now_s: i64) -> String {
    let status = &seen.status;
    let mut text = format!(
        "cluster {}, feature level {}, as node {} sees it\n",
        status.cluster, status.feature_level, status.node.id
    );
    text.push_str(
        "NODE  ROLE      VOTES  ZONE      TERM  APPLIED     LAG     CONTACT   DATA      DISK FREE   \
         CERTIFICATE  VERSION   ADDRESS\n",
    );
    for row in &seen.rows {
        text.push_str(&line(seen, row, now_s));
    }
    let mark = if assessment.health == Health::Error { "error" } else { "degraded" };
    for finding in &assessment.findings {
        text.push_str(&format!("{mark}: {}\n  to do: {}\n", finding.problem, finding.cure));
    }
    for advice in &assessment.advice {
        text.push_str(&format!("advice: {advice}\n"));
    }
    text
}

fn line(seen: &Seen, row: &Row, now_s: i64) -> String {
    let votes = if row.member.voter { "yes" } else { "no" };
    let zone = if row.zone().is_empty() { "-" } else { row.zone() };
    let address = &row.member.peer_address;
    let Ok(node) = &row.answer else {
        return format!("{:<4}  {:<8}  {votes:<5}  {zone:<8}  {address}\n", row.member.id, "silent");
    };
    let dash = || "-".to_owned();
    let contact = match (seen.leader() == Some(&node.id), &row.by_leader) {
        (true, _) => "leads".to_owned(),
        (false, Some(known)) => known.last_contact_ms.map_or_else(dash, |ms| format!("{ms} ms")),
        (false, None) => dash(),
    };
    let free = node
        .disk
        .map_or_else(dash, |disk| format!("{} of {}", size(disk.free_bytes), size(disk.total_bytes)));
    format!(
        "{:<4}  {:<8}  {votes:<5}  {zone:<8}  {:<4}  {:<10}  {:<6}  {contact:<8}  {:<8}  {free:<10}  {:<11}  \
         {:<8}  {address}\n",
        node.id,
        node.role,
        node.term,
        node.applied_index,
        seen.lag(row).map_or_else(dash, |lag| lag.to_string()),
        node.disk.map_or_else(dash, |disk| size(disk.data_bytes)),
        node.certificate_expires_at_s.map_or_else(dash, |at_s| format!("{} days", (at_s - now_s) / 86_400)),
        node.version,
    )
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
pub(super) mod tests {
    use super::*;

    /// What a follower of node 1 says of itself, or node 1.
    pub fn node(id: NodeId) -> NodeStatus {
        NodeStatus {
            id,
            role: "follower".into(),
            term: 3,
            leader: Some(1),
            last_log_index: 5000,
            applied_index: 5000,
            snapshot_index: 0,
            purged_index: 0,
            digest: String::new(),
            version: "0.1.0".into(),
            feature_level: 1,
            zone: String::new(),
            disk: None,
            certificate_expires_at_s: None,
            fence: 0,
            refusals: Default::default(),
        }
    }

    /// A cluster of so many voters, all well but for what `change` does.
    pub fn seen(voters: u64, change: impl FnOnce(&mut Vec<Row>)) -> Seen {
        let row = |id| Row {
            member: PeerStatus {
                id,
                peer_address: format!("h:{id}"),
                voter: true,
                matched_index: None,
                last_contact_ms: Some(7),
                zone: String::new(),
                version: String::new(),
            },
            answer: Ok(node(id)),
            by_leader: None,
        };
        let mut rows = (1..=voters).map(row).collect();
        change(&mut rows);
        let members = rows.iter().map(|row| row.member.clone()).collect();
        let status = ClusterStatus {
            cluster: "moot".into(),
            node: node(1),
            members,
            feature_level: 1,
            clock_ms: 0,
            keyring_check: None,
        };
        Seen { status, rows }
    }

    #[test]
    fn the_table_shows_every_member_and_what_is_wrong() {
        let seen = seen(3, |rows| {
            rows[1].by_leader = Some(rows[1].member.clone());
            rows[2].answer = Err("cannot reach node 3".into());
        });
        let text = table(&seen, &assess(&seen, 0), 0);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].contains("leads") && lines[3].contains("7 ms"), "{text}");
        assert!(lines[4].starts_with("3     silent    yes"), "{text}");
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
