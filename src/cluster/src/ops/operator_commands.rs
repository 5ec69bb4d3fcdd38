//! Commands that operators' tools ask for.

use std::sync::Arc;

use tokio::time::Instant;

use keymoot_crypto::Keyring;
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{Command, Response};

use crate::error::ClusterError;
use crate::members::membership::Members;
use crate::members::plan;
use crate::ops::operator_rules::{self, RuleError};
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::wire::membership_change::{Change, ChangeRequest};
use crate::write::clock::now_ms;
use crate::write::command_rights;
use crate::write::forwarder::ProposalForwarder;

/// Has commands of operators replicated.
pub(crate) struct OperatorCommands {
    keyring: Arc<Keyring>,
    state: StateView,
    barrier: Arc<ReadBarrier>,
    forwarder: Arc<ProposalForwarder>,
    members: Arc<Members>,
}

impl OperatorCommands {
    /// Judges commands by this state and keyring.
    pub(crate) const fn new(
        keyring: Arc<Keyring>,
        state: StateView,
        barrier: Arc<ReadBarrier>,
        forwarder: Arc<ProposalForwarder>,
        members: Arc<Members>,
    ) -> Self {
        Self { keyring, state, barrier, forwarder, members }
    }

    /// Replicates a command that a tool may ask for and that holds to the rules.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] says which rule it breaks; else when no quorum answered.
    pub(crate) async fn propose(
        &self,
        command: Command,
        deadline: Instant,
    ) -> Result<Response, ClusterError> {
        match command {
            Command::RevokeCertificate { id } => self.revoke_certificate(id, false, deadline).await,
            command => self.replicate(command, deadline).await,
        }
    }

    /// Revokes every certificate of a node, if the voters that stay up are a majority, or by `force`.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] says what to do first; else when no quorum answered.
    pub(crate) async fn revoke_certificate(
        &self,
        id: NodeId,
        force: bool,
        deadline: Instant,
    ) -> Result<Response, ClusterError> {
        let known = state::registered_key(&self.state, id)?;
        if !force && known.is_none_or(|known| known.revoked_at_ms.is_none()) {
            // Planned for what it shows: who votes, and who is up.
            let shown = ChangeRequest { change: Change::Demote(id), force: true, dry_run: true };
            let members = self.members.change_members(shown, deadline).await?.before;
            plan::silenced(&members, id).map_or(Ok(()), |reason| Err(ClusterError::Refused(reason)))?;
        }
        self.replicate(Command::RevokeCertificate { id }, deadline).await
    }

    async fn replicate(&self, command: Command, deadline: Instant) -> Result<Response, ClusterError> {
        command_rights::check_tool(&command).map_err(|error| ClusterError::Refused(error.to_string()))?;
        // How many policies there are is counted in a state that has all of them.
        // So is an account whose credentials must not share a key.
        if matches!(command, Command::PutPolicy { .. } | Command::ChangeAccount { .. }) {
            self.barrier.wait(deadline).await?;
        }
        operator_rules::check(&command, &self.state, &self.keyring, now_ms()).map_err(
            |error| match error {
                RuleError::State(error) => error.into(),
                broken => ClusterError::Refused(broken.to_string()),
            },
        )?;
        tracing::info!(%command, "an operator changes the state");
        let mut responses = self.forwarder.replicate(vec![command], deadline).await?;
        responses.pop().ok_or_else(|| ClusterError::Protocol("no answer to a command".into()))
    }
}
