//! Nonces of signed requests, each spent once in the whole cluster.
//!
//! A spent nonce is kept until no node would accept its request any more. Older nonces are refused without a
//! lookup, so forgetting can never let a replay pass; the limit between the two only moves forward. It
//! follows the time that client and proposer agree on, so a wrong clock of one of them cannot move it ahead.
//! Each spent nonce deletes a few old ones, which bounds the work of one command; the table holds the nonces
//! of the last minutes.
//!
//! From feature level 4 on a nonce is known by itself, whatever time its request states, and kept until nothing
//! is good any more that could have been signed with it when it was spent. Before, the same nonce with another
//! time was another one.

use serde::{Deserialize, Serialize};

use super::features::{NONCES_BY_THEMSELVES, level};
use super::layout::{META_NONCES, nonce_digest_key, nonce_key, nonce_turn_key};
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
    let (by_time, by_itself) = (nonce_key(digest, created_s), nonce_digest_key(digest));
    let was_spent = run.get::<u64>(Table::Nonces, &by_time)?.is_some()
        || run.get::<u64>(Table::Nonces, &by_itself)?.is_some();
    if created_s < queue.oldest_s || was_spent {
        return Ok(Response::Unchanged);
    }
    let (key, kept_from_s) = match level(run)? {
        NONCES_BY_THEMSELVES.. => (by_itself, kept_from_s(created_s, now_ms / 1000)),
        _ => (by_time, created_s),
    };
    run.put(Table::Nonces, &key, &queue.next)?;
    run.put(Table::Nonces, &nonce_turn_key(queue.next), &(*digest, kept_from_s))?;
    queue.next += 1;
    let agreed_s = created_s.min(now_ms / 1000);
    queue.oldest_s = queue.oldest_s.max(agreed_s.saturating_sub(NONCES_REMEMBERED_S));
    forget(run, &mut queue)?;
    run.put(Table::Meta, META_NONCES, &queue)?;
    Ok(Response::Done)
}

/// The second from which the time counts for which a nonce is kept: now, so that it outlives all that is signed with
/// it by now. A proposer's clock that is ahead prolongs that by no more than as long again.
fn kept_from_s(created_s: u64, now_s: u64) -> u64 {
    now_s.clamp(created_s, created_s.saturating_add(NONCES_REMEMBERED_S))
}

fn forget<T: Tables>(run: &mut Transaction<'_, T>, queue: &mut Queue) -> Result<(), StateError> {
    for _ in 0..FORGOTTEN_MAX {
        let turn = nonce_turn_key(queue.first);
        let Some((digest, kept_from_s)) = run.get::<([u8; 16], u64)>(Table::Nonces, &turn)? else { break };
        if kept_from_s >= queue.oldest_s {
            break;
        }
        // One from before may have been spent anew since, under its own key.
        let by_itself = nonce_digest_key(&digest);
        if run.get::<u64>(Table::Nonces, &by_itself)? == Some(queue.first) {
            run.delete(Table::Nonces, &by_itself)?;
        } else {
            run.delete(Table::Nonces, &nonce_key(&digest, kept_from_s))?;
        }
        run.delete(Table::Nonces, &turn)?;
        queue.first += 1;
    }
    Ok(())
}
