//! Acts that take two persons: one operator asks, another one approves within a time, and the approval is good for
//! exactly that act, once. Known from feature level 4 on.
//!
//! What takes two is kept here and not in a node's file, and it is here that an act without an approval is refused: so
//! nobody gets round it, whichever door the command came through. Names count, not credentials, and only those of
//! operators who stand at the moment the approval is used.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use keymoot_model::{Account, AccountId, OperatorName, Role};

use super::layout::{
    META_APPROVAL, META_KEY_REMOVAL, META_LAST_APPROVAL, META_OPEN_EXPORT, META_TWO_PERSONS, account_key,
    account_prefix, approval_key, key_removal_key, open_export_key, operator_key,
};
use super::operators::{OperatorRecord, Voucher};
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::Transaction;

/// How many approvals are on record at most, ended ones counted.
pub const APPROVALS_MAX: usize = 256;
/// How many of one operator's may wait at once.
pub const WAITING_MAX: usize = 16;
/// For how long a keyring alone makes nobody a second person: three days, unless two persons acknowledge it before.
/// Somebody must have the time to see it in the status.
pub const KEYRING_STANDS_AFTER_MS: u64 = 3 * 24 * 3600 * 1000;
/// For how long a master key may be removed from the nodes' files once two persons said so: a week.
const KEY_REMOVAL_MS: u64 = 7 * 24 * 3600 * 1000;

/// A kind of act that the cluster can demand two persons for. Variants are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActKind {
    /// Export of an account's keys.
    ExportKeys,
    /// Removal of an account that has keys.
    RemoveAccount,
    /// Removal of a master key from the nodes' files.
    RemoveMasterKey,
    /// Replacement of the cluster's certificate authority.
    ReplaceAuthority,
}

/// The text names no kind of act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no act that can take two persons; there are export-keys, remove-account, remove-master-key and \
     replace-authority"
)]
pub struct ActKindError(String);

impl ActKind {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::ExportKeys, Self::RemoveAccount, Self::RemoveMasterKey, Self::ReplaceAuthority];

    /// Its name, as people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExportKeys => "export-keys",
            Self::RemoveAccount => "remove-account",
            Self::RemoveMasterKey => "remove-master-key",
            Self::ReplaceAuthority => "replace-authority",
        }
    }
}

impl std::str::FromStr for ActKind {
    type Err = ActKindError;

    fn from_str(text: &str) -> Result<Self, ActKindError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| ActKindError(text.to_owned()))
    }
}

/// What takes two persons. While it is anything, so does what could make one person two: see [`Act`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoPersonRule {
    /// Sorted, each once. None: one person may do everything.
    pub acts: Vec<ActKind>,
    /// For how long an approval can be given and used after it was asked for.
    pub within_s: u64,
}

impl TwoPersonRule {
    /// How long an approval is waited for where nobody says: a day.
    pub const WITHIN_S: u64 = 24 * 3600;
    /// The shortest and the longest time.
    pub const WITHIN_S_RANGE: std::ops::RangeInclusive<u64> = 60..=7 * 24 * 3600;

    /// The same rule as it is stored.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.acts.sort_unstable();
        self.acts.dedup();
        self
    }

    /// Whether one person could do more, or for longer, than before.
    fn is_weaker_than(&self, before: &Self) -> bool {
        !before.acts.is_empty()
            && (before.acts.iter().any(|act| !self.acts.contains(act)) || self.within_s > before.within_s)
    }
}

impl Default for TwoPersonRule {
    fn default() -> Self {
        Self { acts: Vec::new(), within_s: Self::WITHIN_S }
    }
}

/// What two persons agree on, with all that matters of it. Variants are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    OpenExport {
        account: AccountId,
        for_s: u32,
    },
    RemoveAccount {
        id: AccountId,
    },
    RemoveMasterKey {
        id: String,
    },
    ReplaceAuthority,
    /// Makes less take two persons.
    SetRule(TwoPersonRule),
    AddOperator {
        name: OperatorName,
        roles: Vec<Role>,
    },
    SetRoles {
        name: OperatorName,
        roles: Vec<Role>,
    },
    /// Gives somebody else another certificate, whose key is of whoever asks.
    AddCertificate {
        name: OperatorName,
    },
    /// Gives somebody else another password.
    SetPassword {
        name: OperatorName,
    },
    /// Vouches for an operator in place of a keyring.
    Acknowledge {
        name: OperatorName,
    },
}

impl Act {
    /// The roles by which an operator may approve it: any of them is enough.
    pub const fn approvers(&self) -> &'static [Role] {
        match self {
            Self::RemoveAccount { .. } => &[Role::KeyAdmin, Role::Security],
            _ => &[Role::Security],
        }
    }

    /// Who alone may use the approval: what it leaves open is for the one who asked to say.
    const fn is_personal(&self) -> bool {
        matches!(self, Self::AddOperator { .. } | Self::AddCertificate { .. } | Self::SetPassword { .. })
    }
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let listed = |roles: &[Role]| roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",");
        match self {
            Self::OpenExport { account, for_s } => {
                write!(f, "export keys of account {account} for {for_s} s")
            }
            Self::RemoveAccount { id } => write!(f, "remove account {id}"),
            Self::RemoveMasterKey { id } => write!(f, "remove master key {id}"),
            Self::ReplaceAuthority => f.write_str("replace the certificate authority"),
            Self::SetRule(rule) if rule.acts.is_empty() => f.write_str("let one person do everything"),
            Self::SetRule(rule) => {
                let acts: Vec<&str> = rule.acts.iter().map(|act| act.name()).collect();
                write!(f, "take two persons only for {}, within {} s", acts.join(","), rule.within_s)
            }
            Self::AddOperator { name, roles } => write!(f, "add operator {name} as {}", listed(roles)),
            Self::SetRoles { name, roles } => write!(f, "make operator {name} {}", listed(roles)),
            Self::AddCertificate { name } => write!(f, "give operator {name} a certificate"),
            Self::SetPassword { name } => write!(f, "give operator {name} a password"),
            Self::Acknowledge { name } => write!(f, "acknowledge operator {name}"),
        }
    }
}

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

/// Ids of any length make keys of one.
fn digest_of(id: &str) -> [u8; 32] {
    Sha256::digest(id.as_bytes()).into()
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
fn stands<T: Tables>(
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

fn counts(record: &OperatorRecord, now_ms: u64) -> bool {
    let is_vouched = match &record.voucher {
        Voucher::Keyring { acknowledged_by: None, .. } => {
            record.added_at_ms.saturating_add(KEYRING_STANDS_AFTER_MS) <= now_ms
        }
        Voucher::Keyring { .. } | Voucher::Operator(_) | Voucher::Founder => true,
    };
    record.revoked_at_ms.is_none() && is_vouched
}

fn rule<T: Tables>(run: &Transaction<'_, T>) -> Result<TwoPersonRule, StateError> {
    Ok(run.get(Table::Meta, META_TWO_PERSONS)?.unwrap_or_default())
}

fn records<T: Tables>(run: &Transaction<'_, T>) -> Result<Vec<ApprovalRecord>, StateError> {
    let pairs = run.prefix(Table::Meta, META_APPROVAL)?;
    pairs.iter().map(|(_, value)| super::transaction::decode(Table::Meta, value)).collect()
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
    run.put(Table::Meta, &approval_key(id), &record)?;
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
    run.put(Table::Meta, &approval_key(id), &record)?;
    Ok(Response::Approval(Box::new(record)))
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
    run.put(Table::Meta, &approval_key(id), &record)?;
    Ok(Response::Approval(Box::new(record)))
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
        for (_, value) in run.prefix(Table::Meta, super::layout::META_OPERATOR)? {
            let record: OperatorRecord = super::transaction::decode(Table::Meta, &value)?;
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

/// What takes two persons.
///
/// # Errors
/// When the tables cannot be read.
pub fn two_person_rule<T: Tables>(tables: &T) -> Result<TwoPersonRule, StateError> {
    rule(&Transaction::new(tables))
}

/// Every approval on record, in the order in which they were asked for.
///
/// # Errors
/// When the tables cannot be read.
pub fn approvals<T: Tables>(tables: &T) -> Result<Vec<ApprovalRecord>, StateError> {
    let pairs = tables.prefix(Table::Meta, META_APPROVAL)?;
    pairs.iter().map(|(_, value)| read(tables, Table::Meta, value)).collect()
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
