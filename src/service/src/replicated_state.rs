//! The port to the replicated state: all that the use cases need of a cluster.
//!
//! [`Cluster`] is the one that serves; the tests have one in memory, which loses answers on demand.

use std::future::Future;
use std::time::Duration;

use keymoot_cluster::{Cluster, ClusterError, Committed, StateView};
use keymoot_state::{Command, Response, Tables};

/// A state that is changed by replicated commands and read where it is applied. Cheap to clone.
pub trait ReplicatedState: Clone + Send + Sync + 'static {
    /// The applied state, for reading.
    type Tables: Tables + Send + Sync;

    /// The state as far as it is applied here.
    fn state(&self) -> &Self::Tables;

    /// A number that is another one once any account in [`Self::state`] has changed; for caches.
    fn account_changes(&self) -> u64;

    /// How long a request may take before it is refused.
    fn request_deadline(&self) -> Duration;

    /// Waits until reading [`Self::state`] is linearizable.
    ///
    /// # Errors
    /// As for [`Self::propose`].
    fn read_barrier(&self) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// The same, for a caller with a shorter deadline than a request has.
    ///
    /// # Errors
    /// As for [`Self::propose`].
    fn read_barrier_within(
        &self,
        patience: Duration,
    ) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// That this node hears its leader and lacks what is committed there. `None` when it lacks nothing, or is cut off.
    fn lag(&self) -> Option<ClusterError>;

    /// When this node last noted that it was in contact with a quorum: seconds since 1970 UTC.
    fn noted_contact_s(&self) -> Option<u64>;

    /// Notes that this node is in contact with a quorum, for its next start.
    fn note_contact(&self, at_s: u64);

    /// Keeps bytes on this node's disk, in place of those that it kept, before it returns.
    ///
    /// # Errors
    /// When they cannot be written.
    fn keep_late_notes(&self, bytes: Vec<u8>) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// The bytes that [`Self::keep_late_notes`] kept last, also before the last start.
    ///
    /// # Errors
    /// When they cannot be read.
    fn kept_late_notes(&self) -> Result<Vec<u8>, ClusterError>;

    /// Replicates commands in one proposal, which applies them in order and all at once to readers. Each
    /// gets its response; one that is refused does not keep the others from being applied.
    ///
    /// # Errors
    /// [`ClusterError`] when no answer came in time. The commands may still be applied later.
    fn propose_indexed(
        &self,
        commands: Vec<Command>,
    ) -> impl Future<Output = Result<Committed, ClusterError>> + Send;

    /// The same without where in the log it was applied. What a request of an account changes goes by
    /// the module `changes` instead, which audits it.
    ///
    /// # Errors
    /// As for [`Self::propose_indexed`].
    fn propose(
        &self,
        commands: Vec<Command>,
    ) -> impl Future<Output = Result<Vec<Response>, ClusterError>> + Send {
        async move { Ok(self.propose_indexed(commands).await?.responses) }
    }

    /// The same for a single command.
    ///
    /// # Errors
    /// As for [`Self::propose`].
    fn propose_one(&self, command: Command) -> impl Future<Output = Result<Response, ClusterError>> + Send {
        async move {
            let response = self.propose(vec![command]).await?.pop();
            response.ok_or_else(|| ClusterError::Protocol("no answer to a command".into()))
        }
    }
}

impl ReplicatedState for Cluster {
    type Tables = StateView;

    fn state(&self) -> &StateView {
        Self::state(self)
    }

    fn account_changes(&self) -> u64 {
        Self::state(self).account_changes()
    }

    fn request_deadline(&self) -> Duration {
        Self::request_deadline(self)
    }

    async fn read_barrier(&self) -> Result<(), ClusterError> {
        Self::read_barrier(self).await
    }

    async fn read_barrier_within(&self, patience: Duration) -> Result<(), ClusterError> {
        Self::read_barrier_within(self, patience).await
    }

    fn lag(&self) -> Option<ClusterError> {
        Self::lag(self)
    }

    fn noted_contact_s(&self) -> Option<u64> {
        Self::noted_contact_s(self)
    }

    fn note_contact(&self, at_s: u64) {
        Self::note_contact(self, at_s);
    }

    async fn keep_late_notes(&self, bytes: Vec<u8>) -> Result<(), ClusterError> {
        Self::keep_late_notes(self, bytes).await
    }

    fn kept_late_notes(&self) -> Result<Vec<u8>, ClusterError> {
        Self::kept_late_notes(self)
    }

    async fn propose_indexed(&self, commands: Vec<Command>) -> Result<Committed, ClusterError> {
        Self::propose(self, commands).await
    }
}
