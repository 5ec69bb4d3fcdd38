//! The keys that nodes prove themselves with: who shows a certificate is told by its public key and this register,
//! not by what the certificate says. Every node can sign certificates; none can put a key in here for another.
//!
//! A witness is known by its key, too: the key of a node that was admitted as one permits a witness's part for good.
//!
//! A renewed certificate is for the same key, so the register changes only when a node comes or goes.

use std::collections::BTreeSet;

use keymoot_model::{MasterKeyVerifier, NodeId};

use super::features;
use super::layout::{META_NODE_KEY, META_NODE_TRUST, META_VERIFIERS, node_key, node_key_key};
use super::record::{NodeKeyRecord, NodeRecord};
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::{Transaction, decode};

/// How the state knows whoever shows a certificate for a key and a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStanding {
    /// The key is registered for the node.
    Registered,
    /// The key is registered for the node, which is a witness.
    Witness,
    /// The node has registered no key yet, as below feature level 4.
    Unregistered,
    /// There never was a node of this id.
    Unknown,
    /// Another key is registered for the node.
    Other,
    /// The node's certificates were revoked.
    Revoked,
    /// The node was removed. It may be told so, revoked or not: what to do about it is another matter.
    Removed { revoked: bool },
}

/// Registers the key of a node, in place of an earlier one. A revoked node gets none any more.
pub(super) fn register<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: NodeId,
    digest: &[u8; 32],
    now_ms: u64,
) -> Result<Response, StateError> {
    let node: Option<NodeRecord> = run.get(Table::Nodes, &node_key(id))?;
    if node.is_some_and(|node| node.removed_at_ms.is_some()) {
        return Ok(Response::NodeRemoved);
    }
    let witness = match run.get::<NodeKeyRecord>(Table::Meta, &node_key_key(id))? {
        Some(known) if known.revoked_at_ms.is_some() => return Ok(Response::CertificateRevoked),
        Some(known) if known.digest == *digest => return Ok(Response::Unchanged),
        known => known.is_some_and(|known| known.witness),
    };
    store(run, id, digest, witness, now_ms)?;
    Ok(Response::Done)
}

fn store<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: NodeId,
    digest: &[u8; 32],
    witness: bool,
    now_ms: u64,
) -> Result<(), StateError> {
    let record =
        NodeKeyRecord { node: id, digest: *digest, registered_at_ms: now_ms, revoked_at_ms: None, witness };
    run.put(Table::Meta, &node_key_key(id), &record)
}

/// Registers the key of a witness that is admitted.
pub(super) fn admit_witness<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: NodeId,
    digest: &[u8; 32],
    now_ms: u64,
) -> Result<(), StateError> {
    store(run, id, digest, true, now_ms)
}

/// The most public keys that tell who holds a master key: as many as a proof has parts.
pub const VERIFIERS_MAX: usize = 16;

/// Sets the public keys that tell who holds a master key.
pub(super) fn set_verifiers<T: Tables>(
    run: &mut Transaction<'_, T>,
    verifiers: &[MasterKeyVerifier],
) -> Result<Response, StateError> {
    let known: Option<Vec<MasterKeyVerifier>> = run.get(Table::Meta, META_VERIFIERS)?;
    if known.as_deref() == Some(verifiers) {
        return Ok(Response::Unchanged);
    }
    run.put(Table::Meta, META_VERIFIERS, &verifiers.to_vec())?;
    Ok(Response::Done)
}

/// The public keys that tell who holds a master key.
///
/// # Errors
/// When the tables cannot be read.
pub fn verifiers<T: Tables>(tables: &T) -> Result<Vec<MasterKeyVerifier>, StateError> {
    Ok(Transaction::new(tables).get(Table::Meta, META_VERIFIERS)?.unwrap_or_default())
}

/// The nodes that are registered as witnesses, removed ones too.
///
/// # Errors
/// When the tables cannot be read.
pub fn witnesses<T: Tables>(tables: &T) -> Result<BTreeSet<NodeId>, StateError> {
    let keys = registered_keys(tables)?.into_iter();
    Ok(keys.filter(|key| key.witness).map(|key| key.node).collect())
}

/// Registers the key of a node that is admitted, where the cluster knows such keys.
pub(super) fn admit<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: NodeId,
    digest: &[u8; 32],
    now_ms: u64,
) -> Result<(), StateError> {
    if features::level(run)? >= features::NODE_KEYS {
        register(run, id, digest, now_ms)?;
    }
    Ok(())
}

/// Revokes every certificate of a node, for good.
pub(super) fn revoke<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: NodeId,
    now_ms: u64,
) -> Result<Response, StateError> {
    let known: Option<NodeKeyRecord> = run.get(Table::Meta, &node_key_key(id))?;
    let record = match known {
        Some(known) if known.revoked_at_ms.is_some() => return Ok(Response::Unchanged),
        Some(known) => known,
        None if run.get::<NodeRecord>(Table::Nodes, &node_key(id))?.is_none() => return Ok(Response::NoNode),
        None => NodeKeyRecord {
            node: id,
            digest: [0; 32],
            registered_at_ms: now_ms,
            revoked_at_ms: None,
            witness: false,
        },
    };
    run.put(Table::Meta, &node_key_key(id), &NodeKeyRecord { revoked_at_ms: Some(now_ms), ..record })?;
    Ok(Response::Done)
}

/// How the state knows whoever shows a certificate for the key of this digest and node `id`.
///
/// # Errors
/// When the tables cannot be read.
pub fn key_standing<T: Tables>(tables: &T, id: NodeId, digest: &[u8; 32]) -> Result<KeyStanding, StateError> {
    let run = Transaction::new(tables);
    if features::level(&run)? < features::NODE_KEYS {
        return Ok(KeyStanding::Unregistered);
    }
    let node: Option<NodeRecord> = run.get(Table::Nodes, &node_key(id))?;
    let known: Option<NodeKeyRecord> = run.get(Table::Meta, &node_key_key(id))?;
    let revoked = known.as_ref().is_some_and(|known| known.revoked_at_ms.is_some());
    if node.as_ref().is_some_and(|node| node.removed_at_ms.is_some()) {
        return Ok(KeyStanding::Removed { revoked });
    }
    Ok(match known {
        Some(_) if revoked => KeyStanding::Revoked,
        Some(known) if known.digest == *digest && known.witness => KeyStanding::Witness,
        Some(known) if known.digest == *digest => KeyStanding::Registered,
        Some(_) => KeyStanding::Other,
        None if node.is_some() => KeyStanding::Unregistered,
        None => KeyStanding::Unknown,
    })
}

/// The key that is registered for a node.
///
/// # Errors
/// When the tables cannot be read.
pub fn registered_key<T: Tables>(tables: &T, id: NodeId) -> Result<Option<NodeKeyRecord>, StateError> {
    Transaction::new(tables).get(Table::Meta, &node_key_key(id))
}

/// Every registered key, by node.
///
/// # Errors
/// When the tables cannot be read.
pub fn registered_keys<T: Tables>(tables: &T) -> Result<Vec<NodeKeyRecord>, StateError> {
    let pairs = tables.prefix(Table::Meta, META_NODE_KEY)?;
    pairs.iter().map(|(_, value)| read(tables, Table::Meta, value)).collect()
}

/// Forgets the registered keys and what nodes trusted, so that the nodes of a rebuilt cluster can register theirs.
/// Revoked ones stay so, but for the `members` of the rebuilt cluster, which have certificates of now.
///
/// # Errors
/// When the tables cannot be read.
pub fn forget_node_keys<T: Tables>(
    run: &mut Transaction<'_, T>,
    members: &[NodeId],
) -> Result<(), StateError> {
    for (key, value) in run.prefix(Table::Meta, META_NODE_KEY)? {
        let record: NodeKeyRecord = decode(Table::Meta, &value)?;
        if record.revoked_at_ms.is_none() || members.contains(&record.node) {
            run.delete(Table::Meta, &key)?;
        }
    }
    for (key, _) in run.prefix(Table::Meta, META_NODE_TRUST)? {
        run.delete(Table::Meta, &key)?;
    }
    Ok(())
}
