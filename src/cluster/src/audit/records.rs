//! What the state keeps of audit logs, as signed notes. Every signature is verified on the way.

use std::collections::BTreeMap;

use keymoot_audit::tree::Frontier;
use keymoot_audit::{Checkpoint, Hash, Predecessor, SignedCheckpoint, VerifierKey, parse_origin};
use keymoot_model::{ClusterName, NodeId};
use keymoot_state as state;
use keymoot_state::{
    AuditCheckpoint, AuditLogId, AuditLogName, AuditLogRecord, AuditSize, StateError, Tables,
};

/// The origin of a log, as it stands in its checkpoints.
pub(crate) fn origin(cluster: &ClusterName, name: AuditLogName) -> String {
    keymoot_audit::origin(cluster.as_str(), name.node, name.log)
}

/// The log that an origin names.
pub(crate) fn name_of(cluster: &ClusterName, origin: &str) -> Option<AuditLogName> {
    let (own, node, log) = parse_origin(origin)?;
    let log = log.parse::<AuditLogId>().ok()?;
    (own == cluster.as_str()).then_some(AuditLogName { node, log })
}

/// The key of a log.
pub(crate) fn key_of(cluster: &ClusterName, record: &AuditLogRecord) -> Option<VerifierKey> {
    VerifierKey::new(origin(cluster, record.name), record.public_key).ok()
}

/// A checkpoint as the state has it.
pub(crate) fn size_at(checkpoint: &Checkpoint) -> AuditSize {
    AuditSize { size: checkpoint.size, root: *checkpoint.root.as_bytes() }
}

/// A checkpoint of the state as a note, if the log's own signature holds.
pub(crate) fn signed(key: &VerifierKey, at: AuditSize, signature: &[u8]) -> Option<SignedCheckpoint> {
    let checkpoint =
        Checkpoint { origin: key.name().to_owned(), size: at.size, root: Hash::from_bytes(at.root) };
    let signed = SignedCheckpoint::unsigned(checkpoint).ok().map(|mut unsigned| {
        unsigned.add(key.note_signature(signature));
        unsigned
    })?;
    signed.verify(key).is_ok().then_some(signed)
}

/// The same with every cosignature that holds, and whose they are.
pub(crate) fn cosigned(
    key: &VerifierKey,
    kept: &AuditCheckpoint,
    cosigners: &BTreeMap<AuditLogName, VerifierKey>,
) -> Option<(SignedCheckpoint, BTreeMap<NodeId, u64>)> {
    let mut note = signed(key, kept.at, &kept.signature)?;
    let mut by = BTreeMap::new();
    for cosignature in &kept.cosignatures {
        let Some(cosigner) = cosigners.get(&cosignature.by) else { continue };
        let mut tried = note.clone();
        tried.add(cosigner.cosignature(cosignature.time_s, &cosignature.signature));
        if let Ok(time_s) = tried.verify_cosignature(cosigner) {
            note = tried;
            by.insert(cosignature.by.node, time_s);
        }
    }
    Some((note, by))
}

/// The keys of these logs.
pub(crate) fn keys(cluster: &ClusterName, logs: &[AuditLogRecord]) -> BTreeMap<AuditLogName, VerifierKey> {
    logs.iter().filter_map(|record| Some((record.name, key_of(cluster, record)?))).collect()
}

/// What a new log of the node follows on: the log that the node registered last.
///
/// # Errors
/// When the state cannot be read.
pub(crate) fn last_of_node<T: Tables>(
    tables: &T,
    node: NodeId,
) -> Result<Option<(AuditLogName, AuditSize)>, StateError> {
    let Some(record) = state::current_audit_log(tables, node)? else { return Ok(None) };
    let nothing = AuditSize { size: 0, root: *Frontier::default().root().as_bytes() };
    Ok(Some((record.name, record.last().map_or(nothing, |last| last.at))))
}

/// The same as a new log has it in its first event.
///
/// # Errors
/// When the state cannot be read.
pub(crate) fn predecessor<T: Tables>(
    tables: &T,
    cluster: &ClusterName,
    node: NodeId,
) -> Result<Option<Predecessor>, StateError> {
    let last = last_of_node(tables, node)?;
    Ok(last.map(|(name, at)| Predecessor {
        origin: origin(cluster, name),
        size: at.size,
        root: Hash::from_bytes(at.root),
        reason: "the data directory was restored or replaced".to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use keymoot_audit::LogKey;
    use keymoot_state::AuditCosignature;

    use super::*;

    fn log(node: NodeId) -> (AuditLogName, LogKey) {
        let name = AuditLogName { node, log: AuditLogId::from_bytes([node as u8; 8]) };
        (name, LogKey::generate(&origin(&cluster(), name)).unwrap().0)
    }

    fn cluster() -> ClusterName {
        "blue".parse().unwrap()
    }

    #[test]
    fn an_origin_names_its_log_and_no_log_of_another_cluster() {
        let (name, _) = log(3);
        let text = origin(&cluster(), name);
        assert_eq!(text, "blue.keymoot.audit/3/0303030303030303");
        assert_eq!(name_of(&cluster(), &text), Some(name));
        for other in [
            "green.keymoot.audit/3/0303030303030303",
            "blue.keymoot.audit/3/03",
            "blue.keymoot.audit/x/0303030303030303",
        ] {
            assert_eq!(name_of(&cluster(), other), None, "{other}");
        }
    }

    #[test]
    fn only_signatures_that_hold_make_it_into_a_note() {
        let ((name, own), (other, theirs), (third, stranger)) = (log(1), log(2), log(3));
        let at = AuditSize { size: 7, root: [9; 32] };
        let root = Hash::from_bytes(at.root);
        let text = Checkpoint { origin: origin(&cluster(), name), size: at.size, root }.to_string();
        let cosign = |by: AuditLogName, key: &LogKey| {
            let signature = key.cosign(&text, 5).signature.split_off(8);
            AuditCosignature { by, time_s: 5, signature }
        };
        let kept = AuditCheckpoint {
            at,
            signature: own.sign(&text).signature,
            proposed_at_ms: 1,
            // The third is signed by a key that is not registered for that log.
            cosignatures: vec![cosign(other, &theirs), cosign(third, &theirs)],
        };
        let cosigners =
            BTreeMap::from([(other, theirs.verifier().clone()), (third, stranger.verifier().clone())]);
        let (note, by) = cosigned(own.verifier(), &kept, &cosigners).unwrap();
        assert_eq!(by, BTreeMap::from([(2, 5)]));
        let again = SignedCheckpoint::parse(&note.to_string()).unwrap();
        again.verify(own.verifier()).unwrap();
        assert_eq!(again.verify_cosignature(theirs.verifier()).unwrap(), 5);

        let other_root = AuditCheckpoint { at: AuditSize { root: [8; 32], ..at }, ..kept };
        assert!(cosigned(own.verifier(), &other_root, &cosigners).is_none());
    }
}
