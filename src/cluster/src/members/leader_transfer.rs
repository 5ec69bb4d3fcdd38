//! Leader transfer: a planned change of leader without the wait for an election time-out.
//!
//! The leader stops accepting proposals, tells every member that its lease is void, and the target
//! stands for election at once. Requests that reach the old leader meanwhile are sent again to the
//! new one.

use std::collections::BTreeMap;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::time::{Instant, timeout_at};

use keymoot_model::NodeId;

use crate::members::membership::Members;

/// The time limit for one candidate: more than an election of a healthy cluster takes.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the leadership was not transferred as asked.
#[derive(Debug, thiserror::Error)]
pub enum LeaderTransferError {
    /// Only the leader can transfer the leadership.
    #[error("this node does not lead; {}", leads(*.leader))]
    NotLeader {
        /// The leader, if this node knows it.
        leader: Option<NodeId>,
    },
    /// No other node can lead; the map says why for each.
    #[error("no other voter can take the leadership{}", .0.iter().map(|(id, why)| format!("; node {id}: {why}")).collect::<String>())]
    Nobody(BTreeMap<NodeId, String>),
    /// The target did not win in time.
    #[error("node {to} did not take the leadership within {} s; {}", ELECTION_TIMEOUT.as_secs(), leads(*.leader))]
    TooLate {
        to: NodeId,
        /// The leader, if this node knows it.
        leader: Option<NodeId>,
    },
    /// Another node than the target won.
    #[error("node {to} did not take the leadership; node {leader} leads")]
    AnotherLeads { to: NodeId, leader: NodeId },
    /// This node has stopped.
    #[error("raft has stopped")]
    Stopped,
}

fn leads(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "nobody leads now".to_owned(), |id| format!("node {id} leads"))
}

impl Members {
    /// Transfers the leadership to a voter, and waits until it leads.
    ///
    /// # Errors
    /// [`LeaderTransferError`] when it does not lead; if this node has already given up its lease,
    /// an election decides, as after a failure.
    pub(crate) async fn transfer_leader(&self, to: NodeId) -> Result<(), LeaderTransferError> {
        let began = Instant::now();
        let mut metrics = self.raft.server_metrics();
        self.raft.trigger().transfer_leader(to).await.map_err(|_| LeaderTransferError::Stopped)?;
        let deadline = began + ELECTION_TIMEOUT;
        loop {
            let leader = metrics.borrow_watched().current_leader;
            if let Some(leader) = leader.filter(|leader| *leader != self.id) {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(leader, took_ms, "leadership was transferred");
                return if leader == to {
                    Ok(())
                } else {
                    Err(LeaderTransferError::AnotherLeads { to, leader })
                };
            }
            match timeout_at(deadline, metrics.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(LeaderTransferError::Stopped),
                Err(_) => return Err(LeaderTransferError::TooLate { to, leader }),
            }
        }
    }

    /// Transfers the leadership, if this node has it, to a suitable voter; see
    /// [`Members::transfer_target`].
    ///
    /// # Errors
    /// [`LeaderTransferError`], when this node still leads, or no node does.
    pub(crate) async fn transfer_leader_away(&self, full_too: bool) -> Result<(), LeaderTransferError> {
        let transferred = match self.transfer_target(full_too).await {
            Ok(to) => self.transfer_leader(to).await,
            Err(error) => Err(error),
        };
        match transferred {
            Err(LeaderTransferError::NotLeader { .. } | LeaderTransferError::AnotherLeads { .. }) => Ok(()),
            other => other,
        }
    }

    /// Transfers the leadership before this node stops, so that the stop costs no election. A voter
    /// with a full disk is better than none; it transfers the leadership to one with free space.
    pub(crate) async fn transfer_leader_before_stop(&self) {
        match self.transfer_leader_away(true).await {
            Ok(()) => {}
            Err(LeaderTransferError::Nobody(others)) if others.is_empty() => {}
            Err(error) => {
                tracing::warn!(%error, "leadership could not be transferred; there will be an election");
            }
        }
    }
}
