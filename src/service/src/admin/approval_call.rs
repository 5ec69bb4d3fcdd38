//! What is asked about acts that take two persons, and which act a request is.

use serde::{Deserialize, Serialize};

use keymoot_cluster::AdminRequest;
use keymoot_model::{AccountId, OperatorName};
use keymoot_state::{Act, ActKind, TwoPersonRule, sorted_roles};

use super::{Call, Operation, OperatorCall, SignInCall, UseCase};

/// What is asked about acts that take two persons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ApprovalCall {
    Approvals {},
    TwoPersonRule {},
    SetTwoPersonRule {
        /// What takes two persons from now on, in place of what did.
        acts: Vec<ActKind>,
        /// For how long an approval can be given and used after it was asked for.
        #[serde(default = "a_day")]
        within_s: u64,
    },
    Approve {
        id: u64,
    },
    Withdraw {
        id: u64,
    },
    OpenExport {
        account: AccountId,
        /// For how long.
        for_s: u32,
    },
    PermitKeyRemoval {
        /// The master key.
        id: String,
    },
}

const fn a_day() -> u64 {
    TwoPersonRule::WITHIN_S
}

impl ApprovalCall {
    /// For how long an account's export may be opened: a day.
    pub const EXPORT_S_MAX: u32 = 24 * 3600;

    pub(super) const fn use_case(&self) -> UseCase {
        match self {
            Self::Approvals {} => UseCase::Approvals,
            Self::TwoPersonRule {} => UseCase::TwoPersonRule,
            Self::SetTwoPersonRule { .. } => UseCase::SetTwoPersonRule,
            Self::Approve { .. } => UseCase::Approve,
            Self::Withdraw { .. } => UseCase::Withdraw,
            Self::OpenExport { .. } => UseCase::OpenExport,
            Self::PermitKeyRemoval { .. } => UseCase::PermitKeyRemoval,
        }
    }

    pub(super) fn object(&self) -> String {
        match self {
            Self::Approvals {} | Self::TwoPersonRule {} => "approvals".to_owned(),
            Self::SetTwoPersonRule { acts, within_s } => {
                let acts: Vec<&str> = acts.iter().map(|act| act.name()).collect();
                format!("two persons for [{}] within {within_s} s", acts.join(","))
            }
            Self::Approve { id } | Self::Withdraw { id } => format!("approval {id}"),
            Self::OpenExport { account, for_s } => format!("{account} for {for_s} s"),
            Self::PermitKeyRemoval { id } => format!("master key {id}"),
        }
    }
}

impl Call {
    /// What two persons must agree on for this operator to have it done, where the cluster says so.
    pub(super) fn act(&self, own: &OperatorName) -> Option<Act> {
        Some(match self {
            Self::Operation(Operation::RemoveAccount { id }) => Act::RemoveAccount { id: id.clone() },
            Self::Request(AdminRequest::Authority { step: true }) => Act::ReplaceAuthority,
            Self::Operator(OperatorCall::AddOperator { name, roles, .. }) => {
                Act::AddOperator { name: name.clone(), roles: sorted_roles(roles) }
            }
            Self::Operator(OperatorCall::SetRoles { name, roles }) => {
                Act::SetRoles { name: name.clone(), roles: sorted_roles(roles) }
            }
            Self::Operator(OperatorCall::AddOperatorCertificate { name, .. }) if name != own => {
                Act::AddCertificate { name: name.clone() }
            }
            Self::Operator(OperatorCall::AcknowledgeOperator { name }) => {
                Act::Acknowledge { name: name.clone() }
            }
            Self::SignIn(SignInCall::SetPassword { name, .. }) => Act::SetPassword { name: name.clone() },
            Self::Approval(ApprovalCall::SetTwoPersonRule { acts, within_s }) => {
                Act::SetRule(TwoPersonRule { acts: acts.clone(), within_s: *within_s }.sorted())
            }
            Self::Approval(ApprovalCall::OpenExport { account, for_s }) => {
                Act::OpenExport { account: account.clone(), for_s: *for_s }
            }
            Self::Approval(ApprovalCall::PermitKeyRemoval { id }) => Act::RemoveMasterKey { id: id.clone() },
            _ => return None,
        })
    }
}
