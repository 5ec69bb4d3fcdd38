//! The log of this node: it has the cluster know the log, and how far it has grown.

use keymoot_audit::{AuditLog, Hash, Predecessor, SignedCheckpoint, VerifierKey, verify_consistency};
use keymoot_model::{ClusterName, NodeId};
use keymoot_state as state;
use keymoot_state::{
    AuditCosignature, AuditLogChange, AuditLogName, AuditLogRecord, AuditPredecessor, AuditSize, StateError,
    Tables,
};

use crate::audit::records::{last_of_node, name_of, origin, size_at};
use crate::write::clock::now_ms;

/// The log of this node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OwnLog {
    cluster: ClusterName,
    pub(super) log: AuditLog,
    pub(super) name: AuditLogName,
}

impl OwnLog {
    /// The log of a node of this cluster; `None` when it is not named as one.
    pub(crate) fn new(cluster: &ClusterName, log: AuditLog) -> Option<Self> {
        let name = name_of(cluster, log.public_key().name())?;
        Some(Self { cluster: cluster.clone(), log, name })
    }

    pub(super) fn key(&self) -> &VerifierKey {
        self.log.public_key()
    }

    /// How far the log has grown, as it has signed it.
    pub(super) fn signed(&self) -> (SignedCheckpoint, AuditSize) {
        let signed = self.log.checkpoint();
        let at = size_at(signed.checkpoint());
        (signed, at)
    }

    /// What the cluster does not know of the log yet. `replaces` is the node that this one was before its disk was
    /// replaced.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(super) fn news<T: Tables>(
        &self,
        tables: &T,
        replaces: Option<NodeId>,
    ) -> Result<Vec<AuditLogChange>, StateError> {
        let mut news = Vec::new();
        let known = state::audit_log(tables, self.name)?;
        if known.is_none() {
            let before = self.before(tables, replaces)?;
            let public_key = *self.key().public();
            news.push(AuditLogChange::Register { name: self.name, public_key, before });
        }
        let (signed, at) = self.signed();
        let put = known.and_then(|known| known.last().map(|last| last.at.size)).unwrap_or_default();
        if at.size > put
            && let Some(own) = signature_of(&signed, self.key())
        {
            let signature = own.to_vec();
            news.push(AuditLogChange::PutCheckpoint { name: self.name, at, signature });
        }
        Ok(news)
    }

    /// Whether the cluster knows of a log before this one, as far as this node has its state.
    pub(super) fn knows_predecessor<T: Tables>(
        &self,
        tables: &T,
        replaces: Option<NodeId>,
    ) -> Result<bool, StateError> {
        Ok(self.before(tables, replaces)?.is_some())
    }

    /// The log before this one, as far as the cluster knows of it.
    fn before<T: Tables>(
        &self,
        tables: &T,
        replaces: Option<NodeId>,
    ) -> Result<Option<AuditPredecessor>, StateError> {
        let mut before = last_of_node(tables, self.name.node)?;
        if let (None, Some(replaced)) = (&before, replaces) {
            before = last_of_node(tables, replaced)?;
        }
        Ok(before.map(|(name, last)| AuditPredecessor { name, last: self.longer(name, last) }))
    }

    /// The log before this one, if this one could not name it when it began: a node whose disk was replaced begins its
    /// log before it has the cluster's state.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(super) fn unnamed<T: Tables>(
        &self,
        tables: &T,
        replaces: Option<NodeId>,
    ) -> Result<Option<Predecessor>, StateError> {
        if self.log.predecessor().is_some() || state::audit_log(tables, self.name)?.is_some() {
            return Ok(None);
        }
        let of = |id| format!("the disk of node {id} was replaced");
        let reason = replaces.map_or_else(|| "the data directory was replaced".to_owned(), of);
        Ok(self.before(tables, replaces)?.map(|AuditPredecessor { name, last }| Predecessor {
            origin: origin(&self.cluster, name),
            size: last.size,
            root: Hash::from_bytes(last.root),
            reason,
        }))
    }

    /// The end of the log before this one: as the cluster knows it, or later by what this one began with.
    fn longer(&self, name: AuditLogName, known: AuditSize) -> AuditSize {
        let own = self.log.predecessor().filter(|before| {
            before.size > known.size && name_of(&self.cluster, &before.origin) == Some(name)
        });
        own.map_or(known, |before| AuditSize { size: before.size, root: *before.root.as_bytes() })
    }

    /// What is wrong if the log is not what the cluster was told of it: each as `problem; remedy`.
    pub(super) fn contradiction(&self, known: &AuditLogRecord) -> Option<String> {
        let remedy = "bring the audit directory of this node back as it was, or move it away while the node does not run: \
                      then a new log begins, which names this one: docs/audit.md";
        let name = self.name;
        if known.public_key != *self.key().public() {
            return Some(format!("the cluster knows this node's audit log {name} by another key; {remedy}"));
        }
        if let Some(log) = known.followed_by {
            return Some(format!(
                "this node writes its audit log {name} and had begun another one since, {log}; {remedy}"
            ));
        }
        let last = known.last()?.at;
        let (_, at) = self.signed();
        if at.size < last.size {
            return Some(format!(
                "this node's audit log {name} has {} events and had {} before: those from number {} on are gone; {remedy}",
                at.size, last.size, at.size
            ));
        }
        let fits = self.log.consistency_proof(last.size, at.size).and_then(|proof| {
            let (before, now) = (Hash::from_bytes(last.root), Hash::from_bytes(at.root));
            verify_consistency(last.size, before, at.size, now, &proof)
        });
        let problem = |error| {
            format!(
                "this node's audit log {name} is not what it was when it had {} events: {error}; {remedy}",
                last.size
            )
        };
        fits.err().map(problem)
    }

    /// Signs another node's checkpoint, which was checked.
    pub(super) fn cosign(&self, checkpoint: &SignedCheckpoint) -> (SignedCheckpoint, AuditCosignature) {
        let time_s = now_ms() / 1000;
        let signature = self.log.cosign(checkpoint, time_s);
        let mut cosigned = checkpoint.clone();
        cosigned.add(signature.clone());
        // The time stands before the signature.
        let bytes = signature.signature.get(8..).unwrap_or_default().to_vec();
        (cosigned, AuditCosignature { by: self.name, time_s, signature: bytes })
    }
}

/// The bytes of the log's own signature under a checkpoint.
pub(super) fn signature_of<'a>(signed: &'a SignedCheckpoint, key: &VerifierKey) -> Option<&'a [u8]> {
    let own = signed.note().signatures().iter().find(|signature| signature.name == key.name());
    own.map(|own| own.signature.as_slice())
}
