//! A look at a cluster: every member is asked, and what they say is laid side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use crate::cli::operator::{Operator, unexpected};
use keymoot_cluster::{AdminRequest, AdminResponse, ClusterStatus, NodeStatus, PeerStatus, silence};
use keymoot_command::Failure;
use keymoot_model::NodeId;

/// A member, and what it said of itself or why it said nothing.
pub(super) struct Row {
    /// The member as the asked node knows it.
    pub member: PeerStatus,
    /// What it said.
    pub answer: Result<NodeStatus, String>,
    /// The member as the leader knows it.
    pub by_leader: Option<PeerStatus>,
    /// Whether it is a witness, as the asked node knows.
    pub witness: bool,
    /// What it knows to be amiss with itself, each as `problem; remedy`.
    pub complaints: Vec<String>,
    /// What its configuration permits and should not, each as `problem; remedy`.
    pub notices: Vec<String>,
}

impl Row {
    /// The zone: as the node says, else as the cluster remembers.
    pub(super) fn zone(&self) -> &str {
        self.answer.as_ref().map_or(self.member.zone.as_str(), |node| node.zone.as_str())
    }
}

/// All that was seen.
pub(super) struct Seen {
    /// What the asked node said.
    pub status: ClusterStatus,
    /// The members, by id.
    pub rows: Vec<Row>,
    /// What this look, or an earlier one under the same leader, saw first.
    pub first: Option<FirstSight>,
    /// A follower that the leader has not heard of for so long is cut off from it.
    pub silence: Duration,
    /// Where the asked node answered, by its configuration.
    pub asked_at: String,
}

/// How far the cluster was when it was first seen under its leader.
#[derive(Clone, Debug)]
pub(super) struct FirstSight {
    at: Instant,
    leader: NodeId,
    term: u64,
    /// The end of the leader's log.
    pub last_log_index: u64,
    /// How far the leader had applied it: so far it was committed.
    pub applied_index: u64,
    /// How far each member had.
    applied: BTreeMap<NodeId, u64>,
}

impl FirstSight {
    /// How long ago that was.
    pub(super) fn ago(&self) -> Duration {
        self.at.elapsed()
    }
}

impl Seen {
    fn new(status: ClusterStatus, rows: Vec<Row>, silence: Duration, asked_at: String) -> Self {
        let mut seen = Self { status, rows, first: None, silence, asked_at };
        seen.first = seen.leading().map(|node| FirstSight {
            at: Instant::now(),
            leader: node.id,
            term: node.term,
            last_log_index: node.last_log_index,
            applied_index: node.applied_index,
            applied: seen.answers().map(|node| (node.id, node.applied_index)).collect(),
        });
        seen
    }

    /// Keeps what an earlier look saw, unless another leads since.
    pub(super) fn after(mut self, earlier: Option<FirstSight>) -> Self {
        let same = |now: &FirstSight, then: &FirstSight| (now.leader, now.term) == (then.leader, then.term);
        if let (Some(now), Some(then)) = (&self.first, earlier)
            && same(now, &then)
        {
            self.first = Some(then);
        }
        self
    }

    fn answers(&self) -> impl Iterator<Item = &NodeStatus> {
        self.rows.iter().filter_map(|row| row.answer.as_ref().ok())
    }

    /// What the leader says. It says of itself that it leads; of two, the one of the later term.
    pub(super) fn leading(&self) -> Option<&NodeStatus> {
        self.answers().filter(|node| node.leader == Some(node.id)).max_by_key(|node| node.term)
    }

    /// Who leads.
    pub(super) fn leader(&self) -> Option<&NodeId> {
        self.leading().map(|node| &node.id)
    }

    /// How many entries a node lacks, of those in the leader's log.
    pub(super) fn lag(&self, row: &Row) -> Option<u64> {
        let applied_index = row.answer.as_ref().ok()?.applied_index;
        Some(self.leading()?.last_log_index.saturating_sub(applied_index))
    }

    /// Whether a node has not yet applied what was committed when the cluster was first seen.
    pub(super) fn is_behind(&self, node: &NodeStatus) -> bool {
        self.first.as_ref().is_some_and(|first| node.applied_index < first.applied_index)
    }

    /// Whether a node has applied nothing more since the cluster was first seen.
    pub(super) fn stands_still(&self, node: &NodeStatus) -> bool {
        let then = self.first.as_ref().and_then(|first| first.applied.get(&node.id));
        then.is_some_and(|then| *then >= node.applied_index)
    }

    /// Whether a node lacks more entries than when the cluster was first seen.
    pub(super) fn falls_behind(&self, row: &Row) -> bool {
        let then = self
            .first
            .as_ref()
            .and_then(|first| Some(first.last_log_index.saturating_sub(*first.applied.get(&row.member.id)?)));
        then.is_some_and(|then| self.lag(row).is_some_and(|now| now > then))
    }

    /// Whether the leader does not hear of a node that answers. Nothing is known of that without a leader.
    pub(super) fn is_cut_off(&self, row: &Row) -> bool {
        let heard = row.by_leader.as_ref().and_then(|known| known.last_contact_ms);
        self.leader().is_some_and(|leader| *leader != row.member.id)
            && heard.is_none_or(|ms| u128::from(ms) > self.silence.as_millis())
    }
}

/// Asks every member.
pub(super) async fn look(operator: &Operator) -> Result<Seen, Failure> {
    let AdminResponse::Status(status) = operator.ask(AdminRequest::Status).await? else {
        return Err(unexpected());
    };
    let mut members = status.members.clone();
    let witnesses = operator.witnesses().await;
    let mut answers = ask_members(operator, &status, &members, &witnesses).await;
    // A node that is left behind knows the members of before.
    if let Some(known) = leading(&answers).map(|said| said.members.clone())
        && known.iter().map(place).ne(members.iter().map(place))
    {
        answers = ask_members(operator, &status, &known, &witnesses).await;
        members = known;
    }
    let by_leader: Vec<PeerStatus> = leading(&answers).map(|said| said.members.clone()).unwrap_or_default();
    let rows = members.into_iter().zip(answers).map(|(member, answer)| Row {
        witness: witnesses.contains(&member.id),
        by_leader: by_leader.iter().find(|known| known.id == member.id).cloned(),
        member,
        complaints: answer.as_ref().map(|said| said.complaints.clone()).unwrap_or_default(),
        notices: answer.as_ref().map(|said| said.notices.clone()).unwrap_or_default(),
        answer: answer.map(|said| said.status.node),
    });
    let rows = rows.collect();
    let silence = silence(operator.config.cluster.election_timeout_max_ms);
    let asked_at = operator.peer_address(&status);
    Ok(Seen::new(*status, rows, silence, asked_at))
}

fn leading(answers: &[Result<Answer, String>]) -> Option<&ClusterStatus> {
    let leads = |said: &&ClusterStatus| said.node.leader == Some(said.node.id);
    let said = answers.iter().filter_map(|answer| Some(&answer.as_ref().ok()?.status));
    said.filter(leads).max_by_key(|said| said.node.term)
}

fn place(member: &PeerStatus) -> (NodeId, &str, bool) {
    (member.id, &member.peer_address, member.voter)
}

/// What a member said.
struct Answer {
    status: ClusterStatus,
    complaints: Vec<String>,
    notices: Vec<String>,
}

/// Asks the members; the configured node, which answered before, is not dialled where it may have been.
async fn ask_members(
    operator: &Operator,
    asked: &ClusterStatus,
    members: &[PeerStatus],
    witnesses: &BTreeSet<NodeId>,
) -> Vec<Result<Answer, String>> {
    let own = operator.peer_address(asked);
    join_all(members.iter().map(|member| {
        let is_asked = member.id == asked.node.id;
        let address = if is_asked { &own } else { &member.peer_address };
        ask_member(operator, (member.id, witnesses.contains(&member.id)), address)
    }))
    .await
}

async fn ask_member(operator: &Operator, member: (NodeId, bool), address: &str) -> Result<Answer, String> {
    let status = match operator.ask_member(member, address, AdminRequest::Status).await {
        Ok(AdminResponse::Status(status)) => *status,
        Ok(_) => return Err(unexpected().message().to_owned()),
        Err(failure) => return Err(failure.message().to_owned()),
    };
    let complaints = texts(operator, member, address, AdminRequest::Complaints).await;
    let notices = texts(operator, member, address, AdminRequest::Notices).await;
    Ok(Answer { status, complaints, notices })
}

/// The answer to a question that a node with an earlier program does not know; it has none then.
async fn texts(
    operator: &Operator,
    member: (NodeId, bool),
    address: &str,
    question: AdminRequest,
) -> Vec<String> {
    match operator.ask_member(member, address, question).await {
        Ok(AdminResponse::Complaints(texts) | AdminResponse::Notices(texts)) => texts,
        _ => Vec::new(),
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    /// What a follower of node 1 says of itself, or node 1.
    pub(crate) fn node(id: NodeId) -> NodeStatus {
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
    pub(crate) fn seen(voters: u64, change: impl FnOnce(&mut Vec<Row>)) -> Seen {
        let member = |id| PeerStatus {
            id,
            peer_address: format!("h:{id}"),
            voter: true,
            matched_index: None,
            last_contact_ms: Some(7),
            zone: String::new(),
            version: String::new(),
        };
        let row = |id| Row {
            witness: false,
            member: member(id),
            answer: Ok(node(id)),
            by_leader: Some(member(id)),
            complaints: Vec::new(),
            notices: Vec::new(),
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
        Seen::new(status, rows, Duration::from_secs(2), "h:1".to_owned())
    }

    /// The same cluster after a while, in which `change` happened.
    pub(crate) fn later(mut seen: Seen, change: impl FnOnce(&mut Vec<Row>)) -> Seen {
        let first = seen.first.take();
        change(&mut seen.rows);
        Seen::new(seen.status, seen.rows, seen.silence, seen.asked_at).after(first)
    }
}
