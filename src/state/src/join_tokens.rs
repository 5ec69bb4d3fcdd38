//! Tokens that admit one node each. The state holds a digest of the secret, never the secret.
//!
//! Spending is a command, so of two joins with one token exactly one wins. A wrong secret gets the same
//! answer as a token that does not exist. So does a token of the other kind: those of witnesses are kept apart.

use serde::{Deserialize, Serialize};

use keymoot_model::NodeId;

use super::features;
use super::layout::META_WITNESS_TOKEN;
use super::record::{JoinTokenRecord, TokenSpent};
use super::response::Response;
use super::table::Table;
use super::tables::{Pair, StateError, Tables, read};
use super::transaction::{Transaction, decode};

/// Whom a token admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A node with the keyring.
    Node,
    /// A witness, which holds none.
    Witness,
}

impl TokenKind {
    /// The table of its tokens, and the prefix of their keys.
    const fn place(self) -> (Table, &'static [u8]) {
        match self {
            Self::Node => (Table::JoinTokens, &[]),
            Self::Witness => (Table::Meta, META_WITNESS_TOKEN),
        }
    }

    fn key(self, id: &[u8; 8]) -> Vec<u8> {
        [self.place().1, id].concat()
    }
}

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
    kind: TokenKind,
    token: &JoinTokenRecord,
    now_ms: u64,
) -> Result<Response, StateError> {
    let (table, key) = (kind.place().0, kind.key(&token.id));
    for (key, value) in checked(run, kind, &key)? {
        let old: JoinTokenRecord = decode(table, &value)?;
        if old.expires_at_ms.saturating_add(KEPT_MS) < now_ms {
            run.delete(table, &key)?;
        }
    }
    if run.get::<JoinTokenRecord>(table, &key)?.is_some() {
        return Ok(Response::Unchanged);
    }
    run.put(table, &key, token)?;
    Ok(Response::Done)
}

fn checked<T: Tables>(
    run: &Transaction<'_, T>,
    kind: TokenKind,
    key: &[u8],
) -> Result<Vec<Pair>, StateError> {
    let (table, prefix) = kind.place();
    if features::level(run)? < features::BOUNDED_WORK {
        return run.prefix(table, prefix);
    }
    let mut pairs = run.page(table, prefix, key, CHECKED_MAX)?;
    if pairs.len() < CHECKED_MAX {
        // The first ones follow the last.
        let first = run.page(table, prefix, &[], CHECKED_MAX - pairs.len())?;
        pairs.extend(first.into_iter().filter(|(first, _)| first.as_slice() <= key));
    }
    Ok(pairs)
}

/// Revokes a token of either kind that was not spent yet.
pub(super) fn revoke<T: Tables>(run: &mut Transaction<'_, T>, id: &[u8; 8]) -> Result<Response, StateError> {
    for kind in [TokenKind::Node, TokenKind::Witness] {
        let (table, key) = (kind.place().0, kind.key(id));
        return Ok(match run.get::<JoinTokenRecord>(table, &key)? {
            None => continue,
            Some(token) if token.spent.is_some() => Response::TokenRefused(TokenRefusal::Spent),
            Some(token) if token.revoked => Response::Unchanged,
            Some(token) => {
                run.put(table, &key, &JoinTokenRecord { revoked: true, ..token })?;
                Response::Done
            }
        });
    }
    Ok(Response::TokenRefused(TokenRefusal::Unknown))
}

/// The token, if it is valid or spent; the caller decides whether the same node spent it. The inner error is
/// the reason to refuse the node, the outer one a failure of the tables.
pub(super) fn open<T: Tables>(
    run: &Transaction<'_, T>,
    kind: TokenKind,
    id: &[u8; 8],
    secret_digest: &[u8; 32],
    now_ms: u64,
) -> Result<Result<JoinTokenRecord, TokenRefusal>, StateError> {
    let Some(token) = run.get::<JoinTokenRecord>(kind.place().0, &kind.key(id))? else {
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
    kind: TokenKind,
    id: &[u8; 8],
    token: JoinTokenRecord,
    node: NodeId,
    key_digest: [u8; 32],
) -> Result<(), StateError> {
    let spent = Some(TokenSpent { node, key_digest });
    run.put(kind.place().0, &kind.key(id), &JoinTokenRecord { spent, ..token })
}

/// Every stored token of a kind.
///
/// # Errors
/// When the tables cannot be read.
pub fn join_tokens<T: Tables>(tables: &T, kind: TokenKind) -> Result<Vec<JoinTokenRecord>, StateError> {
    let (table, prefix) = kind.place();
    tables.prefix(table, prefix)?.iter().map(|(_, value)| read(tables, table, value)).collect()
}

/// Whether a token admits the node of this key, without spending it.
///
/// # Errors
/// When the tables cannot be read.
pub fn check_join_token<T: Tables>(
    tables: &T,
    kind: TokenKind,
    id: &[u8; 8],
    secret_digest: &[u8; 32],
    key_digest: &[u8; 32],
    now_ms: u64,
) -> Result<Result<(), TokenRefusal>, StateError> {
    Ok(match open(&Transaction::new(tables), kind, id, secret_digest, now_ms)? {
        Err(refusal) => Err(refusal),
        Ok(token) if token.spent.as_ref().is_some_and(|spent| spent.key_digest != *key_digest) => {
            Err(TokenRefusal::Spent)
        }
        Ok(_) => Ok(()),
    })
}
