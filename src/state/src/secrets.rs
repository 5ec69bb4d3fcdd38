//! The wrapped secrets in the records of the state, with the place of each.
//!
//! Every secret that must be rewrapped after a master key change is found here: a new table with secrets gets
//! an arm in [`secrets_of`]. Answers kept for retries ([`Table::Sessions`]) repeat secrets of other tables
//! for a while; they are not places of their own.

use keymoot_model::{Account, AccountId, KeyRecord, OperatorName, Scope, SeedRecord, SignInSecret, Wrapped};

use super::authorities::AuthorityChange;
use super::documents::DocumentSeedRecord;
use super::layout::{
    META_AUTHORITY, META_AUTHORITY_CHANGE, META_IDENTITY, META_KID_KEY, META_SERVER_SECRET, META_SIGN_IN,
};
use super::record::{AuthorityRecord, ClusterIdentity, Track};
use super::sign_in;
use super::table::Table;
use super::tables::StateError;
use super::transaction::decode;

/// A wrapped secret, with the place that its wrapping binds it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredSecret {
    /// The key of a track, or of one of its periods.
    ContentKey(Box<KeyRecord>),
    /// The seed of a rotating track.
    Seed(Box<SeedRecord>),
    /// A signing key of an account.
    Credential { account: AccountId, name: String, scope: Scope, secret: Wrapped },
    /// The secret that servers prove themselves with.
    ServerSecret(Wrapped),
    /// The key of derived key ids.
    KidKey(Wrapped),
    /// The private key of the cluster's certificate authority, or of the other one while it is replaced.
    Authority(Wrapped),
    /// The value that shows whether a keyring belongs to the cluster.
    Check { cluster: String, check: Wrapped },
    /// What an operator signs in with.
    SignIn { operator: OperatorName, kind: SignInSecret, secret: Wrapped },
    /// A seed of an account's documents.
    DocumentSeed(Box<DocumentSeedRecord>),
}

impl StoredSecret {
    /// The wrapping of the secret.
    pub fn wrapped(&self) -> &Wrapped {
        match self {
            Self::ContentKey(record) => &record.key,
            Self::Seed(record) => &record.seed,
            Self::Credential { secret, .. } | Self::SignIn { secret, .. } => secret,
            Self::ServerSecret(wrapped) | Self::KidKey(wrapped) | Self::Authority(wrapped) => wrapped,
            Self::Check { check, .. } => check,
            Self::DocumentSeed(record) => &record.seed,
        }
    }
}

/// The tables whose records may hold secrets; a walk over all secrets reads no others.
pub const SECRET_TABLES: [Table; 6] =
    [Table::Tracks, Table::OldKeys, Table::Accounts, Table::Meta, Table::Seeds, Table::DocumentSeeds];

/// The secrets in one record of a table.
///
/// # Errors
/// When the record does not decode.
pub fn secrets_of(table: Table, key: &[u8], value: &[u8]) -> Result<Vec<StoredSecret>, StateError> {
    match table {
        Table::Tracks => {
            let track: Track = decode(table, value)?;
            Ok(track.current.map(|record| StoredSecret::ContentKey(Box::new(record))).into_iter().collect())
        }
        Table::OldKeys => decode(table, value).map(|record| vec![StoredSecret::ContentKey(Box::new(record))]),
        Table::Seeds => decode(table, value).map(|record| vec![StoredSecret::Seed(Box::new(record))]),
        Table::DocumentSeeds => {
            decode(table, value).map(|record| vec![StoredSecret::DocumentSeed(Box::new(record))])
        }
        Table::Accounts => decode(table, value).map(credentials),
        Table::Meta if key == META_SERVER_SECRET => {
            decode(table, value).map(|wrapped| vec![StoredSecret::ServerSecret(wrapped)])
        }
        Table::Meta if key == META_KID_KEY => {
            decode(table, value).map(|wrapped| vec![StoredSecret::KidKey(wrapped)])
        }
        Table::Meta if key == META_AUTHORITY => {
            let AuthorityRecord { key, .. } = decode(table, value)?;
            Ok(vec![StoredSecret::Authority(key)])
        }
        Table::Meta if key == META_AUTHORITY_CHANGE => {
            let AuthorityChange { other, .. } = decode(table, value)?;
            Ok(vec![StoredSecret::Authority(other.key)])
        }
        Table::Meta if key == META_IDENTITY => {
            let ClusterIdentity { cluster, keyring_check: check, .. } = decode(table, value)?;
            Ok(vec![StoredSecret::Check { cluster, check }])
        }
        Table::Meta if key.starts_with(META_SIGN_IN) => {
            let all = sign_in::secrets_in(key, value)?.into_iter();
            Ok(all.map(|(operator, kind, secret)| StoredSecret::SignIn { operator, kind, secret }).collect())
        }
        Table::Meta
        | Table::Kids
        | Table::Sessions
        | Table::Nonces
        | Table::Contents
        | Table::Schedules
        | Table::Periods
        | Table::Auxiliary
        | Table::Policies
        | Table::PolicyUses
        | Table::ContentPolicies
        | Table::DefaultPolicies
        | Table::Leases
        | Table::Rentals
        | Table::Nodes
        | Table::JoinTokens
        | Table::Documents
        | Table::DocumentKids
        | Table::DocumentKeys => Ok(Vec::new()),
    }
}

fn credentials(account: Account) -> Vec<StoredSecret> {
    let id = account.id;
    let secret = |credential: keymoot_model::Credential| StoredSecret::Credential {
        account: id.clone(),
        name: credential.name,
        scope: credential.scope,
        secret: credential.secret,
    };
    account.credentials.into_iter().map(secret).collect()
}
