//! Enrolment: at each start a node has the cluster know its data directory, so that also a node that never met
//! it can tell whether it has lost its disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{Command, Response};

use crate::members::membership::Members;
use crate::peer::fatal_signal::FatalSignal;
use crate::peer::fence::Fence;

/// The time limit for one attempt.
const PATIENCE: Duration = Duration::from_secs(3);

/// Has the cluster know the data directory of this node.
pub(crate) struct Enrolment {
    members: Arc<Members>,
    fence: Fence,
    /// Raised when the cluster knows the node by another directory.
    fatal: FatalSignal,
}

impl Enrolment {
    /// Enrols the directory of `fence`.
    pub(crate) const fn new(members: Arc<Members>, fence: Fence, fatal: FatalSignal) -> Self {
        Self { members, fence, fatal }
    }

    /// Enrols the directory, unless that is done; below the feature level that knows enrolment it waits.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn enroll(&self) -> Result<(), state::StateError> {
        let id = self.members.id;
        let own = match self.fence.enrolment() {
            Ok(own) => own,
            Err(error) => {
                tracing::debug!(%error, "the data directory is not enrolled");
                return Ok(());
            }
        };
        let command = Command::EnrollDirectory { id, directory: own };
        let level =
            state::cluster_identity(&self.members.state)?.map_or(0, |identity| identity.feature_level);
        if level < state::level_of(&command) || self.fence.enrolled(id)? == Some(own) {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        match self.members.forwarder.replicate(vec![command], deadline).await.as_deref() {
            Ok([Response::OtherDirectory]) => self.fatal.raise(&other_directory(id)),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the data directory is not enrolled yet"),
        }
        Ok(())
    }
}

fn other_directory(id: NodeId) -> String {
    format!(
        "the cluster knows node {id} by another data directory, or by a later start of this one: a copy of it ran \
         elsewhere, or it was set back, so it may not go on under this id. If another process runs as node {id}, \
         stop the wrong one. If the newest directory is at hand, bring it back; else run keymoot cluster \
         replace-disk with this node's --config: docs/disks.md"
    )
}
