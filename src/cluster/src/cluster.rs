//! The cluster as the services use it.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use keymoot_model::NodeId;
use keymoot_state::{Command, Response};
use keymoot_store::QuorumContact;
use keymoot_telemetry::write_grants;

use crate::error::ClusterError;
use crate::node::Node;
use crate::ops::credential_uses::UseRegistry;
use crate::raft::state_view::StateView;
use crate::read::barrier::{BarrierBatcher, barrier_batcher};
use crate::wire::admin::ClusterStatus;
use crate::write::batcher::BatchLimits;
use crate::write::disk::DiskState;
use crate::write::proposer::{Proposer, proposer};

/// The interface of the cluster for the services. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    node: Arc<Node>,
    proposer: Proposer,
    reads: BarrierBatcher,
    request_deadline: Duration,
}

impl Cluster {
    /// Starts the proposer and the read barrier over a running node.
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

    /// Replicates commands in one proposal and returns the state's responses in their order, once a
    /// quorum has them on disk.
    ///
    /// # Errors
    /// [`ClusterError::NoQuorum`] after the deadline (the commands may still be applied later),
    /// [`ClusterError::Busy`] when too many wait for a proposal.
    pub async fn propose(&self, commands: Vec<Command>) -> Result<Vec<Response>, ClusterError> {
        // The grants must be in the audit log before the change that they permit.
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

    /// The same, for a caller with a shorter deadline than a request has.
    ///
    /// # Errors
    /// As for [`Self::propose`].
    pub async fn read_barrier_within(&self, patience: Duration) -> Result<(), ClusterError> {
        let answered = self.reads.submit(()).ok_or_else(|| self.busy("read barrier"))?;
        self.wait(patience, answered).await
    }

    /// How long a request may take before it is refused.
    pub const fn request_deadline(&self) -> Duration {
        self.request_deadline
    }

    /// The disk of this node's data directory, as last measured.
    pub fn disk(&self) -> DiskState {
        self.node.disk.state()
    }

    /// The damage on this node and its remedy; `None` when nothing is damaged.
    pub fn damage(&self) -> Option<String> {
        self.node.damage.damage()
    }

    /// What this node's keyring lacks of the cluster's master keys, and the remedy; `None` when nothing is
    /// known to be amiss.
    pub fn keyring_lack(&self) -> Option<String> {
        self.node.keyring_report.lack()
    }

    /// The applied state of this node.
    pub fn state(&self) -> &StateView {
        &self.node.state
    }

    /// When this node last noted that it was in contact with a quorum: seconds since 1970 UTC.
    pub fn noted_contact_s(&self) -> Option<u64> {
        let noted = QuorumContact::last_s(&self.node.data_dir);
        noted.unwrap_or_else(|error| {
            // The count then begins at the start: what the file said is gone, and what the node grants is bounded.
            tracing::error!(%error, "the note of the last contact with the quorum cannot be read");
            None
        })
    }

    /// Notes that this node is in contact with a quorum, for its next start.
    pub fn note_contact(&self, at_s: u64) {
        let data_dir = self.node.data_dir.clone();
        // A disk may take its time, and nobody waits for it.
        drop(tokio::task::spawn_blocking(move || {
            if let Err(error) = QuorumContact::note(&data_dir, at_s) {
                tracing::warn!(%error, "the contact with the quorum is not noted for the next start");
            }
        }));
    }

    /// Where the last use of each credential is noted.
    pub fn credential_uses(&self) -> UseRegistry {
        self.node.uses.clone()
    }

    pub fn node_id(&self) -> NodeId {
        self.node.id
    }

    /// This node's view of itself and the cluster.
    ///
    /// # Errors
    /// [`ClusterError::State`] when the state cannot be read.
    pub fn status(&self) -> Result<ClusterStatus, ClusterError> {
        self.node.status.status()
    }

    /// The index of the last applied entry, and that of the last entry in the log.
    pub fn progress(&self) -> (u64, u64) {
        let metrics = self.node.raft.metrics();
        let now = metrics.borrow_watched();
        (now.last_applied.map_or(0, |at| at.index), now.last_log_index.unwrap_or(0))
    }

    /// Becomes a text when the node cannot continue and must stop.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.node.local.fatal.subscribe()
    }

    /// Transfers the leadership if this node leads, so that its stop costs no election.
    pub async fn transfer_leader(&self) {
        self.node.members.transfer_leader_before_stop().await;
    }

    /// Stops Raft. Acknowledged commands are on disk.
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
