//! Handing leadership over: planned, so that nobody waits for an election.
//!
//! The leader stops taking proposals, tells everybody that its lease is void, and the chosen node
//! stands for election at once. What the old leader is asked meanwhile is asked again of the new one.

use std::collections::BTreeMap;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::time::{Instant, timeout_at};

use keymoot_model::NodeId;

use super::node::Node;

/// How long one candidate may take; more than an election of a healthy cluster.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// Why leadership stays where it is, or went elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// Only the leader can hand over.
    #[error("this node does not lead; {}", leads(*.leader))]
    NotLeader {
        /// Who leads, when that is known.
        leader: Option<NodeId>,
    },
    /// There is nobody else who can lead; what is wrong with each.
    #[error("no other voter can take the leadership{}", .0.iter().map(|(id, why)| format!("; node {id}: {why}")).collect::<String>())]
    Nobody(BTreeMap<NodeId, String>),
    /// The chosen node did not win in time.
    #[error("node {to} did not take the leadership within {} s; {}", ELECTION_TIMEOUT.as_secs(), leads(*.leader))]
    TooLate {
        /// Who was chosen.
        to: NodeId,
        /// Who leads, when that is known.
        leader: Option<NodeId>,
    },
    /// Another node won.
    #[error("node {to} did not take the leadership; node {leader} leads")]
    AnotherLeads {
        /// Who was chosen.
        to: NodeId,
        /// Who leads.
        leader: NodeId,
    },
    /// This node has stopped.
    #[error("raft has stopped")]
    Stopped,
}

fn leads(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "nobody leads now".to_owned(), |id| format!("node {id} leads"))
}

impl Node {
    /// Hands leadership to a voter, and waits until it leads.
    ///
    /// # Errors
    /// [`HandOverError`]; then an election decides, as after a failure, if this node gave up already.
    pub async fn hand_over(&self, to: NodeId) -> Result<(), HandOverError> {
        let began = Instant::now();
        let mut metrics = self.raft.server_metrics();
        self.raft.trigger().transfer_leader(to).await.map_err(|_| HandOverError::Stopped)?;
        let deadline = began + ELECTION_TIMEOUT;
        loop {
            let leader = metrics.borrow_watched().current_leader;
            if let Some(leader) = leader.filter(|leader| *leader != self.id) {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(leader, took_ms, "leadership was handed over");
                return if leader == to { Ok(()) } else { Err(HandOverError::AnotherLeads { to, leader }) };
            }
            match timeout_at(deadline, metrics.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(HandOverError::Stopped),
                Err(_) => return Err(HandOverError::TooLate { to, leader }),
            }
        }
    }

    /// Hands leadership, if this node has it, to whoever is fit; see [`Node::successor`].
    ///
    /// # Errors
    /// [`HandOverError`], when this node goes on leading, or nobody leads.
    pub async fn step_aside(&self, full_too: bool) -> Result<(), HandOverError> {
        let handed_over = match self.successor(full_too).await {
            Ok(to) => self.hand_over(to).await,
            Err(error) => Err(error),
        };
        match handed_over {
            Err(HandOverError::NotLeader { .. } | HandOverError::AnotherLeads { .. }) => Ok(()),
            other => other,
        }
    }

    /// Hands leadership over before this node stops: nobody then waits for an election. A voter without
    /// room is better than none; it hands over to the next one that has some.
    pub async fn retire(&self) {
        match self.step_aside(true).await {
            Ok(()) => {}
            Err(HandOverError::Nobody(others)) if others.is_empty() => {}
            Err(error) => {
                tracing::warn!(%error, "leadership could not be handed over; there will be an election");
            }
        }
    }
}
