//! A running node: its services, and the tasks that work by themselves. The only place that builds them.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use keymoot_crypto::WrapError;
use keymoot_model::NodeId;
use keymoot_state::ClusterIdentity;
use keymoot_store::{Directory, Log};
use keymoot_telemetry::Metrics;

use crate::backup::BackupService;
use crate::members::founding::{Founder, Founding};
use crate::members::join::JoinService;
use crate::members::membership::Members;
use crate::members::node_info::NodeInfo;
use crate::members::reconciler::MembershipReconciler;
use crate::ops::admin::AdminService;
use crate::ops::damage::{DamageReport, DamageWatch};
use crate::ops::monitor::Monitor;
use crate::ops::rewrap::RewrapService;
use crate::ops::status::StatusService;
use crate::peer::fence::Fence;
use crate::peer::leader_client::{LeaderClient, Leadership};
use crate::peer::local_end::LocalEnd;
use crate::peer::peers::Peers;
use crate::peer::refusal_log::RefusalLog;
use crate::peer::removed_nodes::RemovedNodes;
use crate::raft::Raft;
use crate::raft::snapshot_schedule::SnapshotSchedule;
use crate::raft::state_view::StateView;
use crate::raft::vote_ledger::VoteLedger;
use crate::read::barrier::ReadBarrier;
use crate::read::read_index::ReadIndex;
use crate::server::endpoint::RaftEndpoint;
use crate::server::{PeerServer, Services};
use crate::write::appender::LogAppender;
use crate::write::disk::Disk;
use crate::write::forwarder::ProposalForwarder;

/// What a node is built from.
pub struct NodeParts {
    pub id: NodeId,
    pub local: LocalEnd,
    pub fence: Fence,
    pub peers: Peers,
    pub raft: Raft,
    pub ledger: VoteLedger,
    pub state: StateView,
    pub applied_index: watch::Receiver<u64>,
    pub log: Log,
    pub snapshots: SnapshotSchedule,
    pub directory: Arc<Directory>,
    pub disk: Disk,
    /// Until when this node answers no vote; `None` when it never promised anything.
    pub silent_until: Option<Instant>,
    pub identity: ClusterIdentity,
    pub founding: Option<Founding>,
    pub info: NodeInfo,
    pub metrics: Arc<Metrics>,
    pub runtime: Handle,
}

/// What runs on a node.
pub struct Node {
    pub id: NodeId,
    pub local: LocalEnd,
    pub raft: Raft,
    pub state: StateView,
    pub directory: Arc<Directory>,
    pub disk: Disk,
    pub forwarder: Arc<ProposalForwarder>,
    pub barrier: Arc<ReadBarrier>,
    pub members: Arc<Members>,
    pub status: Arc<StatusService>,
    pub damage: DamageReport,
    pub server: Arc<PeerServer>,
    pub metrics: Arc<Metrics>,
}

/// What a node does by itself, to be spawned.
pub struct NodeTasks {
    pub monitor: Monitor,
    pub reconciler: MembershipReconciler,
    pub damage_watch: DamageWatch,
}

impl Node {
    /// Builds the services of a node. Nothing runs before its tasks do.
    ///
    /// # Errors
    /// [`WrapError`] when the authority of a cluster to be founded cannot be wrapped.
    pub fn assemble(parts: NodeParts) -> Result<(Arc<Self>, NodeTasks), WrapError> {
        let NodeParts {
            id, local, fence, peers, raft, ledger, state, directory, disk, metrics, runtime, ..
        } = parts;
        let info = Arc::new(parts.info);
        let (leadership_in, leadership) = watch::channel(Leadership::default());
        let leader_client = LeaderClient::new(id, peers.clone(), leadership);
        let appender = LogAppender::new(raft.clone(), disk.clone(), runtime.clone());
        let level = local.feature_level.clone();
        let forwarder =
            Arc::new(ProposalForwarder::new(appender, leader_client.clone(), level, metrics.clone()));
        let read_index = ReadIndex::new(raft.clone(), ledger, peers.clone(), metrics.clone(), runtime);
        let barrier =
            ReadBarrier::new(read_index, leader_client.clone(), parts.applied_index, metrics.clone());
        let barrier = Arc::new(barrier);
        let members = Arc::new(Members::new(
            id,
            raft.clone(),
            state.clone(),
            forwarder.clone(),
            leader_client,
            disk.clone(),
            info.silence,
        ));
        let removed = Arc::new(RemovedNodes::new(id, fence.clone()));
        let address = info.peer_address.clone();
        let founder = Founder::new(members.clone(), parts.identity, address, parts.founding, &local.keyring)?;
        let founder = Arc::new(founder);
        let damage = DamageReport::new(id, info.data_dir.clone(), state.clone());
        let status = Arc::new(StatusService::new(
            local.clone(),
            fence.clone(),
            info.clone(),
            raft.clone(),
            state.clone(),
            disk.clone(),
        ));
        let rewrap = RewrapService::new(
            local.clone(),
            state.clone(),
            barrier.clone(),
            forwarder.clone(),
            metrics.clone(),
        );
        let services = Services {
            admin: AdminService::new(
                status.clone(),
                rewrap,
                founder.clone(),
                members.clone(),
                state.clone(),
                barrier.clone(),
                forwarder.clone(),
            ),
            members: members.clone(),
            joins: JoinService::new(
                local.clone(),
                state.clone(),
                barrier.clone(),
                forwarder.clone(),
                members.clone(),
                info.authority_pem.clone(),
            ),
            backups: BackupService::new(state.clone(), barrier.clone(), directory.clone(), metrics.clone()),
            barrier: barrier.clone(),
            forwarder: forwarder.clone(),
        };
        let endpoint = RaftEndpoint::new(
            raft.clone(),
            disk.clone(),
            directory.clone(),
            metrics.clone(),
            damage.clone(),
            parts.silent_until,
        );
        let refusal_log = RefusalLog::new(metrics.clone());
        let server =
            PeerServer::new(local.clone(), fence.clone(), removed.clone(), refusal_log, endpoint, services);
        let tasks = NodeTasks {
            reconciler: MembershipReconciler::new(
                members.clone(),
                removed,
                founder.clone(),
                peers.clone(),
                info.clone(),
                metrics.clone(),
            ),
            damage_watch: DamageWatch::new(
                damage.clone(),
                raft.clone(),
                members.clone(),
                barrier.clone(),
                metrics.clone(),
                info.silence,
            ),
            monitor: Monitor {
                id,
                cluster: local.cluster.clone(),
                raft: raft.clone(),
                state: state.clone(),
                disk: disk.clone(),
                fence,
                damage: damage.clone(),
                founder,
                peers,
                keyring: local.keyring.clone(),
                metrics: metrics.clone(),
                log: parts.log,
                snapshots: parts.snapshots,
                leadership: leadership_in,
                fatal: local.fatal.clone(),
            },
        };
        let server = Arc::new(server);
        let node = Self {
            id,
            local,
            raft,
            state,
            directory,
            disk,
            forwarder,
            barrier,
            members,
            status,
            damage,
            server,
            metrics,
        };
        Ok((Arc::new(node), tasks))
    }
}
