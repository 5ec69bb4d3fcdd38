//! Nonces of signed requests, each spent once in the whole cluster.
//!
//! A spent nonce is kept until no node would accept its request any more. Older nonces are refused without a
//! lookup, so forgetting can never let a replay pass; the limit between the two only moves forward. It
//! follows the time that client and proposer agree on, so a wrong clock of one of them cannot move it ahead.
//! Each spent nonce deletes a few old ones, which bounds the work of one command; the table holds the nonces
//! of the last minutes.

use serde::{Deserialize, Serialize};

use super::layout::{META_NONCES, nonce_key, nonce_turn_key};
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::Transaction;

/// How long a nonce is kept after its request was made: longer than any node accepts that request, as
/// `keymoot_service` asserts, which knows both.
pub const NONCES_REMEMBERED_S: u64 = 600;
/// The nonces deleted when one is spent. More than one, so that a backlog shrinks.
const FORGOTTEN_MAX: u32 = 4;

/// The queue of kept nonces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Queue {
    /// The position of the oldest nonce.
    first: u64,
    /// The position of the next nonce.
    next: u64,
    /// Nonces made before this are refused without a lookup: seconds since 1970 UTC.
    oldest_s: u64,
}

/// Spends a nonce: `Done` if it is new, `Unchanged` if it was spent before or is too old to be checked.
pub(super) fn spend<T: Tables>(
    run: &mut Transaction<'_, T>,
    digest: &[u8; 16],
    created_s: u64,
    now_ms: u64,
) -> Result<Response, StateError> {
    let mut queue: Queue = run.get(Table::Meta, META_NONCES)?.unwrap_or_default();
    let key = nonce_key(digest, created_s);
    if created_s < queue.oldest_s || run.get::<u64>(Table::Nonces, &key)?.is_some() {
        return Ok(Response::Unchanged);
    }
    run.put(Table::Nonces, &key, &queue.next)?;
    run.put(Table::Nonces, &nonce_turn_key(queue.next), &(*digest, created_s))?;
    queue.next += 1;
    let agreed_s = created_s.min(now_ms / 1000);
    queue.oldest_s = queue.oldest_s.max(agreed_s.saturating_sub(NONCES_REMEMBERED_S));
    forget(run, &mut queue)?;
    run.put(Table::Meta, META_NONCES, &queue)?;
    Ok(Response::Done)
}

fn forget<T: Tables>(run: &mut Transaction<'_, T>, queue: &mut Queue) -> Result<(), StateError> {
    for _ in 0..FORGOTTEN_MAX {
        let turn = nonce_turn_key(queue.first);
        let Some((digest, created_s)) = run.get::<([u8; 16], u64)>(Table::Nonces, &turn)? else { break };
        if created_s >= queue.oldest_s {
            break;
        }
        run.delete(Table::Nonces, &nonce_key(&digest, created_s))?;
        run.delete(Table::Nonces, &turn)?;
        queue.first += 1;
    }
    Ok(())
}
