//! Rewraps stored secrets under another master key.
//!
//! A wrapping is replaced only if it is still the one that the proposer opened: a secret that was replaced or
//! deleted meanwhile stays as it is now. So no rotation or delete is undone, and a repetition does nothing.

use serde::{Deserialize, Serialize};

use keymoot_model::{
    Account, AccountId, KeyPath, KeyRecord, OperatorName, Scope, SeedId, SeedRecord, SignInSecret, Wrapped,
};

use super::authorities::AuthorityChange;
use super::documents::DocumentSeedRecord;
use super::layout::{
    META_AUTHORITY, META_AUTHORITY_CHANGE, META_IDENTITY, META_KID_KEY, META_SERVER_SECRET, account_key,
    document_seed_key, place_key, seed_key, sign_in_key, version_key,
};
use super::record::{AuthorityRecord, ClusterIdentity, Track};
use super::response::Response;
use super::secrets::StoredSecret;
use super::sign_in::SignInRecord;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::Transaction;

/// The place of a wrapped secret. Variants are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretPlace {
    /// A version of a track's key: current, old, or for a single period.
    ContentKey {
        place: KeyPath,
        version: u32,
    },
    Seed(SeedId),
    /// A signing key of an account.
    Credential {
        account: AccountId,
        name: String,
        scope: Scope,
    },
    /// The secret that servers prove themselves with.
    ServerSecret,
    /// The key of derived key ids.
    KidKey,
    /// The value that shows whether a keyring belongs to the cluster.
    Check,
    /// The private key of the cluster's certificate authority.
    Authority,
    /// What an operator signs in with.
    SignIn {
        operator: OperatorName,
        kind: SignInSecret,
    },
    /// A seed of an account's documents.
    DocumentSeed {
        account: AccountId,
        number: u32,
    },
}

impl StoredSecret {
    pub fn place(&self) -> SecretPlace {
        match self {
            Self::ContentKey(record) => {
                SecretPlace::ContentKey { place: record.place.clone(), version: record.version }
            }
            Self::Seed(record) => SecretPlace::Seed(record.id),
            Self::Credential { account, name, scope, .. } => {
                SecretPlace::Credential { account: account.clone(), name: name.clone(), scope: *scope }
            }
            Self::ServerSecret(_) => SecretPlace::ServerSecret,
            Self::KidKey(_) => SecretPlace::KidKey,
            Self::Authority(_) => SecretPlace::Authority,
            Self::Check { .. } => SecretPlace::Check,
            Self::SignIn { operator, kind, .. } => {
                SecretPlace::SignIn { operator: operator.clone(), kind: *kind }
            }
            Self::DocumentSeed(record) => {
                SecretPlace::DocumentSeed { account: record.account.clone(), number: record.number }
            }
        }
    }
}

pub(super) fn rewrap<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &SecretPlace,
    old: &Wrapped,
    new: &Wrapped,
) -> Result<Response, StateError> {
    let exchanged = match place {
        SecretPlace::ContentKey { place, version } => content_key(run, place, *version, (old, new))?,
        SecretPlace::Seed(id) => record::<SeedRecord, T>(run, Table::Seeds, &seed_key(*id), |record| {
            exchange(&mut record.seed, (old, new))
        })?,
        SecretPlace::Credential { account, name, scope } => {
            record::<Account, T>(run, Table::Accounts, account_key(account), |account| {
                let mut credentials = account.credentials.iter_mut();
                let named = credentials.find(|it| it.name == *name && it.scope == *scope);
                named.is_some_and(|it| exchange(&mut it.secret, (old, new)))
            })?
        }
        SecretPlace::ServerSecret => meta(run, META_SERVER_SECRET, (old, new))?,
        SecretPlace::KidKey => meta(run, META_KID_KEY, (old, new))?,
        SecretPlace::Authority => {
            let current = record::<AuthorityRecord, T>(run, Table::Meta, META_AUTHORITY, |authority| {
                exchange(&mut authority.key, (old, new))
            })?;
            current
                || record::<AuthorityChange, T>(run, Table::Meta, META_AUTHORITY_CHANGE, |change| {
                    exchange(&mut change.other.key, (old, new))
                })?
        }
        SecretPlace::Check => record::<ClusterIdentity, T>(run, Table::Meta, META_IDENTITY, |identity| {
            exchange(&mut identity.keyring_check, (old, new))
        })?,
        SecretPlace::SignIn { operator, kind } => {
            record::<SignInRecord, T>(run, Table::Meta, &sign_in_key(operator), |record| match kind {
                SignInSecret::Password => exchange(&mut record.password, (old, new)),
                SignInSecret::Codes => exchange(&mut record.codes, (old, new)),
            })?
        }
        SecretPlace::DocumentSeed { account, number } => record::<DocumentSeedRecord, T>(
            run,
            Table::DocumentSeeds,
            &document_seed_key(account, *number),
            |record| exchange(&mut record.seed, (old, new)),
        )?,
    };
    Ok(if exchanged { Response::Done } else { Response::Unchanged })
}

/// The expected wrapping, and its replacement.
type Exchange<'a> = (&'a Wrapped, &'a Wrapped);

fn exchange(now: &mut Wrapped, (old, new): Exchange<'_>) -> bool {
    let expected = now == old;
    if expected {
        new.clone_into(now);
    }
    expected
}

/// Applies `change` to a record if it exists. Returns whether it changed.
fn record<V, T: Tables>(
    run: &mut Transaction<'_, T>,
    table: Table,
    key: &[u8],
    change: impl FnOnce(&mut V) -> bool,
) -> Result<bool, StateError>
where
    V: Serialize + serde::de::DeserializeOwned,
{
    let Some(mut value) = run.get::<V>(table, key)? else { return Ok(false) };
    let changed = change(&mut value);
    if changed {
        run.put(table, key, &value)?;
    }
    Ok(changed)
}

fn meta<T: Tables>(
    run: &mut Transaction<'_, T>,
    key: &[u8],
    wrappings: Exchange<'_>,
) -> Result<bool, StateError> {
    record::<Wrapped, T>(run, Table::Meta, key, |wrapped| exchange(wrapped, wrappings))
}

fn content_key<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &KeyPath,
    version: u32,
    wrappings: Exchange<'_>,
) -> Result<bool, StateError> {
    let current = record::<Track, T>(run, Table::Tracks, &place_key(place), |track| {
        let current = track.current.as_mut().filter(|current| current.version == version);
        current.is_some_and(|current| exchange(&mut current.key, wrappings))
    })?;
    if current {
        return Ok(true);
    }
    record::<KeyRecord, T>(run, Table::OldKeys, &version_key(place, version), |old| {
        exchange(&mut old.key, wrappings)
    })
}
