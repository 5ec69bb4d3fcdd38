//! A node's view of itself and the cluster.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;

use keymoot_model::NodeId;
use keymoot_state as state;

use crate::error::ClusterError;
use crate::members::node_info::NodeInfo;
use crate::ops::account_notices::account_notices;
use crate::ops::complaints::{Complaints, OtherComplaints};
use crate::peer::fence::Fence;
use crate::peer::local_end::LocalEnd;
use crate::raft::Raft;
use crate::raft::state_view::StateView;
use crate::wire::admin::{ClusterStatus, DiskStatus, NodeStatus, PeerStatus};
use crate::wire::raft_types::Member;
use crate::write::clock::now_ms;
use crate::write::disk::Disk;

/// Reports a node's view of itself and the cluster.
pub(crate) struct StatusService {
    local: LocalEnd,
    fence: Fence,
    info: Arc<NodeInfo>,
    raft: Raft,
    state: StateView,
    disk: Disk,
    complaints: Complaints,
}

impl StatusService {
    /// Reports from these parts of the node.
    pub(crate) const fn new(
        local: LocalEnd,
        fence: Fence,
        info: Arc<NodeInfo>,
        raft: Raft,
        state: StateView,
        disk: Disk,
        complaints: Complaints,
    ) -> Self {
        Self { local, fence, info, raft, state, disk, complaints }
    }

    /// The peers that this node refuses, and those whose state differs: both with reason and remedy.
    fn refusals(&self) -> BTreeMap<NodeId, String> {
        let mut refusals = self.fence.refusals().list();
        refusals.extend(self.complaints.divergences());
        refusals
    }

    /// Tells this, too, when the node is asked what is amiss.
    pub(crate) fn complain_of(&self, others: OtherComplaints) {
        self.complaints.add(others);
    }

    /// What the node knows to be amiss with itself, each as `problem; remedy`.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.list()
    }

    /// What the node's configuration and the accounts permit and should not, each as `problem; remedy`. A state that
    /// cannot be read is complained of elsewhere.
    pub(crate) fn notices(&self) -> Vec<String> {
        let of_accounts = account_notices(&self.state).unwrap_or_default();
        self.info.notices.iter().cloned().chain(of_accounts).collect()
    }

    /// This node's view of itself and the cluster.
    pub(crate) fn status(&self) -> Result<ClusterStatus, ClusterError> {
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
            peer_address: self.address_of(*id, member),
            voter: voters.contains(id),
            matched_index: matched.get(id).and_then(|at| at.as_ref().map(|at| at.index)),
            last_contact_ms: ago(id).and_then(|ms| u64::try_from(ms).ok()),
            zone: facts(id).map(|facts| facts.zone).unwrap_or_default(),
            version: facts(id).map(|facts| facts.version).unwrap_or_default(),
        });
        let index = |at: Option<u64>| at.unwrap_or(0);
        let disk = self.disk.state();
        Ok(ClusterStatus {
            cluster: self.local.cluster.as_str().to_owned(),
            feature_level: self.local.feature_level.current()?,
            members: members.collect(),
            clock_ms: now_ms(),
            keyring_check: state::cluster_identity(&self.state)?.map(|identity| identity.keyring_check),
            node: NodeStatus {
                id: self.local.node.unwrap_or_default(),
                role: match metrics.state {
                    openraft::ServerState::Follower if self.local.is_witness() => "witness".to_owned(),
                    state => format!("{state:?}").to_lowercase(),
                },
                term: metrics.current_term,
                leader: metrics.current_leader,
                last_log_index: index(metrics.last_log_index),
                applied_index: index(metrics.last_applied.map(|at| at.index)),
                snapshot_index: index(metrics.snapshot.map(|at| at.index)),
                purged_index: index(metrics.purged.map(|at| at.index)),
                digest: state::digest(&self.state)?.to_string(),
                fence: self.fence.current(),
                refusals: self.refusals(),
                version: self.info.facts.version.clone(),
                feature_level: self.info.facts.feature_level,
                zone: self.info.facts.zone.clone(),
                disk: Some(DiskStatus {
                    total_bytes: disk.space.total_bytes,
                    free_bytes: disk.space.free_bytes,
                    data_bytes: bytes_under(&self.info.data_dir),
                    read_only: disk.read_only,
                }),
                certificate_expires_at_s: self.info.certificate_expires_at_s(),
            },
        })
    }

    /// Where a member is reached: where it said itself, else where the cluster has it.
    fn address_of(&self, id: NodeId, member: &Member) -> String {
        if self.local.node == Some(id) {
            return self.info.peer_address.clone();
        }
        self.fence.address_of(id).unwrap_or_else(|| member.peer_address.clone())
    }
}

/// The size of the files under a directory. Files may appear and disappear meanwhile: one that
/// cannot be read does not count.
pub(crate) fn bytes_under(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_under(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_below_a_directory_count() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/x"), [0; 30]).unwrap();
        std::fs::write(dir.path().join("y"), [0; 12]).unwrap();
        assert_eq!((bytes_under(dir.path()), bytes_under(&dir.path().join("nowhere"))), (42, 0));
    }
}
