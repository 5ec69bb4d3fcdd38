//! The cluster as the services use it.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use keymoot_model::NodeId;
use keymoot_state::{Command, Response};
use keymoot_telemetry::write_grants;

use crate::error::ClusterError;
use crate::node::Node;
use crate::raft::state_view::StateView;
use crate::read::barrier::{BarrierBatcher, barrier_batcher};
use crate::wire::admin::ClusterStatus;
use crate::write::batcher::BatchLimits;
use crate::write::disk::DiskState;
use crate::write::proposer::{Proposer, proposer};

/// The cluster as the services use it. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    node: Arc<Node>,
    proposer: Proposer,
    reads: BarrierBatcher,
    request_deadline: Duration,
}

impl Cluster {
    /// Starts what serves requests over a running node.
    pub(crate) fn new(
        node: Arc<Node>,
        raft_runtime: &Handle,
        limits: BatchLimits,
        reads_max: usize,
        request_deadline: Duration,
    ) -> Self {
        let proposer = proposer(node.forwarder.clone(), raft_runtime.clone(), limits, request_deadline);
        let reads = barrier_batcher(node.barrier.clone(), raft_runtime.clone(), reads_max, request_deadline);
        Self { node, proposer, reads, request_deadline }
    }

    /// Replicates commands in one proposal and gives the state's answers in their order, once a quorum has
    /// them on disk.
    ///
    /// # Errors
    /// [`ClusterError::NoQuorum`] after the deadline (the commands may still be applied later),
    /// [`ClusterError::Busy`] when too many wait for a proposal.
    pub async fn propose(&self, commands: Vec<Command>) -> Result<Vec<Response>, ClusterError> {
        // The audit log names the cause of a change before the change is made.
        write_grants();
        let answered = self.proposer.submit(commands).ok_or_else(|| self.busy("proposer"))?;
        self.wait(self.request_deadline, answered).await
    }

    /// Waits until reading [`Self::state`] is linearizable.
    ///
    /// # Errors
    /// As for [`Self::propose`].
    pub async fn read_barrier(&self) -> Result<(), ClusterError> {
        self.read_barrier_within(self.request_deadline).await
    }

    /// The same, for somebody who cannot wait as long as a request may.
    ///
    /// # Errors
    /// As for [`Self::propose`].
    pub async fn read_barrier_within(&self, patience: Duration) -> Result<(), ClusterError> {
        let answered = self.reads.submit(()).ok_or_else(|| self.busy("read barrier"))?;
        self.wait(patience, answered).await
    }

    /// The disk of this node's data directory.
    pub fn disk(&self) -> DiskState {
        self.node.disk.state()
    }

    /// What is damaged on this node, and what to do, if anything is.
    pub fn damage(&self) -> Option<String> {
        self.node.damage.damage()
    }

    /// The state as applied on this node.
    pub fn state(&self) -> &StateView {
        &self.node.state
    }

    pub fn node_id(&self) -> NodeId {
        self.node.id
    }

    /// This node's view of itself and the cluster.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn status(&self) -> Result<ClusterStatus, ClusterError> {
        self.node.status.status()
    }

    /// How many log entries are applied here, and the number of the last one that is here.
    pub fn progress(&self) -> (u64, u64) {
        let metrics = self.node.raft.metrics();
        let now = metrics.borrow_watched();
        (now.last_applied.map_or(0, |at| at.index), now.last_log_index.unwrap_or(0))
    }

    /// Turns to a text when the node cannot go on and must stop.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.node.local.fatal.subscribe()
    }

    /// Transfers the leadership if this node leads, so that nobody waits for an election once it has stopped.
    pub async fn transfer_leader(&self) {
        self.node.members.transfer_leader_before_stop().await;
    }

    /// Stops Raft. What is acknowledged is on disk.
    pub async fn shutdown(&self) {
        if let Err(error) = self.node.raft.shutdown().await {
            tracing::warn!(%error, "raft did not stop cleanly");
        }
    }

    fn busy(&self, actor: &'static str) -> ClusterError {
        self.node.metrics.mailbox_full_total.with_label_values(&[actor]).inc();
        ClusterError::Busy { actor }
    }

    async fn wait<T>(
        &self,
        patience: Duration,
        answered: oneshot::Receiver<Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        match tokio::time::timeout(patience, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ClusterError::Stopped),
            Err(_) => Err(ClusterError::NoQuorum { waited: patience }),
        }
    }
}
