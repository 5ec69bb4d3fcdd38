//! Answers an operator's tool.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_state as state;

use crate::members::founding::Founder;
use crate::members::membership::Members;
use crate::ops::operator_commands::OperatorCommands;
use crate::ops::rewrap::RewrapService;
use crate::ops::status::StatusService;
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::wire::admin::{AdminRequest, AdminResponse};

/// How long an operator's request may wait for a quorum.
pub const ADMIN_DEADLINE: Duration = Duration::from_secs(10);

/// Answers operators' tools.
pub(crate) struct AdminService {
    status: Arc<StatusService>,
    rewrap: RewrapService,
    founder: Arc<Founder>,
    members: Arc<Members>,
    state: StateView,
    barrier: Arc<ReadBarrier>,
    commands: OperatorCommands,
}

impl AdminService {
    /// Answers with what these services do.
    pub(crate) const fn new(
        status: Arc<StatusService>,
        rewrap: RewrapService,
        founder: Arc<Founder>,
        members: Arc<Members>,
        state: StateView,
        barrier: Arc<ReadBarrier>,
        commands: OperatorCommands,
    ) -> Self {
        Self { status, rewrap, founder, members, state, barrier, commands }
    }

    /// Answers an operator.
    pub(crate) async fn administer(&self, request: AdminRequest) -> AdminResponse {
        let deadline = Instant::now() + ADMIN_DEADLINE;
        let answer = match request {
            AdminRequest::Status => {
                self.status.status().map(|status| AdminResponse::Status(Box::new(status)))
            }
            AdminRequest::Initialize(members) => {
                self.founder.begin(members).await.map(AdminResponse::Initialized)
            }
            AdminRequest::Propose(command) => self
                .commands
                .propose(*command, deadline)
                .await
                .map(|response| AdminResponse::Applied(Box::new(response))),
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
            AdminRequest::Keyring { count } => self
                .rewrap
                .keyring_status(count, deadline)
                .await
                .map(|it| AdminResponse::Keyring(Box::new(it))),
            AdminRequest::Rewrap(after) => {
                self.rewrap.rewrap(after, deadline).await.map(|it| AdminResponse::Rewrapped(Box::new(it)))
            }
            AdminRequest::Change(request) => self
                .members
                .change_members(request, deadline)
                .await
                .map(|plan| AdminResponse::Planned(Box::new(plan))),
            AdminRequest::Backups => match self.barrier.wait(deadline).await {
                Ok(()) => state::backups(&self.state)
                    .map(|backups| AdminResponse::Backups(Box::new(backups)))
                    .map_err(Into::into),
                Err(error) => Err(error),
            },
            AdminRequest::Complaints => Ok(AdminResponse::Complaints(self.status.complaints())),
            AdminRequest::JoinTokens => match self.barrier.wait(deadline).await {
                Ok(()) => state::join_tokens(&self.state).map(AdminResponse::JoinTokens).map_err(Into::into),
                Err(error) => Err(error),
            },
        };
        answer.unwrap_or_else(|error| AdminResponse::Refused(error.to_string()))
    }
}
