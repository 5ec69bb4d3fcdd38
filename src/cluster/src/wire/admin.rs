//! The requests of an operator's tool to a node, and the responses.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use keymoot_model::{
    Account, AccountId, AccountStatus, ContentId, MasterKeyVerifier, NodeId, PolicyName, Wrapped,
};
use keymoot_state::{
    AppliedDeclaration, Backups, Command, ContentsPage, JoinTokenRecord, ListedPolicy, NodeKeyRecord,
    PolicyUsesPage, Response,
};

use crate::wire::audit::{
    AuditLogs, AuditPage, AuditReceivers, AuditSearch, EventsPage, EventsQuery, HeldLogs,
};
use crate::wire::authority::AuthorityProgress;
use crate::wire::membership_change::{ChangePlan, ChangeRequest};
use crate::wire::operators::{EnrolledCertificate, OperatorEnrolment};
use crate::wire::rewrap::{KeyringStatus, RewrapMark, Rewrapped};

/// A request of an operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AdminRequest {
    /// This node's view of itself and the cluster.
    Status,
    /// Initialize a cluster of these members: id → peer address.
    Initialize(BTreeMap<NodeId, String>),
    /// Replicate a command.
    Propose(Box<Command>),
    /// All accounts, linearizable.
    Accounts,
    /// All policies of an account, linearizable.
    Policies(AccountId),
    /// The node's master keys.
    Keyring {
        /// Also count the secrets under each key, linearizable.
        count: bool,
    },
    /// Rewrap the secrets of the next batch of the state under the active master key.
    Rewrap(Option<RewrapMark>),
    /// Plan or make a membership change, on whichever node leads.
    Change(ChangeRequest),
    /// All join tokens, linearizable.
    JoinTokens,
    /// The backup schedule and how it goes, linearizable.
    Backups,
    /// What the node knows to be amiss with itself. Only for a peer of
    /// [`PeerVersion::Third`](keymoot_crypto::PeerVersion::Third).
    Complaints,
    /// All accounts, or one, with their statuses, linearizable.
    AccountDetails(Option<AccountId>),
    /// When this node last granted a request by each credential.
    CredentialUses,
    /// A page of what an account has, linearizable.
    Contents(ContentsQuery),
    /// A page of the contents of a policy, linearizable.
    PolicyUses {
        account: AccountId,
        policy: PolicyName,
        /// The content behind which the page begins.
        after: Option<ContentId>,
        contents_max: u32,
    },
    /// The keys that nodes prove themselves with, linearizable.
    NodeKeys,
    /// Have the node make its next certificate now.
    RenewCertificate,
    /// How far the replacement of the authority is, linearizable; with `step`, take the next step.
    Authority { step: bool },
    /// What the node's configuration permits and should not. Only for a peer of
    /// [`PeerVersion::Fourth`](keymoot_crypto::PeerVersion::Fourth).
    Notices,
    /// Add an operator on the word of the keyring that this connection proved. Only for a cluster of
    /// feature level 4 or higher.
    EnrolOperator(Box<OperatorEnrolment>),
    /// Revoke every certificate of a node; with `force`, even if the voters that stay up are no majority.
    RevokeCertificate { node: NodeId, force: bool },
    /// Give the replacement of the authority up, before the next one signs.
    CancelAuthority,
    /// Whether this master key may be removed from the nodes' files, linearizable. Only for a cluster of
    /// feature level 4 or higher.
    KeyRemoval(String),
    /// All tokens for witnesses, linearizable.
    WitnessTokens,
    /// What tells a witness who holds a master key, linearizable.
    Verifiers,
    /// The nodes that this node knows to be witnesses.
    Witnesses,
    /// How many times each master key may have wrapped, linearizable. Only for a cluster of feature level 4 or
    /// higher.
    Wraps,
    /// The node's own audit log, as it is now, and those that ended there.
    AuditLog,
    /// Every audit log that the cluster knows, with what has become of it.
    AuditLogs,
    /// Search the audit logs of all nodes, or of this one.
    AuditSearch(Box<AuditSearch>),
    /// Events of an audit log that the node has as they are on disk.
    AuditEvents(EventsQuery),
    /// How far the receivers of the audit are, of all nodes or of this one.
    AuditReceivers { everywhere: bool },
}

impl AdminRequest {
    /// What the audit calls it: as the admin API calls the same, where it has it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Status => "Status",
            Self::Initialize(_) => "Initialize",
            Self::Propose(_) => "Propose",
            Self::Accounts => "Accounts",
            Self::Policies(_) => "Policies",
            Self::Keyring { .. } => "Keyring",
            Self::Rewrap(_) => "Rewrap",
            Self::Change(_) => "Change",
            Self::JoinTokens => "JoinTokens",
            Self::Backups => "Backups",
            Self::Complaints => "Complaints",
            Self::AccountDetails(_) => "AccountDetails",
            Self::CredentialUses => "CredentialUses",
            Self::Contents(_) => "Contents",
            Self::PolicyUses { .. } => "PolicyUses",
            Self::NodeKeys => "NodeKeys",
            Self::RenewCertificate => "RenewCertificate",
            Self::Authority { step: false } => "Authority",
            Self::Authority { step: true } => "StepAuthority",
            Self::Notices => "Notices",
            Self::EnrolOperator(_) => "AddOperator",
            Self::RevokeCertificate { .. } => "RevokeCertificate",
            Self::CancelAuthority => "CancelAuthority",
            Self::KeyRemoval(_) => "KeyRemoval",
            Self::WitnessTokens => "WitnessTokens",
            Self::Verifiers => "Verifiers",
            Self::Witnesses => "Witnesses",
            Self::Wraps => "Wraps",
            Self::AuditLog => "AuditLog",
            Self::AuditLogs => "AuditLogs",
            Self::AuditSearch(_) => "AuditSearch",
            Self::AuditEvents(_) => "AuditEvents",
            Self::AuditReceivers { .. } => "AuditReceivers",
        }
    }

    /// What it is about, without secrets.
    pub(crate) fn object(&self) -> Option<String> {
        Some(match self {
            Self::Initialize(members) => format!("members={members:?}"),
            Self::Propose(command) => command.to_string(),
            Self::Policies(account) => format!("account={account}"),
            Self::Change(asked) => {
                format!("change={:?} forced={} dry_run={}", asked.change, asked.force, asked.dry_run)
            }
            Self::AccountDetails(Some(account)) => format!("account={account}"),
            Self::Contents(asked) => format!("account={}", asked.account),
            Self::PolicyUses { account, policy, .. } => format!("account={account} policy={policy}"),
            Self::EnrolOperator(enrolment) => {
                format!("operator={} roles={:?}", enrolment.name, enrolment.roles)
            }
            Self::RevokeCertificate { node, force } => format!("node={node} forced={force}"),
            Self::KeyRemoval(id) => format!("master_key={id}"),
            Self::AuditSearch(search) => search.object(),
            Self::AuditEvents(asked) => format!("log={}", asked.name),
            _ => return None,
        })
    }

    /// Whether it may change something.
    pub(crate) const fn changes(&self) -> bool {
        match self {
            Self::Initialize(_)
            | Self::Propose(_)
            | Self::Rewrap(_)
            | Self::RenewCertificate
            | Self::Authority { step: true }
            | Self::EnrolOperator(_)
            | Self::RevokeCertificate { .. }
            | Self::CancelAuthority => true,
            Self::Change(asked) => !asked.dry_run,
            Self::Status
            | Self::Accounts
            | Self::Policies(_)
            | Self::Keyring { .. }
            | Self::JoinTokens
            | Self::Backups
            | Self::Complaints
            | Self::AccountDetails(_)
            | Self::CredentialUses
            | Self::Contents(_)
            | Self::PolicyUses { .. }
            | Self::NodeKeys
            | Self::Authority { step: false }
            | Self::Notices
            | Self::KeyRemoval(_)
            | Self::WitnessTokens
            | Self::Verifiers
            | Self::Witnesses
            | Self::Wraps
            | Self::AuditLog
            | Self::AuditLogs
            | Self::AuditSearch(_)
            | Self::AuditEvents(_)
            | Self::AuditReceivers { .. } => false,
        }
    }

    /// Whether monitors and other nodes ask it again and again: how the node is, and nothing of what the cluster has.
    pub(crate) const fn is_polled(&self) -> bool {
        matches!(
            self,
            Self::Status
                | Self::Complaints
                | Self::Notices
                | Self::Keyring { count: false }
                | Self::Backups
                | Self::Verifiers
                | Self::Witnesses
                | Self::Wraps
                | Self::AuditLog
                | Self::AuditLogs
                | Self::AuditReceivers { .. }
        )
    }

    /// Whether it goes on page by page, so that the first of them tells of all.
    pub(crate) const fn is_read_in_pages(&self) -> bool {
        matches!(self, Self::AuditSearch(_) | Self::AuditEvents(_))
    }

    /// Whether a proof of the keyring is enough in a cluster that has operators: it changes nothing, or is what
    /// a machine's own administrator does (nodes come and go, backups are taken), or makes an operator.
    pub(crate) fn is_open_to_keyring(&self) -> bool {
        match self {
            Self::Propose(command) => matches!(
                **command,
                Command::PutJoinToken(_) | Command::RevokeJoinToken { .. } | Command::NoteGoodBackup(_)
            ),
            Self::Rewrap(_)
            | Self::Authority { step: true }
            | Self::RevokeCertificate { .. }
            | Self::CancelAuthority => false,
            Self::Status
            | Self::Initialize(_)
            | Self::Accounts
            | Self::Policies(_)
            | Self::Keyring { .. }
            | Self::Change(_)
            | Self::JoinTokens
            | Self::Backups
            | Self::Complaints
            | Self::AccountDetails(_)
            | Self::CredentialUses
            | Self::Contents(_)
            | Self::PolicyUses { .. }
            | Self::NodeKeys
            | Self::RenewCertificate
            | Self::Authority { step: false }
            | Self::Notices
            | Self::EnrolOperator(_)
            | Self::KeyRemoval(_)
            | Self::WitnessTokens
            | Self::Verifiers
            | Self::Witnesses
            | Self::Wraps
            | Self::AuditLog
            | Self::AuditLogs
            | Self::AuditSearch(_)
            | Self::AuditEvents(_)
            | Self::AuditReceivers { .. } => true,
        }
    }
}

/// Which page of what an account has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentsQuery {
    pub account: AccountId,
    /// Only this content.
    pub content: Option<ContentId>,
    /// The mark that the page before ended with.
    pub after: Option<Vec<u8>>,
    pub versions_max: u32,
}

/// The accounts of a cluster as operators see them. Secrets are wrapped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDetails {
    /// Sorted by name.
    pub accounts: Vec<(Account, AccountStatus)>,
    /// The declaration that was applied last.
    pub declaration: Option<AppliedDeclaration>,
}

/// When a node last granted requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialUses {
    /// When the node began to count: milliseconds since 1970 UTC.
    pub since_ms: u64,
    /// Account, name of the credential, and the last grant in milliseconds since 1970 UTC.
    pub uses: Vec<(AccountId, String, u64)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AdminResponse {
    Status(Box<ClusterStatus>),
    /// To Initialize: `true` when the cluster was initialized now, `false` when it was before.
    Initialized(bool),
    Applied(Box<Response>),
    Accounts(Vec<Account>),
    /// The request was refused or failed; the text says why and what to do.
    Refused(String),
    Policies(Vec<ListedPolicy>),
    Keyring(Box<KeyringStatus>),
    Rewrapped(Box<Rewrapped>),
    Planned(Box<ChangePlan>),
    JoinTokens(Vec<JoinTokenRecord>),
    Backups(Box<Backups>),
    /// Each as `problem; remedy`.
    Complaints(Vec<String>),
    AccountDetails(Box<AccountDetails>),
    CredentialUses(Box<CredentialUses>),
    Contents(Box<ContentsPage>),
    PolicyUses(Box<PolicyUsesPage>),
    NodeKeys(Vec<NodeKeyRecord>),
    CertificateRenewed,
    Authority(AuthorityProgress),
    /// Each as `problem; remedy`.
    Notices(Vec<String>),
    OperatorEnrolled(Box<EnrolledCertificate>),
    KeyRemovalPermitted,
    WitnessTokens(Vec<JoinTokenRecord>),
    Verifiers(Vec<MasterKeyVerifier>),
    Witnesses(BTreeSet<NodeId>),
    Wraps(BTreeMap<String, u64>),
    AuditLog(Box<HeldLogs>),
    AuditLogs(Box<AuditLogs>),
    AuditFound(Box<AuditPage>),
    AuditEvents(Box<EventsPage>),
    AuditReceivers(Box<AuditReceivers>),
}

/// A node's view of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    pub cluster: String,
    /// The node that was asked.
    pub node: NodeStatus,
    /// The members known to this node.
    pub members: Vec<PeerStatus>,
    /// The cluster's feature level; 0 before the cluster is initialized.
    pub feature_level: u32,
    /// This node's clock, in milliseconds since 1970.
    pub clock_ms: u64,
    /// A value that the cluster's keyring must unwrap, once the cluster is initialized.
    pub keyring_check: Option<Wrapped>,
}

/// A node's view of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    pub id: NodeId,
    /// `leader`, `follower`, `witness`, `candidate`, `learner` or `shutdown`.
    pub role: String,
    pub term: u64,
    /// The leader, if the node knows one.
    pub leader: Option<NodeId>,
    /// The index of the last entry in its log.
    pub last_log_index: u64,
    /// The index of the last applied entry.
    pub applied_index: u64,
    /// The index of its last snapshot, up to which its log may be purged.
    pub snapshot_index: u64,
    /// The index of the last purged entry.
    pub purged_index: u64,
    /// The digest of its state at `applied_index`.
    pub digest: String,
    pub version: String,
    /// The fence of its data directory: 0, or a number since the cluster was recovered or restored.
    pub fence: u64,
    /// The peers that it refuses, and why.
    pub refusals: BTreeMap<NodeId, String>,
    /// The highest feature level that the program knows.
    pub feature_level: u32,
    /// Its zone; empty when none is configured.
    pub zone: String,
    /// The disk of its data directory; `None` when it cannot be measured.
    pub disk: Option<DiskStatus>,
    /// The end of its certificate's validity: seconds since 1970 UTC.
    pub certificate_expires_at_s: Option<i64>,
}

/// The disk that a node's data is on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStatus {
    pub total_bytes: u64,
    /// The free space that the node may use.
    pub free_bytes: u64,
    /// The size of the node's data.
    pub data_bytes: u64,
    /// Whether the node is read-only, because there is too little free space.
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    pub id: NodeId,
    /// The address on which peers reach it.
    pub peer_address: String,
    pub voter: bool,
    /// On the leader: the last index that it has acknowledged.
    pub matched_index: Option<u64>,
    /// On the leader: the time since it was last heard of, in milliseconds.
    pub last_contact_ms: Option<u64>,
    /// Its zone; empty when none is configured.
    pub zone: String,
    /// The version of its program in its last report.
    pub version: String,
}
