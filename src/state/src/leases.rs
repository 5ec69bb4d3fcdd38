//! Leases: the devices on which a viewer plays a content. There are never more than allowed, whichever nodes
//! are asked.
//!
//! A slot that has ended no longer counts from the next command on. Records whose slots have all ended are
//! deleted step by step: each claim checks a few seconds of the past and, from feature level 3 on, deletes a few
//! records. That bounds the work of one command and keeps the table to what plays now.

use keymoot_model::ViewerPlace;

use super::features;
use super::layout::{META_LEASES, lease_end_key, lease_key, leases_ending};
use super::record::{LeaseSlot, Leases};
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::Transaction;

/// The seconds of the past that one claim checks. More than one, so that a backlog shrinks.
const SECONDS_MAX: u64 = 32;

/// The most records that one claim deletes, from feature level 3 on. More than one, as above.
pub(super) const ENDED_MAX: usize = 64;

/// Takes or renews one of `slots` slots, for `duration_s` from `now_ms` on. A renewal never shortens a slot.
pub(super) fn claim<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &ViewerPlace,
    device: &[u8; 16],
    (duration_s, slots_max): (u32, u16),
    now_ms: u64,
) -> Result<Response, StateError> {
    let forgotten_s = forget(run, now_ms / 1000)?;
    let key = lease_key(place);
    let leases: Leases = run.get(Table::Leases, &key)?.unwrap_or_default();
    let mut slots = leases.slots.clone();
    slots.retain(|slot| slot.until_ms > now_ms);
    let until_ms = now_ms.saturating_add(u64::from(duration_s).saturating_mul(1000));
    let held = slots.len();
    let until_ms = match slots.iter_mut().find(|slot| slot.device == *device) {
        Some(own) => {
            own.until_ms = own.until_ms.max(until_ms);
            own.until_ms
        }
        None if held < usize::from(slots_max) => {
            slots.push(LeaseSlot { device: *device, until_ms });
            until_ms
        }
        None => {
            let frees_at_ms = slots.iter().map(|slot| slot.until_ms).min().unwrap_or(now_ms);
            return Ok(Response::LeasesTaken { frees_at_ms });
        }
    };
    file(run, &key, &leases, slots, forgotten_s)?;
    Ok(Response::Leased { until_ms })
}

/// Frees a slot: `Done`, or `Unchanged` when the device had none.
pub(super) fn release<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &ViewerPlace,
    device: &[u8; 16],
) -> Result<Response, StateError> {
    let key = lease_key(place);
    let leases: Leases = run.get(Table::Leases, &key)?.unwrap_or_default();
    let mut slots = leases.slots.clone();
    slots.retain(|slot| slot.device != *device);
    if slots.len() == leases.slots.len() {
        return Ok(Response::Unchanged);
    }
    let forgotten_s = run.get(Table::Meta, META_LEASES)?.unwrap_or_default();
    file(run, &key, &leases, slots, forgotten_s)?;
    Ok(Response::Done)
}

/// Replaces a viewer's slots `before` by `slots`, indexed by the second in which the last of them ends. If
/// that second was already cleaned up, the index uses the next one to be.
fn file<T: Tables>(
    run: &mut Transaction<'_, T>,
    key: &[u8],
    before: &Leases,
    slots: Vec<LeaseSlot>,
    forgotten_s: u64,
) -> Result<(), StateError> {
    if !before.slots.is_empty() {
        run.delete(Table::Leases, &lease_end_key(before.filed_s, key))?;
    }
    match slots.iter().map(|slot| slot.until_ms / 1000).max() {
        Some(end_s) => {
            let filed_s = end_s.max(forgotten_s);
            run.put(Table::Leases, &lease_end_key(filed_s, key), &())?;
            run.put(Table::Leases, key, &Leases { slots, filed_s })
        }
        None => run.delete(Table::Leases, key),
    }
}

/// Deletes the leases that ended in the next seconds of the past. Returns the second up to which all are
/// deleted.
fn forget<T: Tables>(run: &mut Transaction<'_, T>, now_s: u64) -> Result<u64, StateError> {
    let from_s: u64 = run.get(Table::Meta, META_LEASES)?.unwrap_or(now_s);
    let mut to_s = now_s.min(from_s.saturating_add(SECONDS_MAX)).max(from_s);
    let bounded = features::level(run)? >= features::BOUNDED_WORK;
    let mut left = if bounded { ENDED_MAX } else { usize::MAX };
    for second in from_s..to_s {
        let prefix = leases_ending(second);
        let ended = run.page(Table::Leases, &prefix, &[], left)?;
        for (filed, _) in &ended {
            run.delete(Table::Leases, filed.get(prefix.len()..).unwrap_or_default())?;
            run.delete(Table::Leases, filed)?;
        }
        left -= ended.len();
        if left == 0 {
            // There may be more of this second.
            to_s = second;
            break;
        }
    }
    run.put(Table::Meta, META_LEASES, &to_s)?;
    Ok(to_s)
}
