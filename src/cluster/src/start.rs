//! Starts a node from its configuration: opens the data directory, starts Raft, listens to peers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::settings::{ClusterSettings, VerifierText};
use keymoot_audit::{Action, AuditLog, LogIdentity, NodeAudit, OpenError, Outcome};
use keymoot_crypto::{Keyring, UnwrapError};
use keymoot_model::{ClusterName, NodeId};
use keymoot_state as state;
use keymoot_state::{ClusterIdentity, FEATURE_LEVEL, NodeFacts, TABLE_NAMES};
use keymoot_store::{Directory, Identity, JOIN_ANEW, Log, LogOptions, Tables, TablesOptions};
use keymoot_telemetry::{LastingConditions, Metrics};
use keymoot_tls::{PeerIdentity, PeerTls, TlsError};

use crate::audit::predecessor;
use crate::cluster::Cluster;
use crate::divergence::scrub::ScrubSettings;
use crate::members::certificate::{CertificateReport, RenewalError, install_given, renew_at_start};
use crate::members::founding::{Founding, warn_of_kept_key};
use crate::members::node_info::NodeInfo;
use crate::members::renewal::CertificateRenewal;
use crate::members::renewal_client::{AskedInVain, RenewalClient};
use crate::node::{Node, NodeParts};
use crate::ops::audit_watch::keys_of;
use crate::ops::disk_watch::DiskWatch;
use crate::peer::fatal_signal::FatalSignal;
use crate::peer::feature_level::{FeatureLevel, check_level};
use crate::peer::fence::Fence;
use crate::peer::final_stop::FinalStop;
use crate::peer::known_keys::KnownKeys;
use crate::peer::local_end::LocalEnd;
use crate::peer::peers::Peers;
use crate::peer::proof::{Prover, Verifiers};
use crate::raft::Raft;
use crate::raft::config::raft_config;
use crate::raft::log_check::{LogCheckError, check_against_tables, refuse_no_log};
use crate::raft::log_retention::LogRetention;
use crate::raft::log_storage::LogStorage;
use crate::raft::network::Network;
use crate::raft::snapshot_schedule::SnapshotSchedule;
use crate::raft::state_machine::{StateMachine, read_mark};
use crate::raft::state_view::StateView;
use crate::server;
use crate::server::unproved::UnprovedLimits;
use crate::vote_ledger::VoteLedger;
use crate::wire::raft_codec;
use crate::write::batcher::BatchLimits;

/// A member that was heard of within this time is up, however short the election time-out is.
const SILENCE_MIN: Duration = Duration::from_secs(2);

/// Why a node cannot start. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("cannot open the data directory")]
    Store(#[from] keymoot_store::StoreError),
    /// Certificate, key or CA cannot be used.
    #[error("cannot use the node's certificate")]
    Tls(#[from] TlsError),
    /// The certificate is not valid now, and no other one can be made.
    #[error(
        "the node's certificate is not valid now, and the node cannot make the next one: {renewal}; {asked}. Set the \
         machine's clock if that is wrong; else {}", renewal.remedy()
    )]
    OutOfDate {
        #[source]
        certificate: TlsError,
        /// Why no other one can be made.
        renewal: Box<RenewalError>,
        /// Why no member made one.
        asked: Box<AskedInVain>,
    },
    /// The certificate belongs to another node or cluster.
    #[error("the certificate names {found:?}, but node.id is {expected}; give this node its own certificate")]
    Identity {
        /// The identity in the certificate.
        found: PeerIdentity,
        /// The identity in the configuration.
        expected: u64,
    },
    /// A witness has a keyring.
    #[error(
        "node {id} was admitted as a witness, which must hold no master key: take the keyring away, leave keys.keyring_file \
         empty and set node.witness = true. To make its machine a node with the keyring, remove node {id} with keymoot \
         cluster remove {id} and join the machine anew, in another --dir"
    )]
    IsWitness { id: NodeId },
    /// A node without keyring was admitted with it.
    #[error(
        "node {id} was admitted with the keyring and is no witness: set node.witness = false and name the keyring in \
         keys.keyring_file. To make its machine a witness, remove node {id} with keymoot cluster remove {id} and join the \
         machine anew, in another --dir, with a token of keymoot cluster token create --witness"
    )]
    IsNoWitness { id: NodeId },
    /// The keyring is not of this cluster.
    #[error("the keyring does not open this cluster's keys")]
    Keyring(#[from] UnwrapError),
    /// The keyring cannot make the cluster's check value.
    #[error("the keyring cannot be used: {0}")]
    Check(String),
    /// The program is older than the cluster's features.
    #[error("{0}")]
    TooOld(String),
    /// The authority of a new cluster cannot be used.
    #[error("cannot found the cluster")]
    Founding(#[from] keymoot_tls::PkiError),
    /// This node has founded its cluster before, and its data directory is empty.
    #[error("this node has founded its cluster before ({} says so), and {} is empty: a second cluster of the same name would answer other keys for the same contents. If the directory was only moved or not mounted, bring it back. If it is lost, {JOIN_ANEW}. To begin another cluster, move the file away", mark.display(), root.display())]
    FoundedBefore {
        /// What was left in place of the authority's key.
        mark: std::path::PathBuf,
        root: std::path::PathBuf,
    },
    /// The audit log cannot be opened: without one no key may leave.
    #[error("cannot open the audit log")]
    Audit(#[from] OpenError),
    /// The state cannot be read.
    #[error("the state cannot be read")]
    State(#[from] state::StateError),
    /// The tables end before the remaining log begins.
    #[error("the tables in {} end with entry {applied}, but the log begins behind entry {purged}: what is between is lost here; {anew}", root.display(), anew = JOIN_ANEW)]
    Gap {
        /// The index of the last entry in the tables.
        applied: u64,
        /// The index of the last entry that was purged from the log.
        purged: u64,
        root: std::path::PathBuf,
    },
    /// The log is not the one whose entries the tables hold.
    #[error(transparent)]
    Log(#[from] LogCheckError),
    /// The peer address is in use or not one of this machine.
    #[error("cannot listen to peers on {address}")]
    Listen { address: String, source: std::io::Error },
    /// Raft could not be started.
    #[error("cannot start raft: {0}")]
    Raft(String),
}

impl Cluster {
    /// Starts the node that `config` describes, with Raft and peers on `raft_runtime` and the
    /// actors in the current actix system. It opens the audit log of its data directory, and begins one where there is none.
    ///
    /// # Errors
    /// [`StartError`] says why; nothing runs then.
    pub async fn start(
        config: &ClusterSettings,
        keyring: Arc<Keyring>,
        metrics: Arc<Metrics>,
        raft_runtime: &Handle,
    ) -> Result<Self, StartError> {
        let opened = open(config.clone(), keyring, metrics);
        let node =
            raft_runtime.spawn(opened).await.map_err(|error| StartError::Raft(error.to_string()))??;
        let limits = BatchLimits {
            waiting_max: config.waiting_commands_max,
            batch_max: config.raft.batch_commands_max,
            in_flight_max: config.raft.batches_in_flight_max,
            pause_after: usize::MAX,
        };
        let deadline = Duration::from_millis(config.cluster.request_deadline_ms);
        Ok(Self::new(node, raft_runtime, limits, config.waiting_reads_max, deadline))
    }
}

async fn open(
    config: ClusterSettings,
    keyring: Arc<Keyring>,
    metrics: Arc<Metrics>,
) -> Result<Arc<Node>, StartError> {
    let cluster = config.cluster.name.clone();
    let out_of_date = check_certificate(&config)?;
    let owner = Identity { cluster: cluster.as_str().to_owned(), node: config.node.id, fence: 0 };
    let (disk_watch, disk) = DiskWatch::begin(&config.node.data_dir, &config.disk, metrics.clone())?;
    let directory = Arc::new(Directory::open(&config.node.data_dir, &owner)?);
    let tables = Tables::open(directory.root(), TABLE_NAMES, tables_options(&config))?;
    let state = StateView::new(tables.clone());
    if let Some(identity) = state::cluster_identity(&state)? {
        if !keyring.is_empty() {
            keyring.verify_check(cluster.as_str(), &identity.keyring_check)?;
        }
        check_level(identity.feature_level, FEATURE_LEVEL).map_err(StartError::TooOld)?;
    }
    refuse_other_kind(config.node.id, &keyring, &state)?;
    let known = config.node.verifiers.iter().map(|VerifierText(verifier)| verifier.clone());
    let verifiers = Verifiers::of(state.clone(), known.collect());
    let client = RenewalClient {
        id: config.node.id,
        files: config.cluster.peer_tls_files(),
        own: Prover { cluster: cluster.clone(), keyring: keyring.clone(), verifiers: verifiers.clone() },
        directory: directory.clone(),
        hints: config.cluster.peer_hints.clone(),
    };
    if let Some(certificate) = out_of_date {
        replace_ended(&config, &client, &state, &keyring, certificate).await?;
    }
    let tls = PeerTls::load(config.cluster.peer_tls_files(), &cluster)?;
    let founding = Founding::read(&config, state::authority(&state)?.as_ref())?;
    warn_of_kept_key(&config);
    let before = founding.as_ref().and_then(Founding::founded_before);
    let identity = own_identity(&cluster, &keyring)?;
    let (applied, _) = read_mark(&tables).map_err(|error| StartError::Raft(error.to_string()))?;
    if let Some(mark) = before.filter(|_| applied.is_none())
        && !directory.holds_log()?
    {
        return Err(StartError::FoundedBefore { mark, root: directory.root().to_owned() });
    }
    match applied.as_ref().map(raft_codec::position) {
        None => directory.renew_without_log()?,
        some => refuse_no_log(some.as_ref(), &directory)?,
    }
    let audit = NodeAudit { log: open_audit(&config, &directory, &state)?, node: config.node.id };
    let log = Log::open(&directory.log(), log_options(&config))?;
    refuse_gap(&log, applied.map_or(0, |applied| applied.index), directory.root())?;
    // The check must come before anything reads the vote.
    check_against_tables(&log, applied.as_ref().map(raft_codec::position), &directory)?;
    // A snapshot may be installed and the log not yet purged up to it.
    let applied = applied.as_ref().map(raft_codec::position);
    let ledger = VoteLedger::new(config.node.id, log.read_vote(), log.bounds().1.max(applied));
    let address = config.cluster.peer_address();
    let fence = Fence::new(directory.clone(), log.clone(), ledger.clone(), state.clone(), address.as_str());
    let silent_until = voteless_until(&config, &log);
    let listener = TcpListener::bind(config.cluster.peer_listen)
        .await
        .map_err(|source| StartError::Listen { address: config.cluster.peer_listen.to_string(), source })?;

    let (fatal, feature_level) = (FatalSignal::default(), FeatureLevel::of(state.clone()));
    let local = LocalEnd {
        cluster: cluster.clone(),
        node: Some(config.node.id),
        fence: Some(fence.clone()),
        keyring: keyring.clone(),
        verifiers,
        feature_level,
        keys: KnownKeys::of(state.clone(), silence(config.cluster.election_timeout_max_ms)),
        fatal: fatal.clone(),
        audit,
    };
    let final_stop = FinalStop::new(config.node.id, directory.clone(), fatal.clone(), metrics.clone());
    let connect_timeout = Duration::from_millis(config.cluster.connect_timeout_ms);
    let peers = Peers::new(local.clone(), tls.clone(), connect_timeout);
    let machine =
        StateMachine::new(tables, state.clone(), directory.clone(), metrics.clone(), ledger.clone())
            .map_err(|error| StartError::Raft(error.to_string()))?;
    let applied_index = machine.applied_index();
    let log_retention = LogRetention::default();
    let network = Network::new(
        peers.clone(),
        config.raft.snapshot_rate_bytes_per_s,
        log_retention.clone(),
        ledger.clone(),
    );
    let raft = Raft::new(
        config.node.id,
        raft_config(&config).map_err(|error| StartError::Raft(error.to_string()))?,
        network,
        LogStorage::new(log.clone(), metrics.clone(), ledger.clone(), Some(final_stop.clone())),
        machine,
    )
    .await
    .map_err(|error| StartError::Raft(error.to_string()))?;

    let (log_failed, log_dir) = (fatal, directory.log());
    log.on_failure(Box::new(move |reason| {
        // An entry that cannot be made durable must not be acknowledged, and the content of the
        // disk is unknown.
        log_failed.replace(format!(
            "the raft log in {} failed: {reason}; start the node again, and see to its disk if it fails again",
            log_dir.display()
        ));
    }));
    let is_witness = keyring.is_empty();
    let info = Arc::new(info(&config, tls.clone()));
    let report = CertificateReport::default();
    let renewal = Arc::new(CertificateRenewal {
        id: config.node.id,
        cluster,
        tls: tls.clone(),
        state: state.clone(),
        keyring,
        client,
        report: report.clone(),
        metrics: metrics.clone(),
        life: config.cluster.certificate_life(),
        lasting: LastingConditions::new(),
        audit: local.audit.clone(),
    });
    let parts = NodeParts {
        id: config.node.id,
        local,
        fence,
        peers,
        raft,
        ledger,
        state,
        applied_index,
        log,
        snapshots: SnapshotSchedule::new(
            log_retention,
            config.raft.snapshot_log_entries,
            config.raft.log_keep_entries,
        ),
        directory,
        disk,
        silent_until,
        identity,
        founding,
        info,
        certificate: report,
        renewal: Some(renewal.clone()),
        final_stop,
        scrub: ScrubSettings::of(&config.store),
        metrics,
        runtime: Handle::current(),
    };
    tell_start(&parts.local, &parts.state);
    let (node, tasks) = Node::assemble(parts).map_err(|error| StartError::Check(error.to_string()))?;
    let limits = UnprovedLimits {
        connections_max: config.cluster.unproved_connections_max,
        per_address_max: config.cluster.unproved_connections_per_address_max,
    };
    tokio::spawn(server::listen(listener, tls, limits, node.server.clone()));
    tokio::spawn(renewal.run());
    tokio::spawn(tasks.monitor.run());
    tokio::spawn(tasks.reconciler.run());
    tokio::spawn(disk_watch.run(node.raft.clone(), node.members.clone()));
    tokio::spawn(tasks.audit_watch.run());
    tokio::spawn(tasks.lost_outcomes.run());
    tokio::spawn(tasks.damage_watch.run());
    tokio::spawn(tasks.divergence_watch.run());
    tokio::spawn(tasks.scrub.run());
    if let Some(audit) = tasks.audit {
        tokio::spawn(audit.run());
    }
    if is_witness {
        tokio::spawn(tasks.witness.run());
    } else {
        tokio::spawn(tasks.backups.run());
        tokio::spawn(tasks.peer_watch.run());
        tokio::spawn(tasks.wrap_count.run());
    }
    Ok(node)
}

/// Tells the audit that the node starts, with which master keys and, in a log that begins, from what.
fn tell_start(local: &LocalEnd, state: &StateView) {
    let audit = &local.audit;
    let fence = local.fence.as_ref().map(Fence::current).unwrap_or_default();
    // The first event of a log says that it begins.
    let restored = (audit.log.size() <= 1).then(|| state::restored_accounts(state).unwrap_or_default());
    if let Some(accounts) = restored.filter(|accounts| !accounts.is_empty()) {
        let object = format!("fence={fence:016x} accounts={}", accounts.len());
        audit.note(audit.own(Action::BACKUP_RESTORE, Outcome::Done, object));
    }
    let keys = keys_of(&local.keyring);
    let object = format!("version={} fence={fence:016x} {keys}", env!("CARGO_PKG_VERSION"));
    audit.note(audit.own(Action::NODE_START, Outcome::Done, object));
}

fn info(config: &ClusterSettings, tls: PeerTls) -> NodeInfo {
    let zone = config.node.zone.clone();
    NodeInfo {
        facts: NodeFacts {
            zone,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            feature_level: FEATURE_LEVEL,
        },
        peer_address: config.cluster.peer_address().to_string(),
        data_dir: config.node.data_dir.clone(),
        peer_hints: config.cluster.peer_hints.clone(),
        tls: Some(tls),
        certificate_life: config.cluster.certificate_life(),
        notices: config.notices.clone(),
        replaces: replaced(&config.cluster.cert_file),
        silence: silence(config.cluster.election_timeout_max_ms),
    }
}

/// The node that this one was before its disk was replaced: the last whose certificate is kept beside the own one.
fn replaced(certificate: &Path) -> Option<NodeId> {
    let name = format!("{}.of-node-", certificate.file_name()?.to_str()?);
    let beside = std::fs::read_dir(certificate.parent()?).ok()?;
    let ids =
        beside.flatten().filter_map(|file| file.file_name().to_str()?.strip_prefix(&name)?.parse().ok());
    ids.max()
}

/// How long a member may be silent before it counts as down, in a cluster with this election
/// time-out.
pub fn silence(election_timeout_max_ms: u64) -> Duration {
    Duration::from_millis(election_timeout_max_ms.saturating_mul(3)).max(SILENCE_MIN)
}

/// Checks the certificate before anything is opened. What is wrong with one that is merely not valid at this time is
/// returned: the state may have what the next one is made with.
fn check_certificate(config: &ClusterSettings) -> Result<Option<TlsError>, StartError> {
    match config.cluster.peer_tls_files().credentials(&config.cluster.name) {
        Ok(credentials) if credentials.identity() == PeerIdentity::Node(config.node.id) => Ok(None),
        Ok(credentials) => {
            Err(StartError::Identity { found: credentials.identity(), expected: config.node.id })
        }
        Err(error) if error.is_out_of_date() => Ok(Some(error)),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a witness that has a keyring, and a node that was admitted with one and has none.
fn refuse_other_kind(id: NodeId, keyring: &Keyring, state: &StateView) -> Result<(), StartError> {
    match state::registered_key(state, id)? {
        Some(known) if known.witness && !keyring.is_empty() => Err(StartError::IsWitness { id }),
        Some(known) if !known.witness && keyring.is_empty() => Err(StartError::IsNoWitness { id }),
        _ => Ok(()),
    }
}

/// What a cluster that begins with this node is known by; a witness begins none.
fn own_identity(cluster: &ClusterName, keyring: &Keyring) -> Result<Option<ClusterIdentity>, StartError> {
    if keyring.is_empty() {
        return Ok(None);
    }
    let check =
        keyring.check_value(cluster.as_str()).map_err(|error| StartError::Check(error.to_string()))?;
    let cluster = cluster.as_str().to_owned();
    Ok(Some(ClusterIdentity { cluster, keyring_check: check, feature_level: FEATURE_LEVEL }))
}

/// Makes the next certificate in place of one that is not valid now, or has a member make it.
async fn replace_ended(
    config: &ClusterSettings,
    client: &RenewalClient,
    state: &StateView,
    keyring: &Keyring,
    certificate: TlsError,
) -> Result<(), StartError> {
    let Err(renewal) = renew_at_start(config, state, keyring) else { return Ok(()) };
    let asked = match client.ask_members().await {
        Ok(given) => match install_given(&client.files, &given) {
            Ok(()) => {
                tracing::warn!(
                    "the node's certificate was not valid at this time; a member made the next one"
                );
                return Ok(());
            }
            Err(error) => AskedInVain::Files(error.to_string()),
        },
        Err(asked) => asked,
    };
    let (renewal, asked) = (Box::new(renewal), Box::new(asked));
    Err(StartError::OutOfDate { certificate, renewal, asked })
}

/// Opens the audit log of this data directory. A new one names the log that the node had before, as the state knows it.
fn open_audit(
    config: &ClusterSettings,
    directory: &Directory,
    state: &StateView,
) -> Result<AuditLog, StartError> {
    let (cluster, node) = (&config.cluster.name, config.node.id);
    let dir = config.audit.dir.clone().unwrap_or_else(|| directory.root().join("audit"));
    let incarnation = Some(format!("{:032x}", directory.incarnation().number()));
    let identity = LogIdentity { cluster: cluster.clone(), node, incarnation };
    let before = predecessor(state, cluster, node)?;
    Ok(AuditLog::open(&config.audit, &dir, &identity, before)?)
}

fn tables_options(config: &ClusterSettings) -> TablesOptions {
    TablesOptions {
        cache_bytes: config.store.cache_bytes,
        hot_bytes: config.store.hot_record_bytes,
        ..TablesOptions::default()
    }
}

fn log_options(config: &ClusterSettings) -> LogOptions {
    LogOptions { cache_bytes: config.store.log_cache_bytes, ..LogOptions::default() }
}

/// Refuses tables that end before the log begins: the entries in between are lost.
fn refuse_gap(log: &Log, applied: u64, root: &Path) -> Result<(), StartError> {
    let purged = log.bounds().0.map_or(0, |purged| purged.index);
    if applied >= purged { Ok(()) } else { Err(StartError::Gap { applied, purged, root: root.to_owned() }) }
}

/// A node with a log may have granted a lease before it was stopped.
fn voteless_until(config: &ClusterSettings, log: &Log) -> Option<Instant> {
    let lease = Duration::from_millis(config.cluster.election_timeout_max_ms);
    log.read_vote().map(|_| Instant::now() + lease)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_whose_disk_was_replaced_knows_who_it_was_last() {
        let dir = tempfile::tempdir().unwrap();
        let certificate = dir.path().join("node.pem");
        assert_eq!(replaced(&certificate), None);
        for name in
            ["node.pem.of-node-2", "node.pem.of-node-11", "node.pem.of-node-x", "node-key.pem.of-node-40"]
        {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(replaced(&certificate), Some(11));
    }
}
