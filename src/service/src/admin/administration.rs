//! What the admin API does: who asks, whether they may, and what becomes of it.
//!
//! Who asks is said by the state, by the certificate's fingerprint, at every request: so a certificate that was
//! revoked opens nothing more, on open connections and resumed sessions too.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
use keymoot_state::{OperatorChange, OperatorRecord, StateError};

use super::answer::to_json;
use super::{Call, Operation, OperationError, OperatorCall, UseCase};

/// How long it may take to confirm who asks: a quorum says whether the state here is the latest, through an
/// election, too.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(8);
/// The same for what this node answers alone, and so answers unconfirmed, too: operators look when no quorum is.
const LOOKED_FOR: Duration = Duration::from_millis(300);

/// The use cases behind the admin API. Cheap to clone.
#[derive(Clone)]
pub struct Administration {
    cluster: Cluster,
    keyring: Arc<Keyring>,
}

/// An operator who may ask for one use case. Only [`Administration::authorize`] makes it.
#[derive(Clone, Debug)]
pub struct OperatorGrant {
    operator: OperatorRecord,
    case: UseCase,
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

    /// The role by which they may.
    pub fn role(&self) -> Option<Role> {
        self.operator.roles.iter().copied().find(|role| self.case.roles().contains(role))
    }
}

impl Administration {
    /// The use cases of a node.
    pub const fn new(cluster: Cluster, keyring: Arc<Keyring>) -> Self {
        Self { cluster, keyring }
    }

    /// Whether the holder of this certificate may ask for the use case. Without a quorum only what this node
    /// answers alone can be asked for.
    ///
    /// # Errors
    /// [`RefusedOperator`] says why not.
    pub async fn authorize(
        &self,
        fingerprint: Fingerprint,
        case: UseCase,
    ) -> Result<OperatorGrant, RefusedOperator> {
        let patience = if case.is_local() { LOOKED_FOR } else { CONFIRMED_WITHIN };
        if let Err(error) = self.cluster.read_barrier_within(patience).await
            && !case.is_local()
        {
            return Err(RefusedOperator::Unconfirmed(error));
        }
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
        if certificate.expires_at_s <= now_s() {
            return Err(RefusedOperator::Expired { name });
        }
        if !case.is_open_to(&operator.roles) {
            return Err(RefusedOperator::Role { name, roles: operator.roles, case });
        }
        Ok(OperatorGrant { operator, case })
    }

    /// Carries out what an operator may ask for.
    ///
    /// # Errors
    /// [`AdministrationError`] says why it was not done.
    pub async fn perform(&self, grant: &OperatorGrant, call: Call) -> Result<Value, AdministrationError> {
        match call {
            // Held against the grant again: what was parsed decides, not who parsed it.
            call if call.use_case() != Some(grant.case) => {
                Err(AdministrationError::Invalid("the request is for another use case".to_owned()))
            }
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
                let added = self.cluster.add_operator_certificate(name, certificate).await?;
                return Ok(serde_json::to_value(added)?);
            }
            OperatorCall::RenewOwnCertificate { certificate_request, life_s } => {
                let certificate = wish(Some(certificate_request), None, life_s)?;
                let added = self.cluster.add_operator_certificate(own, certificate).await?;
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

fn listed(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(" or ")
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
