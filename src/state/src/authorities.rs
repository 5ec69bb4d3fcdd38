//! The replacement of the cluster's certificate authority while the cluster serves: the next one is announced, all
//! nodes trust both, it takes over, all nodes renew under it, and the one before is retired.
//!
//! Whether all nodes are that far is decided by whoever proposes the next step.

use serde::{Deserialize, Serialize};

use keymoot_model::NodeId;

use super::acts::Act;
use super::layout::{
    META_AUTHORITY, META_AUTHORITY_CHANGE, META_NODE_TRUST, META_RETIRED_AUTHORITIES, node_trust_key,
};
use super::record::AuthorityRecord;
use super::response::Response;
use super::second_person;
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::Transaction;

/// A replacement that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityChange {
    /// Until it takes over the next authority, and then the one before.
    pub other: AuthorityRecord,
    /// Whether the next one has taken over.
    pub adopted: bool,
    /// When it did: milliseconds since 1970 UTC.
    pub adopted_at_ms: Option<u64>,
}

/// Which authorities a node trusts, and which one its certificate is of: each by the SHA-256 of its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTrust {
    pub node: NodeId,
    pub trusted: Vec<[u8; 32]>,
    /// `None` when it is of neither of the two.
    pub issuer: Option<[u8; 32]>,
}

/// Announces the next authority, unless a replacement is under way or there is nothing to replace.
pub(super) fn begin<T: Tables>(
    run: &mut Transaction<'_, T>,
    next: &AuthorityRecord,
    now_ms: u64,
) -> Result<Response, StateError> {
    let under_way = run.get::<AuthorityChange>(Table::Meta, META_AUTHORITY_CHANGE)?.is_some();
    if under_way || run.get::<AuthorityRecord>(Table::Meta, META_AUTHORITY)?.is_none() {
        return Ok(Response::Unchanged);
    }
    if let Some(held) = second_person::hold(run, &Act::ReplaceAuthority, None, now_ms)? {
        return Ok(held);
    }
    let change = AuthorityChange { other: next.clone(), adopted: false, adopted_at_ms: None };
    run.put(Table::Meta, META_AUTHORITY_CHANGE, &change)?;
    Ok(Response::Done)
}

/// Lets the announced authority take over: it signs from now on.
pub(super) fn adopt<T: Tables>(run: &mut Transaction<'_, T>, now_ms: u64) -> Result<Response, StateError> {
    let change = run.get::<AuthorityChange>(Table::Meta, META_AUTHORITY_CHANGE)?;
    let current = run.get::<AuthorityRecord>(Table::Meta, META_AUTHORITY)?;
    let (Some(change), Some(current)) = (change.filter(|change| !change.adopted), current) else {
        return Ok(Response::Unchanged);
    };
    run.put(Table::Meta, META_AUTHORITY, &change.other)?;
    let change = AuthorityChange { other: current, adopted: true, adopted_at_ms: Some(now_ms) };
    run.put(Table::Meta, META_AUTHORITY_CHANGE, &change)?;
    Ok(Response::Done)
}

/// Retires the authority that was replaced, and forgets its key.
pub(super) fn retire<T: Tables>(run: &mut Transaction<'_, T>) -> Result<Response, StateError> {
    let change = run.get::<AuthorityChange>(Table::Meta, META_AUTHORITY_CHANGE)?;
    let Some(change) = change.filter(|change| change.adopted) else { return Ok(Response::Unchanged) };
    end(run, change)
}

/// Gives the announced authority up, as long as it signs nothing: the nodes that trust it already do so no more.
pub(super) fn cancel<T: Tables>(run: &mut Transaction<'_, T>) -> Result<Response, StateError> {
    let change = run.get::<AuthorityChange>(Table::Meta, META_AUTHORITY_CHANGE)?;
    let Some(change) = change.filter(|change| !change.adopted) else { return Ok(Response::Unchanged) };
    end(run, change)
}

/// Ends a replacement: the authority that is not the cluster's is trusted no more, and its key forgotten.
fn end<T: Tables>(run: &mut Transaction<'_, T>, change: AuthorityChange) -> Result<Response, StateError> {
    let retired: Option<Vec<String>> = run.get(Table::Meta, META_RETIRED_AUTHORITIES)?;
    let mut retired = retired.unwrap_or_default();
    retired.push(change.other.certificate_pem);
    run.put(Table::Meta, META_RETIRED_AUTHORITIES, &retired)?;
    run.delete(Table::Meta, META_AUTHORITY_CHANGE)?;
    Ok(Response::Done)
}

/// Notes which authorities a node trusts.
pub(super) fn note_trust<T: Tables>(
    run: &mut Transaction<'_, T>,
    trust: &NodeTrust,
) -> Result<Response, StateError> {
    let key = node_trust_key(trust.node);
    if run.get::<NodeTrust>(Table::Meta, &key)?.as_ref() == Some(trust) {
        return Ok(Response::Unchanged);
    }
    run.put(Table::Meta, &key, trust)?;
    Ok(Response::Done)
}

/// The replacement that is under way.
///
/// # Errors
/// When the tables cannot be read.
pub fn authority_change<T: Tables>(tables: &T) -> Result<Option<AuthorityChange>, StateError> {
    Transaction::new(tables).get(Table::Meta, META_AUTHORITY_CHANGE)
}

/// The certificates of the authorities that were replaced or given up, PEM.
///
/// # Errors
/// When the tables cannot be read.
pub fn retired_authorities<T: Tables>(tables: &T) -> Result<Vec<String>, StateError> {
    Ok(Transaction::new(tables).get(Table::Meta, META_RETIRED_AUTHORITIES)?.unwrap_or_default())
}

/// What each node was last noted to trust.
///
/// # Errors
/// When the tables cannot be read.
pub fn node_trust<T: Tables>(tables: &T) -> Result<Vec<NodeTrust>, StateError> {
    let pairs = tables.prefix(Table::Meta, META_NODE_TRUST)?;
    pairs.iter().map(|(_, value)| read(tables, Table::Meta, value)).collect()
}
