//! What became of an operator's use case.

use serde::{Deserialize, Serialize};

use keymoot_cluster::AdminResponse;
use keymoot_model::{AccountId, ContentId, NodeId, PolicyName};
use keymoot_state::{
    AccountRefusal, ApprovalRefusal, DocumentRefusal, PolicyCondition, Response, TokenRefusal,
};

use super::Operation;
use crate::error::ServiceError;
use crate::policy_refusal::policy_refusal;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum OperationOutcome {
    /// What was asked for.
    Done,
    /// Nothing: it is so already, or there is nothing to end.
    Unchanged,
    /// The policy is stored.
    PolicyStored { version: u64 },
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// An account of this name is there.
    #[error("account {id} exists")]
    AccountExists { id: AccountId },
    /// There is no such account.
    #[error("there is no account {id}")]
    NoAccount { id: AccountId },
    /// The account or its credential is not changed.
    #[error("account {id}: {refusal}")]
    Account { id: AccountId, refusal: AccountRefusal },
    /// The cluster has applied a later declaration, or another one of the same revision.
    #[error(
        "the cluster has applied revision {applied} of its accounts, and this file is revision {revision}"
    )]
    Revision { revision: u64, applied: u64 },
    /// The account has no policy of this name.
    #[error("there is no policy {name}")]
    NoPolicy { name: PolicyName },
    /// The policy is in use, and so it stays.
    #[error(transparent)]
    PolicyInUse(ServiceError),
    /// The policy is not in the state that the change demands.
    #[error(transparent)]
    Policy(ServiceError),
    /// What documents made is not changed.
    #[error("content {content}: {refusal}")]
    Documents { content: ContentId, refusal: DocumentRefusal },
    /// The token cannot be revoked.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// There is no such node.
    #[error("there is no node {node}")]
    NoNode { node: NodeId },
    /// A member's program does not know the feature level.
    #[error("node {node} said that it knows levels up to {level} only")]
    LevelUnknown {
        node: NodeId,
        /// The highest level it knows.
        level: u32,
    },
    /// It waits for a second person.
    #[error(transparent)]
    Approval(ApprovalRefusal),
    /// The answer is none to this use case.
    #[error("the node answered another question; does it run the same version?")]
    Unexpected,
}

impl OperationError {
    /// What can be done about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::AccountExists { .. } => {
                Some("choose another name, or pass --if-absent to leave it as it is")
            }
            Self::NoAccount { .. } => Some("keymoot account list shows those there are"),
            Self::Account { refusal, .. } => Some(match refusal {
                AccountRefusal::NoCredential => "keymoot account credential list shows those there are",
                AccountRefusal::CredentialExists | AccountRefusal::CredentialRevoked => {
                    "choose another name for it"
                }
                AccountRefusal::NoAccount | AccountRefusal::Revision { .. } => {
                    "keymoot account list shows the accounts"
                }
                AccountRefusal::PathTaken { .. } => "choose another path, or take it from that account first",
            }),
            Self::Revision { .. } => Some("if this file is the newer one, give it a higher revision"),
            Self::NoNode { .. } => Some("keymoot cluster status shows those there are"),
            Self::NoPolicy { .. } => Some("keymoot policy list shows those there are"),
            Self::Documents { refusal: DocumentRefusal::NoContent, .. } => {
                Some("keys that uDRM or another protocol made are rotated with keymoot key rotate")
            }
            Self::PolicyInUse(_) => Some("keymoot policy detach and keymoot policy default end its uses"),
            _ => None,
        }
    }
}

impl Operation {
    /// What a node's answer to [`Self::request`] means.
    ///
    /// # Errors
    /// [`OperationError`] says why it was not done.
    pub fn outcome(self, answer: AdminResponse) -> Result<OperationOutcome, OperationError> {
        let AdminResponse::Applied(response) = answer else { return Err(OperationError::Unexpected) };
        match (self, *response) {
            (Self::PutPolicy { policy, condition, .. }, response) => {
                stored(&policy.name, response, condition)
            }
            (Self::DeletePolicy { name, condition, .. }, response) => deleted(&name, response, condition),
            (_, Response::Done) => Ok(OperationOutcome::Done),
            (_, Response::ApprovalRefused(refusal)) => Err(OperationError::Approval(refusal)),
            (Self::AddAccount { account, if_absent: false }, Response::Unchanged) => {
                Err(OperationError::AccountExists { id: account.id })
            }
            (Self::ChangeAccount { id, .. }, Response::AccountRefused(AccountRefusal::NoAccount))
            | (Self::RemoveAccount { id }, Response::Unchanged) => Err(OperationError::NoAccount { id }),
            (Self::ChangeAccount { id, .. }, Response::AccountRefused(refusal)) => {
                Err(OperationError::Account { id, refusal })
            }
            (
                Self::DeclareAccounts { revision, .. } | Self::DeclareAccount { revision, .. },
                Response::AccountRefused(AccountRefusal::Revision { applied }),
            ) => Err(OperationError::Revision { revision, applied }),
            (Self::DeclareAccount { declared, .. }, Response::AccountRefused(refusal)) => {
                Err(OperationError::Account { id: declared.account.id, refusal })
            }
            (Self::AddToken(_) | Self::AddWitnessToken(_), _) => Err(OperationError::Unexpected),
            (_, Response::Unchanged) => Ok(OperationOutcome::Unchanged),
            (
                Self::AttachPolicy { name, .. } | Self::SetDefaultPolicy { name: Some(name), .. },
                Response::NoPolicy,
            ) => Err(OperationError::NoPolicy { name }),
            (Self::RotateDocuments { content, .. }, Response::DocumentRefused(refusal)) => {
                Err(OperationError::Documents { content, refusal: *refusal })
            }
            (Self::RevokeToken { .. }, Response::TokenRefused(refusal)) => Err(refusal.into()),
            (Self::RevokeCertificate { node, .. }, Response::NoNode) => Err(OperationError::NoNode { node }),
            (Self::RaiseFeatureLevel { .. }, Response::LevelUnknownTo { node, level }) => {
                Err(OperationError::LevelUnknown { node, level })
            }
            _ => Err(OperationError::Unexpected),
        }
    }
}

fn stored(
    name: &PolicyName,
    response: Response,
    condition: PolicyCondition,
) -> Result<OperationOutcome, OperationError> {
    match response {
        Response::Policy(record) => Ok(OperationOutcome::PolicyStored { version: record.version }),
        refusal => Err(OperationError::Policy(policy_refusal(name, &refusal, condition))),
    }
}

fn deleted(
    name: &PolicyName,
    response: Response,
    condition: PolicyCondition,
) -> Result<OperationOutcome, OperationError> {
    match response {
        Response::Done => Ok(OperationOutcome::Done),
        refusal @ Response::PolicyInUse { .. } => {
            Err(OperationError::PolicyInUse(policy_refusal(name, &refusal, condition)))
        }
        refusal => Err(OperationError::Policy(policy_refusal(name, &refusal, condition))),
    }
}
