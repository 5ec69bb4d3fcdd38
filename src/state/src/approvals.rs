//! Acts that take two persons: one operator asks, another one approves within a time, and the approval is good for
//! exactly that act, once. Known from feature level 4 on.
//!
//! What takes two is kept here and not in a node's file, and it is here that an act without an approval is refused: so
//! nobody gets round it, whichever door the command came through. Names count, not credentials, and only those of
//! operators who stand at the moment the approval is used.

use serde::{Deserialize, Serialize};

use keymoot_model::{Account, AccountId, OperatorName, Role};

use super::acts::{Act, TwoPersonRule};
use super::layout::{
    META_APPROVAL, META_KEY_REMOVAL, META_LAST_APPROVAL, META_OPEN_EXPORT, META_OPERATOR, META_TWO_PERSONS,
    account_key, approval_key, key_removal_key, open_export_key,
};
use super::operators::OperatorRecord;
use super::response::Response;
use super::second_person::{counts, digest_of, hold, records, rule, stands};
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::{Transaction, decode};

/// How many approvals are on record at most, ended ones counted.
pub const APPROVALS_MAX: usize = 256;
/// How many of one operator's may wait at once.
pub const WAITING_MAX: usize = 16;
/// For how long a master key may be removed from the nodes' files once two persons said so: a week.
const KEY_REMOVAL_MS: u64 = 7 * 24 * 3600 * 1000;

/// An approval that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRecord {
    /// Counted up from 1.
    pub id: u64,
    pub act: Act,
    pub asked_by: OperatorName,
    /// Milliseconds since 1970 UTC.
    pub asked_at_ms: u64,
    /// When it ends, given or not: milliseconds since 1970 UTC.
    pub expires_at_ms: u64,
    pub approved_by: Option<OperatorName>,
    /// What became of it.
    pub end: Option<ApprovalEnd>,
}

/// What became of an approval. Variants are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalEnd {
    /// The act was done.
    Used { at_ms: u64 },
    /// Somebody took it back, or said no.
    Withdrawn { by: OperatorName },
}

impl ApprovalRecord {
    /// Whether something can still come of it.
    pub const fn is_open(&self, now_ms: u64) -> bool {
        self.end.is_none() && now_ms < self.expires_at_ms
    }
}

/// What becomes of approvals, and what is done by them. Variants are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApprovalChange {
    /// Asks for an approval. One who asked for the same act already is answered with that.
    Ask {
        act: Act,
        by: OperatorName,
    },
    Approve {
        id: u64,
        by: OperatorName,
    },
    /// Takes it back, or says no: any operator who may approve.
    Withdraw {
        id: u64,
        by: OperatorName,
    },
    /// Sets what takes two persons.
    SetRule {
        rule: TwoPersonRule,
        by: OperatorName,
    },
    /// Lets an account's keys be exported for a while.
    OpenExport {
        account: AccountId,
        for_s: u32,
    },
    /// Lets a master key be removed from the nodes' files for a while.
    PermitKeyRemoval {
        id: String,
    },
}

impl ApprovalChange {
    /// What it does, in words that are safe to log.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Ask { act, by } => format!("ask-approval of {by} to {act}"),
            Self::Approve { id, by } => format!("approve {id} of {by}"),
            Self::Withdraw { id, by } => format!("withdraw-approval {id} of {by}"),
            Self::SetRule { by, .. } => format!("set-two-person-rule of {by}"),
            Self::OpenExport { account, .. } => format!("open-export {account}"),
            Self::PermitKeyRemoval { id, .. } => format!("permit-key-removal {id}"),
        }
    }
}

/// Why something waits for a second person, or an approval was not given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ApprovalRefusal {
    #[error(
        "this takes two persons here, and no approval of another operator is there: ask with an operator's credential \
         over the admin API; keymoot approval list shows what waits"
    )]
    Needed,
    #[error("there is no approval of this number; keymoot approval list shows those there are")]
    Unknown,
    #[error(
        "it has ended: it was used or withdrawn, or its time is over; ask for another one by the command again"
    )]
    Ended,
    #[error("who asked cannot approve: another operator must")]
    SamePerson,
    #[error(
        "this operator is nobody's second person: revoked, without a role that may, or added by a keyring less than three \
         days ago"
    )]
    NoStanding,
    #[error("operator {by} approved it already")]
    Approved { by: OperatorName },
    #[error(
        "{WAITING_MAX} approvals of this operator wait, or the cluster has room for no more: withdraw some"
    )]
    TooMany,
    #[error(
        "two persons are needed for two persons to be demanded: at least two operators with the role security who are not \
         revoked; keymoot operator add makes another"
    )]
    TooFewOperators,
}

fn refused(refusal: ApprovalRefusal) -> Result<Response, StateError> {
    Ok(Response::ApprovalRefused(refusal))
}

/// Applies a change.
pub(super) fn change<T: Tables>(
    run: &mut Transaction<'_, T>,
    change: &ApprovalChange,
    now_ms: u64,
) -> Result<Response, StateError> {
    match change {
        ApprovalChange::Ask { act, by } => ask(run, act, by, now_ms),
        ApprovalChange::Approve { id, by } => approve(run, *id, by, now_ms),
        ApprovalChange::Withdraw { id, by } => withdraw(run, *id, by, now_ms),
        ApprovalChange::SetRule { rule, by } => set_rule(run, rule, by, now_ms),
        ApprovalChange::OpenExport { account, for_s } => {
            if run.get::<Account>(Table::Accounts, account_key(account))?.is_none() {
                return Ok(Response::Unchanged);
            }
            let act = Act::OpenExport { account: account.clone(), for_s: *for_s };
            if let Some(refusal) = hold(run, &act, None, now_ms)? {
                return Ok(refusal);
            }
            let until_ms = now_ms.saturating_add(u64::from(*for_s).saturating_mul(1000));
            run.put(Table::Meta, &open_export_key(account), &until_ms)?;
            Ok(Response::Done)
        }
        ApprovalChange::PermitKeyRemoval { id } => {
            let act = Act::RemoveMasterKey { id: id.clone() };
            if let Some(refusal) = hold(run, &act, None, now_ms)? {
                return Ok(refusal);
            }
            let until_ms = now_ms.saturating_add(KEY_REMOVAL_MS);
            run.put(Table::Meta, &key_removal_key(&digest_of(id)), &until_ms)?;
            Ok(Response::Done)
        }
    }
}

fn ask<T: Tables>(
    run: &mut Transaction<'_, T>,
    act: &Act,
    by: &OperatorName,
    now_ms: u64,
) -> Result<Response, StateError> {
    if !stands(run, by, act, now_ms)? {
        return refused(ApprovalRefusal::NoStanding);
    }
    let all = records(run)?;
    let waiting = |record: &&ApprovalRecord| record.is_open(now_ms) && record.asked_by == *by;
    if let Some(same) = all.iter().filter(waiting).find(|record| record.act == *act) {
        return Ok(Response::Approval(Box::new(same.clone())));
    }
    if all.iter().filter(waiting).count() >= WAITING_MAX {
        return refused(ApprovalRefusal::TooMany);
    }
    if all.len() >= APPROVALS_MAX {
        // The oldest of which nothing can come any more makes room.
        let Some(oldest) = all.iter().find(|record| !record.is_open(now_ms)) else {
            return refused(ApprovalRefusal::TooMany);
        };
        run.delete(Table::Meta, &approval_key(oldest.id))?;
    }
    let id = run.get::<u64>(Table::Meta, META_LAST_APPROVAL)?.unwrap_or(0).saturating_add(1);
    run.put(Table::Meta, META_LAST_APPROVAL, &id)?;
    let record = ApprovalRecord {
        id,
        act: act.clone(),
        asked_by: by.clone(),
        asked_at_ms: now_ms,
        expires_at_ms: now_ms.saturating_add(rule(run)?.within_s.saturating_mul(1000)),
        approved_by: None,
        end: None,
    };
    store(run, record)
}

fn store<T: Tables>(run: &mut Transaction<'_, T>, record: ApprovalRecord) -> Result<Response, StateError> {
    run.put(Table::Meta, &approval_key(record.id), &record)?;
    Ok(Response::Approval(Box::new(record)))
}

/// The approval of this number, if something can still come of it.
fn open<T: Tables>(
    run: &Transaction<'_, T>,
    id: u64,
    now_ms: u64,
) -> Result<Result<ApprovalRecord, ApprovalRefusal>, StateError> {
    let record: Option<ApprovalRecord> = run.get(Table::Meta, &approval_key(id))?;
    Ok(match record {
        None => Err(ApprovalRefusal::Unknown),
        Some(record) if !record.is_open(now_ms) => Err(ApprovalRefusal::Ended),
        Some(record) => Ok(record),
    })
}

fn approve<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: u64,
    by: &OperatorName,
    now_ms: u64,
) -> Result<Response, StateError> {
    let mut record = match open(run, id, now_ms)? {
        Ok(record) => record,
        Err(refusal) => return refused(refusal),
    };
    if record.asked_by == *by {
        return refused(ApprovalRefusal::SamePerson);
    }
    if !stands(run, by, &record.act, now_ms)? {
        return refused(ApprovalRefusal::NoStanding);
    }
    // One whose approver counts no more is approved by another one.
    if let Some(earlier) = record.approved_by.clone()
        && stands(run, &earlier, &record.act, now_ms)?
    {
        return refused(ApprovalRefusal::Approved { by: earlier });
    }
    record.approved_by = Some(by.clone());
    store(run, record)
}

fn withdraw<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: u64,
    by: &OperatorName,
    now_ms: u64,
) -> Result<Response, StateError> {
    let mut record = match open(run, id, now_ms)? {
        Ok(record) => record,
        Err(refusal) => return refused(refusal),
    };
    if record.asked_by != *by && !stands(run, by, &record.act, now_ms)? {
        return refused(ApprovalRefusal::NoStanding);
    }
    record.end = Some(ApprovalEnd::Withdrawn { by: by.clone() });
    store(run, record)
}

fn set_rule<T: Tables>(
    run: &mut Transaction<'_, T>,
    new: &TwoPersonRule,
    by: &OperatorName,
    now_ms: u64,
) -> Result<Response, StateError> {
    let before = rule(run)?;
    let new = new.clone().sorted();
    if new == before {
        return Ok(Response::Unchanged);
    }
    if before.acts.is_empty() && !new.acts.is_empty() {
        let mut others = 0;
        for (_, value) in run.prefix(Table::Meta, META_OPERATOR)? {
            let record: OperatorRecord = decode(Table::Meta, &value)?;
            others += usize::from(counts(&record, now_ms) && record.roles.contains(&Role::Security));
        }
        if others < 2 {
            return refused(ApprovalRefusal::TooFewOperators);
        }
    }
    if let Some(refusal) = hold(run, &Act::SetRule(new.clone()), Some(by), now_ms)? {
        return Ok(refusal);
    }
    run.put(Table::Meta, META_TWO_PERSONS, &new)?;
    Ok(Response::Done)
}

/// Forgets what was asked and permitted, of a state that a backup brings back. What takes two persons stays.
pub(super) fn forget<T: Tables>(run: &mut Transaction<'_, T>) -> Result<(), StateError> {
    for prefix in [META_APPROVAL, META_OPEN_EXPORT, META_KEY_REMOVAL] {
        for (key, _) in run.prefix(Table::Meta, prefix)? {
            run.delete(Table::Meta, &key)?;
        }
    }
    Ok(())
}

/// Every approval on record, in the order in which they were asked for.
///
/// # Errors
/// When the tables cannot be read.
pub fn approvals<T: Tables>(tables: &T) -> Result<Vec<ApprovalRecord>, StateError> {
    let pairs = tables.prefix(Table::Meta, META_APPROVAL)?;
    pairs.iter().map(|(_, value)| read(tables, Table::Meta, value)).collect()
}
