//! Answers an operator's tool.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{InitializeError, RaftError};
use tokio::time::Instant;

use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::Command;

use crate::error::ClusterError;
use crate::members::node::Node;
use crate::wire::admin::{AdminRequest, AdminResponse};
use crate::wire::raft_types::Member;
use crate::write::command_rights;

/// How long an operator's request may wait for a quorum.
pub const ADMIN_DEADLINE: Duration = Duration::from_secs(10);

impl Node {
    /// Answers an operator.
    pub async fn administer(self: &Arc<Self>, request: AdminRequest) -> AdminResponse {
        let deadline = Instant::now() + ADMIN_DEADLINE;
        let answer = match request {
            AdminRequest::Status => self.status().map(|status| AdminResponse::Status(Box::new(status))),
            AdminRequest::Initialize(members) => {
                self.initialize(members).await.map(AdminResponse::Initialized)
            }
            AdminRequest::Propose(command) => self.propose(*command, deadline).await,
            AdminRequest::Accounts => match self.barrier.wait(deadline).await {
                Ok(()) => state::accounts(&self.state).map(AdminResponse::Accounts).map_err(Into::into),
                Err(error) => Err(error),
            },
            AdminRequest::Policies(account) => match self.barrier.wait(deadline).await {
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
            AdminRequest::JoinTokens => match self.barrier.wait(deadline).await {
                Ok(()) => state::join_tokens(&self.state).map(AdminResponse::JoinTokens).map_err(Into::into),
                Err(error) => Err(error),
            },
        };
        answer.unwrap_or_else(|error| AdminResponse::Refused(error.to_string()))
    }

    async fn propose(&self, command: Command, deadline: Instant) -> Result<AdminResponse, ClusterError> {
        command_rights::check_tool(&command).map_err(|error| ClusterError::Refused(error.to_string()))?;
        tracing::info!(target: "audit", %command, "an operator changes the state");
        let mut responses = self.forwarder.replicate(vec![command], deadline).await?;
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
}
