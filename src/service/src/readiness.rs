//! Whether this node can serve now, found out by a read as a client would make one.

use std::sync::Arc;
use std::time::Duration;

use keymoot_cluster::{Cluster, ClusterError};
use keymoot_crypto::{Keyring, UnwrapError};
use keymoot_state as state;
use keymoot_state::StateError;

/// How long a monitor is kept waiting: less than monitors commonly wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a node is not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// A linearizable read did not get through: there is no quorum, or this node is catching up.
    #[error("no linearizable read within {} ms: there is no quorum, or this node is catching up (it has applied {applied} of {last_log} log entries)", PATIENCE.as_millis())]
    Behind {
        /// The last log entry that is applied here.
        applied: u64,
        /// The last log entry that is here.
        last_log: u64,
    },
    /// A witness does not follow.
    #[error(
        "this witness hears no leader, or is catching up (it has applied {applied} of {last_log} log entries)"
    )]
    Unled {
        /// The last log entry that is applied here.
        applied: u64,
        /// The last log entry that is here.
        last_log: u64,
    },
    /// What is stored here is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// What the cluster stores cannot be opened here.
    #[error("{0}")]
    KeyringLacks(String),
    /// What would be granted cannot be audited.
    #[error("{0}, so the node grants nothing")]
    Unaudited(#[from] keymoot_audit::Unwritable),
    /// The cluster does not exist yet.
    #[error("the node belongs to no cluster yet")]
    NoCluster,
    /// The keyring does not open the cluster's keys.
    #[error("the keyring does not open this cluster's keys: {0}")]
    Keyring(#[from] UnwrapError),
    /// The node is stopping or cannot read its state.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The state cannot be read.
    #[error("the state cannot be read: {0}")]
    State(#[from] StateError),
}

/// Finds out whether this node can serve. Cheap to clone.
#[derive(Clone)]
pub struct Readiness {
    cluster: Cluster,
    keyring: Arc<Keyring>,
}

impl Readiness {
    /// The readiness of the node that `cluster` is the handle of.
    pub fn new(cluster: Cluster, keyring: Arc<Keyring>) -> Self {
        Self { cluster, keyring }
    }

    /// Reads the cluster's identity, linearizable, and opens its check value. A witness reads nothing, and is ready
    /// when it follows.
    ///
    /// # Errors
    /// [`NotReady`] tells why requests would not be served.
    pub async fn check(&self) -> Result<(), NotReady> {
        if let Some(damage) = self.cluster.damage() {
            return Err(NotReady::Damaged(damage));
        }
        if let Some(lack) = self.cluster.keyring_lack() {
            return Err(NotReady::KeyringLacks(lack));
        }
        if self.keyring.is_empty() {
            let (applied, last_log) = self.cluster.progress();
            return match self.cluster.keeps_up() {
                true => Ok(()),
                false => Err(NotReady::Unled { applied, last_log }),
            };
        }
        self.cluster.events().log.state()?;
        match self.cluster.read_barrier_within(PATIENCE).await {
            Ok(()) => {}
            Err(ClusterError::NoQuorum { .. }) => {
                let (applied, last_log) = self.cluster.progress();
                return Err(NotReady::Behind { applied, last_log });
            }
            Err(error) => return Err(error.into()),
        }
        let identity = state::cluster_identity(self.cluster.state())?.ok_or(NotReady::NoCluster)?;
        Ok(self.keyring.verify_check(&identity.cluster, &identity.keyring_check)?)
    }
}
