//! What the admin API does: who asks, whether they may, and what becomes of it.
//!
//! Who asks is said by the state, by the certificate's fingerprint or the session's digest, at every request: so what
//! was revoked or ended opens nothing more, on open connections and resumed TLS sessions too.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use keymoot_cluster::{
    AdminRequest, AdminResponse, CertificateWish, Cluster, ClusterError, OPERATOR_CERTIFICATE_LIFE,
    OperatorEnrolment,
};
use keymoot_crypto::Keyring;
use keymoot_model::{Account, AccountId, AccountStatus, Fingerprint, OperatorName, Role};
use keymoot_state as state;
use keymoot_state::{
    ApprovalRecord, OperatorChange, OperatorRecord, SESSION_IDLE_MS, SignInChange, StateError,
};

use super::answer::to_json;
use super::sign_in::SignInDesk;
use super::{Call, Operation, OperationError, OperatorCall, SignInAttempt, SignInError, SignedIn, UseCase};
use crate::QuorumContact;
use crate::clock::now_ms;

/// How long it may take to confirm who asks: a quorum says whether the state here is the latest, through an
/// election, too.
pub(super) const CONFIRMED_WITHIN: Duration = Duration::from_secs(8);
/// The same for what this node answers alone, and so answers unconfirmed, too: operators look when no quorum is.
const LOOKED_FOR: Duration = Duration::from_millis(300);
/// How exactly the last use of a session is noted.
const SEEN_EVERY_MS: u64 = 60_000;
const _: () = assert!(SEEN_EVERY_MS * 10 <= SESSION_IDLE_MS);

/// The use cases behind the admin API. Cheap to clone.
#[derive(Clone)]
pub struct Administration {
    pub(super) cluster: Cluster,
    keyring: Arc<Keyring>,
    contact: Arc<QuorumContact>,
    pub(super) desk: Arc<SignInDesk>,
}

/// What proves an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorProof {
    /// A client certificate.
    Certificate(Fingerprint),
    /// The token of a session, by its digest.
    Session(Fingerprint),
}

/// An operator who may ask for one use case. Only [`Administration::authorize`] makes it.
#[derive(Clone, Debug)]
pub struct OperatorGrant {
    operator: OperatorRecord,
    case: UseCase,
    /// What it was granted by.
    pub(super) proof: OperatorProof,
    /// Where the request came from.
    pub(super) from: IpAddr,
}

/// What was done.
#[derive(Debug)]
pub struct Performed {
    pub body: Value,
    /// The approval that it took, used up now.
    pub approval: Option<Box<ApprovalRecord>>,
}

/// Why somebody may not ask.
#[derive(Debug, thiserror::Error)]
pub enum RefusedOperator {
    /// The certificate is nobody's here.
    #[error(
        "the certificate {fingerprint} is registered to no operator of this cluster: have one made with keymoot \
         operator add"
    )]
    Unregistered { fingerprint: Fingerprint },
    /// The session is not known, or its time is over.
    #[error("the session has ended: sign in again")]
    SessionEnded,
    /// Somebody else knows the password.
    #[error("operator {name} must set another password first: somebody else knows this one")]
    FirstPassword { name: OperatorName },
    #[error("operator {name} was revoked")]
    Revoked { name: OperatorName },
    #[error("this certificate of operator {name} was revoked: use another one")]
    CertificateRevoked { name: OperatorName },
    #[error(
        "this certificate of operator {name} has expired: have another one made with keymoot operator \
         certificate {name}"
    )]
    Expired { name: OperatorName },
    /// No role of the operator's may.
    #[error("operator {name} may not do this: it takes the role {}, and theirs is {}", listed(.case.roles()), listed(.roles))]
    Role { name: OperatorName, roles: Vec<Role>, case: UseCase },
    /// Nobody could be asked whether the operator is still one.
    #[error("it cannot be confirmed who asks: {0}; the status and the complaints are answered nevertheless")]
    Unconfirmed(ClusterError),
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AdministrationError {
    /// What was asked for cannot be done.
    #[error("{0}")]
    Invalid(String),
    /// It takes two persons.
    #[error(
        "this takes two persons: {act}. Approval {id} waits for another operator with the role {roles}, until {until}",
        act = .0.act, id = .0.id, roles = listed(.0.act.approvers()), until = crate::clock::moment(.0.expires_at_ms)
    )]
    Waits(Box<ApprovalRecord>),
    #[error(transparent)]
    SignIn(#[from] SignInError),
    #[error(transparent)]
    Operation(#[from] OperationError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The answer has no JSON.
    #[error("the answer cannot be written")]
    Answer(#[from] serde_json::Error),
}

impl OperatorGrant {
    /// Who asks.
    pub const fn name(&self) -> &OperatorName {
        &self.operator.name
    }

    /// What it was granted for.
    pub const fn case(&self) -> UseCase {
        self.case
    }

    /// What it was granted by.
    pub const fn proof(&self) -> OperatorProof {
        self.proof
    }

    /// The role by which they may.
    pub fn role(&self) -> Option<Role> {
        self.operator.roles.iter().copied().find(|role| self.case.roles().contains(role))
    }
}

impl Administration {
    /// The use cases of a node.
    pub fn new(cluster: Cluster, keyring: Arc<Keyring>, contact: Arc<QuorumContact>) -> Self {
        let desk = Arc::new(SignInDesk::new(cluster.clone(), keyring.clone()));
        Self { cluster, keyring, contact, desk }
    }

    /// Begins a session, for an operator at this address.
    ///
    /// # Errors
    /// [`SignInError`] says why not.
    pub async fn sign_in(&self, attempt: SignInAttempt, from: IpAddr) -> Result<SignedIn, SignInError> {
        self.desk.sign_in(attempt, from).await
    }

    /// Whether the holder of this proof, at this address, may ask for the use case. Without a quorum only what this node
    /// answers alone can be asked for, and the audit for as long as accounts that read locally are served: nobody
    /// knows here who was revoked since.
    ///
    /// # Errors
    /// [`RefusedOperator`] says why not.
    pub async fn authorize(
        &self,
        proof: OperatorProof,
        from: IpAddr,
        case: UseCase,
    ) -> Result<OperatorGrant, RefusedOperator> {
        let patience = if case.is_local() { LOOKED_FOR } else { CONFIRMED_WITHIN };
        if let Err(error) = self.cluster.read_barrier_within(patience).await {
            match case.is_local() {
                false => return Err(RefusedOperator::Unconfirmed(error)),
                true if case.is_of_audit() => {
                    self.contact.confirm(|| true).await.map_err(RefusedOperator::Unconfirmed)?;
                }
                true => {}
            }
        }
        let operator = match proof {
            OperatorProof::Certificate(fingerprint) => self.of_certificate(fingerprint)?,
            OperatorProof::Session(digest) => self.of_session(digest, case)?,
        };
        if !case.is_open_to(&operator.roles) {
            let name = operator.name;
            return Err(RefusedOperator::Role { name, roles: operator.roles, case });
        }
        Ok(OperatorGrant { operator, case, proof, from })
    }

    fn of_certificate(&self, fingerprint: Fingerprint) -> Result<OperatorRecord, RefusedOperator> {
        let known = state::operator_of_certificate(self.cluster.state(), &fingerprint)?;
        let Some((operator, certificate)) = known else {
            return Err(RefusedOperator::Unregistered { fingerprint });
        };
        let name = operator.name.clone();
        if operator.revoked_at_ms.is_some() {
            return Err(RefusedOperator::Revoked { name });
        }
        if certificate.revoked_at_ms.is_some() {
            return Err(RefusedOperator::CertificateRevoked { name });
        }
        if certificate.expires_at_s <= now_ms() / 1000 {
            return Err(RefusedOperator::Expired { name });
        }
        Ok(operator)
    }

    fn of_session(&self, digest: Fingerprint, case: UseCase) -> Result<OperatorRecord, RefusedOperator> {
        let known = state::operator_of_session(self.cluster.state(), &digest)?;
        let (operator, session, must_change) = known.ok_or(RefusedOperator::SessionEnded)?;
        let name = operator.name.clone();
        if operator.revoked_at_ms.is_some() {
            return Err(RefusedOperator::Revoked { name });
        }
        let now_ms = now_ms();
        if session.ends_at_ms() <= now_ms {
            return Err(RefusedOperator::SessionEnded);
        }
        if must_change && !case.is_open_to_first_password() {
            return Err(RefusedOperator::FirstPassword { name });
        }
        if session.seen_at_ms.saturating_add(SEEN_EVERY_MS) <= now_ms {
            // Nobody waits for it. Without a quorum the session ends earlier than it might.
            let cluster = self.cluster.clone();
            tokio::spawn(async move {
                let _ = cluster.change_sign_in(SignInChange::See { name, digest }).await;
            });
        }
        Ok(operator)
    }

    /// Carries out what an operator may ask for.
    ///
    /// # Errors
    /// [`AdministrationError`] says why it was not done.
    pub async fn perform(&self, grant: &OperatorGrant, call: Call) -> Result<Performed, AdministrationError> {
        // Held against the grant again: what was parsed decides, not who parsed it.
        if call.use_case() != Some(grant.case) {
            return Err(AdministrationError::Invalid("the request is for another use case".to_owned()));
        }
        let approval = self.second_person(grant, &call).await?;
        let body = self.carry_out(grant, call).await?;
        Ok(Performed { body, approval })
    }

    /// Whether an event says already that the operator reads what is asked for here, of which this is another page.
    pub fn is_told(&self, grant: &OperatorGrant, call: &Call) -> bool {
        request_of(call).is_some_and(|request| self.cluster.is_told(grant.name().as_str(), request))
    }

    /// An event of it is written.
    pub fn tell(&self, grant: &OperatorGrant, call: &Call) {
        if let Some(request) = request_of(call) {
            self.cluster.tell(grant.name().as_str(), request);
        }
    }

    async fn carry_out(&self, grant: &OperatorGrant, call: Call) -> Result<Value, AdministrationError> {
        match call {
            Call::AddAccount { account, if_absent } => {
                let account = Box::new(account.wrap(&self.keyring).map_err(AdministrationError::Invalid)?);
                self.operate(Operation::AddAccount { account, if_absent }).await
            }
            Call::ChangeAccount(change) => {
                let operation = change.into_operation(&self.keyring);
                self.operate(operation.map_err(AdministrationError::Invalid)?).await
            }
            Call::CompareAccount(declared) => {
                let known = self.known(declared.id()).await?;
                let differs = declared.compare(known.as_ref(), &self.keyring);
                Ok(serde_json::to_value(differs.map_err(AdministrationError::Invalid)?)?)
            }
            Call::DeclareAccount { revision, declared } => {
                let known = self.known(declared.id()).await?;
                let operation = declared.into_operation(revision, known.as_ref(), &self.keyring);
                self.operate(operation.map_err(AdministrationError::Invalid)?).await
            }
            Call::Operation(operation) => self.operate(operation).await,
            Call::Request(request) => match self.cluster.administer(request).await? {
                AdminResponse::Refused(reason) => Err(ClusterError::Refused(reason).into()),
                answer => Ok(to_json(answer)?),
            },
            Call::OfNode(node, request) => match self.cluster.ask_node(node, request).await? {
                AdminResponse::Refused(reason) => Err(ClusterError::Refused(reason).into()),
                answer => Ok(to_json(answer)?),
            },
            Call::Operator(call) => self.change_operators(grant, call).await,
            Call::Approval(call) => self.change_approvals(grant, call).await,
            Call::SignIn(call) => self.change_sign_in(grant, call).await,
            Call::AuditDigest(call) => call.answer(&self.cluster, &self.keyring),
        }
    }

    /// The account of this name, if there is one.
    async fn known(&self, id: &AccountId) -> Result<Option<(Account, AccountStatus)>, AdministrationError> {
        match self.cluster.administer(AdminRequest::AccountDetails(Some(id.clone()))).await? {
            AdminResponse::AccountDetails(mut details) => Ok(details.accounts.pop()),
            _ => Err(OperationError::Unexpected.into()),
        }
    }

    async fn operate(&self, operation: Operation) -> Result<Value, AdministrationError> {
        let answer = self.cluster.administer(operation.request()).await?;
        Ok(serde_json::to_value(operation.outcome(answer)?)?)
    }

    async fn change_operators(
        &self,
        grant: &OperatorGrant,
        call: OperatorCall,
    ) -> Result<Value, AdministrationError> {
        let own = grant.name().clone();
        let change = match call {
            OperatorCall::Operators {} => {
                let all = state::operators(self.cluster.state()).map_err(ClusterError::from)?;
                return Ok(serde_json::to_value(all)?);
            }
            OperatorCall::OwnOperator {} => return Ok(serde_json::to_value(&grant.operator)?),
            OperatorCall::AddOperator { name, roles, certificate_request, certificate, life_s } => {
                let certificate = wish(certificate_request, certificate, life_s)?;
                let enrolment = OperatorEnrolment { name, roles, certificate };
                return Ok(serde_json::to_value(self.cluster.add_operator(enrolment, own).await?)?);
            }
            OperatorCall::AddOperatorCertificate { name, certificate_request, certificate, life_s } => {
                let certificate = wish(certificate_request, certificate, life_s)?;
                let added = self.cluster.add_operator_certificate(name, own, certificate).await?;
                return Ok(serde_json::to_value(added)?);
            }
            OperatorCall::RenewOwnCertificate { certificate_request, life_s } => {
                let certificate = wish(Some(certificate_request), None, life_s)?;
                let added = self.cluster.add_operator_certificate(own.clone(), own, certificate).await?;
                return Ok(serde_json::to_value(added)?);
            }
            OperatorCall::SetRoles { name, roles } => OperatorChange::SetRoles { name, roles },
            OperatorCall::RevokeOperatorCertificate { name, fingerprint } => {
                OperatorChange::RevokeCertificate { name, fingerprint }
            }
            OperatorCall::RevokeOperator { name } => OperatorChange::Revoke { name },
            OperatorCall::AcknowledgeOperator { name } => OperatorChange::Acknowledge { name, by: own },
        };
        let changed = self.cluster.change_operator(change).await?;
        Ok(json!({ "outcome": if changed { "done" } else { "unchanged" } }))
    }
}

const fn request_of(call: &Call) -> Option<&AdminRequest> {
    match call {
        Call::Request(request) | Call::OfNode(_, request) => Some(request),
        _ => None,
    }
}

/// A certificate to be signed, by its request in PEM, or one to be registered.
fn wish(
    request: Option<String>,
    certificate_pem: Option<String>,
    life_s: Option<u64>,
) -> Result<CertificateWish, AdministrationError> {
    let invalid = |text: &str| AdministrationError::Invalid(text.to_owned());
    match (request, certificate_pem) {
        (Some(pem), None) => {
            let request = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
                invalid("certificate_request must be PEM with -----BEGIN CERTIFICATE REQUEST-----")
            })?;
            let life_s = life_s.unwrap_or(OPERATOR_CERTIFICATE_LIFE.as_secs());
            Ok(CertificateWish::Sign { request: request.to_vec(), life_s })
        }
        (None, Some(certificate_pem)) => Ok(CertificateWish::Register { certificate_pem }),
        _ => Err(invalid("send either certificate_request or certificate")),
    }
}

pub(super) fn listed(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(" or ")
}
