//! What can be asked of the replicated state. Variants are append-only.

use std::fmt;

use serde::{Deserialize, Serialize};

use keymoot_model::{
    Account, AccountId, Auxiliary, ContentId, KeyOrigin, KeyPlace, KeyRecord, Kid, NodeId, Period, Policy,
    PolicyName, ViewerPlace, Wrapped,
};

use super::record::{AuthorityRecord, ClusterIdentity, JoinTokenRecord};
use super::rewrap::SecretPlace;

/// A key somebody made before proposing it. Its wrapping binds it to place, version and KID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// Where it belongs.
    pub place: KeyPlace,
    /// The version it was wrapped for: the track's next one, as the proposer knew it.
    pub version: u32,
    /// Its key id.
    pub kid: Kid,
    /// The key, wrapped.
    pub key: Wrapped,
    /// Who made it.
    pub origin: KeyOrigin,
}

impl NewKey {
    /// The key as it is stored, proposed at `created_at_ms` and good for `period` or for its track.
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
    /// Where it belongs.
    pub place: KeyPlace,
    /// The version it was wrapped for: the track's next one, as the proposer knew it.
    pub version: u32,
    /// The length of its periods; 0 when the scrambler does not say.
    pub length_s: u32,
    /// The seed, wrapped.
    pub seed: Wrapped,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// The data centre or rack; empty when nobody said.
    pub zone: String,
    /// The version of its program.
    pub version: String,
    /// The highest feature level that its program knows.
    pub feature_level: u32,
}

/// A node that wants in, and the token it brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The token's id.
    pub token: [u8; 8],
    /// Digest of the token's secret.
    pub secret_digest: [u8; 32],
    /// Digest of the node's public key: the same node may ask again.
    pub key_digest: [u8; 32],
    /// The id it must get, when its certificate names one.
    pub id: Option<NodeId>,
    /// The highest id among the members, some of whom may not have described themselves yet.
    pub highest_id: NodeId,
    /// What it says of itself.
    pub facts: NodeFacts,
}

/// One change of the state.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Stores the key if its track has none; otherwise answers with the one it has.
    CreateKey(NewKey),
    /// Stores the key as the track's new version, whether it has one or not.
    ReplaceKey(NewKey),
    /// Deletes versions of a track: those up to `through`, or only the one of `kid`.
    DeleteKey {
        /// The track.
        place: KeyPlace,
        /// The last version to delete: a delete retried late cannot take a newer key with it.
        through: u32,
        /// Delete only the version with this key id.
        kid: Option<Kid>,
    },
    /// Stores an account; with `if_absent`, only if there is none of its name.
    PutAccount {
        /// The account as it shall be.
        account: Account,
        /// Leave an existing account alone.
        if_absent: bool,
    },
    /// Deletes an account. Its keys stay.
    DeleteAccount {
        /// Which.
        id: AccountId,
    },
    /// Gives the cluster its identity, once and for ever.
    Found(ClusterIdentity),
    /// Spends a nonce of a signed request, so that no node takes it again.
    SpendNonce {
        /// Digest of whose it is and what it says.
        digest: [u8; 16],
        /// When the request says it was made: seconds since 1970 UTC.
        created_s: u64,
    },
    /// Stores the secret that the servers prove themselves with, once and for ever.
    PutServerSecret {
        /// The secret, wrapped.
        secret: Wrapped,
    },
    /// Stores the seed if its track has none for periods of that length; otherwise answers with the
    /// one it has.
    CreateSeed(NewSeed),
    /// Stores the seed as the one that holds for periods of its length from now on.
    ReplaceSeed(NewSeed),
    /// Stores a key for one period of a track, in place of the derived one.
    SupplyPeriodKey {
        /// The key.
        key: NewKey,
        /// The period.
        period: Period,
    },
    /// Gives the cluster the key under which it encrypts places into key ids, once and for ever.
    FoundKidKey {
        /// The key, wrapped.
        key: Wrapped,
    },
    /// Stores, changes or deletes a content's auxiliary data.
    PutAuxiliary {
        /// The content's owner.
        account: AccountId,
        /// The content.
        content: ContentId,
        /// What to store; none deletes.
        auxiliary: Option<Auxiliary>,
        /// Leave what is stored alone.
        if_absent: bool,
    },
    /// Stores a policy as the account's one of its name.
    PutPolicy {
        /// The account.
        account: AccountId,
        /// The policy.
        policy: Box<Policy>,
        /// What must hold of the one that is there.
        condition: PolicyCondition,
    },
    /// Deletes a policy that nothing uses.
    DeletePolicy {
        /// The account.
        account: AccountId,
        /// Its name.
        name: PolicyName,
        /// What must hold of the one that is there.
        condition: PolicyCondition,
    },
    /// Attaches a policy to a content, or detaches the one that is.
    AttachPolicy {
        /// The account.
        account: AccountId,
        /// The content.
        content: ContentId,
        /// Which; none detaches.
        policy: Option<PolicyName>,
        /// Leave an attached one alone.
        if_absent: bool,
    },
    /// Makes a policy the one for contents that have none of their own.
    SetDefaultPolicy {
        /// The account.
        account: AccountId,
        /// Which; none: there is no such policy any more.
        policy: Option<PolicyName>,
    },
    /// Takes or renews a device's slot.
    ClaimLease {
        /// Who plays what.
        place: ViewerPlace,
        /// Digest of the device's name.
        device: [u8; 16],
        /// For how long.
        duration_s: u32,
        /// How many devices may hold a slot at once.
        slots: u16,
    },
    /// Gives a device's slot back.
    ReleaseLease {
        /// Who played what.
        place: ViewerPlace,
        /// Digest of the device's name.
        device: [u8; 16],
    },
    /// Begins a rental, unless it has begun.
    BeginRental {
        /// Who rented what.
        place: ViewerPlace,
    },
    /// Forgets a rental, so that the content can be rented again.
    EndRental {
        /// Who rented what.
        place: ViewerPlace,
    },
    /// Puts a secret under another master key, if it still has the wrapping that was opened.
    Rewrap {
        /// Where it stands.
        place: SecretPlace,
        /// Its wrapping so far.
        old: Wrapped,
        /// The same secret, wrapped anew.
        new: Wrapped,
    },
    /// A node says what it is.
    DescribeNode {
        /// Which.
        id: NodeId,
        /// What it says.
        facts: NodeFacts,
    },
    /// Spends a token on a node, which gets its id.
    AdmitNode(Box<Admission>),
    /// Says whether a node shall stay a learner.
    SetLearner {
        /// Which.
        id: NodeId,
        /// Whether it shall never vote.
        learner: bool,
    },
    /// Removes a node for ever. Its id is not given again.
    RemoveNode {
        /// Which.
        id: NodeId,
    },
    /// Stores a token that admits one node.
    PutJoinToken(Box<JoinTokenRecord>),
    /// Makes a token worth nothing.
    RevokeJoinToken {
        /// Which.
        id: [u8; 8],
    },
    /// Stores the cluster's certificate authority, once and for ever.
    PutAuthority(Box<AuthorityRecord>),
    /// Raises the cluster's feature level.
    RaiseFeatureLevel {
        /// To which.
        to: u32,
    },
}

/// What must hold of a stored policy for a command to change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyCondition {
    /// Nothing.
    Always,
    /// There is none of that name.
    IfAbsent,
    /// There is one.
    IfPresent,
    /// Its version is this.
    IfVersion(u64),
}

impl fmt::Display for Command {
    /// Names the command and its place; safe to log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |f: &mut fmt::Formatter<'_>, verb, p: &KeyPlace| {
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
            Self::EndRental { place } => write!(f, "end-rental {}/{}", place.account, place.content),
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A batch of commands from one proposer: what one log entry holds.
///
/// `client` and `serial` make a retried proposal apply once: the proposer draws `client` when it
/// starts and counts `serial` up from 1; every serial below `floor` has been answered.
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
