//! Handing leadership over: planned, so that nobody waits for an election.
//!
//! The leader stops taking proposals, tells everybody that its lease is void, and the chosen node
//! stands for election at once. What the old leader is asked meanwhile is asked again of the new one.

use std::time::Duration;

use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::time::{Instant, timeout_at};

use crate::model::NodeId;

use super::node::Node;

/// How long one candidate may take; more than an election of a healthy cluster.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// A voter that was heard of so lately counts as running.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// Why leadership stays where it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandOverError {
    /// Only the leader can hand over.
    #[error("this node does not lead; {}", match .leader { Some(id) => format!("node {id} does"), None => "nobody does now".to_owned() })]
    NotLeader {
        /// Who leads, when that is known.
        leader: Option<NodeId>,
    },
    /// The node that is named cannot lead.
    #[error("node {0} cannot lead: it is no voter of this cluster")]
    NotVoter(NodeId),
    /// There is nobody else who can lead.
    #[error("no other voter can take the leadership")]
    Nobody,
    /// The chosen node did not win in time.
    #[error("node {0} did not take the leadership in time")]
    TooLate(NodeId),
    /// This node has stopped.
    #[error("raft has stopped")]
    Stopped,
}

impl Node {
    /// Hands leadership to `to`, or to the running voter whose log is the longest, and returns who leads then.
    ///
    /// # Errors
    /// [`HandOverError`]; then an election decides, as after a failure, if this node gave up already.
    pub async fn hand_over(&self, to: Option<NodeId>) -> Result<NodeId, HandOverError> {
        let to = self.successor(to)?;
        let began = Instant::now();
        let mut metrics = self.raft.server_metrics();
        self.raft.trigger().transfer_leader(to).await.map_err(|_| HandOverError::Stopped)?;
        let deadline = began + ELECTION_TIMEOUT;
        loop {
            let leader = metrics.borrow_watched().current_leader;
            if let Some(leader) = leader.filter(|leader| *leader != self.id) {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(leader, took_ms, "leadership was handed over");
                return Ok(leader);
            }
            match timeout_at(deadline, metrics.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(HandOverError::Stopped),
                Err(_) => return Err(HandOverError::TooLate(to)),
            }
        }
    }

    fn successor(&self, wanted: Option<NodeId>) -> Result<NodeId, HandOverError> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        if metrics.current_leader != Some(self.id) {
            return Err(HandOverError::NotLeader { leader: metrics.current_leader });
        }
        let voters: Vec<NodeId> =
            metrics.membership_config.membership().voter_ids().filter(|id| *id != self.id).collect();
        if let Some(wanted) = wanted {
            return if voters.contains(&wanted) { Ok(wanted) } else { Err(HandOverError::NotVoter(wanted)) };
        }
        let (logs, heard) = (metrics.replication.unwrap_or_default(), metrics.heartbeat.unwrap_or_default());
        let index = |id: &NodeId| logs.get(id).and_then(|at| at.as_ref().map(|at| at.index));
        let is_heard = |id: &NodeId| {
            heard.get(id).and_then(Option::as_ref).is_some_and(|at| at.elapsed() < HEARD_WITHIN)
        };
        voters.into_iter().max_by_key(|id| (is_heard(id), index(id))).ok_or(HandOverError::Nobody)
    }
}
