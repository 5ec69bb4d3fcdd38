//! The nodes of the cluster, including removed ones, because an id is never assigned twice.
//!
//! Raft itself knows who votes. These records hold what Raft does not know: where a node is, what its program
//! understands, whether it may vote, and whether it was removed.

use keymoot_model::NodeId;

use super::command::{Admission, NodeFacts};
use super::join_tokens::{self, TokenKind};
use super::layout::{META_LAST_NODE, node_key};
use super::node_keys;
use super::record::NodeRecord;
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::{Transaction, decode};

/// Stores a node's facts. A node that was never admitted is a founder.
pub(super) fn describe<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: NodeId,
    facts: &NodeFacts,
    now_ms: u64,
) -> Result<Response, StateError> {
    let known: Option<NodeRecord> = run.get(Table::Nodes, &node_key(id))?;
    if known.as_ref().is_some_and(|node| node.removed_at_ms.is_some()) {
        return Ok(Response::NodeRemoved);
    }
    if known.as_ref().is_some_and(|node| node.facts == *facts) {
        return Ok(Response::Unchanged);
    }
    let node = match known {
        Some(node) => NodeRecord { facts: facts.clone(), ..node },
        None => NodeRecord {
            id,
            facts: facts.clone(),
            learner: false,
            admitted_at_ms: now_ms,
            removed_at_ms: None,
        },
    };
    store(run, &node)?;
    Ok(Response::Done)
}

/// Spends a token on a new node, and assigns the node's id.
///
/// A key that comes again with the token it spent gets the same answer, so that a lost answer uses up no id.
pub(super) fn admit<T: Tables>(
    run: &mut Transaction<'_, T>,
    kind: TokenKind,
    admission: &Admission,
    now_ms: u64,
) -> Result<Response, StateError> {
    let token = match join_tokens::open(run, kind, &admission.token, &admission.secret_digest, now_ms)? {
        Ok(token) => token,
        Err(refusal) => return Ok(Response::TokenRefused(refusal)),
    };
    if let Some(spent) = &token.spent {
        return Ok(match spent.key_digest == admission.key_digest {
            true => Response::Admitted { id: spent.node, learner: token.learner },
            false => Response::TokenRefused(super::TokenRefusal::Spent),
        });
    }
    let last = last_id(run)?.max(admission.highest_id);
    let id = match admission.id {
        Some(id) if id <= last => return Ok(Response::NodeIdTaken { next: last.saturating_add(1) }),
        Some(id) => id,
        None => last.saturating_add(1),
    };
    let mut facts = admission.facts.clone();
    if let Some(zone) = &token.zone {
        facts.zone.clone_from(zone);
    }
    let node = NodeRecord { id, facts, learner: token.learner, admitted_at_ms: now_ms, removed_at_ms: None };
    store(run, &node)?;
    match kind {
        TokenKind::Node => node_keys::admit(run, id, &admission.key_digest, now_ms)?,
        TokenKind::Witness => node_keys::admit_witness(run, id, &admission.key_digest, now_ms)?,
    }
    join_tokens::spend(run, kind, &admission.token, token.clone(), id, admission.key_digest)?;
    Ok(Response::Admitted { id, learner: token.learner })
}

/// Sets whether a node may vote once it has caught up.
pub(super) fn set_learner<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: NodeId,
    learner: bool,
) -> Result<Response, StateError> {
    match run.get::<NodeRecord>(Table::Nodes, &node_key(id))? {
        None => Ok(Response::NoNode),
        Some(node) if node.removed_at_ms.is_some() => Ok(Response::NodeRemoved),
        Some(node) if node.learner == learner => Ok(Response::Unchanged),
        Some(node) => {
            store(run, &NodeRecord { learner, ..node })?;
            Ok(Response::Done)
        }
    }
}

/// Marks a node as removed, permanently. A node that never reported its facts gets a record too.
pub(super) fn remove<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: NodeId,
    now_ms: u64,
) -> Result<Response, StateError> {
    let known: Option<NodeRecord> = run.get(Table::Nodes, &node_key(id))?;
    if known.as_ref().is_some_and(|node| node.removed_at_ms.is_some()) {
        return Ok(Response::Unchanged);
    }
    let node = known.unwrap_or(NodeRecord {
        id,
        facts: NodeFacts::default(),
        learner: false,
        admitted_at_ms: now_ms,
        removed_at_ms: None,
    });
    store(run, &NodeRecord { removed_at_ms: Some(now_ms), ..node })?;
    Ok(Response::Done)
}

/// Every node that ever existed, sorted by id.
///
/// # Errors
/// When the tables cannot be read.
pub fn nodes<T: Tables>(tables: &T) -> Result<Vec<NodeRecord>, StateError> {
    tables.prefix(Table::Nodes, &[])?.iter().map(|(_, value)| read(tables, Table::Nodes, value)).collect()
}

/// The node of this id, if it ever existed.
///
/// # Errors
/// When the tables cannot be read.
pub fn node<T: Tables>(tables: &T, id: NodeId) -> Result<Option<NodeRecord>, StateError> {
    Transaction::new(tables).get(Table::Nodes, &node_key(id))
}

/// The node of this id, as the run sees it.
pub(super) fn known<T: Tables>(
    run: &Transaction<'_, T>,
    id: NodeId,
) -> Result<Option<NodeRecord>, StateError> {
    run.get(Table::Nodes, &node_key(id))
}

/// The members that are not removed, as the run sees them.
pub(super) fn present<T: Tables>(run: &Transaction<'_, T>) -> Result<Vec<NodeRecord>, StateError> {
    let pairs = run.prefix(Table::Nodes, &[])?;
    let all = pairs.iter().map(|(_, value)| decode::<NodeRecord>(Table::Nodes, value));
    Ok(all.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|n| n.removed_at_ms.is_none()).collect())
}

fn last_id<T: Tables>(run: &Transaction<'_, T>) -> Result<NodeId, StateError> {
    Ok(run.get(Table::Meta, META_LAST_NODE)?.unwrap_or(0))
}

fn store<T: Tables>(run: &mut Transaction<'_, T>, node: &NodeRecord) -> Result<(), StateError> {
    let last = last_id(run)?;
    if node.id > last {
        run.put(Table::Meta, META_LAST_NODE, &node.id)?;
    }
    run.put(Table::Nodes, &node_key(node.id), node)
}
