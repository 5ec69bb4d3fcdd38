//! Every use case of the admin API: its route, and the roles that may ask for it. Nowhere else is it said.
//!
//! A new [`Operation`] does not compile before it names its use case here, nor a use case without route and
//! roles.

use keymoot_cluster::AdminRequest;
use keymoot_model::Role;

use super::Operation;

/// How a use case is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// It changes nothing; what it needs stands in the query.
    Get,
    /// What it needs stands in the body.
    Post,
}

macro_rules! use_cases {
    ($($name:ident: $method:ident $path:literal [$($role:ident)*] $summary:literal;)*) => {
        /// A use case of the admin API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum UseCase {
            $(#[doc = $summary] $name,)*
        }

        impl UseCase {
            /// Every use case.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name: that of the operation or request that it asks for.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            pub const fn method(self) -> Method {
                match self {
                    $(Self::$name => Method::$method,)*
                }
            }

            /// The path at the admin listener.
            pub const fn path(self) -> &'static str {
                match self {
                    $(Self::$name => $path,)*
                }
            }

            /// The roles that may ask for it: any of them is enough.
            pub const fn roles(self) -> &'static [Role] {
                match self {
                    $(Self::$name => &[$(Role::$role),*],)*
                }
            }

            /// What it does, in a sentence.
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Self::$name => $summary,)*
                }
            }
        }
    };
}

use_cases! {
    Status: Get "/v1/status" [Viewer Operator KeyAdmin Security Auditor]
        "Shows this node's view of itself and the cluster.";
    Complaints: Get "/v1/complaints" [Viewer Operator KeyAdmin Security Auditor]
        "Lists what this node knows to be amiss, each as problem and remedy.";
    Notices: Get "/v1/notices" [Viewer Operator KeyAdmin Security Auditor]
        "Lists what a node's configuration permits and should not, each as problem and remedy.";
    Accounts: Get "/v1/accounts" [Viewer Operator KeyAdmin Security Auditor]
        "Lists the accounts, without their secrets.";
    AccountDetails: Get "/v1/accounts/details" [Viewer Operator KeyAdmin Security Auditor]
        "Shows all accounts or one, with their statuses and without their secrets.";
    CredentialUses: Get "/v1/credentials/uses" [Viewer Operator KeyAdmin Security Auditor]
        "Says when a node last granted a request by each credential.";
    Contents: Get "/v1/contents" [Viewer Operator KeyAdmin Security Auditor]
        "Lists a page of what an account has: contents, tracks, versions and key ids, never a key.";
    Policies: Get "/v1/policies" [Viewer Operator KeyAdmin Security Auditor]
        "Lists the policies of an account.";
    PolicyUses: Get "/v1/policies/uses" [Viewer Operator KeyAdmin Security Auditor]
        "Lists a page of the contents that a policy is attached to.";
    Backups: Get "/v1/backups" [Viewer Operator KeyAdmin Security Auditor]
        "Shows the backup schedule and how it goes.";
    JoinTokens: Get "/v1/join-tokens" [Operator Security Auditor]
        "Lists the join tokens, without their secrets.";
    WitnessTokens: Get "/v1/join-tokens/witness" [Operator Security Auditor]
        "Lists the tokens for witnesses, without their secrets.";
    Witnesses: Get "/v1/witnesses" [Viewer Operator KeyAdmin Security Auditor]
        "Lists the nodes that this node knows to be witnesses, which hold no master key.";
    Verifiers: Get "/v1/keyring/verifiers" [Operator Security Auditor]
        "Lists the public keys that tell a witness who holds a master key.";
    Keyring: Get "/v1/keyring" [Operator Security Auditor]
        "Names this node's master keys, and counts the secrets under each if asked to.";
    NodeKeys: Get "/v1/certificates" [Security Auditor]
        "Lists the keys that nodes prove themselves with.";
    Authority: Get "/v1/authority" [Security Auditor]
        "Says how far the replacement of the cluster's certificate authority is.";
    AuditLogs: Get "/v1/audit/logs" [Security Auditor]
        "Lists the audit logs of all nodes with their checkpoints, and who has cosigned them.";
    AuditSearch: Get "/v1/audit/search" [Security Auditor]
        "Searches the audit logs of all nodes, in the order of time, and names what could not be searched.";
    AuditEvents: Get "/v1/audit/events" [Security Auditor]
        "Shows events of a node's audit log as they are on its disk, to be verified elsewhere.";
    AuditReceivers: Get "/v1/audit/receivers" [Viewer Operator KeyAdmin Security Auditor]
        "Shows how far the receivers of the audit are, at all nodes: what waits for them, and why they get nothing.";
    AuditDigest: Get "/v1/audit/digest" [Security Auditor]
        "By which digest the audit names a viewer or a device of an account.";
    Operators: Get "/v1/operators" [Security Auditor]
        "Lists the operators with their roles and credentials.";
    OwnOperator: Get "/v1/operators/self" [Viewer Operator KeyAdmin Security Auditor]
        "Shows the operator who asks.";
    Sessions: Get "/v1/operators/sessions" [Security Auditor]
        "Lists the sessions of an operator, or of all.";
    Approvals: Get "/v1/approvals" [KeyAdmin Security Auditor]
        "Lists the approvals that were asked for, and what became of them.";
    TwoPersonRule: Get "/v1/approvals/rule" [Viewer Operator KeyAdmin Security Auditor]
        "Says what takes two persons.";
    AddAccount: Post "/v1/accounts/add" [KeyAdmin]
        "Adds an account with its credentials.";
    ChangeAccount: Post "/v1/accounts/change" [KeyAdmin]
        "Changes an account, or a credential of it.";
    RemoveAccount: Post "/v1/accounts/remove" [KeyAdmin]
        "Removes an account; its keys, contents and policies stay.";
    DeclareAccounts: Post "/v1/declarations/begin" [KeyAdmin]
        "Begins to apply a declaration of accounts, or goes on with it.";
    CompareAccount: Post "/v1/declarations/compare" [KeyAdmin]
        "Says how an account differs from what a declaration has, and changes nothing.";
    DeclareAccount: Post "/v1/declarations/account" [KeyAdmin]
        "Stores an account as the declaration that was begun has it.";
    PutPolicy: Post "/v1/policies/put" [KeyAdmin]
        "Stores a policy under its name.";
    DeletePolicy: Post "/v1/policies/delete" [KeyAdmin]
        "Deletes a policy that nothing uses.";
    AttachPolicy: Post "/v1/policies/attach" [KeyAdmin]
        "Attaches a policy to a content.";
    DetachPolicy: Post "/v1/policies/detach" [KeyAdmin]
        "Leaves a content without a policy of its own.";
    SetDefaultPolicy: Post "/v1/policies/default" [KeyAdmin]
        "Makes a policy the one for contents that have none of their own.";
    RotateDocuments: Post "/v1/documents/rotate" [KeyAdmin]
        "Gives new SPEKE and CPIX documents of a content other keys, under key ids that the server makes.";
    EndRental: Post "/v1/rentals/end" [KeyAdmin]
        "Ends a rental, so that the next license begins a new one.";
    FreeSlot: Post "/v1/slots/free" [KeyAdmin]
        "Frees the slot of a user's device.";
    AddToken: Post "/v1/join-tokens/add" [Operator Security]
        "Stores the digest of a token that lets one node in.";
    AddWitnessToken: Post "/v1/join-tokens/witness/add" [Security]
        "Stores the digest of a token that lets one witness in, which needs no keyring.";
    RevokeToken: Post "/v1/join-tokens/revoke" [Operator Security]
        "Makes a token that was not used yet worth nothing.";
    Change: Post "/v1/members/change" [Operator]
        "Plans or makes a change of the members or the leadership.";
    RaiseFeatureLevel: Post "/v1/feature-level/raise" [Operator]
        "Raises the cluster's feature level.";
    ScheduleBackups: Post "/v1/backups/schedule" [Operator]
        "Sets the backup schedule, or ends it.";
    NoteBackup: Post "/v1/backups/note" [Operator]
        "Tells the cluster of a good backup that the operator took.";
    Rewrap: Post "/v1/keyring/rewrap" [Security]
        "Rewraps the next batch of secrets under the active master key.";
    RenewCertificate: Post "/v1/certificates/renew" [Security]
        "Has a node make its next certificate now.";
    RevokeCertificate: Post "/v1/certificates/revoke" [Security]
        "Revokes every certificate of a node, for good.";
    StepAuthority: Post "/v1/authority/step" [Security]
        "Begins to replace the cluster's certificate authority, or takes the next step if every member is that far.";
    CancelAuthority: Post "/v1/authority/cancel" [Security]
        "Gives the replacement of the cluster's certificate authority up, before the next one signs.";
    AddOperator: Post "/v1/operators/add" [Security]
        "Adds an operator, and signs a certificate for the key of the request.";
    SetRoles: Post "/v1/operators/roles" [Security]
        "Gives an operator these roles in place of all others.";
    AddOperatorCertificate: Post "/v1/operators/certificates/add" [Security]
        "Signs another certificate of an operator.";
    RenewOwnCertificate: Post "/v1/operators/self/renew" [Viewer Operator KeyAdmin Security Auditor]
        "Signs the next certificate of the operator who asks.";
    RevokeOperatorCertificate: Post "/v1/operators/certificates/revoke" [Security]
        "Revokes one certificate of an operator.";
    RevokeOperator: Post "/v1/operators/revoke" [Security]
        "Revokes an operator with every credential.";
    AcknowledgeOperator: Post "/v1/operators/acknowledge" [Security]
        "Notes that an operator whom a keyring vouched for is meant to be there.";
    SetOwnPassword: Post "/v1/operators/self/password" [Viewer Operator KeyAdmin Security Auditor]
        "Sets the password of the operator who asks, and makes the secret of the one-time codes.";
    SetPassword: Post "/v1/operators/password" [Security]
        "Sets the first password of an operator, who must change it.";
    EndSession: Post "/v1/operators/sessions/end" [Security]
        "Ends a session of an operator, or all.";
    EndOwnSession: Post "/v1/session/end" [Viewer Operator KeyAdmin Security Auditor]
        "Ends the session that asks.";
    SetTwoPersonRule: Post "/v1/approvals/rule/set" [Security]
        "Says what takes two persons from now on.";
    Approve: Post "/v1/approvals/approve" [KeyAdmin Security]
        "Approves what another operator asked for.";
    Withdraw: Post "/v1/approvals/withdraw" [KeyAdmin Security]
        "Takes an approval back that was asked for or given, or refuses it.";
    OpenExport: Post "/v1/accounts/open-export" [Security]
        "Lets the keys of an account be exported for a while, where that takes two persons.";
    PermitKeyRemoval: Post "/v1/keyring/permit-removal" [Security]
        "Lets a master key be removed from the nodes' files for a while, where that takes two persons.";
}

impl UseCase {
    /// Whether a session may ask for it before its operator has set a password that nobody else knows.
    pub const fn is_open_to_first_password(self) -> bool {
        matches!(self, Self::OwnOperator | Self::SetOwnPassword | Self::EndOwnSession)
    }

    /// The use case that an operation is.
    pub const fn of(operation: &Operation) -> Self {
        match operation {
            Operation::AddAccount { .. } => Self::AddAccount,
            Operation::ChangeAccount { .. } => Self::ChangeAccount,
            Operation::RemoveAccount { .. } => Self::RemoveAccount,
            Operation::DeclareAccounts { .. } => Self::DeclareAccounts,
            Operation::DeclareAccount { .. } => Self::DeclareAccount,
            Operation::PutPolicy { .. } => Self::PutPolicy,
            Operation::DeletePolicy { .. } => Self::DeletePolicy,
            Operation::AttachPolicy { .. } => Self::AttachPolicy,
            Operation::DetachPolicy { .. } => Self::DetachPolicy,
            Operation::SetDefaultPolicy { .. } => Self::SetDefaultPolicy,
            Operation::RotateDocuments { .. } => Self::RotateDocuments,
            Operation::EndRental { .. } => Self::EndRental,
            Operation::FreeSlot { .. } => Self::FreeSlot,
            Operation::AddToken(_) => Self::AddToken,
            Operation::AddWitnessToken(_) => Self::AddWitnessToken,
            Operation::RevokeToken { .. } => Self::RevokeToken,
            Operation::RevokeCertificate { .. } => Self::RevokeCertificate,
            Operation::RaiseFeatureLevel { .. } => Self::RaiseFeatureLevel,
            Operation::ScheduleBackups(_) => Self::ScheduleBackups,
            Operation::NoteBackup(_) => Self::NoteBackup,
        }
    }

    /// The use case that a request is; none: it is for the peer port, or carries an operation.
    pub const fn of_request(request: &AdminRequest) -> Option<Self> {
        Some(match request {
            AdminRequest::Status => Self::Status,
            AdminRequest::Complaints => Self::Complaints,
            AdminRequest::Accounts => Self::Accounts,
            AdminRequest::Policies(_) => Self::Policies,
            AdminRequest::Backups => Self::Backups,
            AdminRequest::JoinTokens => Self::JoinTokens,
            AdminRequest::Keyring { .. } => Self::Keyring,
            AdminRequest::Change(_) => Self::Change,
            AdminRequest::Rewrap(_) => Self::Rewrap,
            AdminRequest::AccountDetails(_) => Self::AccountDetails,
            AdminRequest::CredentialUses => Self::CredentialUses,
            AdminRequest::Contents(_) => Self::Contents,
            AdminRequest::PolicyUses { .. } => Self::PolicyUses,
            AdminRequest::NodeKeys => Self::NodeKeys,
            AdminRequest::RenewCertificate => Self::RenewCertificate,
            AdminRequest::Authority { step: false } => Self::Authority,
            AdminRequest::Authority { step: true } => Self::StepAuthority,
            AdminRequest::CancelAuthority => Self::CancelAuthority,
            AdminRequest::Notices => Self::Notices,
            AdminRequest::WitnessTokens => Self::WitnessTokens,
            AdminRequest::Verifiers => Self::Verifiers,
            AdminRequest::Witnesses => Self::Witnesses,
            AdminRequest::AuditLogs => Self::AuditLogs,
            AdminRequest::AuditSearch(_) => Self::AuditSearch,
            AdminRequest::AuditEvents(_) => Self::AuditEvents,
            AdminRequest::AuditReceivers { .. } => Self::AuditReceivers,
            AdminRequest::Initialize(_)
            | AdminRequest::Propose(_)
            | AdminRequest::RevokeCertificate { .. }
            | AdminRequest::EnrolOperator(_)
            | AdminRequest::KeyRemoval(_)
            | AdminRequest::Wraps
            | AdminRequest::AuditLog => return None,
        })
    }

    /// The use case of a method and a path.
    pub fn find(method: Method, path: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|case| case.path() == path && case.method() == method)
    }

    /// Whether it is answered without a quorum, too, by the operators that this node knows.
    pub const fn is_local(self) -> bool {
        self.is_of_node() || self.is_of_audit()
    }

    /// Whether it reads the audit.
    pub const fn is_of_audit(self) -> bool {
        matches!(self, Self::AuditLogs | Self::AuditSearch | Self::AuditEvents | Self::AuditReceivers)
    }

    /// Whether it says how this node is, which operators must learn where the audit cannot be written, too.
    pub const fn is_of_node(self) -> bool {
        matches!(self, Self::Status | Self::Complaints | Self::Notices | Self::Witnesses)
    }

    /// Whether one of these roles may ask for it.
    pub fn is_open_to(self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.roles().contains(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_leads_to_one_use_case() {
        for case in UseCase::ALL.iter().copied() {
            assert_eq!(UseCase::find(case.method(), case.path()), Some(case));
            assert!(!case.roles().is_empty(), "{case:?} is open to nobody");
        }
    }

    #[test]
    fn whoever_looks_or_audits_changes_nothing_but_their_own_credentials() {
        for case in UseCase::ALL.iter().filter(|case| case.method() == Method::Post) {
            let open = case.is_open_to(&[Role::Viewer]) || case.is_open_to(&[Role::Auditor]);
            let own = [UseCase::RenewOwnCertificate, UseCase::SetOwnPassword, UseCase::EndOwnSession];
            assert_eq!(open, own.contains(case), "{case:?}");
        }
    }
}
