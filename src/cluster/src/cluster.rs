//! The cluster as the services use it.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use keymoot_audit::NodeAudit;
use keymoot_model::{NodeId, OperatorName};
use keymoot_state::{ApprovalChange, Command, OperatorChange, Response, SignInChange, Voucher};
use keymoot_store::QuorumContact;

use crate::error::ClusterError;
use crate::node::Node;
use crate::ops::admin::ADMIN_DEADLINE;
use crate::ops::credential_uses::UseRegistry;
use crate::raft::state_view::StateView;
use crate::read::barrier::{BarrierBatcher, barrier_batcher};
use crate::wire::admin::{AdminRequest, AdminResponse, ClusterStatus};
use crate::wire::audit::ReceiverState;
use crate::wire::message::{Reply, Request};
use crate::wire::operators::{CertificateWish, EnrolledCertificate, OperatorEnrolment};
use crate::write::batcher::BatchLimits;
use crate::write::committed::Committed;
use crate::write::disk::DiskState;
use crate::write::log_index;
use crate::write::proposer::{Proposer, proposer};

/// The interface of the cluster for the services. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    node: Arc<Node>,
    proposer: Proposer,
    reads: BarrierBatcher,
    request_deadline: Duration,
    raft_runtime: Handle,
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
        Self { node, proposer, reads, request_deadline, raft_runtime: raft_runtime.clone() }
    }

    /// The running node.
    pub(crate) const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Replicates commands in one proposal and returns the state's responses in their order and where in the log it
    /// is, once a quorum has them on disk.
    ///
    /// # Errors
    /// [`ClusterError::NoQuorum`] after the deadline (the commands may still be applied later),
    /// [`ClusterError::Busy`] when too many wait for a proposal.
    pub async fn propose(&self, commands: Vec<Command>) -> Result<Committed, ClusterError> {
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

    /// That this node hears its leader and lacks what is committed there; `None` when it lacks nothing, or is cut off.
    pub fn lag(&self) -> Option<ClusterError> {
        self.node.barrier.lag()
    }

    /// Whether this node leads, or hears its leader and lacks nothing that is committed there.
    pub fn keeps_up(&self) -> bool {
        self.node.members.leads() || (self.node.barrier.contact.is_heard() && self.lag().is_none())
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

    /// Keeps bytes in the data directory, in place of those that it kept, before it returns.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn keep_late_notes(&self, bytes: Vec<u8>) -> Result<(), ClusterError> {
        let data_dir = self.node.data_dir.clone();
        let kept =
            tokio::task::spawn_blocking(move || keymoot_store::keep_late_notes(&data_dir, &bytes)).await;
        match kept {
            Ok(kept) => kept.map_err(|error| ClusterError::State(error.to_string())),
            Err(_) => Err(ClusterError::Stopped),
        }
    }

    /// The bytes that the data directory keeps.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn kept_late_notes(&self) -> Result<Vec<u8>, ClusterError> {
        keymoot_store::kept_late_notes(&self.node.data_dir)
            .map_err(|error| ClusterError::State(error.to_string()))
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

    /// Adds to what the node says is amiss with it, each as `problem; remedy`.
    pub fn complain_of(&self, others: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        self.node.status.complain_of(Box::new(others));
    }

    /// What tells, from now on, how far the receivers of this node's audit are.
    pub fn has_receivers(&self, states: impl Fn() -> Vec<ReceiverState> + Send + Sync + 'static) {
        self.node.server.services.admin.has_receivers(Box::new(states));
    }

    /// Where the last use of each credential is noted.
    pub fn credential_uses(&self) -> UseRegistry {
        self.node.uses.clone()
    }

    /// Whether an event says already that this operator reads what is asked for here, of which this is another page.
    pub fn is_told(&self, operator: &str, request: &AdminRequest) -> bool {
        self.node.server.services.admin.is_told(operator, request)
    }

    /// An event of it is written.
    pub fn tell(&self, operator: &str, request: &AdminRequest) {
        self.node.server.services.admin.tell(operator, request);
    }

    /// Where this node tells auditors what it does.
    pub fn events(&self) -> &NodeAudit {
        &self.node.local.audit
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

    /// Answers a request of an operator who may make it.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] says why it is refused; else when no quorum answered.
    pub async fn administer(&self, request: AdminRequest) -> Result<AdminResponse, ClusterError> {
        self.on_raft_runtime(|node| async move { node.server.services.admin.answer(request).await }).await
    }

    /// What another node answers to a request that changes nothing.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] when it is not a member or does not answer.
    pub async fn ask_node(&self, id: NodeId, request: AdminRequest) -> Result<AdminResponse, ClusterError> {
        if id == self.node.id {
            return self.administer(request).await;
        }
        self.on_raft_runtime(|node| async move {
            let unknown = || ClusterError::Refused(format!("this node knows no address of a node {id}"));
            let link = node.peers.requests(id).ok_or_else(unknown)?;
            let answer = link.call(Request::Admin(request), ADMIN_DEADLINE).await;
            match answer.map_err(|error| ClusterError::Refused(error.to_string()))? {
                Reply::Admin(answer) => Ok(answer),
                Reply::Failed(reason) => Err(ClusterError::Refused(reason)),
                _ => Err(ClusterError::Protocol("another answer than to an administrator".into())),
            }
        })
        .await
    }

    /// Adds an operator on the word of another one, and signs the certificate.
    ///
    /// # Errors
    /// As for [`Self::administer`].
    pub async fn add_operator(
        &self,
        enrolment: OperatorEnrolment,
        by: OperatorName,
    ) -> Result<EnrolledCertificate, ClusterError> {
        let deadline = tokio::time::Instant::now() + ADMIN_DEADLINE;
        let voucher = Voucher::Operator(by);
        self.on_raft_runtime(|node| async move {
            node.server.services.admin.operators.add(enrolment, voucher, deadline).await
        })
        .await
    }

    /// Signs another certificate of an operator, and registers it.
    ///
    /// # Errors
    /// As for [`Self::administer`].
    pub async fn add_operator_certificate(
        &self,
        name: OperatorName,
        by: OperatorName,
        certificate: CertificateWish,
    ) -> Result<EnrolledCertificate, ClusterError> {
        let deadline = tokio::time::Instant::now() + ADMIN_DEADLINE;
        self.on_raft_runtime(|node| async move {
            node.server.services.admin.operators.add_certificate(name, by, certificate, deadline).await
        })
        .await
    }

    /// Has an operator's record changed. `false` when it was so already.
    ///
    /// # Errors
    /// As for [`Self::administer`].
    pub async fn change_operator(&self, change: OperatorChange) -> Result<bool, ClusterError> {
        let deadline = tokio::time::Instant::now() + ADMIN_DEADLINE;
        self.on_raft_runtime(|node| async move {
            node.server.services.admin.operators.change(change, deadline).await
        })
        .await
    }

    /// Has changed what an operator signs in with, or a session. `false` when it was so already.
    ///
    /// # Errors
    /// As for [`Self::administer`].
    pub async fn change_sign_in(&self, change: SignInChange) -> Result<bool, ClusterError> {
        let deadline = tokio::time::Instant::now() + ADMIN_DEADLINE;
        self.on_raft_runtime(|node| async move {
            node.server.services.admin.operators.change_sign_in(change, deadline).await
        })
        .await
    }

    /// Asks for an approval, gives one, or does what takes two persons.
    ///
    /// # Errors
    /// As for [`Self::administer`].
    pub async fn change_approvals(&self, change: ApprovalChange) -> Result<Response, ClusterError> {
        let deadline = tokio::time::Instant::now() + ADMIN_DEADLINE;
        self.on_raft_runtime(|node| async move {
            node.server.services.admin.operators.change_approvals(change, deadline).await
        })
        .await
    }

    /// Administration is not fast, and must not hold a thread of the listeners.
    async fn on_raft_runtime<
        T: Send + 'static,
        F: Future<Output = Result<T, ClusterError>> + Send + 'static,
    >(
        &self,
        work: impl FnOnce(Arc<Node>) -> F,
    ) -> Result<T, ClusterError> {
        let work = log_index::in_another_task(log_index::current(), work(self.node.clone()));
        let done = self.raft_runtime.spawn(work).await;
        done.unwrap_or(Err(ClusterError::Stopped))
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

    /// Stops Raft, and closes the audit log. Acknowledged commands are on disk.
    pub async fn shutdown(&self) {
        if let Err(error) = self.node.raft.shutdown().await {
            tracing::warn!(%error, "raft did not stop cleanly");
        }
        let log = self.node.local.audit.log.clone();
        // It waits for the disk. One that cannot be closed says so itself.
        drop(tokio::task::spawn_blocking(move || log.close()).await);
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
