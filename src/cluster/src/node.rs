//! A running node, and the handle that the services use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{InitializeError, RaftError};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use keymoot_crypto::{ClusterName, Keyring, PeerIdentity};
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{ClusterIdentity, Command, NodeFacts, NodeRecord, Response};
use keymoot_store::Directory;
use keymoot_telemetry::{Metrics, write_grants};

use super::admin::{AdminRequest, AdminResponse, ClusterStatus, DiskStatus, NodeStatus, PeerStatus};
use super::barrier::{ReadBarrier, Rounds, read_barrier};
use super::command_rights;
use super::disk::{self, Disk, DiskState};
use super::error::ClusterError;
use super::fence::Fence;
use super::gathered::GatherLimits;
use super::join_server::JoinGate;
use super::leader::LeaderSeat;
use super::membership::ChangeTurn;
use super::peers::EndOfNode;
use super::proof::RefusalLog;
use super::proposer::{Flights, Proposer, now_ms, proposer};
use super::state_view::StateView;
use super::types::{Member, Raft};

/// How long an operator's request may wait for a quorum.
pub(super) const ADMIN_DEADLINE: Duration = Duration::from_secs(10);

/// What runs on a node.
pub struct Node {
    pub id: NodeId,
    pub cluster: ClusterName,
    pub raft: Raft,
    pub state: StateView,
    pub directory: Arc<Directory>,
    pub fence: Fence,
    pub keyring: Arc<Keyring>,
    pub disk: Disk,
    pub metrics: Arc<Metrics>,
    pub flights: Arc<Flights>,
    pub rounds: Arc<Rounds>,
    /// Until when this node answers no vote; `None` when it never promised anything.
    pub silent_until: Option<Instant>,
    pub identity: ClusterIdentity,
    pub failure: watch::Receiver<Option<String>>,
    /// Asks whoever leads.
    pub seat: LeaderSeat,
    pub about: About,
    /// Where it is told that this node must end.
    pub end: EndOfNode,
    /// One change of the members at a time.
    pub change_turn: tokio::sync::Mutex<ChangeTurn>,
    pub join_gate: JoinGate,
    pub refusal_log: RefusalLog,
    /// Nodes that were removed and are no members any more.
    pub expelled: ArcSwap<BTreeSet<NodeId>>,
}

/// What a node says of itself.
pub struct About {
    pub facts: NodeFacts,
    /// Where its peers shall reach it.
    pub peer_address: String,
    pub data_dir: PathBuf,
    pub certificate_expires_at_s: Option<i64>,
    pub authority_pem: String,
    /// A member that was not heard of for so long counts as down.
    pub silence: Duration,
}

impl Node {
    /// A restarted node does not know which lease it granted before, so it votes for nobody until
    /// every such lease has run out.
    pub fn is_voting_too_early(&self) -> bool {
        self.silent_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether the cluster removed whoever this is.
    pub fn is_expelled(&self, identity: PeerIdentity) -> bool {
        matches!(identity, PeerIdentity::Node(id) if self.expelled.load().contains(&id))
    }

    /// Notes who was removed.
    pub fn expel<'n>(&self, removed: impl Iterator<Item = &'n NodeRecord>) {
        let removed: BTreeSet<NodeId> = removed.map(|node| node.id).filter(|id| *id != self.id).collect();
        if **self.expelled.load() != removed {
            // What is wrong with a node that is gone is nobody's business any more.
            removed.iter().for_each(|id| self.fence.refusals().forget(*id));
            self.expelled.store(Arc::new(removed));
        }
    }

    /// Answers an operator.
    pub async fn administer(self: &Arc<Self>, request: AdminRequest) -> AdminResponse {
        let deadline = Instant::now() + ADMIN_DEADLINE;
        let answer = match request {
            AdminRequest::Status => self.status().map(|status| AdminResponse::Status(Box::new(status))),
            AdminRequest::Initialize(members) => {
                self.initialize(members).await.map(AdminResponse::Initialized)
            }
            AdminRequest::Propose(command) => self.propose(*command, deadline).await,
            AdminRequest::Accounts => match self.rounds.round(deadline).await {
                Ok(()) => state::accounts(&self.state).map(AdminResponse::Accounts).map_err(Into::into),
                Err(error) => Err(error),
            },
            AdminRequest::Policies(account) => match self.rounds.round(deadline).await {
                Ok(()) => state::listed_policies(&self.state, &account)
                    .map(AdminResponse::Policies)
                    .map_err(Into::into),
                Err(error) => Err(error),
            },
            AdminRequest::Keyring { count } => {
                self.keyring_status(count, deadline).await.map(|it| AdminResponse::Keyring(Box::new(it)))
            }
            AdminRequest::Rewrap(after) => {
                self.rewrap(after, deadline).await.map(|it| AdminResponse::Rewrapped(Box::new(it)))
            }
            AdminRequest::Change(request) => self
                .change_members(request, deadline)
                .await
                .map(|plan| AdminResponse::Planned(Box::new(plan))),
            AdminRequest::JoinTokens => match self.rounds.round(deadline).await {
                Ok(()) => state::join_tokens(&self.state).map(AdminResponse::JoinTokens).map_err(Into::into),
                Err(error) => Err(error),
            },
        };
        answer.unwrap_or_else(|error| AdminResponse::Refused(error.to_string()))
    }

    /// Makes room as far as this node can: what a snapshot covers of the log is removed.
    pub async fn make_room(&self) {
        if let Err(error) = self.raft.trigger().snapshot().await {
            tracing::debug!(%error, "no snapshot was made on the full disk");
        }
    }

    async fn propose(&self, command: Command, deadline: Instant) -> Result<AdminResponse, ClusterError> {
        command_rights::check_tool(&command).map_err(|error| ClusterError::Refused(error.to_string()))?;
        tracing::info!(target: "audit", %command, "an operator changes the state");
        let mut responses = self.flights.replicate(vec![command], deadline).await?;
        match responses.pop() {
            Some(response) => Ok(AdminResponse::Applied(Box::new(response))),
            None => Err(ClusterError::Protocol("no answer to a command".into())),
        }
    }

    async fn initialize(&self, members: BTreeMap<NodeId, String>) -> Result<bool, ClusterError> {
        if !members.contains_key(&self.id) {
            let text =
                format!("the members must include node {}, which was asked to begin the cluster", self.id);
            return Err(ClusterError::Refused(text));
        }
        let members: BTreeMap<NodeId, Member> =
            members.into_iter().map(|(id, peer_address)| (id, Member { peer_address })).collect();
        match self.raft.initialize(members).await {
            Ok(()) => Ok(true),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(false),
            Err(error) => Err(ClusterError::Refused(error.to_string())),
        }
    }

    /// This node's view of itself and the cluster.
    pub fn status(&self) -> Result<ClusterStatus, ClusterError> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let membership = metrics.membership_config.membership();
        let voters: Vec<NodeId> = membership.voter_ids().collect();
        let matched = metrics.replication.unwrap_or_default();
        let records = state::nodes(&self.state)?;
        let facts = |id: &NodeId| records.iter().find(|node| node.id == *id).map(|node| node.facts.clone());
        let heard = metrics.heartbeat.unwrap_or_default();
        let ago = |id: &NodeId| heard.get(id)?.as_ref().map(|at| at.elapsed().as_millis());
        let members = membership.nodes().map(|(id, member)| PeerStatus {
            id: *id,
            peer_address: member.peer_address.clone(),
            voter: voters.contains(id),
            matched_index: matched.get(id).and_then(|at| at.as_ref().map(|at| at.index)),
            last_contact_ms: ago(id).and_then(|ms| u64::try_from(ms).ok()),
            zone: facts(id).map(|facts| facts.zone).unwrap_or_default(),
            version: facts(id).map(|facts| facts.version).unwrap_or_default(),
        });
        let index = |at: Option<u64>| at.unwrap_or(0);
        let disk = self.disk.state();
        Ok(ClusterStatus {
            cluster: self.cluster.as_str().to_owned(),
            feature_level: self.end.feature_level()?,
            members: members.collect(),
            clock_ms: now_ms(),
            keyring_check: state::cluster_identity(&self.state)?.map(|identity| identity.keyring_check),
            node: NodeStatus {
                id: self.id,
                role: format!("{:?}", metrics.state).to_lowercase(),
                term: metrics.current_term,
                leader: metrics.current_leader,
                last_log_index: index(metrics.last_log_index),
                applied_index: index(metrics.last_applied.map(|at| at.index)),
                snapshot_index: index(metrics.snapshot.map(|at| at.index)),
                purged_index: index(metrics.purged.map(|at| at.index)),
                digest: state::digest(&self.state)?.to_string(),
                fence: self.fence.current(),
                refusals: self.fence.refusals().list(),
                version: self.about.facts.version.clone(),
                feature_level: self.about.facts.feature_level,
                zone: self.about.facts.zone.clone(),
                disk: Some(DiskStatus {
                    total_bytes: disk.space.total_bytes,
                    free_bytes: disk.space.free_bytes,
                    data_bytes: disk::bytes_under(&self.about.data_dir),
                    read_only: disk.read_only,
                }),
                certificate_expires_at_s: self.about.certificate_expires_at_s,
            },
        })
    }
}

/// The cluster as the services use it. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    node: Arc<Node>,
    proposer: Proposer,
    barrier: ReadBarrier,
    request_deadline: Duration,
}

impl Cluster {
    /// Starts what serves requests over a running node.
    pub(super) fn new(
        node: Arc<Node>,
        raft_runtime: &Handle,
        limits: GatherLimits,
        reads_max: usize,
        request_deadline: Duration,
    ) -> Self {
        let proposer = proposer(node.flights.clone(), raft_runtime.clone(), limits, request_deadline);
        let barrier = read_barrier(node.rounds.clone(), raft_runtime.clone(), reads_max, request_deadline);
        Self { node, proposer, barrier, request_deadline }
    }

    /// Replicates a command and gives the state's answer, once a quorum has it on disk.
    ///
    /// # Errors
    /// As for [`Self::propose_all`].
    pub async fn propose(&self, command: Command) -> Result<Response, ClusterError> {
        let response = self.propose_all(vec![command]).await?.pop();
        response.ok_or_else(|| ClusterError::Protocol("no answer to a command".into()))
    }

    /// Replicates commands in one proposal and gives the state's answers in their order, once a quorum has
    /// them on disk.
    ///
    /// # Errors
    /// [`ClusterError::NoQuorum`] after the deadline (the commands may still be applied later),
    /// [`ClusterError::Busy`] when the proposer's mailbox is full.
    pub async fn propose_all(&self, commands: Vec<Command>) -> Result<Vec<Response>, ClusterError> {
        // Who may have caused a change stands in the log before the change does.
        write_grants();
        let answered = self.proposer.give(commands).ok_or_else(|| self.busy("proposer"))?;
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
        let answered = self.barrier.give(()).ok_or_else(|| self.busy("read barrier"))?;
        self.wait(patience, answered).await
    }

    /// The disk of this node's data directory.
    pub fn disk(&self) -> DiskState {
        self.node.disk.state()
    }

    /// What is damaged on this node, and what to do, if anything is.
    pub fn damage(&self) -> Option<String> {
        self.node.damage()
    }

    /// The state as applied on this node.
    pub fn state(&self) -> &StateView {
        &self.node.state
    }

    /// This node's id.
    pub fn node_id(&self) -> NodeId {
        self.node.id
    }

    /// This node's view of itself and the cluster.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn status(&self) -> Result<ClusterStatus, ClusterError> {
        self.node.status()
    }

    /// How many log entries are applied here, and the number of the last one that is here.
    pub fn progress(&self) -> (u64, u64) {
        let metrics = self.node.raft.metrics();
        let now = metrics.borrow_watched();
        (now.last_applied.map_or(0, |at| at.index), now.last_log_index.unwrap_or(0))
    }

    /// Turns to a text when the node cannot go on and must stop.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.node.failure.clone()
    }

    /// Hands leadership over when this node leads: nobody then waits for an election once it is gone.
    pub async fn retire(&self) {
        self.node.retire().await;
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
