//! Holds the events of one log, as they come, against its checkpoints.

use std::collections::VecDeque;

use keymoot_audit::tree::Frontier;
use keymoot_audit::{Hash, SignedCheckpoint, VerifierKey, leaf_hash};
use keymoot_cluster::{KnownCheckpoint, KnownLog};

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LogFault {
    /// A checkpoint of the cluster's that no key of the log's vouches for.
    #[error("its checkpoint at {size} events cannot be read or is not signed by its key: {why}")]
    Checkpoint { size: u64, why: String },
    /// It has another key than was kept elsewhere.
    #[error("another key signs it than the one that was kept: {found} in place of {kept}")]
    Key { kept: String, found: String },
    /// Up to a checkpoint all fits, up to the next it does not.
    #[error(
        "something in its events {from} to {last} was changed, removed, added or put in another order: with {size} events \
         it had another root{cosigned}"
    )]
    Changed { from: u64, last: u64, size: u64, cosigned: String },
    /// Its end is gone.
    #[error("its events from {size} on are gone: it had {known} of them{cosigned}")]
    Cut { size: u64, known: u64, cosigned: String },
    /// Its node gave something else than events in their order.
    #[error("its node gives events from {found} on where event {wanted} was asked for")]
    Gap { wanted: u64, found: u64 },
    /// The log after it does not know of all of its events.
    #[error("the log after it says that it ended with {said} events, and it had {known}")]
    EndedBefore { said: u64, known: u64 },
}

/// A checkpoint whose signatures hold.
struct Held {
    size: u64,
    root: Hash,
    /// How a fault at it says who vouched for it.
    cosigned: String,
}

/// The check of one log.
pub(super) struct LogCheck {
    frontier: Frontier,
    /// Still to be reached, the shortest first.
    checkpoints: VecDeque<Held>,
    /// Up to here a checkpoint fits.
    fits: u64,
    pub(super) checked: usize,
    pub(super) faults: Vec<LogFault>,
}

impl LogCheck {
    /// The check of a log by these checkpoints, whose notes are verified first.
    pub(super) fn new(log: &KnownLog) -> Self {
        let mut check = Self {
            frontier: Frontier::default(),
            checkpoints: VecDeque::new(),
            fits: 0,
            checked: 0,
            faults: Vec::new(),
        };
        for known in &log.checkpoints {
            match verified(log, known) {
                Ok(held) => check.checkpoints.push_back(held),
                Err(why) => check.faults.push(LogFault::Checkpoint { size: known.size, why }),
            }
        }
        check
    }

    /// The number of the event that comes next.
    pub(super) const fn next(&self) -> u64 {
        self.frontier.size()
    }

    /// Goes on from events that were deleted: what is left of them are these hashes, which the first checkpoint behind
    /// them proves.
    pub(super) fn skip_to(&mut self, from: u64, frontier: Vec<Hash>) {
        match Frontier::of(from, frontier) {
            Some(frontier) if self.frontier.size() == 0 => {
                // What was cosigned within them can be proved no more without their hashes, and need not be: each later
                // checkpoint was cosigned as going on from it.
                self.checkpoints.retain(|held| held.size >= from);
                self.frontier = frontier;
                self.reach();
            }
            _ => self.faults.push(LogFault::Gap { wanted: self.next(), found: from }),
        }
    }

    /// The next event, as it is on disk.
    pub(super) fn push(&mut self, event: &[u8]) {
        self.frontier.push(leaf_hash(event));
        self.reach();
    }

    fn reach(&mut self) {
        while self.checkpoints.front().is_some_and(|held| held.size <= self.frontier.size())
            && let Some(held) = self.checkpoints.pop_front()
        {
            if held.size == self.frontier.size() && held.root == self.frontier.root() {
                self.fits = held.size;
                self.checked += 1;
                continue;
            }
            // One place that was changed shows at each checkpoint behind it.
            if !self.faults.iter().any(|fault| matches!(fault, LogFault::Changed { .. })) {
                self.faults.push(LogFault::Changed {
                    from: self.fits,
                    last: held.size.saturating_sub(1),
                    size: held.size,
                    cosigned: held.cosigned,
                });
            }
        }
    }

    /// All events came. What is left was not reached.
    pub(super) fn end(mut self) -> (usize, Vec<LogFault>) {
        if let Some(held) = self.checkpoints.pop_back() {
            let (size, known) = (self.frontier.size(), held.size);
            self.faults.push(LogFault::Cut { size, known, cosigned: held.cosigned });
        }
        (self.checked, self.faults)
    }
}

/// The checkpoint in a note that the log has signed for itself.
fn verified(log: &KnownLog, known: &KnownCheckpoint) -> Result<Held, String> {
    let key: VerifierKey = log.key.parse().map_err(|error| format!("{error}"))?;
    let signed = SignedCheckpoint::parse(&known.note).map_err(|error| error.to_string())?;
    signed.verify(&key).map_err(|error| error.to_string())?;
    let checkpoint = signed.checkpoint();
    if checkpoint.origin != log.origin || checkpoint.size != known.size {
        return Err("its note is of another log or size".to_owned());
    }
    let cosigned = match super::logs::nodes(&known.cosigned_by) {
        nodes if nodes.is_empty() => String::new(),
        nodes => format!(", as node {nodes} has checked and signed"),
    };
    Ok(Held { size: checkpoint.size, root: checkpoint.root, cosigned })
}

#[cfg(test)]
mod tests {
    use keymoot_audit::{Checkpoint, LogKey};
    use keymoot_cluster::{AuditPosition, audit_positions};

    use super::*;

    const ORIGIN: &str = "blue.keymoot.audit/1/0011223344556677";

    fn event(number: u64) -> Vec<u8> {
        format!("event {number}").into_bytes()
    }

    fn root(events: impl IntoIterator<Item = Vec<u8>>) -> Hash {
        let mut frontier = Frontier::default();
        events.into_iter().for_each(|event| frontier.push(leaf_hash(&event)));
        frontier.root()
    }

    /// A log of 20 events with checkpoints at these sizes.
    fn log(key: &LogKey, sizes: &[u64]) -> KnownLog {
        let AuditPosition { name, .. } = audit_positions("1/0011223344556677:0").unwrap().remove(0);
        let checkpoints = sizes.iter().map(|size| {
            let root = root((0..*size).map(event));
            let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: *size, root };
            let note = SignedCheckpoint::sign(checkpoint, key).unwrap().to_string();
            KnownCheckpoint {
                size: *size,
                root,
                proposed_at_ms: 1,
                note,
                cosigned_by: [(2, 5), (3, 5)].into(),
            }
        });
        KnownLog {
            name,
            origin: ORIGIN.to_owned(),
            key: key.verifier().to_string(),
            cosigner_key: key.verifier().cosigner_text(),
            registered_at_ms: 1,
            before: None,
            followed_by: None,
            removed: false,
            checkpoints: checkpoints.collect(),
            held: None,
            not_held: None,
        }
    }

    fn key() -> LogKey {
        LogKey::generate(ORIGIN).unwrap().0
    }

    fn check(log: &KnownLog, events: impl IntoIterator<Item = Vec<u8>>) -> (usize, Vec<LogFault>) {
        let mut check = LogCheck::new(log);
        events.into_iter().for_each(|event| check.push(&event));
        check.end()
    }

    #[test]
    fn a_whole_log_fits_every_checkpoint() {
        assert_eq!(check(&log(&key(), &[3, 8, 15]), (0..20).map(event)), (3, Vec::new()));
    }

    #[test]
    fn each_kind_of_tampering_is_found_and_its_place_is_named() {
        let log = log(&key(), &[3, 8, 15]);
        let mut flipped: Vec<_> = (0..20).map(event).collect();
        flipped[5] = b"event 5, another one".to_vec();
        let mut reordered: Vec<_> = (0..20).map(event).collect();
        reordered.swap(4, 6);
        let removed: Vec<_> = (0..20).filter(|number| *number != 7).map(event).collect();
        for events in [flipped, reordered, removed] {
            let (checked, faults) = check(&log, events);
            assert_eq!(checked, 1);
            let fault = &faults[0];
            assert!(matches!(fault, LogFault::Changed { from: 3, last: 7, size: 8, .. }), "{fault}");
            assert!(fault.to_string().contains("as node 2,3 has checked and signed"), "{fault}");
        }
        let (checked, faults) = check(&log, (0..12).map(event));
        assert_eq!(checked, 2);
        assert!(matches!(faults[..], [LogFault::Cut { size: 12, known: 15, .. }]), "{faults:?}");
    }

    #[test]
    fn a_forgery_that_is_consistent_in_itself_does_not_fit_what_was_cosigned() {
        let key = key();
        let mut log = log(&key, &[8]);
        // The node signs its new past with its own key.
        let forged = |number: u64| format!("forged {number}").into_bytes();
        let root = root((0..12).map(forged));
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 12, root };
        let note = SignedCheckpoint::sign(checkpoint, &key).unwrap().to_string();
        log.checkpoints.push(KnownCheckpoint {
            size: 12,
            root,
            proposed_at_ms: 2,
            note,
            cosigned_by: [].into(),
        });
        let (_, faults) = check(&log, (0..12).map(forged));
        assert!(matches!(faults[..], [LogFault::Changed { from: 0, size: 8, .. }]), "{faults:?}");
    }

    #[test]
    fn deleted_events_are_skipped_by_hashes_that_the_next_checkpoint_proves() {
        let log = log(&key(), &[3, 8, 15]);
        let mut before = Frontier::default();
        (0..6).for_each(|number| before.push(leaf_hash(&event(number))));
        let mut honest = LogCheck::new(&log);
        honest.skip_to(6, before.roots().to_vec());
        (6..20).for_each(|number| honest.push(&event(number)));
        assert_eq!(honest.end(), (2, Vec::new()));
        let mut forged = LogCheck::new(&log);
        forged.skip_to(6, vec![leaf_hash(b"x"), leaf_hash(b"y")]);
        (6..20).for_each(|number| forged.push(&event(number)));
        assert!(matches!(forged.end().1[..], [LogFault::Changed { size: 8, .. }]));
        let mut short = LogCheck::new(&log);
        short.skip_to(6, vec![leaf_hash(b"x")]);
        assert!(matches!(short.end().1[0], LogFault::Gap { wanted: 0, found: 6 }));
    }

    #[test]
    fn a_checkpoint_that_another_key_signed_counts_for_nothing() {
        let (own, other) = (key(), key());
        let forged = KnownLog { key: own.verifier().to_string(), ..log(&other, &[8]) };
        let (checked, faults) = check(&forged, (0..20).map(event));
        assert_eq!(checked, 0);
        assert!(matches!(faults[..], [LogFault::Checkpoint { size: 8, .. }]), "{faults:?}");
    }
}
