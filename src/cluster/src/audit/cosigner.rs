//! Checks the logs of the other nodes against what this node had seen of them, and cosigns them.
//!
//! This node remembers the last checkpoint that it signed of each log in a file of its own, which is on the disk before
//! the signature leaves, and goes by what the cluster knows of its signatures beside that. Nothing is signed but what a
//! proof shows to go on from there. Where the file cannot be read or written, nothing is signed at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keymoot_audit::{Cosigned, Hash, VerifierKey, verify_consistency};
use keymoot_model::{ClusterName, NodeId};
use keymoot_state::{AuditLogChange, AuditLogName, AuditLogRecord, AuditSize};

use crate::audit::finding::Fault;
use crate::audit::own_log::OwnLog;
use crate::audit::records::{cosigned, keys, signed, size_at};
use crate::peer::peers::Peers;
use crate::wire::audit::{ConsistencyReply, ConsistencyRequest};
use crate::wire::message::{Reply, Request};

/// The time limit for a proof.
const PROOF_WITHIN: Duration = Duration::from_secs(3);
/// So often a node must be found to write a log that it has not registered before that is a fault: it registers a new
/// one within seconds.
const OTHER_LOG_ROUNDS: u32 = 3;

/// Checks and cosigns.
pub(super) struct Cosigner {
    pub(super) cluster: ClusterName,
    pub(super) own: OwnLog,
    pub(super) peers: Peers,
    pub(super) remembered: Arc<Mutex<Cosigned>>,
    pub(super) other_logs: BTreeMap<AuditLogName, u32>,
}

/// What came of checking one log: `None` when its node did not answer.
type Checked = (AuditLogName, Option<Result<(), Fault>>);

/// What one round came to.
#[derive(Default)]
pub(super) struct Round {
    pub(super) changes: Vec<AuditLogChange>,
    pub(super) checked: Vec<Checked>,
    /// Why nothing could be signed.
    pub(super) unable: Option<String>,
}

impl Cosigner {
    /// Cosigns what has grown of the logs that `members` write. With `watch`, also has those prove that they hold what
    /// they held.
    pub(super) async fn round(
        &mut self,
        logs: &[AuditLogRecord],
        members: &BTreeSet<NodeId>,
        watch: bool,
    ) -> Round {
        let me = self.own.name.node;
        let keys = keys(&self.cluster, logs);
        let mut round = Round::default();
        let is_current = |log: &&AuditLogRecord| {
            log.name.node != me && log.followed_by.is_none() && members.contains(&log.name.node)
        };
        for record in logs.iter().filter(is_current) {
            let Some(key) = keys.get(&record.name) else { continue };
            let before = self.seen(record, key, &keys);
            let due = record
                .last()
                .filter(|_| record.last_cosigned_by(me).map(|at| at.at) != record.last().map(|at| at.at));
            match due {
                Some(last) => {
                    let checked =
                        self.check(record.name, key, before, Some((last.at, &last.signature))).await;
                    if let Some(Ok(())) = checked {
                        match self.cosign(key, last.at, &last.signature).await {
                            Ok(change) => round.changes.extend(change),
                            Err(error) => round.unable = Some(error),
                        }
                    }
                    round.checked.push((record.name, checked));
                }
                None if watch && before.is_some() => {
                    let checked = self.check(record.name, key, before, None).await;
                    round.checked.push((record.name, checked));
                }
                None => {}
            }
        }
        round
    }

    /// The last of a log that this node is known to have cosigned.
    fn seen(
        &self,
        record: &AuditLogRecord,
        key: &VerifierKey,
        keys: &BTreeMap<AuditLogName, VerifierKey>,
    ) -> Option<AuditSize> {
        let me = self.own.name.node;
        let own = lock(&self.remembered).last(key.name()).map(size_at);
        // Not what the state merely says: the signature must hold.
        let in_state = record.checkpoints.iter().rev().find(|kept| {
            cosigned(key, kept, keys).is_some_and(|(_, by): (_, BTreeMap<NodeId, u64>)| by.contains_key(&me))
        });
        own.into_iter().chain(in_state.map(|kept| kept.at)).max_by_key(|at| at.size)
    }

    /// Whether a log goes on from `before`: up to what its node claims, or as it is now. `None`: the node does not say.
    async fn check(
        &mut self,
        name: AuditLogName,
        key: &VerifierKey,
        before: Option<AuditSize>,
        claimed: Option<(AuditSize, &[u8])>,
    ) -> Option<Result<(), Fault>> {
        if let Some((at, signature)) = claimed {
            if signed(key, at, signature).is_none() {
                return Some(Err(Fault::Unsigned { size: at.size }));
            }
            match before {
                // Nothing was seen of it, so it goes on from nothing.
                None => return Some(Ok(())),
                Some(before) if before == at => return Some(Ok(())),
                Some(before) if before.size == at.size => {
                    return Some(Err(Fault::Rewritten { size: at.size }));
                }
                // The cluster was set back and knows less than this node: what it says next will be more.
                Some(before) if before.size > at.size => return None,
                Some(_) => {}
            }
        }
        let before = before?;
        let claimed = claimed.map(|(at, _)| at);
        let asked = ConsistencyRequest { name, from: before.size, to: claimed.map(|at| at.size) };
        let link = self.peers.requests(name.node)?;
        let reply = match link.call(Request::AuditConsistency(asked), PROOF_WITHIN).await {
            Ok(Reply::AuditConsistency(reply)) => reply,
            Ok(_) => return None,
            Err(error) => {
                tracing::debug!(%error, %name, "an audit log could not be checked");
                return None;
            }
        };
        if let ConsistencyReply::OtherLog(other) = reply {
            let rounds = self.other_logs.entry(name).or_default();
            *rounds += 1;
            return (*rounds >= OTHER_LOG_ROUNDS).then_some(Err(Fault::OtherLog { other }));
        }
        self.other_logs.remove(&name);
        judge(key, before, claimed, &reply)
    }

    /// Signs what was checked, once it is on the disk that it was.
    async fn cosign(
        &self,
        key: &VerifierKey,
        at: AuditSize,
        signature: &[u8],
    ) -> Result<Option<AuditLogChange>, String> {
        let Some(checkpoint) = signed(key, at, signature) else { return Ok(None) };
        let Some(name) = super::records::name_of(&self.cluster, key.name()) else { return Ok(None) };
        let (note, cosignature) = self.own.cosign(&checkpoint);
        let remembered = self.remembered.clone();
        // The disk may take its time.
        let written = tokio::task::spawn_blocking(move || lock(&remembered).remember(note)).await;
        written.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        Ok(Some(AuditLogChange::Cosign { name, at, cosignature }))
    }
}

fn lock(remembered: &Mutex<Cosigned>) -> MutexGuard<'_, Cosigned> {
    // No code panics while it holds the lock, so what is remembered is intact.
    remembered.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the reply proves of a log that had `before`, and is claimed to have grown to `claimed`. `None`: nothing.
fn judge(
    key: &VerifierKey,
    before: AuditSize,
    claimed: Option<AuditSize>,
    reply: &ConsistencyReply,
) -> Option<Result<(), Fault>> {
    match reply {
        ConsistencyReply::Failed(reason) => {
            tracing::debug!(log = key.name(), reason, "an audit log could not be checked");
            None
        }
        ConsistencyReply::OtherLog(other) => Some(Err(Fault::OtherLog { other: *other })),
        ConsistencyReply::Shorter { size } if *size < before.size => {
            Some(Err(Fault::Cut { before: before.size, size: *size }))
        }
        // It has what this node had checked, and not what it says itself that it has.
        ConsistencyReply::Shorter { size } => {
            let before = claimed.map_or(before.size, |claimed| claimed.size);
            Some(Err(Fault::Cut { before, size: *size }))
        }
        ConsistencyReply::Proved { at, signature, proof } => {
            let at = match claimed {
                Some(claimed) => claimed,
                None if signed(key, *at, signature).is_none() => {
                    return Some(Err(Fault::Unsigned { size: at.size }));
                }
                None => *at,
            };
            if at.size < before.size {
                return Some(Err(Fault::Cut { before: before.size, size: at.size }));
            }
            let proof: Vec<Hash> = proof.iter().copied().map(Hash::from_bytes).collect();
            let (old, new) = (Hash::from_bytes(before.root), Hash::from_bytes(at.root));
            let proved = verify_consistency(before.size, old, at.size, new, &proof);
            Some(proved.map_err(|_| Fault::Inconsistent { from: before.size, to: at.size }))
        }
    }
}

#[cfg(test)]
mod tests {
    use keymoot_audit::tree::Frontier;
    use keymoot_audit::{Checkpoint, LogKey, leaf_hash};
    use keymoot_state::AuditLogId;

    use super::*;

    const ORIGIN: &str = "blue.keymoot.audit/2/0707070707070707";

    fn at(events: std::ops::Range<u64>) -> AuditSize {
        let mut frontier = Frontier::default();
        events.for_each(|number| frontier.push(leaf_hash(&number.to_be_bytes())));
        AuditSize { size: frontier.size(), root: *frontier.root().as_bytes() }
    }

    fn signature(key: &LogKey, at: AuditSize) -> Vec<u8> {
        let root = Hash::from_bytes(at.root);
        key.sign(&Checkpoint { origin: ORIGIN.to_owned(), size: at.size, root }.to_string()).signature
    }

    /// A log of five events which had four before: the fifth leaf proves it.
    fn grown(key: &LogKey) -> (AuditSize, AuditSize, ConsistencyReply) {
        let (before, now) = (at(0..4), at(0..5));
        let proof = vec![*leaf_hash(&4_u64.to_be_bytes()).as_bytes()];
        (before, now, ConsistencyReply::Proved { at: now, signature: signature(key, now), proof })
    }

    #[test]
    fn a_log_that_only_grew_is_proved_up_to_what_it_claims_and_up_to_now() {
        let key = LogKey::generate(ORIGIN).unwrap().0;
        let (before, now, reply) = grown(&key);
        assert_eq!(judge(key.verifier(), before, Some(now), &reply), Some(Ok(())));
        assert_eq!(judge(key.verifier(), before, None, &reply), Some(Ok(())));
    }

    #[test]
    fn a_past_that_was_rewritten_proves_nothing_whatever_its_node_signs() {
        let key = LogKey::generate(ORIGIN).unwrap().0;
        let (_, now, reply) = grown(&key);
        let seen = at(10..14);
        let fault = Fault::Inconsistent { from: 4, to: 5 };
        assert_eq!(judge(key.verifier(), seen, Some(now), &reply), Some(Err(fault.clone())));
        assert_eq!(judge(key.verifier(), seen, None, &reply), Some(Err(fault)));
    }

    #[test]
    fn a_shorter_log_was_cut_and_one_that_is_not_signed_is_nobodys_word() {
        let (key, other) = (LogKey::generate(ORIGIN).unwrap().0, LogKey::generate(ORIGIN).unwrap().0);
        let (before, now, _) = grown(&key);
        let shorter = ConsistencyReply::Shorter { size: 3 };
        let cut = Some(Err(Fault::Cut { before: 4, size: 3 }));
        assert_eq!(judge(key.verifier(), before, None, &shorter), cut);
        assert_eq!(judge(key.verifier(), before, Some(now), &shorter), cut);
        // It holds what was checked, and not what it has the cluster believe.
        let claimed = Some(Err(Fault::Cut { before: 5, size: 4 }));
        assert_eq!(judge(key.verifier(), before, Some(now), &ConsistencyReply::Shorter { size: 4 }), claimed);
        let (_, _, by_other) = grown(&other);
        let unsigned = Some(Err(Fault::Unsigned { size: 5 }));
        assert_eq!(judge(key.verifier(), before, None, &by_other), unsigned);
    }

    #[test]
    fn a_node_that_cannot_answer_now_is_not_accused() {
        let key = LogKey::generate(ORIGIN).unwrap().0;
        let (before, now, _) = grown(&key);
        let busy = ConsistencyReply::Failed("its disk is slow".to_owned());
        assert_eq!(judge(key.verifier(), before, Some(now), &busy), None);
        let other = AuditLogName { node: 2, log: AuditLogId::from_bytes([8; 8]) };
        let says = judge(key.verifier(), before, None, &ConsistencyReply::OtherLog(other));
        assert_eq!(says, Some(Err(Fault::OtherLog { other })));
    }
}
