//! Whether an act waits for a second person, and whether the second person's approval is there.

use keymoot_model::{AccountId, OperatorName};
use sha2::{Digest as _, Sha256};

use super::acts::{Act, ActKind, TwoPersonRule};
use super::approvals::{ApprovalEnd, ApprovalRecord, ApprovalRefusal};
use super::layout::{
    META_APPROVAL, META_TWO_PERSONS, account_prefix, approval_key, key_removal_key, open_export_key,
    operator_key,
};
use super::operators::{OperatorRecord, Voucher};
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::{Transaction, decode};

/// For how long a keyring alone makes nobody a second person: three days, unless two persons acknowledge it before.
/// Somebody must have the time to see it in the status.
pub const KEYRING_STANDS_AFTER_MS: u64 = 3 * 24 * 3600 * 1000;

/// Holds an act back that takes two persons, unless it is approved: then the approval is used up.
pub(super) fn hold<T: Tables>(
    run: &mut Transaction<'_, T>,
    act: &Act,
    by: Option<&OperatorName>,
    now_ms: u64,
) -> Result<Option<Response>, StateError> {
    if !takes_two(run, act)? {
        return Ok(None);
    }
    let Some(mut record) = approved(run, act, by.filter(|_| act.is_personal()), now_ms)? else {
        return Ok(Some(Response::ApprovalRefused(ApprovalRefusal::Needed)));
    };
    record.end = Some(ApprovalEnd::Used { at_ms: now_ms });
    run.put(Table::Meta, &approval_key(record.id), &record)?;
    Ok(None)
}

/// Whether the act takes two persons now.
fn takes_two<T: Tables>(run: &Transaction<'_, T>, act: &Act) -> Result<bool, StateError> {
    let rule = rule(run)?;
    let demands = |kind| rule.acts.contains(&kind);
    Ok(match act {
        Act::OpenExport { .. } => demands(ActKind::ExportKeys),
        Act::RemoveAccount { id } => {
            demands(ActKind::RemoveAccount)
                && !run.page(Table::Tracks, &account_prefix(id), &[], 1)?.is_empty()
        }
        Act::RemoveMasterKey { .. } => demands(ActKind::RemoveMasterKey),
        Act::ReplaceAuthority => demands(ActKind::ReplaceAuthority),
        Act::SetRule(new) => new.is_weaker_than(&rule),
        Act::AddOperator { .. }
        | Act::SetRoles { .. }
        | Act::AddCertificate { .. }
        | Act::SetPassword { .. }
        | Act::Acknowledge { .. } => !rule.acts.is_empty(),
    })
}

/// An approval of exactly this act that can be used now.
fn approved<T: Tables>(
    run: &Transaction<'_, T>,
    act: &Act,
    by: Option<&OperatorName>,
    now_ms: u64,
) -> Result<Option<ApprovalRecord>, StateError> {
    for record in records(run)? {
        let Some(approver) = record.approved_by.clone().filter(|_| record.is_open(now_ms)) else { continue };
        let is_it = record.act == *act
            && by.is_none_or(|by| *by == record.asked_by)
            && approver != record.asked_by
            && stands(run, &record.asked_by, act, now_ms)?
            && stands(run, &approver, act, now_ms)?;
        if is_it {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// Whether an operator counts as one of two persons for the act.
pub(super) fn stands<T: Tables>(
    run: &Transaction<'_, T>,
    name: &OperatorName,
    act: &Act,
    now_ms: u64,
) -> Result<bool, StateError> {
    let record: Option<OperatorRecord> = run.get(Table::Meta, &operator_key(name))?;
    Ok(record.is_some_and(|record| {
        counts(&record, now_ms) && record.roles.iter().any(|role| act.approvers().contains(role))
    }))
}

pub(super) fn counts(record: &OperatorRecord, now_ms: u64) -> bool {
    let is_vouched = match &record.voucher {
        Voucher::Keyring { acknowledged_by: None, .. } => {
            record.added_at_ms.saturating_add(KEYRING_STANDS_AFTER_MS) <= now_ms
        }
        Voucher::Keyring { .. } | Voucher::Operator(_) | Voucher::Founder => true,
    };
    record.revoked_at_ms.is_none() && is_vouched
}

pub(super) fn rule<T: Tables>(run: &Transaction<'_, T>) -> Result<TwoPersonRule, StateError> {
    Ok(run.get(Table::Meta, META_TWO_PERSONS)?.unwrap_or_default())
}

pub(super) fn records<T: Tables>(run: &Transaction<'_, T>) -> Result<Vec<ApprovalRecord>, StateError> {
    let pairs = run.prefix(Table::Meta, META_APPROVAL)?;
    pairs.iter().map(|(_, value)| decode(Table::Meta, value)).collect()
}

/// What takes two persons.
///
/// # Errors
/// When the tables cannot be read.
pub fn two_person_rule<T: Tables>(tables: &T) -> Result<TwoPersonRule, StateError> {
    rule(&Transaction::new(tables))
}

/// What an act waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: one person is enough.
    Free,
    /// Nothing: this approval is there, which the act uses up.
    Approved(Box<ApprovalRecord>),
    /// A second person.
    Held,
}

/// What an act of this operator waits for.
///
/// # Errors
/// When the tables cannot be read.
pub fn standing_of<T: Tables>(
    tables: &T,
    act: &Act,
    by: &OperatorName,
    now_ms: u64,
) -> Result<Standing, StateError> {
    let run = Transaction::new(tables);
    if !takes_two(&run, act)? {
        return Ok(Standing::Free);
    }
    let found = approved(&run, act, Some(by), now_ms)?;
    Ok(found.map_or(Standing::Held, |record| Standing::Approved(Box::new(record))))
}

/// Whether the keys of an account may be exported now.
///
/// # Errors
/// When the tables cannot be read.
pub fn export_is_open<T: Tables>(tables: &T, account: &AccountId, now_ms: u64) -> Result<bool, StateError> {
    let run = Transaction::new(tables);
    if !rule(&run)?.acts.contains(&ActKind::ExportKeys) {
        return Ok(true);
    }
    let until_ms: Option<u64> = run.get(Table::Meta, &open_export_key(account))?;
    Ok(until_ms.is_some_and(|until_ms| now_ms < until_ms))
}

/// Whether the master key of this id may be removed from a node's file now.
///
/// # Errors
/// When the tables cannot be read.
pub fn key_removal_is_permitted<T: Tables>(tables: &T, id: &str, now_ms: u64) -> Result<bool, StateError> {
    let run = Transaction::new(tables);
    if !rule(&run)?.acts.contains(&ActKind::RemoveMasterKey) {
        return Ok(true);
    }
    let until_ms: Option<u64> = run.get(Table::Meta, &key_removal_key(&digest_of(id)))?;
    Ok(until_ms.is_some_and(|until_ms| now_ms < until_ms))
}

/// Ids of any length make keys of one.
pub(super) fn digest_of(id: &str) -> [u8; 32] {
    Sha256::digest(id.as_bytes()).into()
}
