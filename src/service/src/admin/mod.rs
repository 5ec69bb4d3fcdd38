//! What operators do: a variant for each use case, its rules, and what the answer means.
//!
//! Operators ask over the admin API, where each use case has a route and the roles that may ask (`use_case.rs`).
//! Whoever proves a master key asks a node over the port of the peers, by messages that nodes and tools of
//! before know: they carry a command of the state, which is made here.
//! What must hold of it is decided by the node that is asked (`cluster`: who may ask for which in
//! `write/command_rights.rs`, the rules in `ops/operator_rules.rs`); tools look at it only to tell sooner.

mod administration;
mod answer;
mod approval_call;
mod approvals;
mod audit_digest;
mod audit_query;
mod call;
mod examples;
mod guesses;
mod new_account;
mod new_change;
mod new_declaration;
mod outcome;
mod password;
mod query;
mod sign_in;
mod sign_in_call;
mod token;
mod use_case;
mod views;

use keymoot_cluster::AdminRequest;
use keymoot_model::{Account, AccountChange, AccountId, ContentId, NodeId, Policy, PolicyName};
use keymoot_state::{BackupSchedule, Command, GoodBackup, PolicyCondition};
use serde::{Deserialize, Serialize};

use crate::declaration::DeclaredAccount;
use crate::leases::{device_digest, device_place, user_place};

pub use administration::{
    Administration, AdministrationError, OperatorGrant, OperatorProof, Performed, RefusedOperator,
};
pub use answer::from_json;
pub use approval_call::ApprovalCall;
pub use audit_digest::AuditDigestCall;
pub use call::{Call, OperatorCall, ParameterError};
pub use examples::example;
pub use new_account::{NewAccount, NewCredential};
pub use new_change::{NewAccountChange, NewChange};
pub use new_declaration::{NewDeclaration, NewDeclaredAccount};
pub use outcome::{OperationError, OperationOutcome};
pub use password::{Password, PasswordLength};
pub use sign_in::{SignInAttempt, SignInError, SignedIn, session_digest};
pub use sign_in_call::SignInCall;
pub use token::{NewToken, TokenLife, TokenLifeError, TokenRecord};
pub use use_case::{Method, UseCase};
pub use views::TokenView;

/// A use case of an operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Operation {
    /// Adds an account. One of its name stays as it is, which is a mistake unless `if_absent`.
    // Over the admin API what holds secrets goes in the clear, and is wrapped at the node: see `Call`.
    #[serde(skip)]
    AddAccount {
        /// The account, its signing keys wrapped.
        account: Box<Account>,
        /// Whether it may be there.
        if_absent: bool,
    },
    /// Changes an account, or a credential of it.
    #[serde(skip)]
    ChangeAccount {
        id: AccountId,
        /// Secrets in it are wrapped.
        change: Box<AccountChange>,
    },
    /// Removes an account. Its keys, contents and policies stay, and serve again when an account of its name is added.
    RemoveAccount { id: AccountId },
    /// Begins to apply a declaration of accounts, or goes on with it. One older than the last is refused.
    DeclareAccounts {
        /// The revision that the file states.
        revision: u64,
        /// SHA-256 of the file.
        #[serde(with = "query::digest")]
        digest: [u8; 32],
    },
    /// Stores an account as the declaration that was begun has it.
    #[serde(skip)]
    DeclareAccount { revision: u64, declared: Box<DeclaredAccount> },
    /// Stores a policy under its name.
    PutPolicy {
        account: AccountId,
        policy: Box<Policy>,
        /// What must hold of the one that is there.
        condition: PolicyCondition,
    },
    /// Deletes a policy that nothing uses.
    DeletePolicy {
        account: AccountId,
        name: PolicyName,
        /// What must hold of it.
        condition: PolicyCondition,
    },
    /// Attaches a policy to a content, in place of the one that is unless that may stay.
    AttachPolicy {
        account: AccountId,
        content: ContentId,
        name: PolicyName,
        /// Whether one that is attached stays.
        if_absent: bool,
    },
    /// Leaves a content without a policy of its own.
    DetachPolicy { account: AccountId, content: ContentId },
    /// Makes a policy the one for contents that have none of their own, or leaves these without.
    SetDefaultPolicy {
        account: AccountId,
        /// The policy's name; none: there is no such policy any more.
        name: Option<PolicyName>,
    },
    /// Gives new documents of SPEKE and CPIX other keys for a content, under key ids that the server makes.
    RotateDocuments { account: AccountId, content: ContentId },
    /// Ends a rental, so that the next license begins a new one.
    EndRental {
        /// Whose viewer it is.
        account: AccountId,
        content: ContentId,
        viewer: Viewer,
    },
    /// Frees the slot of a user's device.
    FreeSlot {
        /// Whose viewer it is.
        account: AccountId,
        content: ContentId,
        user: String,
        udid: String,
    },
    /// Stores a token that lets one node in.
    AddToken(TokenRecord),
    /// Stores a token that lets one witness in.
    AddWitnessToken(TokenRecord),
    /// Makes a token that was not used yet worth nothing.
    RevokeToken {
        #[serde(with = "token::id")]
        id: [u8; 8],
    },
    /// Revokes every certificate of a node, for good.
    RevokeCertificate {
        node: NodeId,
        /// Even if the voters that stay up are no majority.
        #[serde(default)]
        force: bool,
    },
    /// Raises the cluster's feature level.
    RaiseFeatureLevel { to: u32 },
    /// Sets the backup schedule; without one, none is taken any more.
    ScheduleBackups(Option<BackupSchedule>),
    /// Tells the cluster of a good backup that the operator took.
    NoteBackup(GoodBackup),
}

/// Who rented something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Viewer {
    /// A user, on all devices.
    User(String),
    /// A device, of nobody in particular.
    Device(String),
}

impl Operation {
    /// What a node is asked for.
    pub fn request(&self) -> AdminRequest {
        if let Self::RevokeCertificate { node, force } = *self {
            return AdminRequest::RevokeCertificate { node, force };
        }
        AdminRequest::Propose(Box::new(self.clone().into_command()))
    }

    /// What the state is asked for.
    pub(crate) fn into_command(self) -> Command {
        match self {
            // An existing account is never overwritten unasked.
            Self::AddAccount { account, .. } => Command::PutAccount { account: *account, if_absent: true },
            Self::ChangeAccount { id, change } => Command::ChangeAccount { id, change },
            Self::RemoveAccount { id } => Command::DeleteAccount { id },
            Self::DeclareAccounts { revision, digest } => Command::DeclareAccounts { revision, digest },
            Self::DeclareAccount { revision, declared } => declared.into_command(revision),
            Self::PutPolicy { account, policy, condition } => {
                Command::PutPolicy { account, policy, condition }
            }
            Self::DeletePolicy { account, name, condition } => {
                Command::DeletePolicy { account, name, condition }
            }
            Self::AttachPolicy { account, content, name, if_absent } => {
                Command::AttachPolicy { account, content, policy: Some(name), if_absent }
            }
            Self::DetachPolicy { account, content } => {
                Command::AttachPolicy { account, content, policy: None, if_absent: false }
            }
            Self::SetDefaultPolicy { account, name } => Command::SetDefaultPolicy { account, policy: name },
            Self::RotateDocuments { account, content } => Command::RotateDocuments { account, content },
            Self::EndRental { account, content, viewer } => Command::EndRental {
                place: match viewer {
                    Viewer::User(user) => user_place(&account, &content, &user),
                    Viewer::Device(udid) => device_place(&account, &content, &udid),
                },
            },
            Self::FreeSlot { account, content, user, udid } => Command::ReleaseLease {
                place: user_place(&account, &content, &user),
                device: device_digest(&udid),
            },
            Self::AddToken(record) => Command::PutJoinToken(Box::new(record.into_stored())),
            Self::AddWitnessToken(record) => Command::PutWitnessToken(Box::new(record.into_stored())),
            Self::RevokeToken { id } => Command::RevokeJoinToken { id },
            Self::RevokeCertificate { node, .. } => Command::RevokeCertificate { id: node },
            Self::RaiseFeatureLevel { to } => Command::RaiseFeatureLevel { to },
            Self::ScheduleBackups(schedule) => Command::ScheduleBackups(schedule.map(Box::new)),
            Self::NoteBackup(good) => Command::NoteGoodBackup(Box::new(good)),
        }
    }
}
