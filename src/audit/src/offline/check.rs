//! The one check of a log: its tree, as it grows event by event, against every checkpoint that is known of it. It is the
//! same for the files of a node, for what a node sends, and for a copy that was exported.

use std::collections::VecDeque;

use super::finding::{Finding, SeenBy};
use crate::note::NoteError;
use crate::tree::{Frontier, Hash, leaf_hash};
use crate::{SignedCheckpoint, VerifierKey};

/// A checkpoint whose signatures hold.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) size: u64,
    root: Hash,
    pub(super) seen_by: Vec<SeenBy>,
}

/// The checkpoints among these that are of the log and that its key signed, by size, with those of `cosigners` who signed
/// them, too; and what is wrong with the others. Without a key any signature is taken.
pub(super) fn sound<'n>(
    origin: &str,
    key: Option<&VerifierKey>,
    cosigners: &[VerifierKey],
    notes: impl Iterator<Item = &'n SignedCheckpoint>,
) -> (Vec<Known>, Vec<Finding>) {
    let (mut known, mut findings) = (Vec::new(), Vec::new());
    for note in notes.filter(|note| note.checkpoint().origin == origin) {
        let tree = note.checkpoint();
        let unsound = |why: NoteError| Finding::Signature { size: tree.size, why: why.to_string() };
        if let Some(why) = key.and_then(|key| note.verify(key).err()) {
            findings.push(unsound(why));
            continue;
        }
        let mut seen_by = Vec::new();
        for cosigner in cosigners.iter().filter(|key| key.name() != origin) {
            match note.verify_cosignature(cosigner) {
                Ok(time_s) => seen_by.push(SeenBy { name: cosigner.name().to_owned(), time_s }),
                Err(NoteError::NotSigned(_)) => {}
                Err(why) => findings.push(unsound(why)),
            }
        }
        known.push(Known { size: tree.size, root: tree.root, seen_by });
    }
    known.sort_by_key(|known| known.size);
    (known, findings)
}

/// A tree that grows, and the checkpoints that it has not reached.
#[derive(Debug)]
pub(super) struct TreeCheck {
    frontier: Frontier,
    known: VecDeque<Known>,
    /// The sizes of the checkpoints that it agrees with.
    agreed: Vec<u64>,
}

impl TreeCheck {
    /// An empty tree, to be held against these, which are in the order of their sizes.
    pub(super) fn new(known: Vec<Known>) -> Self {
        Self { frontier: Frontier::default(), known: known.into(), agreed: Vec::new() }
    }

    /// How many events there are by now.
    pub(super) const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// How many checkpoints it agrees with.
    pub(super) fn agreed(&self) -> usize {
        self.agreed.len()
    }

    /// Begins with the hashes of events that were deleted, which the first checkpoint behind them proves.
    fn begin_with(&mut self, frontier: Frontier) -> Vec<Finding> {
        // What was cosigned within them can be proved no more without their events, and need not be: each later
        // checkpoint was cosigned as going on from it.
        self.known.retain(|known| known.size >= frontier.size());
        self.frontier = frontier;
        self.reach()
    }

    /// Appends an event by its hash, and tells of each subtree that became complete. Gives what is found by it.
    pub(super) fn push(&mut self, leaf: Hash, completed: impl FnMut(u32, Hash)) -> Vec<Finding> {
        self.frontier.push_with(leaf, completed);
        self.reach()
    }

    fn reach(&mut self) -> Vec<Finding> {
        let mut found = Vec::new();
        while self.known.front().is_some_and(|known| known.size <= self.frontier.size()) {
            let Some(known) = self.known.pop_front() else { break };
            if known.size == 0 || (known.size == self.frontier.size() && known.root == self.frontier.root()) {
                self.agreed.push(known.size);
                continue;
            }
            // A forger's own checkpoint of the same size agrees with the forgery.
            let after = self.agreed.iter().rfind(|agreed| **agreed < known.size).copied().unwrap_or(0);
            found.push(Finding::OtherRoot { size: known.size, after, seen_by: known.seen_by });
        }
        found
    }

    /// No event comes any more, and `size` of them are there with those that were found removed: what is covered by a
    /// checkpoint beyond that was cut off.
    pub(super) fn end(mut self, size: u64) -> Option<Finding> {
        let last = self.known.pop_back().filter(|known| known.size > size)?;
        let longest = last.size;
        // Who saw the longest matters most.
        let mut seen_by = self.known.drain(..).map(|known| known.seen_by).chain([last.seen_by]);
        let seen_by = seen_by.rfind(|seen| !seen.is_empty()).unwrap_or_default();
        Some(Finding::CutOff { first: self.frontier.size(), last: longest - 1, seen_by })
    }
}

/// The check of a log whose events come one after the other: from its node, or from a copy.
#[derive(Debug)]
pub struct LogCheck {
    tree: TreeCheck,
    findings: Vec<Finding>,
}

impl LogCheck {
    /// The check of the log with this key, by these notes. Only signatures of the `cosigners` count as such.
    pub fn new(key: &VerifierKey, cosigners: &[VerifierKey], notes: &[SignedCheckpoint]) -> Self {
        let (known, findings) = sound(key.name(), Some(key), cosigners, notes.iter());
        Self { tree: TreeCheck::new(known), findings }
    }

    /// The number of the event that comes next.
    pub const fn next(&self) -> u64 {
        self.tree.size()
    }

    /// Goes on from events that were deleted, by what is left of them: the roots of the complete subtrees that they make
    /// up, the largest first. Whether that can be.
    #[must_use]
    pub fn skip_to(&mut self, from: u64, hashes: Vec<Hash>) -> bool {
        let frontier = Frontier::of(from, hashes).filter(|_| self.tree.size() == 0);
        let Some(frontier) = frontier else { return false };
        let found = self.tree.begin_with(frontier);
        self.find(found);
        true
    }

    /// The next event, as it is on disk.
    pub fn push(&mut self, event: &[u8]) {
        let found = self.tree.push(leaf_hash(event), |_, _| ());
        self.find(found);
    }

    /// What was found until now.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// All events came. Gives how many checkpoints they fit, and what was found.
    pub fn end(mut self) -> (usize, Vec<Finding>) {
        let (agreed, size) = (self.tree.agreed(), self.tree.size());
        self.findings.extend(self.tree.end(size));
        (agreed, self.findings)
    }

    /// One place that was changed shows at each checkpoint behind it: the first one tells where it is.
    fn find(&mut self, found: Vec<Finding>) {
        for finding in found {
            let is_root = |finding: &Finding| matches!(finding, Finding::OtherRoot { .. });
            if !is_root(&finding) || !self.findings.iter().any(is_root) {
                self.findings.push(finding);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checkpoint, LogKey};

    const ORIGIN: &str = "blue.keymoot.audit/1/0011223344556677";

    fn event(number: u64) -> Vec<u8> {
        format!("event {number}").into_bytes()
    }

    fn root(events: impl IntoIterator<Item = Vec<u8>>) -> Hash {
        let mut frontier = Frontier::default();
        events.into_iter().for_each(|event| frontier.push(leaf_hash(&event)));
        frontier.root()
    }

    /// A log of 20 events, and another one's key, which cosigns.
    struct Log {
        own: LogKey,
        other: LogKey,
        notes: Vec<SignedCheckpoint>,
    }

    impl Log {
        /// With cosigned checkpoints at these sizes.
        fn new(sizes: &[u64]) -> Self {
            let key = |origin: &str| LogKey::generate(origin).unwrap().0;
            let mut log = Self {
                own: key(ORIGIN),
                other: key("blue.keymoot.audit/2/8899aabbccddeeff"),
                notes: Vec::new(),
            };
            for size in sizes {
                let mut note = log.signed(*size, root((0..*size).map(event)));
                note.add(note.cosign(&log.other, 5));
                log.notes.push(note);
            }
            log
        }

        fn signed(&self, size: u64, root: Hash) -> SignedCheckpoint {
            SignedCheckpoint::sign(Checkpoint { origin: ORIGIN.to_owned(), size, root }, &self.own).unwrap()
        }

        fn begin(&self) -> LogCheck {
            LogCheck::new(self.own.verifier(), &[self.other.verifier().clone()], &self.notes)
        }

        fn check(&self, events: impl IntoIterator<Item = Vec<u8>>) -> (usize, Vec<Finding>) {
            let mut check = self.begin();
            events.into_iter().for_each(|event| check.push(&event));
            check.end()
        }
    }

    #[test]
    fn a_whole_log_fits_every_checkpoint() {
        assert_eq!(Log::new(&[3, 8, 15]).check((0..20).map(event)), (3, Vec::new()));
    }

    #[test]
    fn each_kind_of_tampering_is_found_and_its_place_is_named() {
        let log = Log::new(&[3, 8, 15]);
        let mut flipped: Vec<_> = (0..20).map(event).collect();
        flipped[5] = b"event 5, another one".to_vec();
        let mut reordered: Vec<_> = (0..20).map(event).collect();
        reordered.swap(4, 6);
        let removed: Vec<_> = (0..20).filter(|number| *number != 7).map(event).collect();
        for events in [flipped, reordered, removed] {
            let (agreed, findings) = log.check(events);
            assert_eq!(agreed, 1);
            let [found @ Finding::OtherRoot { after: 3, size: 8, .. }] = &findings[..] else {
                panic!("{findings:?}")
            };
            assert!(found.to_string().contains("cosigned by blue.keymoot.audit/2/"), "{found}");
        }
        let (agreed, findings) = log.check((0..12).map(event));
        assert_eq!(agreed, 2);
        let [found @ Finding::CutOff { first: 12, last: 14, .. }] = &findings[..] else {
            panic!("{findings:?}")
        };
        assert!(found.to_string().contains("cosigned by blue.keymoot.audit/2/"), "{found}");
    }

    #[test]
    fn a_forgery_that_is_consistent_in_itself_does_not_fit_what_was_cosigned() {
        let mut log = Log::new(&[8]);
        // The node signs its new past with its own key, also once more at the size that others have seen.
        let forged = |number: u64| format!("forged {number}").into_bytes();
        log.notes.extend([8, 12].map(|size| log.signed(size, root((0..size).map(forged)))));
        let (_, findings) = log.check((0..12).map(forged));
        let [Finding::OtherRoot { after: 0, size: 8, seen_by }] = &findings[..] else {
            panic!("{findings:?}")
        };
        assert_eq!(seen_by.len(), 1);
    }

    #[test]
    fn deleted_events_are_skipped_by_hashes_that_the_next_checkpoint_proves() {
        let log = Log::new(&[3, 8, 15]);
        let mut before = Frontier::default();
        (0..6).for_each(|number| before.push(leaf_hash(&event(number))));
        let mut honest = log.begin();
        assert!(honest.skip_to(6, before.roots().to_vec()));
        (6..20).for_each(|number| honest.push(&event(number)));
        assert_eq!(honest.end(), (2, Vec::new()));
        let mut forged = log.begin();
        assert!(forged.skip_to(6, vec![leaf_hash(b"x"), leaf_hash(b"y")]));
        (6..20).for_each(|number| forged.push(&event(number)));
        assert!(matches!(forged.end().1[..], [Finding::OtherRoot { size: 8, .. }]));
        assert!(!log.begin().skip_to(6, vec![leaf_hash(b"x")]));
    }

    #[test]
    fn a_checkpoint_that_another_key_signed_counts_for_nothing() {
        let (log, other) = (Log::new(&[8]), Log::new(&[8]));
        let check = LogCheck::new(other.own.verifier(), &[], &log.notes);
        assert!(matches!(check.findings(), [Finding::Signature { size: 8, .. }]), "{check:?}");
        // Nor does a cosignature by a key that is not among those that are believed.
        let stranger = LogKey::generate("blue.keymoot.audit/2/8899aabbccddeeff").unwrap().0;
        let check = LogCheck::new(log.own.verifier(), &[stranger.verifier().clone()], &log.notes);
        let (_, findings) = check.end();
        assert!(
            matches!(&findings[..], [.., Finding::CutOff { seen_by, .. }] if seen_by.is_empty()),
            "{findings:?}"
        );
    }
}
