//! Policies: stored by name, counted where they are attached, deleted only when nothing uses them.
//!
//! A name held by a content or an account's default therefore always leads to a policy.

use serde::{Deserialize, Serialize};

use keymoot_model::{AccountId, ContentId, Policy, PolicyName, PolicyRecord};

use super::command::PolicyCondition;
use super::layout::{account_key, content_key, policies_of, policy_key};
use super::query::get;
use super::record::PolicyEntry;
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::Transaction;

/// The policy of this name.
///
/// # Errors
/// When the tables cannot be read.
pub fn policy<T: Tables>(
    tables: &T,
    account: &AccountId,
    name: &PolicyName,
) -> Result<Option<PolicyRecord>, StateError> {
    let place: Option<PolicyEntry> = get(tables, Table::Policies, &policy_key(account, name))?;
    Ok(place.and_then(|place| place.current))
}

/// All policies of an account, sorted by name.
///
/// # Errors
/// When the tables cannot be read.
pub fn policies<T: Tables>(tables: &T, account: &AccountId) -> Result<Vec<PolicyRecord>, StateError> {
    let mut policies = Vec::new();
    for (_, value) in tables.prefix(Table::Policies, &policies_of(account))? {
        let place: PolicyEntry = read(tables, Table::Policies, &value)?;
        policies.extend(place.current);
    }
    Ok(policies)
}

/// The policies that an account may have.
pub const POLICIES_MAX: usize = 1000;

/// The account has as many policies as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account has {POLICIES_MAX} policies, as many as it may; delete one first")]
pub struct TooManyPolicies;

/// Whether the account may have a policy of this name: in place of the one it has, or beside the others.
///
/// # Errors
/// When the tables cannot be read.
pub fn room_for_policy<T: Tables>(
    tables: &T,
    account: &AccountId,
    name: &PolicyName,
) -> Result<Result<(), TooManyPolicies>, StateError> {
    let has_room =
        policy(tables, account, name)?.is_some() || policies(tables, account)?.len() < POLICIES_MAX;
    Ok(if has_room { Ok(()) } else { Err(TooManyPolicies) })
}

/// The number of contents that the policy of this name is attached to.
///
/// # Errors
/// When the tables cannot be read.
pub(crate) fn policy_uses<T: Tables>(
    tables: &T,
    account: &AccountId,
    name: &PolicyName,
) -> Result<u64, StateError> {
    Ok(get(tables, Table::PolicyUses, &policy_key(account, name))?.unwrap_or_default())
}

/// The name of the policy attached to a content.
///
/// # Errors
/// When the tables cannot be read.
pub fn attached_policy<T: Tables>(
    tables: &T,
    account: &AccountId,
    content: &ContentId,
) -> Result<Option<PolicyName>, StateError> {
    get(tables, Table::ContentPolicies, &content_key(account, content))
}

/// The name of the account's default policy, for contents without an attached one.
///
/// # Errors
/// When the tables cannot be read.
pub fn default_policy<T: Tables>(tables: &T, account: &AccountId) -> Result<Option<PolicyName>, StateError> {
    get(tables, Table::DefaultPolicies, account_key(account))
}

/// A policy and its uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedPolicy {
    pub record: PolicyRecord,
    /// The number of contents that it is attached to.
    pub contents: u64,
    /// Whether it is the account's default.
    pub is_default: bool,
}

/// All policies of an account, sorted by name, with their uses.
///
/// # Errors
/// When the tables cannot be read.
pub fn listed_policies<T: Tables>(tables: &T, account: &AccountId) -> Result<Vec<ListedPolicy>, StateError> {
    policies(tables, account)?.into_iter().map(|record| listed_policy(tables, account, record)).collect()
}

/// A policy with its uses.
///
/// # Errors
/// When the tables cannot be read.
pub fn listed_policy<T: Tables>(
    tables: &T,
    account: &AccountId,
    record: PolicyRecord,
) -> Result<ListedPolicy, StateError> {
    let contents = policy_uses(tables, account, &record.policy.name)?;
    let is_default = default_policy(tables, account)?.as_ref() == Some(&record.policy.name);
    Ok(ListedPolicy { record, contents, is_default })
}

pub(super) fn put<T: Tables>(
    run: &mut Transaction<'_, T>,
    account: &AccountId,
    policy: &Policy,
    condition: PolicyCondition,
    now_ms: u64,
) -> Result<Response, StateError> {
    let key = policy_key(account, &policy.name);
    let place: Option<PolicyEntry> = run.get(Table::Policies, &key)?;
    let PolicyEntry { next_version, current } =
        place.unwrap_or(PolicyEntry { next_version: 1, current: None });
    // An equal policy is a retry of a request whose answer was lost: it gets the same answer.
    if let Some(current) = current.as_ref().filter(|current| current.policy == *policy)
        && !matches!(condition, PolicyCondition::IfVersion(version) if version > current.version)
    {
        return Ok(Response::Policy(Box::new(current.clone())));
    }
    if let Some(refusal) = refuse(current.as_ref(), condition) {
        return Ok(refusal);
    }
    let record = PolicyRecord { policy: policy.clone(), version: next_version, changed_at_ms: now_ms };
    let place = PolicyEntry { next_version: next_version.saturating_add(1), current: Some(record.clone()) };
    run.put(Table::Policies, &key, &place)?;
    Ok(Response::Policy(Box::new(record)))
}

pub(super) fn delete<T: Tables>(
    run: &mut Transaction<'_, T>,
    account: &AccountId,
    name: &PolicyName,
    condition: PolicyCondition,
) -> Result<Response, StateError> {
    let key = policy_key(account, name);
    let Some(place) = run.get::<PolicyEntry>(Table::Policies, &key)?.filter(|place| place.current.is_some())
    else {
        return Ok(Response::NoPolicy);
    };
    if let Some(refusal) = refuse(place.current.as_ref(), condition) {
        return Ok(refusal);
    }
    let contents: u64 = run.get(Table::PolicyUses, &key)?.unwrap_or_default();
    let default: Option<PolicyName> = run.get(Table::DefaultPolicies, account_key(account))?;
    let is_default = default.as_ref() == Some(name);
    if contents > 0 || is_default {
        return Ok(Response::PolicyInUse { contents, is_default });
    }
    run.put(Table::Policies, &key, &PolicyEntry { current: None, ..place })?;
    Ok(Response::Done)
}

fn refuse(current: Option<&PolicyRecord>, condition: PolicyCondition) -> Option<Response> {
    let version = current.map(|current| current.version);
    let holds = match condition {
        PolicyCondition::Always => true,
        PolicyCondition::IfAbsent => version.is_none(),
        PolicyCondition::IfPresent => version.is_some(),
        PolicyCondition::IfVersion(wanted) => version == Some(wanted),
    };
    (!holds).then_some(Response::PolicyMoved { version })
}

pub(super) fn attach<T: Tables>(
    run: &mut Transaction<'_, T>,
    account: &AccountId,
    content: &ContentId,
    name: Option<&PolicyName>,
    if_absent: bool,
) -> Result<Response, StateError> {
    if !exists(run, account, name)? {
        return Ok(Response::NoPolicy);
    }
    let key = content_key(account, content);
    let attached: Option<PolicyName> = run.get(Table::ContentPolicies, &key)?;
    if attached.as_ref() == name || (if_absent && attached.is_some()) {
        return Ok(Response::Unchanged);
    }
    if let Some(attached) = &attached {
        count(run, &policy_key(account, attached), |uses| uses.saturating_sub(1))?;
    }
    match name {
        Some(name) => {
            count(run, &policy_key(account, name), |uses| uses.saturating_add(1))?;
            run.put(Table::ContentPolicies, &key, name)?;
        }
        None => run.delete(Table::ContentPolicies, &key)?,
    }
    Ok(Response::Done)
}

fn count<T: Tables>(
    run: &mut Transaction<'_, T>,
    key: &[u8],
    change: fn(u64) -> u64,
) -> Result<(), StateError> {
    match change(run.get(Table::PolicyUses, key)?.unwrap_or_default()) {
        0 => run.delete(Table::PolicyUses, key),
        uses => run.put(Table::PolicyUses, key, &uses),
    }
}

pub(super) fn set_default<T: Tables>(
    run: &mut Transaction<'_, T>,
    account: &AccountId,
    name: Option<&PolicyName>,
) -> Result<Response, StateError> {
    if !exists(run, account, name)? {
        return Ok(Response::NoPolicy);
    }
    let key = account_key(account);
    let default: Option<PolicyName> = run.get(Table::DefaultPolicies, key)?;
    if default.as_ref() == name {
        return Ok(Response::Unchanged);
    }
    match name {
        Some(name) => run.put(Table::DefaultPolicies, key, name)?,
        None => run.delete(Table::DefaultPolicies, key)?,
    }
    Ok(Response::Done)
}

/// Whether the named policy is stored; `None` is always accepted.
fn exists<T: Tables>(
    run: &Transaction<'_, T>,
    account: &AccountId,
    name: Option<&PolicyName>,
) -> Result<bool, StateError> {
    let Some(name) = name else { return Ok(true) };
    let place: Option<PolicyEntry> = run.get(Table::Policies, &policy_key(account, name))?;
    Ok(place.is_some_and(|place| place.current.is_some()))
}
