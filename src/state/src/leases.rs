//! Leases: on which devices a viewer plays a content, so that there are never more than allowed,
//! whichever nodes are asked.
//!
//! A slot that has ended counts no more, from the very next command on. What has ended altogether
//! is forgotten bit by bit: each claim looks at a few seconds of the past, so that the work of one
//! command is bounded and the table holds what plays now.

use keymoot_model::ViewerPlace;

use super::layout::{META_LEASES, Table, lease_end_key, lease_key, leases_ending};
use super::record::{LeaseSlot, Leases};
use super::response::Response;
use super::tables::{StateError, Tables};
use super::transaction::Transaction;

/// Seconds of the past that one claim looks at. More than one, so that what piled up goes away.
const SECONDS_MAX: u64 = 32;

/// Takes or renews a slot of `slots`, for `duration_s` from `now_ms` on. A slot never ends earlier
/// for being renewed.
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

/// Gives a slot back: `Done`, or `Unchanged` when the device had none.
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

/// Stores a viewer's slots in place of those `before`, under the second in which the last of them
/// ends. What would end in a second that was looked at already is filed under the next that will be.
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

/// Forgets what ended in the next seconds of the past; says up to which second all is forgotten.
fn forget<T: Tables>(run: &mut Transaction<'_, T>, now_s: u64) -> Result<u64, StateError> {
    let from_s: u64 = run.get(Table::Meta, META_LEASES)?.unwrap_or(now_s);
    let to_s = now_s.min(from_s.saturating_add(SECONDS_MAX)).max(from_s);
    for second in from_s..to_s {
        let prefix = leases_ending(second);
        for (filed, _) in run.prefix(Table::Leases, &prefix)? {
            run.delete(Table::Leases, filed.get(prefix.len()..).unwrap_or_default())?;
            run.delete(Table::Leases, &filed)?;
        }
    }
    run.put(Table::Meta, META_LEASES, &to_s)?;
    Ok(to_s)
}
