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

/// The time limit for a transfer: more than an election of a healthy cluster takes.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest time limit for the target, after which another voter is asked.
const TARGET_TIMEOUT_MAX: Duration = Duration::from_secs(1);

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
    /// Transfers the leadership to a voter, and waits until it leads. A leader that has asked a voter
    /// to take over proposes nothing more, and does not stand for election itself (openraft issue
    /// 2088). So if that voter does not take over, another is asked before an election time-out ends.
    ///
    /// # Errors
    /// [`LeaderTransferError`] when it does not lead; if this node has already given up its lease,
    /// an election decides, as after a failure.
    pub(crate) async fn transfer_leader(&self, to: NodeId) -> Result<(), LeaderTransferError> {
        let began = Instant::now();
        self.begin_transfer(to).await?;
        let patience = Duration::from_millis(self.raft.config().election_timeout_max).min(TARGET_TIMEOUT_MAX);
        let mut leader = self.await_successor(began + patience).await?;
        if leader.is_none_or(|leader| leader == self.id) {
            if let Ok(next) = self.transfer_target(true, Some(to)).await {
                tracing::warn!(
                    to,
                    next,
                    "the leadership was not taken over, and is transferred to another voter"
                );
                self.begin_transfer(next).await?;
            }
            leader = self.await_successor(began + ELECTION_TIMEOUT).await?;
        }
        let Some(leader) = leader.filter(|leader| *leader != self.id) else {
            return Err(LeaderTransferError::TooLate { to, leader });
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(leader, took_ms, "leadership was transferred");
        if leader == to { Ok(()) } else { Err(LeaderTransferError::AnotherLeads { to, leader }) }
    }

    async fn begin_transfer(&self, to: NodeId) -> Result<(), LeaderTransferError> {
        self.raft.trigger().transfer_leader(to).await.map_err(|_| LeaderTransferError::Stopped)
    }

    /// Waits until another node leads; at the deadline, returns the leader as far as it is known.
    async fn await_successor(&self, deadline: Instant) -> Result<Option<NodeId>, LeaderTransferError> {
        let mut metrics = self.raft.server_metrics();
        loop {
            let leader = metrics.borrow_watched().current_leader;
            if leader.is_some_and(|leader| leader != self.id) {
                return Ok(leader);
            }
            match timeout_at(deadline, metrics.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(LeaderTransferError::Stopped),
                Err(_) => return Ok(leader),
            }
        }
    }

    /// Transfers the leadership, if this node has it, to a suitable voter; see
    /// [`Members::transfer_target`].
    ///
    /// # Errors
    /// [`LeaderTransferError`], when this node still leads, or no node does.
    pub(crate) async fn transfer_leader_away(&self, full_too: bool) -> Result<(), LeaderTransferError> {
        let transferred = match self.transfer_target(full_too, None).await {
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
