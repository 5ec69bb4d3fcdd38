//! Tokens that admit one node each. The state holds a digest of the secret, never the secret.
//!
//! Spending is a command, so of two joins with one token exactly one wins. A wrong secret gets the same
//! answer as a token that does not exist.

use serde::{Deserialize, Serialize};

use keymoot_model::NodeId;

use super::features;
use super::record::{JoinTokenRecord, TokenSpent};
use super::response::Response;
use super::table::Table;
use super::tables::{Pair, StateError, Tables, read};
use super::transaction::{Transaction, decode};

/// How long a token stays listed after its expiry.
const KEPT_MS: u64 = 7 * 24 * 3600 * 1000;

/// Why a token does not admit a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TokenRefusal {
    /// There is no such token, or the secret does not match.
    #[error("the token is not one of this cluster")]
    Unknown,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    #[error("the token was revoked")]
    Revoked,
    /// The token has already admitted a node.
    #[error("the token was used already")]
    Spent,
}

/// The tokens that one command checks for their age, from feature level 3 on: those after the new token, whose
/// id is random. So each is checked now and then.
pub(super) const CHECKED_MAX: usize = 32;

/// Stores a new token, and deletes those that expired more than [`KEPT_MS`] ago: of all below feature level 3,
/// of a few from there on.
pub(super) fn put<T: Tables>(
    run: &mut Transaction<'_, T>,
    token: &JoinTokenRecord,
    now_ms: u64,
) -> Result<Response, StateError> {
    for (key, value) in checked(run, &token.id)? {
        let old: JoinTokenRecord = decode(Table::JoinTokens, &value)?;
        if old.expires_at_ms.saturating_add(KEPT_MS) < now_ms {
            run.delete(Table::JoinTokens, &key)?;
        }
    }
    if run.get::<JoinTokenRecord>(Table::JoinTokens, &token.id)?.is_some() {
        return Ok(Response::Unchanged);
    }
    run.put(Table::JoinTokens, &token.id, token)?;
    Ok(Response::Done)
}

fn checked<T: Tables>(run: &Transaction<'_, T>, id: &[u8; 8]) -> Result<Vec<Pair>, StateError> {
    if features::level(run)? < features::BOUNDED_WORK {
        return run.prefix(Table::JoinTokens, &[]);
    }
    let mut pairs = run.page(Table::JoinTokens, &[], id, CHECKED_MAX)?;
    if pairs.len() < CHECKED_MAX {
        // The first ones follow the last.
        let first = run.page(Table::JoinTokens, &[], &[], CHECKED_MAX - pairs.len())?;
        pairs.extend(first.into_iter().filter(|(key, _)| key.as_slice() <= id.as_slice()));
    }
    Ok(pairs)
}

/// Revokes a token that was not spent yet.
pub(super) fn revoke<T: Tables>(run: &mut Transaction<'_, T>, id: &[u8; 8]) -> Result<Response, StateError> {
    match run.get::<JoinTokenRecord>(Table::JoinTokens, id)? {
        None => Ok(Response::TokenRefused(TokenRefusal::Unknown)),
        Some(token) if token.spent.is_some() => Ok(Response::TokenRefused(TokenRefusal::Spent)),
        Some(token) if token.revoked => Ok(Response::Unchanged),
        Some(token) => {
            run.put(Table::JoinTokens, id, &JoinTokenRecord { revoked: true, ..token })?;
            Ok(Response::Done)
        }
    }
}

/// The token, if it is valid or spent; the caller decides whether the same node spent it. The inner error is
/// the reason to refuse the node, the outer one a failure of the tables.
pub(super) fn open<T: Tables>(
    run: &Transaction<'_, T>,
    id: &[u8; 8],
    secret_digest: &[u8; 32],
    now_ms: u64,
) -> Result<Result<JoinTokenRecord, TokenRefusal>, StateError> {
    let Some(token) = run.get::<JoinTokenRecord>(Table::JoinTokens, id)? else {
        return Ok(Err(TokenRefusal::Unknown));
    };
    // Only digests are compared, so the timing reveals nothing about a secret.
    if token.secret_digest != *secret_digest {
        return Ok(Err(TokenRefusal::Unknown));
    }
    if token.revoked {
        return Ok(Err(TokenRefusal::Revoked));
    }
    if token.spent.is_none() && token.expires_at_ms <= now_ms {
        return Ok(Err(TokenRefusal::Expired));
    }
    Ok(Ok(token))
}

pub(super) fn spend<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: &[u8; 8],
    token: JoinTokenRecord,
    node: NodeId,
    key_digest: [u8; 32],
) -> Result<(), StateError> {
    let spent = Some(TokenSpent { node, key_digest });
    run.put(Table::JoinTokens, id, &JoinTokenRecord { spent, ..token })
}

/// Every stored token.
///
/// # Errors
/// When the tables cannot be read.
pub fn join_tokens<T: Tables>(tables: &T) -> Result<Vec<JoinTokenRecord>, StateError> {
    let pairs = tables.prefix(Table::JoinTokens, &[])?;
    pairs.iter().map(|(_, value)| read(tables, Table::JoinTokens, value)).collect()
}

/// Whether a token admits the node of this key, without spending it.
///
/// # Errors
/// When the tables cannot be read.
pub fn check_join_token<T: Tables>(
    tables: &T,
    id: &[u8; 8],
    secret_digest: &[u8; 32],
    key_digest: &[u8; 32],
    now_ms: u64,
) -> Result<Result<(), TokenRefusal>, StateError> {
    Ok(match open(&Transaction::new(tables), id, secret_digest, now_ms)? {
        Err(refusal) => Err(refusal),
        Ok(token) if token.spent.as_ref().is_some_and(|spent| spent.key_digest != *key_digest) => {
            Err(TokenRefusal::Spent)
        }
        Ok(_) => Ok(()),
    })
}
