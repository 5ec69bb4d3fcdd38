//! Answers an operator's tool.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_audit::{Action, Actor, ActorKind, Event, NodeAudit, Outcome};
use keymoot_model::{Account, AccountId, NodeId};
use keymoot_state as state;
use keymoot_state::{ApprovalRefusal, StateError, Tables, TokenKind};

use crate::audit::{AuditGathering, ReceiverStates, RecentReads};
use crate::error::ClusterError;
use crate::members::authority_change::AuthorityReplacement;
use crate::members::founding::Founder;
use crate::members::membership::Members;
use crate::members::renewal::CertificateRenewal;
use crate::ops::credential_uses::UseRegistry;
use crate::ops::operator_commands::OperatorCommands;
use crate::ops::operators::OperatorService;
use crate::ops::rewrap::RewrapService;
use crate::ops::status::StatusService;
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::wire::admin::{AccountDetails, AdminRequest, AdminResponse, ContentsQuery};
use crate::write::clock::now_ms;
use crate::write::log_index::noting_log_index;

/// How long an operator's request may wait for a quorum.
pub const ADMIN_DEADLINE: Duration = Duration::from_secs(10);

/// Answers operators' tools.
pub(crate) struct AdminService {
    pub status: Arc<StatusService>,
    pub rewrap: RewrapService,
    pub founder: Arc<Founder>,
    pub members: Arc<Members>,
    pub state: StateView,
    pub barrier: Arc<ReadBarrier>,
    pub commands: OperatorCommands,
    pub uses: UseRegistry,
    /// `None` in a simulation.
    pub renewal: Option<Arc<CertificateRenewal>>,
    pub authority: AuthorityReplacement,
    pub operators: OperatorService,
    /// What tools ask for is told there.
    pub events: NodeAudit,
    pub audit: AuditGathering,
    pub reads: RecentReads,
}

impl AdminService {
    /// What the state holds of all that was acknowledged.
    async fn read<V, T: Into<V>>(
        &self,
        deadline: Instant,
        query: impl FnOnce(&StateView) -> Result<T, StateError>,
    ) -> Result<V, ClusterError> {
        self.barrier.wait(deadline).await?;
        Ok(query(&self.state)?.into())
    }

    /// Answers a tool that proved a master key with the certificate of this node, and tells the audit.
    pub(crate) async fn administer(
        &self,
        request: AdminRequest,
        node: NodeId,
        from: SocketAddr,
    ) -> AdminResponse {
        let answer = self.audited(request, node, from).await;
        answer.unwrap_or_else(|error| AdminResponse::Refused(error.to_string()))
    }

    async fn audited(
        &self,
        request: AdminRequest,
        node: NodeId,
        from: SocketAddr,
    ) -> Result<AdminResponse, ClusterError> {
        let actor = Actor {
            kind: ActorKind::Keyring,
            id: Some(format!("node-{node}")),
            credential: None,
            role: None,
        };
        let event = self.events.event(Action::of_use_case(request.name()), Outcome::Done, actor);
        let event = Event { address: Some(from.ip()), object: request.object(), ..event };
        if let Err(error) = self.check_keyring_is_enough(&request) {
            let reason = Some(error.to_string());
            self.events.note(Event { outcome: Outcome::Refused, reason, ..event });
            return Err(error);
        }
        if !request.changes() {
            let answer = self.answer(request.clone()).await;
            let asker = format!("node-{node}");
            if !request.is_polled() && !self.is_told(&asker, &request) {
                self.events.note(match &answer {
                    Ok(_) => event,
                    Err(error) => {
                        Event { outcome: Outcome::Failed, reason: Some(error.to_string()), ..event }
                    }
                });
                self.tell(&asker, &request);
            }
            return answer;
        }
        let pending = self.events.begin(event).await.map_err(|why| ClusterError::Refused(why.to_string()))?;
        let (answer, log_index) = noting_log_index(self.answer(request)).await;
        let told = match &answer {
            Ok(_) => pending.end(Outcome::Done, None, log_index),
            Err(error @ ClusterError::Refused(_)) => {
                pending.end(Outcome::Refused, Some(error.to_string()), log_index)
            }
            Err(error @ ClusterError::NoQuorum { .. }) => {
                pending.end(Outcome::Unknown, Some(error.to_string()), log_index)
            }
            Err(error) => pending.end(Outcome::Failed, Some(error.to_string()), log_index),
        };
        // The intent stands without an outcome where that cannot be written.
        drop(told);
        answer
    }

    /// From now on `states` tells how far the receivers of the audit are.
    pub(crate) fn has_receivers(&self, states: ReceiverStates) {
        self.audit.reader.has_receivers(states);
    }

    /// Whether an event says already that this one reads what is asked for here, of which this is another page.
    pub(crate) fn is_told(&self, asker: &str, request: &AdminRequest) -> bool {
        request.is_read_in_pages() && self.reads.is_told(asker, &request.object().unwrap_or_default())
    }

    /// An event of it is written.
    pub(crate) fn tell(&self, asker: &str, request: &AdminRequest) {
        if request.is_read_in_pages() {
            self.reads.tell(asker, &request.object().unwrap_or_default());
        }
    }

    /// In a cluster that has operators, who grants something has a name and a role. Revoked ones count: whoever
    /// holds a keyring can add another one, and that stands in the status.
    fn check_keyring_is_enough(&self, request: &AdminRequest) -> Result<(), ClusterError> {
        if request.is_open_to_keyring() || state::operators(&self.state)?.is_empty() {
            return Ok(());
        }
        Err(ClusterError::Refused(
            "this cluster has operators, so this is asked by one of them over the admin API and not by proof of \
             the keyring: pass --operator FILE, or set admin.listen and admin.credential_file. keymoot operator \
             add NAME --role ROLE --by-keyring makes a credential"
                .into(),
        ))
    }

    /// Answers whoever may ask.
    pub(crate) async fn answer(&self, request: AdminRequest) -> Result<AdminResponse, ClusterError> {
        let deadline = Instant::now() + ADMIN_DEADLINE;
        match request {
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
            AdminRequest::RevokeCertificate { node, force } => self
                .commands
                .revoke_certificate(node, force, deadline)
                .await
                .map(|response| AdminResponse::Applied(Box::new(response))),
            AdminRequest::Accounts => self.read(deadline, state::accounts).await.map(AdminResponse::Accounts),
            AdminRequest::Policies(account) => self
                .read(deadline, |state| state::listed_policies(state, &account))
                .await
                .map(AdminResponse::Policies),
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
            AdminRequest::Backups => self.read(deadline, state::backups).await.map(AdminResponse::Backups),
            AdminRequest::Complaints => Ok(AdminResponse::Complaints(self.status.complaints())),
            AdminRequest::AccountDetails(id) => self
                .read(deadline, |state| account_details(state, id.as_ref()))
                .await
                .map(AdminResponse::AccountDetails),
            AdminRequest::CredentialUses => Ok(AdminResponse::CredentialUses(Box::new(self.uses.list()))),
            AdminRequest::Contents(asked) => self
                .read(deadline, |state| {
                    let ContentsQuery { account, content, after, versions_max } = &asked;
                    let (content, after) = (content.as_ref(), after.as_deref());
                    state::contents_page(state, account, content, after, *versions_max as usize)
                })
                .await
                .map(AdminResponse::Contents),
            AdminRequest::PolicyUses { account, policy, after, contents_max } => self
                .read(deadline, |state| {
                    let contents_max = contents_max as usize;
                    state::policy_uses_page(state, &account, &policy, after.as_ref(), contents_max)
                })
                .await
                .map(AdminResponse::PolicyUses),
            AdminRequest::RenewCertificate => self.renew_certificate().await,
            AdminRequest::Authority { step } => {
                self.authority.progress(step, deadline).await.map(AdminResponse::Authority)
            }
            AdminRequest::CancelAuthority => {
                self.authority.cancel(deadline).await.map(AdminResponse::Authority)
            }
            AdminRequest::NodeKeys => {
                self.read(deadline, state::registered_keys).await.map(AdminResponse::NodeKeys)
            }
            AdminRequest::Notices => Ok(AdminResponse::Notices(self.status.notices())),
            AdminRequest::JoinTokens => self
                .read(deadline, |state| state::join_tokens(state, TokenKind::Node))
                .await
                .map(AdminResponse::JoinTokens),
            AdminRequest::WitnessTokens => self
                .read(deadline, |state| state::join_tokens(state, TokenKind::Witness))
                .await
                .map(AdminResponse::WitnessTokens),
            AdminRequest::Verifiers => {
                self.read(deadline, state::verifiers).await.map(AdminResponse::Verifiers)
            }
            AdminRequest::KeyRemoval(id) => {
                self.barrier.wait(deadline).await?;
                match state::key_removal_is_permitted(&self.state, &id, now_ms())? {
                    true => Ok(AdminResponse::KeyRemovalPermitted),
                    false => Err(ClusterError::Refused(ApprovalRefusal::Needed.to_string())),
                }
            }
            AdminRequest::Witnesses => Ok(AdminResponse::Witnesses(state::witnesses(&self.state)?)),
            AdminRequest::Wraps => {
                self.barrier.wait(deadline).await?;
                let wraps = state::reserved_wraps(&self.state)?;
                Ok(AdminResponse::Wraps(wraps.into_iter().map(|(id, count)| (id.0, count)).collect()))
            }
            AdminRequest::AuditLog => {
                self.audit.reader.held().await.map(|it| AdminResponse::AuditLog(Box::new(it)))
            }
            AdminRequest::AuditLogs => {
                self.audit.logs().await.map(|it| AdminResponse::AuditLogs(Box::new(it)))
            }
            AdminRequest::AuditSearch(search) => match search.everywhere {
                true => self.audit.search(*search).await,
                false => self.audit.reader.search(*search).await,
            }
            .map(|it| AdminResponse::AuditFound(Box::new(it))),
            AdminRequest::AuditEvents(asked) => {
                self.audit.reader.events(asked).await.map(|it| AdminResponse::AuditEvents(Box::new(it)))
            }
            AdminRequest::AuditReceivers { everywhere } => {
                let receivers = match everywhere {
                    true => self.audit.receivers().await,
                    false => self.audit.reader.receivers()?,
                };
                Ok(AdminResponse::AuditReceivers(Box::new(receivers)))
            }
            AdminRequest::EnrolOperator(enrolment) => self
                .operators
                .add_for_keyring(*enrolment, deadline)
                .await
                .map(|it| AdminResponse::OperatorEnrolled(Box::new(it))),
        }
    }

    async fn renew_certificate(&self) -> Result<AdminResponse, ClusterError> {
        let none = || ClusterError::Refused("this node has no certificate".to_owned());
        let renewal = self.renewal.as_ref().ok_or_else(none)?;
        let renewed = renewal.renew().await;
        renewed.map_err(|error| ClusterError::Refused(format!("{error}: {}", error.remedy())))?;
        Ok(AdminResponse::CertificateRenewed)
    }
}

/// The accounts with their statuses, or one of them.
///
/// # Errors
/// When the tables cannot be read.
pub fn account_details<T: Tables>(state: &T, id: Option<&AccountId>) -> Result<AccountDetails, StateError> {
    let accounts = match id {
        Some(id) => state::account(state, id)?.into_iter().collect(),
        None => state::accounts(state)?,
    };
    let with_status = |account: Account| {
        let status = state::account_status(state, &account.id)?;
        Ok((account, status))
    };
    Ok(AccountDetails {
        accounts: accounts.into_iter().map(with_status).collect::<Result<_, StateError>>()?,
        declaration: state::applied_declaration(state)?,
    })
}
