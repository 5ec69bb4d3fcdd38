//! The commands of the replicated state. Variants are append-only.

use std::fmt;

use serde::{Deserialize, Serialize};

use keymoot_model::{
    Account, AccountChange, AccountId, Auxiliary, ContentId, DocumentSettings, KeyOrigin, KeyPath, KeyRecord,
    Kid, MasterKeyId, MasterKeyVerifier, NodeId, Period, Policy, PolicyName, Sha1Use, ViewerPlace, Wrapped,
};

use super::approvals::ApprovalChange;
use super::audit_logs::AuditLogChange;
use super::authorities::NodeTrust;
use super::backups::{BackupProgress, BackupSchedule, GoodBackup};
use super::documents::NewDocument;
use super::operators::OperatorChange;
use super::record::{AuthorityRecord, ClusterIdentity, EnrolledDirectory, JoinTokenRecord};
use super::rewrap::SecretPlace;
use super::sign_in::SignInChange;

/// A key that was made before it is proposed. Its wrapping binds it to place, version and KID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    pub place: KeyPath,
    /// The version it was wrapped for: the track's next one, as the proposer knew it.
    pub version: u32,
    pub kid: Kid,
    /// The key, wrapped.
    pub key: Wrapped,
    pub origin: KeyOrigin,
}

impl NewKey {
    /// The record of the key, proposed at `created_at_ms`, for `period` or for the whole track.
    pub fn record(&self, created_at_ms: u64, period: Option<Period>) -> KeyRecord {
        KeyRecord {
            place: self.place.clone(),
            version: self.version,
            kid: self.kid,
            key: self.key.clone(),
            origin: self.origin,
            created_at_ms,
            period,
        }
    }
}

/// The seed of a rotating track, made and wrapped before it is proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSeed {
    pub place: KeyPath,
    /// The version it was wrapped for: the track's next one, as the proposer knew it.
    pub version: u32,
    /// The length of its periods; 0 when the scrambler does not state it.
    pub length_s: u32,
    /// The seed, wrapped.
    pub seed: Wrapped,
}

/// The facts that a node reports about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// The data centre or rack; empty when not configured.
    pub zone: String,
    /// The version of its program.
    pub version: String,
    /// The highest feature level that its program knows.
    pub feature_level: u32,
}

/// A node that asks to join, and the token it presents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    pub token: [u8; 8],
    /// Digest of the token's secret.
    pub secret_digest: [u8; 32],
    /// Digest of the node's public key: the same node may ask again.
    pub key_digest: [u8; 32],
    /// The id that it must get, if its certificate names one.
    pub id: Option<NodeId>,
    /// The highest id among the members, some of whom may not have described themselves yet.
    pub highest_id: NodeId,
    pub facts: NodeFacts,
}

/// One change of the state.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Stores the key if its track has none; otherwise answers with the existing key.
    CreateKey(NewKey),
    /// Stores the key as the track's new version, whether or not the track has a key.
    ReplaceKey(NewKey),
    /// Deletes versions of a track: those up to `through`, or only the one of `kid`.
    DeleteKey {
        place: KeyPath,
        /// The last version to delete: a late retry of a delete cannot delete a newer key.
        through: u32,
        /// Delete only the version with this key id.
        kid: Option<Kid>,
    },
    /// Stores an account; with `if_absent`, only if there is none of its name.
    PutAccount {
        account: Account,
        /// Leave an existing account unchanged.
        if_absent: bool,
    },
    /// Deletes an account with its status. Its keys, contents and policies stay.
    DeleteAccount { id: AccountId },
    /// Sets the identity of the cluster, once.
    Found(ClusterIdentity),
    /// Spends a nonce of a signed request, so that no node accepts it again.
    SpendNonce {
        /// Digest of the nonce and its owner.
        digest: [u8; 16],
        /// Time of creation that the request states: seconds since 1970 UTC.
        created_s: u64,
    },
    /// Stores the secret that servers prove themselves with, once.
    PutServerSecret {
        /// The secret, wrapped.
        secret: Wrapped,
    },
    /// Stores the seed if its track has none for periods of that length; otherwise answers with the existing
    /// seed.
    CreateSeed(NewSeed),
    /// Stores the seed as the current one for periods of its length.
    ReplaceSeed(NewSeed),
    /// Stores a key for one period of a track, in place of the derived one.
    SupplyPeriodKey { key: NewKey, period: Period },
    /// Stores the key that encrypts places into key ids, once.
    FoundKidKey {
        /// The key, wrapped.
        key: Wrapped,
    },
    /// Stores, changes or deletes a content's auxiliary data.
    PutAuxiliary {
        account: AccountId,
        content: ContentId,
        /// The data to store; `None` deletes.
        auxiliary: Option<Auxiliary>,
        /// Leave stored data unchanged.
        if_absent: bool,
    },
    /// Stores a policy of the account under its name.
    PutPolicy {
        account: AccountId,
        policy: Box<Policy>,
        /// The condition on the stored policy.
        condition: PolicyCondition,
    },
    /// Deletes a policy that nothing uses.
    DeletePolicy {
        account: AccountId,
        name: PolicyName,
        /// The condition on the stored policy.
        condition: PolicyCondition,
    },
    /// Attaches a policy to a content, or detaches the attached one.
    AttachPolicy {
        account: AccountId,
        content: ContentId,
        /// The policy to attach; `None` detaches.
        policy: Option<PolicyName>,
        /// Leave an attached policy in place.
        if_absent: bool,
    },
    /// Sets the account's default policy, for contents without an attached one.
    SetDefaultPolicy {
        account: AccountId,
        /// The default policy; `None` removes the default.
        policy: Option<PolicyName>,
    },
    /// Takes or renews a device's slot.
    ClaimLease {
        place: ViewerPlace,
        /// Digest of the device's name.
        device: [u8; 16],
        duration_s: u32,
        /// How many devices may hold a slot at once.
        slots: u16,
    },
    /// Frees a device's slot.
    ReleaseLease {
        place: ViewerPlace,
        /// Digest of the device's name.
        device: [u8; 16],
    },
    /// Starts a rental, unless it has started.
    BeginRental { place: ViewerPlace },
    /// Forgets a rental, so that the content can be rented again.
    EndRental { place: ViewerPlace },
    /// Replaces the wrapping of a secret by one under another master key, if the wrapping is still the one
    /// that was opened.
    Rewrap {
        place: SecretPlace,
        /// The wrapping that was opened.
        old: Wrapped,
        /// The same secret, rewrapped.
        new: Wrapped,
    },
    /// Stores the facts that a node reports about itself.
    DescribeNode { id: NodeId, facts: NodeFacts },
    /// Spends a token on a node and assigns the node's id.
    AdmitNode(Box<Admission>),
    /// Sets whether a node stays a learner.
    SetLearner {
        id: NodeId,
        /// Whether the node never votes.
        learner: bool,
    },
    /// Removes a node permanently. Its id is never assigned again.
    RemoveNode { id: NodeId },
    /// Stores a token that admits one node.
    PutJoinToken(Box<JoinTokenRecord>),
    /// Revokes a token.
    RevokeJoinToken { id: [u8; 8] },
    /// Stores the cluster's certificate authority, once.
    PutAuthority(Box<AuthorityRecord>),
    /// Raises the cluster's feature level.
    RaiseFeatureLevel { to: u32 },
    /// Stores which data directory a node has, at each of its starts.
    EnrollDirectory { id: NodeId, directory: EnrolledDirectory },
    /// Sets the backup schedule; `None` ends it.
    ScheduleBackups(Option<Box<BackupSchedule>>),
    /// Claims the turn of the schedule that comes after turn `after`.
    ClaimBackup { node: NodeId, after: u64 },
    /// Notes what became of a turn of the schedule.
    NoteBackup { turn: u64, node: NodeId, progress: Box<BackupProgress> },
    /// Notes a good backup that an operator took.
    NoteGoodBackup(Box<GoodBackup>),
    /// Changes an account.
    ChangeAccount { id: AccountId, change: Box<AccountChange> },
    /// Begins to apply a declaration of accounts, or goes on with it.
    DeclareAccounts {
        /// The revision that its file states.
        revision: u64,
        /// SHA-256 of its file, which holds no secret.
        digest: [u8; 32],
    },
    /// Stores an account as the declaration has it that was begun last.
    DeclareAccount {
        /// The revision of that declaration.
        revision: u64,
        account: Box<Account>,
        /// The ends of credentials by their names: milliseconds since 1970 UTC, or [`NEVER_ENDS_MS`](super::accounts::NEVER_ENDS_MS).
        expires_at_ms: Vec<(String, u64)>,
        /// What `udrm-sha1` signatures open; `None` leaves that as it is.
        sha1: Option<Sha1Use>,
        /// What holds of its SPEKE and CPIX documents; `None` leaves that as it is.
        documents: Option<Box<DocumentSettings>>,
    },
    /// Registers the public key in a node's certificate, in place of an earlier one.
    RegisterNodeKey { id: NodeId, digest: [u8; 32] },
    /// Revokes every certificate of a node, for good.
    RevokeCertificate { id: NodeId },
    /// Announces the authority that is to replace the cluster's.
    BeginAuthorityChange(Box<AuthorityRecord>),
    /// Lets the announced authority take over.
    AdoptAuthority,
    /// Retires the authority that was replaced.
    RetireAuthority,
    /// Notes which authorities a node trusts.
    NoteTrust(Box<NodeTrust>),
    /// Changes the operators.
    ChangeOperators(Box<OperatorChange>),
    /// Gives the announced authority up, as long as it signs nothing.
    CancelAuthorityChange,
    /// Asks for approvals of a second person, gives them, and does what takes two.
    ChangeApprovals(Box<ApprovalChange>),
    /// Changes what operators sign in with, and their sessions.
    ChangeSignIn(Box<SignInChange>),
    /// Stores a token that admits one witness.
    PutWitnessToken(Box<JoinTokenRecord>),
    /// Spends a token for a witness on a node, assigns the node's id and registers its key as a witness's.
    AdmitWitness(Box<Admission>),
    /// Sets the public keys that tell a witness who holds a master key.
    SetVerifiers(Vec<MasterKeyVerifier>),
    /// Counts wrappings under a master key that the node makes from now on.
    ReserveWraps { node: NodeId, master_key: MasterKeyId, count: u32 },
    /// Registers a node's audit log, or says how far one has grown and who has checked that.
    ChangeAuditLogs(Box<AuditLogChange>),
    /// Notes a content that a document makes, or what is new about one.
    NoteDocument(Box<NewDocument>),
    /// Gives new documents of a content keys of a new version, from the account's current seed.
    RotateDocuments { account: AccountId, content: ContentId },
    /// Deletes what documents made of a content, up to a version.
    DeleteDocuments {
        account: AccountId,
        content: ContentId,
        /// The last version to delete: a late retry of a delete cannot delete a newer one.
        through: u32,
    },
    /// Deletes the key of one key id that a document named.
    DeleteDocumentKid { account: AccountId, content: ContentId, kid: Kid },
}

/// The condition on the stored policy under which a command changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyCondition {
    Always,
    /// No policy of that name is stored.
    IfAbsent,
    IfPresent,
    /// The stored policy has this version.
    IfVersion(u64),
}

impl fmt::Display for Command {
    /// Names the command and its place; safe to log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |f: &mut fmt::Formatter<'_>, verb, p: &KeyPath| {
            write!(f, "{verb} {}/{}/{}", p.account, p.content, p.track)
        };
        match self {
            Self::CreateKey(key) => at(f, "create-key", &key.place),
            Self::ReplaceKey(key) => at(f, "replace-key", &key.place),
            Self::DeleteKey { place, .. } => at(f, "delete-key", place),
            Self::PutAccount { account, .. } => write!(f, "put-account {}", account.id),
            Self::DeleteAccount { id } => write!(f, "delete-account {id}"),
            Self::SpendNonce { created_s, .. } => write!(f, "spend-nonce of {created_s}"),
            Self::PutServerSecret { .. } => f.write_str("put-server-secret"),
            Self::Found(identity) => write!(f, "found {}", identity.cluster),
            Self::CreateSeed(seed) => at(f, "create-seed", &seed.place),
            Self::ReplaceSeed(seed) => at(f, "replace-seed", &seed.place),
            Self::SupplyPeriodKey { key, .. } => at(f, "supply-period-key", &key.place),
            Self::FoundKidKey { .. } => f.write_str("found-kid-key"),
            Self::PutAuxiliary { account, content, .. } => write!(f, "put-auxiliary {account}/{content}"),
            Self::PutPolicy { account, policy, .. } => write!(f, "put-policy {account}/{}", policy.name),
            Self::DeletePolicy { account, name, .. } => write!(f, "delete-policy {account}/{name}"),
            Self::AttachPolicy { account, content, .. } => write!(f, "attach-policy {account}/{content}"),
            Self::SetDefaultPolicy { account, .. } => write!(f, "set-default-policy {account}"),
            Self::ClaimLease { place, .. } => write!(f, "claim-lease {}/{}", place.account, place.content),
            Self::ReleaseLease { place, .. } => {
                write!(f, "release-lease {}/{}", place.account, place.content)
            }
            Self::BeginRental { place } => write!(f, "begin-rental {}/{}", place.account, place.content),
            Self::Rewrap { new, .. } => write!(f, "rewrap under {}", new.master_key),
            Self::DescribeNode { id, .. } => write!(f, "describe-node {id}"),
            Self::AdmitNode(_) => f.write_str("admit-node"),
            Self::SetLearner { id, learner } => write!(f, "set-learner {id} {learner}"),
            Self::RemoveNode { id } => write!(f, "remove-node {id}"),
            Self::PutJoinToken(_) => f.write_str("put-join-token"),
            Self::RevokeJoinToken { .. } => f.write_str("revoke-join-token"),
            Self::PutAuthority(_) => f.write_str("put-authority"),
            Self::RaiseFeatureLevel { to } => write!(f, "raise-feature-level {to}"),
            Self::EnrollDirectory { id, .. } => write!(f, "enroll-directory {id}"),
            Self::ScheduleBackups(Some(schedule)) => {
                write!(f, "schedule-backups every {} s", schedule.every_s)
            }
            Self::ScheduleBackups(None) => f.write_str("schedule-backups off"),
            Self::ClaimBackup { node, .. } => write!(f, "claim-backup {node}"),
            Self::NoteBackup { turn, .. } => write!(f, "note-backup of turn {turn}"),
            Self::ChangeOperators(change) => write!(f, "{} {}", change.verb(), change.name()),
            Self::ChangeApprovals(change) => f.write_str(&change.words()),
            Self::ChangeSignIn(change) => write!(f, "{} {}", change.verb(), change.name()),
            Self::NoteGoodBackup(good) => write!(f, "note-good-backup of entry {}", good.index),
            Self::ChangeAccount { id, change } => write!(f, "change-account {id} {}", change.name()),
            Self::DeclareAccounts { revision, .. } => write!(f, "declare-accounts revision {revision}"),
            Self::DeclareAccount { revision, account, .. } => {
                write!(f, "declare-account {} of revision {revision}", account.id)
            }
            Self::RegisterNodeKey { id, .. } => write!(f, "register-node-key {id}"),
            Self::RevokeCertificate { id } => write!(f, "revoke-certificate {id}"),
            Self::BeginAuthorityChange(_) => f.write_str("begin-authority-change"),
            Self::AdoptAuthority => f.write_str("adopt-authority"),
            Self::RetireAuthority => f.write_str("retire-authority"),
            Self::CancelAuthorityChange => f.write_str("cancel-authority-change"),
            Self::PutWitnessToken(_) => f.write_str("put-witness-token"),
            Self::AdmitWitness(_) => f.write_str("admit-witness"),
            Self::SetVerifiers(verifiers) => write!(f, "set-verifiers of {} master keys", verifiers.len()),
            Self::ReserveWraps { node, master_key, count } => {
                write!(f, "reserve-wraps {count} under {master_key} of {node}")
            }
            Self::ChangeAuditLogs(change) => write!(f, "{} of {}", change.verb(), change.node()),
            Self::NoteTrust(trust) => write!(f, "note-trust of {}", trust.node),
            Self::NoteDocument(new) => write!(f, "note-document {}/{}", new.account, new.content),
            Self::RotateDocuments { account, content } => write!(f, "rotate-documents {account}/{content}"),
            Self::DeleteDocuments { account, content, .. } => {
                write!(f, "delete-documents {account}/{content}")
            }
            Self::DeleteDocumentKid { account, content, kid } => {
                write!(f, "delete-document-kid {account}/{content}/{kid}")
            }
            Self::EndRental { place } => write!(f, "end-rental {}/{}", place.account, place.content),
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A batch of commands from one proposer: the content of one log entry.
///
/// `client` and `serial` make a retried proposal apply once: the proposer draws `client` when it starts and
/// counts `serial` up from 1; the proposer has the answers to all serials below `floor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The proposer, a random number drawn at each start.
    pub client: u64,
    /// The proposal's number within its client, from 1.
    pub serial: u64,
    /// The lowest serial whose answer the client still waits for.
    pub floor: u64,
    /// The proposer's clock: milliseconds since 1970 UTC.
    pub now_ms: u64,
    /// The changes, applied in order.
    pub commands: Vec<Command>,
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands of {:016x}#{}", self.commands.len(), self.client, self.serial)
    }
}
