//! What operators ask for over the admin API, to and from JSON.
//!
//! Both ends use this: the command line writes what the listener reads. Unknown members are refused.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use keymoot_cluster::{AdminRequest, ContentsQuery};
use keymoot_model::{Fingerprint, NodeId, OperatorName, Role};

use super::{
    ApprovalCall, AuditDigestCall, Method, NewAccount, NewAccountChange, NewDeclaredAccount, Operation,
    SignInCall, UseCase, query,
};

/// What an operator asks for.
#[derive(Clone, Debug)]
pub enum Call {
    /// An account, its keys not wrapped yet.
    AddAccount {
        account: Box<NewAccount>,
        /// Whether it may be there.
        if_absent: bool,
    },
    /// A change of an account, what it adds not wrapped yet.
    ChangeAccount(Box<NewAccountChange>),
    /// How the cluster differs from an account of a declaration.
    CompareAccount(Box<NewDeclaredAccount>),
    /// An account of a declaration, its keys not wrapped yet.
    DeclareAccount {
        revision: u64,
        declared: Box<NewDeclaredAccount>,
    },
    Operation(Operation),
    Request(AdminRequest),
    /// What another node says, which the asked one asks for it.
    OfNode(NodeId, AdminRequest),
    Operator(OperatorCall),
    Approval(ApprovalCall),
    SignIn(SignInCall),
    AuditDigest(AuditDigestCall),
}

/// What is asked about operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum OperatorCall {
    Operators {},
    OwnOperator {},
    AddOperator {
        name: OperatorName,
        roles: Vec<Role>,
        /// The certificate request, PEM.
        #[serde(default)]
        certificate_request: Option<String>,
        /// In place of a request: a certificate that the cluster's authority issued elsewhere, PEM.
        #[serde(default)]
        certificate: Option<String>,
        /// For how long the certificate that is signed is to be good; 90 days if it is not said.
        #[serde(default)]
        life_s: Option<u64>,
    },
    SetRoles {
        name: OperatorName,
        roles: Vec<Role>,
    },
    AddOperatorCertificate {
        name: OperatorName,
        #[serde(default)]
        certificate_request: Option<String>,
        #[serde(default)]
        certificate: Option<String>,
        #[serde(default)]
        life_s: Option<u64>,
    },
    RenewOwnCertificate {
        /// The certificate request, PEM.
        certificate_request: String,
        #[serde(default)]
        life_s: Option<u64>,
    },
    RevokeOperatorCertificate {
        name: OperatorName,
        fingerprint: Fingerprint,
    },
    RevokeOperator {
        name: OperatorName,
    },
    AcknowledgeOperator {
        name: OperatorName,
    },
}

/// What was sent is not what the use case needs.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ParameterError(pub(super) String);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    account: Box<NewAccount>,
    #[serde(default)]
    if_absent: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    revision: u64,
    declared: Box<NewDeclaredAccount>,
}

impl Call {
    /// Reads the parameters of a use case: a JSON body, or the members of a query as texts.
    ///
    /// # Errors
    /// [`ParameterError`] names what is wrong.
    pub fn parse(case: UseCase, parameters: Value) -> Result<Self, ParameterError> {
        Ok(match case {
            UseCase::Status
            | UseCase::Complaints
            | UseCase::Notices
            | UseCase::Accounts
            | UseCase::AccountDetails
            | UseCase::CredentialUses
            | UseCase::Contents
            | UseCase::Policies
            | UseCase::PolicyUses
            | UseCase::Backups
            | UseCase::JoinTokens
            | UseCase::WitnessTokens
            | UseCase::Witnesses
            | UseCase::Verifiers
            | UseCase::AuditLogs
            | UseCase::AuditSearch
            | UseCase::AuditEvents
            | UseCase::AuditReceivers
            | UseCase::Keyring
            | UseCase::NodeKeys
            | UseCase::Authority
            | UseCase::RenewCertificate
            | UseCase::StepAuthority
            | UseCase::CancelAuthority => query::parse(case, parameters)?,
            UseCase::Change | UseCase::Rewrap => Self::Request(read(tagged(case, parameters))?),
            UseCase::AddAccount => {
                let Added { account, if_absent } = read(parameters)?;
                Self::AddAccount { account, if_absent }
            }
            UseCase::ChangeAccount => Self::ChangeAccount(read(parameters)?),
            UseCase::CompareAccount => Self::CompareAccount(read(parameters)?),
            UseCase::AuditDigest => Self::AuditDigest(read(parameters)?),
            UseCase::DeclareAccount => {
                let Declared { revision, declared } = read(parameters)?;
                Self::DeclareAccount { revision, declared }
            }
            UseCase::RemoveAccount
            | UseCase::DeclareAccounts
            | UseCase::RevokeCertificate
            | UseCase::PutPolicy
            | UseCase::DeletePolicy
            | UseCase::AttachPolicy
            | UseCase::DetachPolicy
            | UseCase::SetDefaultPolicy
            | UseCase::RotateDocuments
            | UseCase::EndRental
            | UseCase::FreeSlot
            | UseCase::AddToken
            | UseCase::AddWitnessToken
            | UseCase::RevokeToken
            | UseCase::RaiseFeatureLevel
            | UseCase::ScheduleBackups
            | UseCase::NoteBackup => Self::Operation(read(tagged(case, parameters))?),
            UseCase::Operators
            | UseCase::OwnOperator
            | UseCase::AddOperator
            | UseCase::SetRoles
            | UseCase::AddOperatorCertificate
            | UseCase::RenewOwnCertificate
            | UseCase::RevokeOperatorCertificate
            | UseCase::RevokeOperator
            | UseCase::AcknowledgeOperator => Self::Operator(read(tagged(case, parameters))?),
            UseCase::Approvals
            | UseCase::TwoPersonRule
            | UseCase::SetTwoPersonRule
            | UseCase::Approve
            | UseCase::Withdraw
            | UseCase::OpenExport
            | UseCase::PermitKeyRemoval => Self::Approval(read(tagged(case, parameters))?),
            UseCase::SetOwnPassword
            | UseCase::SetPassword
            | UseCase::Sessions
            | UseCase::EndSession
            | UseCase::EndOwnSession => Self::SignIn(read(tagged(case, parameters))?),
        })
    }

    /// The use case, and the parameters as [`Self::parse`] reads them. `None`: only the peer port knows it.
    pub fn to_parameters(&self) -> Option<(UseCase, Value)> {
        let untagged = |case: UseCase, value: Result<Value, serde_json::Error>| {
            let own = value.ok()?.get_mut(case.name()).map(Value::take);
            Some((case, own.unwrap_or_else(|| json!({}))))
        };
        match self {
            Self::AddAccount { account, if_absent } => {
                let added = Added { account: account.clone(), if_absent: *if_absent };
                Some((UseCase::AddAccount, serde_json::to_value(added).ok()?))
            }
            Self::ChangeAccount(change) => Some((UseCase::ChangeAccount, serde_json::to_value(change).ok()?)),
            Self::CompareAccount(declared) => {
                Some((UseCase::CompareAccount, serde_json::to_value(declared).ok()?))
            }
            Self::AuditDigest(call) => Some((UseCase::AuditDigest, serde_json::to_value(call).ok()?)),
            Self::DeclareAccount { revision, declared } => {
                let declared = Declared { revision: *revision, declared: declared.clone() };
                Some((UseCase::DeclareAccount, serde_json::to_value(declared).ok()?))
            }
            Self::Operation(operation) => untagged(UseCase::of(operation), serde_json::to_value(operation)),
            Self::Operator(call) => untagged(call.use_case(), serde_json::to_value(call)),
            Self::Approval(call) => untagged(call.use_case(), serde_json::to_value(call)),
            Self::SignIn(call) => untagged(call.use_case(), serde_json::to_value(call)),
            Self::OfNode(node, request) => {
                let (case, mut parameters) = Self::Request(request.clone()).to_parameters()?;
                parameters.as_object_mut()?.insert("node".to_owned(), node.to_string().into());
                Some((case, parameters))
            }
            Self::Request(request) => {
                let case = UseCase::of_request(request)?;
                match request {
                    request if case.method() == Method::Post => untagged(case, serde_json::to_value(request)),
                    request => Some((case, query::of(request))),
                }
            }
        }
    }

    /// The use case that it is; `None`: only the peer port knows it.
    pub const fn use_case(&self) -> Option<UseCase> {
        match self {
            Self::AddAccount { .. } => Some(UseCase::AddAccount),
            Self::ChangeAccount(_) => Some(UseCase::ChangeAccount),
            Self::CompareAccount(_) => Some(UseCase::CompareAccount),
            Self::AuditDigest(_) => Some(UseCase::AuditDigest),
            Self::DeclareAccount { .. } => Some(UseCase::DeclareAccount),
            Self::Operation(operation) => Some(UseCase::of(operation)),
            Self::Request(request) | Self::OfNode(_, request) => UseCase::of_request(request),
            Self::Operator(call) => Some(call.use_case()),
            Self::Approval(call) => Some(call.use_case()),
            Self::SignIn(call) => Some(call.use_case()),
        }
    }

    /// What it is about, in words that are safe to log.
    pub fn object(&self) -> String {
        match self {
            Self::AddAccount { account, .. } => account.id.to_string(),
            Self::ChangeAccount(change) => change.object(),
            Self::CompareAccount(declared) => declared.id().to_string(),
            Self::AuditDigest(call) => format!("account={}", call.account),
            Self::DeclareAccount { revision, declared } => {
                format!("{} of revision {revision}", declared.id())
            }
            Self::Operation(operation) => operation.clone().into_command().to_string(),
            Self::Request(
                AdminRequest::Policies(account)
                | AdminRequest::AccountDetails(Some(account))
                | AdminRequest::Contents(ContentsQuery { account, .. })
                | AdminRequest::PolicyUses { account, .. },
            ) => account.to_string(),
            Self::Request(AdminRequest::Change(request)) => format!("{:?}", request.change),
            Self::Request(AdminRequest::AuditSearch(search)) => search.object(),
            Self::Request(_) => "cluster".to_owned(),
            Self::OfNode(_, AdminRequest::AuditEvents(asked)) => format!("log={}", asked.name),
            Self::OfNode(node, _) => format!("node {node}"),
            Self::Operator(call) => call.object(),
            Self::Approval(call) => call.object(),
            Self::SignIn(call) => call.object(),
        }
    }
}

impl OperatorCall {
    const fn use_case(&self) -> UseCase {
        match self {
            Self::Operators {} => UseCase::Operators,
            Self::OwnOperator {} => UseCase::OwnOperator,
            Self::AddOperator { .. } => UseCase::AddOperator,
            Self::SetRoles { .. } => UseCase::SetRoles,
            Self::AddOperatorCertificate { .. } => UseCase::AddOperatorCertificate,
            Self::RenewOwnCertificate { .. } => UseCase::RenewOwnCertificate,
            Self::RevokeOperatorCertificate { .. } => UseCase::RevokeOperatorCertificate,
            Self::RevokeOperator { .. } => UseCase::RevokeOperator,
            Self::AcknowledgeOperator { .. } => UseCase::AcknowledgeOperator,
        }
    }

    fn object(&self) -> String {
        let listed = |roles: &[Role]| roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",");
        match self {
            Self::Operators {} => "operators".to_owned(),
            Self::OwnOperator {} | Self::RenewOwnCertificate { .. } => "self".to_owned(),
            Self::AddOperator { name, roles, .. } | Self::SetRoles { name, roles } => {
                format!("{name} as {}", listed(roles))
            }
            Self::RevokeOperatorCertificate { name, fingerprint } => format!("{name} {fingerprint}"),
            Self::AddOperatorCertificate { name, .. }
            | Self::RevokeOperator { name }
            | Self::AcknowledgeOperator { name } => name.to_string(),
        }
    }
}

/// A variant of an enum as serde writes it.
fn tagged(case: UseCase, parameters: Value) -> Value {
    Value::Object(Map::from_iter([(case.name().to_owned(), parameters)]))
}

pub(super) fn read<T: DeserializeOwned>(value: Value) -> Result<T, ParameterError> {
    serde_json::from_value(value).map_err(|error| ParameterError(error.to_string()))
}
