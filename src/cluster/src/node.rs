//! A running node: its services and its background tasks. They are built only here.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use keymoot_crypto::WrapError;
use keymoot_model::NodeId;
use keymoot_state::ClusterIdentity;
use keymoot_store::{Directory, Log};
use keymoot_telemetry::{LastingConditions, Metrics};

use crate::audit::{AuditGathering, AuditReader, AuditReport, AuditWorker, OwnLog, RecentReads};
use crate::backup::{BackupService, ScheduledBackups};
use crate::divergence::scrub::{Scrub, ScrubSettings};
use crate::divergence::watch::DivergenceWatch;
use crate::members::authority_change::AuthorityReplacement;
use crate::members::certificate::CertificateReport;
use crate::members::enrolment::Enrolment;
use crate::members::founding::{Founder, Founding};
use crate::members::join::JoinService;
use crate::members::membership::Members;
use crate::members::node_info::NodeInfo;
use crate::members::reconciler::MembershipReconciler;
use crate::members::registration::KeyRegistration;
use crate::members::renewal::CertificateRenewal;
use crate::members::reporting::Reporting;
use crate::members::witness::WitnessDuty;
use crate::ops::admin::AdminService;
use crate::ops::audit_watch::AuditWatch;
use crate::ops::complaints::Complaints;
use crate::ops::credential_uses::UseRegistry;
use crate::ops::damage::{DamageReport, DamageWatch};
use crate::ops::lost_outcomes::LostOutcomes;
use crate::ops::monitor::Monitor;
use crate::ops::operator_commands::OperatorCommands;
use crate::ops::operators::OperatorService;
use crate::ops::peer_watch::{KeyringReport, PeerWatch};
use crate::ops::rewrap::RewrapService;
use crate::ops::status::StatusService;
use crate::ops::wrap_count::WrapCount;
use crate::peer::fence::Fence;
use crate::peer::final_stop::FinalStop;
use crate::peer::leader_client::{LeaderClient, Leadership};
use crate::peer::local_end::LocalEnd;
use crate::peer::peers::Peers;
use crate::peer::refusal_log::RefusalLog;
use crate::peer::removed_nodes::RemovedNodes;
use crate::peer::reports::Reports;
use crate::raft::Raft;
use crate::raft::snapshot_schedule::SnapshotSchedule;
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::read::leader_contact::LeaderContact;
use crate::read::read_index::ReadIndex;
use crate::server::endpoint::RaftEndpoint;
use crate::server::{PeerServer, Services};
use crate::vote_ledger::VoteLedger;
use crate::write::appender::LogAppender;
use crate::write::disk::Disk;
use crate::write::forwarder::ProposalForwarder;
use crate::write::hold::DivergenceHold;

/// The parts that a node is built from.
pub(crate) struct NodeParts {
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
    /// The time until which this node answers no vote; `None` when it cannot have granted a lease.
    pub silent_until: Option<Instant>,
    /// `None` on a witness, which begins no cluster.
    pub identity: Option<ClusterIdentity>,
    pub founding: Option<Founding>,
    pub info: Arc<NodeInfo>,
    /// What is amiss with its certificate.
    pub certificate: CertificateReport,
    /// Renews it; `None` in a simulation.
    pub renewal: Option<Arc<CertificateRenewal>>,
    pub final_stop: FinalStop,
    pub scrub: ScrubSettings,
    pub metrics: Arc<Metrics>,
    pub runtime: Handle,
}

/// The services of a node.
pub(crate) struct Node {
    pub id: NodeId,
    pub local: LocalEnd,
    pub raft: Raft,
    pub state: StateView,
    pub disk: Disk,
    pub forwarder: Arc<ProposalForwarder>,
    pub barrier: Arc<ReadBarrier>,
    pub members: Arc<Members>,
    pub peers: Peers,
    pub status: Arc<StatusService>,
    pub damage: DamageReport,
    pub keyring_report: KeyringReport,
    pub uses: UseRegistry,
    /// The node's data directory.
    pub data_dir: PathBuf,
    pub server: Arc<PeerServer>,
    pub metrics: Arc<Metrics>,
}

/// The tasks of a node, to be spawned.
pub(crate) struct NodeTasks {
    pub monitor: Monitor,
    pub reconciler: MembershipReconciler,
    pub damage_watch: DamageWatch,
    pub backups: ScheduledBackups,
    pub divergence_watch: DivergenceWatch,
    pub scrub: Scrub,
    pub peer_watch: PeerWatch,
    pub witness: WitnessDuty,
    pub wrap_count: WrapCount,
    pub audit_watch: AuditWatch,
    pub lost_outcomes: LostOutcomes,
    /// `None` where the audit log is in memory, as in a simulation.
    pub audit: Option<AuditWorker>,
}

impl Node {
    /// Builds the services of a node. Nothing runs before its tasks do.
    ///
    /// # Errors
    /// [`WrapError`] when the authority of a new cluster cannot be wrapped.
    pub(crate) fn assemble(parts: NodeParts) -> Result<(Arc<Self>, NodeTasks), WrapError> {
        let (leadership, known) = watch::channel(Leadership::default());
        let base = Base::of(&parts, known);
        let removed = Arc::new(RemovedNodes::new(parts.id, parts.fence.clone()));
        let founder = Arc::new(Founder::new(
            base.members.clone(),
            parts.identity,
            base.info.peer_address.clone(),
            parts.founding,
            &parts.local.keyring,
        )?);
        let status = Arc::new(StatusService::new(
            parts.local.clone(),
            parts.fence.clone(),
            base.info.clone(),
            parts.raft.clone(),
            parts.state.clone(),
            parts.disk.clone(),
            Complaints::new(
                base.damage.clone(),
                base.keyring_report.clone(),
                base.hold.clone(),
                parts.state.clone(),
                parts.certificate,
                (parts.local.audit.clone(), base.audit_report.clone()),
            ),
        ));
        let endpoint = RaftEndpoint::new(
            parts.raft.clone(),
            parts.disk.clone(),
            parts.directory.clone(),
            parts.metrics.clone(),
            base.damage.clone(),
            parts.silent_until,
        );
        let server = PeerServer::new(
            parts.local.clone(),
            parts.fence.clone(),
            removed.clone(),
            RefusalLog::new(parts.metrics.clone(), parts.local.audit.clone()),
            endpoint,
            base.services(status.clone(), founder.clone(), parts.renewal, parts.peers.clone()),
        );
        let keyring_report = base.keyring_report.clone();
        let tasks = NodeTasks {
            reconciler: MembershipReconciler {
                members: base.members.clone(),
                removed,
                founder: founder.clone(),
                reporting: Reporting::new(
                    parts.peers.clone(),
                    base.reports.clone(),
                    parts.fence.clone(),
                    base.info.clone(),
                ),
                enrolment: Enrolment::new(
                    base.members.clone(),
                    parts.fence.clone(),
                    parts.local.fatal.clone(),
                ),
                registration: KeyRegistration::new(
                    base.members.clone(),
                    parts.local.keys.clone(),
                    base.info.clone(),
                    parts.local.clone(),
                ),
                is_witness: parts.local.is_witness(),
                info: base.info.clone(),
                metrics: parts.metrics.clone(),
                moved: LastingConditions::new(),
                rounds: 0,
            },
            damage_watch: base.damage_watch(),
            backups: ScheduledBackups {
                node: parts.id,
                raft: parts.raft.clone(),
                members: base.members.clone(),
                forwarder: base.forwarder.clone(),
                service: base.backup_service(),
                disk: parts.disk.clone(),
            },
            divergence_watch: base.divergence_watch(parts.peers.clone()),
            scrub: base.scrub(parts.scrub),
            wrap_count: WrapCount::new(
                (parts.id, base.members.clone()),
                (base.state.clone(), base.forwarder.clone()),
                parts.local.keyring.clone(),
                base.metrics.clone(),
            ),
            peer_watch: PeerWatch::new(
                parts.id,
                base.members.clone(),
                parts.peers.clone(),
                keyring_report.clone(),
                parts.metrics.clone(),
            ),
            witness: WitnessDuty::new(base.members.clone()),
            audit_watch: AuditWatch {
                before: parts.local.audit.log.size(),
                audit: parts.local.audit.clone(),
                members: base.members.clone(),
                metrics: parts.metrics.clone(),
            },
            lost_outcomes: LostOutcomes {
                audit: parts.local.audit.clone(),
                before: parts.local.audit.log.size(),
                state: base.state.clone(),
                barrier: base.barrier.clone(),
            },
            audit: base.audit_worker(parts.peers.clone()),
            monitor: Monitor {
                id: parts.id,
                audit: parts.local.audit.clone(),
                cluster: parts.local.cluster.clone(),
                raft: parts.raft.clone(),
                state: parts.state.clone(),
                disk: parts.disk.clone(),
                fence: parts.fence,
                info: base.info.clone(),
                damage: base.damage.clone(),
                founder,
                peers: parts.peers.clone(),
                keyring: parts.local.keyring.clone(),
                metrics: parts.metrics.clone(),
                log: parts.log,
                snapshots: parts.snapshots,
                leadership,
                fatal: parts.local.fatal.clone(),
                unfit_keyring: None,
                lasting: LastingConditions::new(),
            },
        };
        let node = Self {
            id: parts.id,
            local: parts.local,
            raft: parts.raft,
            state: parts.state,
            disk: parts.disk,
            forwarder: base.forwarder,
            barrier: base.barrier,
            members: base.members,
            peers: parts.peers,
            status,
            damage: base.damage,
            keyring_report,
            uses: base.uses,
            data_dir: parts.info.data_dir.clone(),
            server: Arc::new(server),
            metrics: parts.metrics,
        };
        Ok((Arc::new(node), tasks))
    }
}

/// The services that the others are built on.
struct Base {
    local: LocalEnd,
    raft: Raft,
    state: StateView,
    directory: Arc<Directory>,
    metrics: Arc<Metrics>,
    info: Arc<NodeInfo>,
    forwarder: Arc<ProposalForwarder>,
    barrier: Arc<ReadBarrier>,
    members: Arc<Members>,
    reports: Reports,
    hold: DivergenceHold,
    final_stop: FinalStop,
    damage: DamageReport,
    keyring_report: KeyringReport,
    uses: UseRegistry,
    audit_report: AuditReport,
}

impl Base {
    fn of(parts: &NodeParts, leadership: watch::Receiver<Leadership>) -> Self {
        let (raft, metrics, runtime) = (&parts.raft, &parts.metrics, &parts.runtime);
        let leader_client = LeaderClient::new(parts.id, parts.peers.clone(), leadership);
        let appender = LogAppender::new(raft.clone(), parts.disk.clone(), runtime.clone());
        let level = parts.local.feature_level.clone();
        let hold = DivergenceHold::default();
        let forwarder =
            ProposalForwarder::new(appender, leader_client.clone(), level, hold.clone(), metrics.clone());
        let forwarder = Arc::new(forwarder);
        let read_index = ReadIndex::new(
            raft.clone(),
            parts.ledger.clone(),
            parts.peers.clone(),
            metrics.clone(),
            runtime.clone(),
        );
        let applied_index = parts.applied_index.clone();
        let barrier = ReadBarrier::new(
            read_index,
            LeaderContact::new(parts.info.silence),
            leader_client.clone(),
            applied_index,
            parts.disk.clone(),
            hold.clone(),
            metrics.clone(),
        );
        let members = Members::new(
            parts.id,
            raft.clone(),
            parts.state.clone(),
            forwarder.clone(),
            leader_client,
            (parts.disk.clone(), parts.local.audit.clone()),
            parts.info.silence,
        );
        Self {
            local: parts.local.clone(),
            raft: raft.clone(),
            state: parts.state.clone(),
            directory: parts.directory.clone(),
            metrics: metrics.clone(),
            info: parts.info.clone(),
            forwarder,
            barrier: Arc::new(barrier),
            members: Arc::new(members),
            reports: Reports::new(parts.ledger.clone(), parts.state.checkpoints().clone()),
            hold,
            final_stop: parts.final_stop.clone(),
            keyring_report: KeyringReport::new(parts.local.keyring.clone()),
            uses: UseRegistry::default(),
            audit_report: AuditReport::new(parts.local.audit.clone()),
            damage: DamageReport::new(parts.id, parts.info.data_dir.clone(), parts.state.clone()),
        }
    }

    fn services(
        &self,
        status: Arc<StatusService>,
        founder: Arc<Founder>,
        renewal: Option<Arc<CertificateRenewal>>,
        peers: Peers,
    ) -> Services {
        let (state, barrier, forwarder) = (&self.state, &self.barrier, &self.forwarder);
        let rewrap = RewrapService::new(
            self.local.clone(),
            state.clone(),
            barrier.clone(),
            forwarder.clone(),
            self.metrics.clone(),
        );
        let keyring = self.local.keyring.clone();
        let commands = OperatorCommands::new(
            keyring,
            state.clone(),
            barrier.clone(),
            forwarder.clone(),
            self.members.clone(),
        );
        Services {
            admin: AdminService {
                status,
                rewrap,
                founder,
                members: self.members.clone(),
                state: state.clone(),
                barrier: barrier.clone(),
                commands,
                uses: self.uses.clone(),
                renewal,
                authority: AuthorityReplacement::new(
                    self.local.clone(),
                    self.members.clone(),
                    barrier.clone(),
                ),
                operators: OperatorService::new(
                    self.local.clone(),
                    state.clone(),
                    barrier.clone(),
                    forwarder.clone(),
                    self.info.tls.clone(),
                ),
                reads: RecentReads::default(),
                events: self.local.audit.clone(),
                audit: AuditGathering {
                    cluster: self.local.cluster.clone(),
                    reader: AuditReader::new(
                        &self.local.cluster,
                        self.local.node.unwrap_or_default(),
                        self.local.audit.log.clone(),
                    ),
                    members: self.members.clone(),
                    peers,
                    state: state.clone(),
                    barrier: barrier.clone(),
                    node: self.local.node.unwrap_or_default(),
                },
            },
            members: self.members.clone(),
            joins: JoinService::new(
                self.local.clone(),
                state.clone(),
                barrier.clone(),
                forwarder.clone(),
                self.members.clone(),
                self.info.clone(),
            ),
            backups: self.backup_service(),
            barrier: barrier.clone(),
            forwarder: forwarder.clone(),
            reports: self.reports.clone(),
        }
    }

    fn audit_worker(&self, peers: Peers) -> Option<AuditWorker> {
        let log = self.local.audit.log.clone();
        let dir = log.dir()?.to_owned();
        let own = OwnLog::new(&self.local.cluster, log)?;
        Some(AuditWorker::new(
            (self.local.cluster.clone(), own, dir),
            self.info.replaces,
            (self.members.clone(), peers),
            (self.state.clone(), self.forwarder.clone()),
            self.audit_report.clone(),
            self.metrics.clone(),
        ))
    }

    fn backup_service(&self) -> BackupService {
        BackupService::new(
            self.state.clone(),
            self.barrier.clone(),
            self.directory.clone(),
            self.local.keyring.clone(),
            self.metrics.clone(),
            self.local.audit.clone(),
        )
    }

    fn divergence_watch(&self, peers: Peers) -> DivergenceWatch {
        DivergenceWatch::new(
            self.raft.clone(),
            self.members.clone(),
            self.reports.clone(),
            self.hold.clone(),
            self.final_stop.clone(),
            peers,
            self.metrics.clone(),
        )
    }

    fn scrub(&self, settings: ScrubSettings) -> Scrub {
        Scrub::new(settings, self.raft.clone(), self.state.clone(), self.metrics.clone())
    }

    fn damage_watch(&self) -> DamageWatch {
        DamageWatch::new(
            self.damage.clone(),
            self.raft.clone(),
            self.members.clone(),
            self.barrier.clone(),
            self.metrics.clone(),
        )
    }
}
