//! Watches Raft and informs the rest of the node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::Fatal;
use tokio::sync::watch;

use keymoot_audit::{Action, NodeAudit, Outcome};
use keymoot_crypto::Keyring;
use keymoot_model::ClusterName;
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::FEATURE_LEVEL;
use keymoot_store::Log;
use keymoot_telemetry::{LastingConditions, Metrics, RaftRole};

use crate::members::founding::Founder;
use crate::members::node_info::NodeInfo;
use crate::ops::audit_watch::keys_of;
use crate::ops::damage::DamageReport;
use crate::peer::fatal_signal::FatalSignal;
use crate::peer::feature_level::check_level;
use crate::peer::fence::Fence;
use crate::peer::leader_client::Leadership;
use crate::peer::peers::Peers;
use crate::raft::Raft;
use crate::raft::snapshot_schedule::SnapshotSchedule;
use crate::raft::state_view::StateView;
use crate::wire::raft_types::Membership;
use crate::write::disk::Disk;

/// How often metrics, snapshots, the keyring file and a failed initialization are checked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn role(state: ServerState) -> RaftRole {
    match state {
        ServerState::Leader => RaftRole::Leader,
        ServerState::Candidate => RaftRole::Candidate,
        ServerState::Learner => RaftRole::Learner,
        ServerState::Follower | ServerState::Shutdown => RaftRole::Follower,
    }
}

/// Watches Raft and informs the rest of the node: the leader, the peers' addresses, the metrics.
pub(crate) struct Monitor {
    pub(crate) id: NodeId,
    pub(crate) cluster: ClusterName,
    pub(crate) audit: NodeAudit,
    pub(crate) raft: Raft,
    pub(crate) state: StateView,
    pub(crate) disk: Disk,
    pub(crate) fence: Fence,
    pub(crate) info: Arc<NodeInfo>,
    pub(crate) damage: DamageReport,
    pub(crate) founder: Arc<Founder>,
    pub(crate) peers: Peers,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Log,
    pub(crate) snapshots: SnapshotSchedule,
    pub(crate) leadership: watch::Sender<Leadership>,
    pub(crate) fatal: FatalSignal,
    /// Why the keyring file cannot be used as it is now.
    pub(crate) unfit_keyring: Option<String>,
    /// What does not work.
    pub(crate) lasting: LastingConditions<&'static str>,
}

impl Monitor {
    pub(crate) async fn run(mut self) {
        let raft_metrics = self.raft.metrics();
        // These metrics change with leader and members only; the others change with each entry.
        let mut roles = self.raft.server_metrics();
        let mut identity_known = false;
        let mut gone = false;
        loop {
            let now = raft_metrics.borrow_watched().clone();
            self.inform(&now);
            self.follow_keyring();
            if let Err(error) = self.log.write_out() {
                tracing::debug!(%error, "how far entries are committed was not written");
            }
            match &now.running_state {
                Err(Fatal::Stopped) => return,
                Err(fatal) => return self.give_up(fatal.to_string()).await,
                Ok(()) if gone => return self.give_up("it ended without a word".to_owned()).await,
                Ok(()) => {}
            }
            if !identity_known {
                identity_known = self.check_identity(now.current_leader == Some(self.id)).await;
            }
            if self.snapshots.is_due(&now, self.disk.is_read_only())
                && let Err(error) = self.raft.trigger().snapshot().await
                && let Some(unlogged) = self.lasting.note("snapshot")
            {
                tracing::warn!(%error, unlogged, "a snapshot could not be asked for");
            }
            // When Raft has ended, its last metrics hold the cause.
            gone = matches!(tokio::time::timeout(LOOK_EVERY, roles.changed()).await, Ok(Err(_)));
        }
    }

    /// Stops the process, because a node without Raft is of no use. If the log failed, its own
    /// message names the file, but may come a moment after Raft has noticed.
    async fn give_up(&self, cause: String) {
        // If the tables are damaged, the node ends because it met the damage while applying.
        let reason = self.damage.damage().unwrap_or_else(|| format!("raft has stopped: {cause}"));
        tracing::error!(%reason, "the node cannot go on");
        tokio::time::sleep(LOOK_EVERY).await;
        self.fatal.raise_logged(reason);
    }

    fn inform(&self, now: &openraft::RaftMetrics<crate::wire::raft_types::TypeConfig>) {
        // The address of a leader must be known before it is announced.
        self.locate_peers(now.membership_config.membership());
        let leadership = Leadership { term: now.current_term, leader: now.current_leader };
        self.leadership.send_if_modified(|known| {
            let changed = *known != leadership;
            if changed {
                tracing::info!(term = leadership.term, leader = ?leadership.leader, "leadership");
                if leadership.leader == Some(self.id) {
                    let object = format!("term={}", leadership.term);
                    self.audit.note(self.audit.own(Action::LEADER_ELECTED, Outcome::Done, object));
                }
                *known = leadership;
            }
            changed
        });
        let gauge = |value: Option<u64>| i64::try_from(value.unwrap_or(0)).unwrap_or(i64::MAX);
        let metrics = &self.metrics;
        metrics.fenced_off_peers.set(gauge(Some(self.fence.refusals().list().len() as u64)));
        metrics.raft_term.set(gauge(Some(now.current_term)));
        metrics.raft_is_leader.set(i64::from(now.current_leader == Some(self.id)));
        metrics.raft_leader_id.set(gauge(now.current_leader));
        metrics.raft_committed_index.set(gauge(now.local_committed.map(|at| at.index)));
        metrics.set_raft_role(role(now.state));
        metrics.raft_last_log_index.set(gauge(now.last_log_index));
        metrics.raft_applied_index.set(gauge(now.last_applied.map(|at| at.index)));
        metrics.raft_snapshot_index.set(gauge(now.snapshot.map(|at| at.index)));
        metrics.raft_purged_index.set(gauge(now.purged.map(|at| at.index)));
    }

    /// Tells the links where each peer may be: where it said that it is, where the cluster has it, and where the
    /// configuration suggests.
    fn locate_peers(&self, membership: &Membership) {
        let members = membership.nodes().map(|(id, member)| (*id, member.peer_address.clone()));
        let hints = self.info.peer_hints.iter().map(|hint| (hint.id, hint.address.to_string()));
        let mut addresses: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
        for (id, address) in members.chain(hints).filter(|(id, _)| *id != self.id) {
            let known =
                addresses.entry(id).or_insert_with(|| self.fence.address_of(id).into_iter().collect());
            if !known.contains(&address) {
                known.push(address);
            }
        }
        for (id, addresses) in addresses {
            self.peers.locate(id, addresses);
        }
    }

    /// Loads a keyring file that has changed, if it can unwrap the cluster's secrets.
    fn follow_keyring(&mut self) {
        let cluster = self.cluster.as_str();
        // The identity is read only when the file has changed.
        let identity = match state::cluster_identity(&self.state) {
            Ok(identity) => identity,
            // A keyring that cannot be checked is not loaded.
            Err(error) => return tracing::debug!(%error, "the keyring file is not looked at"),
        };
        let fits = |ring: &Keyring| match &identity {
            Some(identity) => ring.verify_check(cluster, &identity.keyring_check),
            None => Ok(()),
        };
        match self.keyring.reload(fits) {
            Ok(false) => {}
            Ok(true) => {
                self.unfit_keyring = None;
                self.lasting.end(&"keyring");
                tracing::info!(active = %self.keyring.active(), "the keyring was read anew");
                let object = keys_of(&self.keyring);
                self.audit.note(self.audit.own(Action::KEYRING_CHANGE, Outcome::Done, object));
            }
            Err(error) => {
                let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
                self.lasting.end(&"keyring");
                self.unfit_keyring = Some(format!("{error}{why}"));
            }
        }
        if let Some(error) = &self.unfit_keyring
            && self.lasting.note("keyring").is_some()
        {
            tracing::error!(%error, "the keyring was changed and cannot be used; the keys of before stay in use");
        }
    }

    /// Initializes the cluster if no node has, and stops a node whose keyring is of another
    /// cluster.
    async fn check_identity(&self, leading: bool) -> bool {
        match state::cluster_identity(&self.state) {
            Ok(Some(identity)) => {
                if let Err(reason) = check_level(identity.feature_level, FEATURE_LEVEL) {
                    self.fatal.replace(reason);
                }
                let cluster = self.cluster.as_str();
                if !self.keyring.is_empty()
                    && let Err(error) = self.keyring.verify_check(cluster, &identity.keyring_check)
                {
                    let reason = format!("the keyring does not open this cluster's keys: {error}");
                    self.fatal.replace(reason);
                }
                true
            }
            Ok(None) if leading => {
                self.founder.store_identity().await;
                false
            }
            Ok(None) => false,
            Err(error) => {
                self.fatal.replace(error.to_string());
                true
            }
        }
    }
}
