//! Verifying a log from its files: every event is read and hashed, and held to every checkpoint that is known.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::check::{Known, TreeCheck, sound};
use super::finding::{Finding, Report};
use super::stored::Stored;
use crate::disk::manifest::{Manifest, read_public_key};
use crate::disk::{self, checkpoints};
use crate::files::FileError;
use crate::hashes::{HashFiles, TILE_HEIGHT};
use crate::segment::{
    Index, IndexBuilder, IndexEntry, SegmentFault, SegmentHeader, SegmentReader, events_path, index_path,
    list,
};
use crate::tree::{Hash, leaf_hash};
use crate::{Action, Event, SignedCheckpoint, VerifierKey};

/// What is believed, beside what lies with the log.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The public keys of the cluster's logs. Without any, a log is believed the key that lies beside it.
    pub keys: Vec<VerifierKey>,
    /// Checkpoints that others have kept.
    pub checkpoints: Vec<SignedCheckpoint>,
    /// Below which number the log after one says that its events were deleted, by the origins of such logs: see
    /// [`Report::deleted_of_others`].
    pub deleted: BTreeMap<String, u64>,
}

/// The directories of the logs in this one: its own, and those that ended there, the newest first.
///
/// # Errors
/// [`FileError`] when the directory cannot be read.
pub fn logs_in(dir: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    if let Some(manifest) = Manifest::read(dir)? {
        found.push((manifest.begun_ms, dir.to_owned()));
    }
    if let Ok(entries) = dir.join(disk::ENDED).read_dir() {
        for path in entries.flatten().map(|entry| entry.path()) {
            if let Some(manifest) = Manifest::read(&path)? {
                found.push((manifest.begun_ms, path));
            }
        }
    }
    found.sort_by_key(|(begun, _)| std::cmp::Reverse(*begun));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Verifies the log in a directory.
///
/// # Errors
/// [`FileError`] when there is none, or it cannot be read.
pub fn verify(dir: &Path, trust: &Trust) -> Result<Report, FileError> {
    let missing = || FileError::new("find a log in", dir)(std::io::ErrorKind::NotFound.into());
    let manifest = Manifest::read(dir)?.ok_or_else(missing)?;
    let mut report = Report {
        origin: manifest.origin(),
        events: 0,
        first_kept: 0,
        signed: 0,
        cosigned: 0,
        seen_by: Vec::new(),
        checkpoints: 0,
        key_is_its_own: trust.keys.is_empty(),
        half_written: 0,
        predecessor: manifest.predecessor.clone(),
        deleted_of_others: BTreeMap::new(),
        findings: Vec::new(),
        more: 0,
    };
    let deleted_up_to = trust.deleted.get(&report.origin).copied();
    // Before the events, of which there may be more meanwhile.
    let known = known(dir, trust, &mut report)?;
    let files = HashFiles::open_to_read(dir)?;
    // Hashes behind the last checkpoint need not be on the disk: a power cut leaves anything there, and the next start
    // makes them anew from the events.
    let signed = known.last().map_or(0, |known| known.size);
    let stored = Stored::new(&files, files.size()?.min(signed));
    let mut walk = Walk {
        dir,
        header: SegmentHeader { first: 0, log_id: manifest.log_id() },
        files: &files,
        stored,
        shift: 0,
        tree: TreeCheck::new(known),
        deleted_up_to,
        report,
        ahead: VecDeque::new(),
        hash_finding: None,
    };
    walk.segments()?;
    Ok(walk.end())
}

/// Below which number an event says that events were deleted, and of which log where that is another one.
fn deleted(object: &str) -> Option<(Option<&str>, u64)> {
    let origin = object.strip_prefix("log=").and_then(|rest| rest.split(' ').next());
    let last: u64 = object.split("last=").nth(1)?.parse().ok()?;
    Some((origin, last.saturating_add(1)))
}

/// All checkpoints that are known of a log, by size.
fn known(dir: &Path, trust: &Trust, report: &mut Report) -> Result<Vec<Known>, FileError> {
    let key = match trust.keys.iter().find(|key| key.name() == report.origin) {
        Some(key) => Some(key.clone()),
        None if trust.keys.is_empty() => {
            Some(read_public_key(dir)?).filter(|key| key.name() == report.origin)
        }
        None => None,
    };
    if key.is_none() {
        report.find(Finding::UnknownKey { origin: report.origin.clone() });
    }
    let mut all = Vec::new();
    match checkpoints::read_own(dir)? {
        Some(Ok(own)) => {
            report.signed = own.checkpoint().size;
            all.push(own);
        }
        Some(Err(why)) => {
            report.find(Finding::Checkpoint { file: "checkpoint".to_owned(), why: why.to_string() })
        }
        None => {}
    }
    for read in checkpoints::read_cosigned(dir)? {
        match read {
            Ok(read) => all.push(read),
            Err((line, why)) => {
                let why = format!("line {line}: {why}");
                report.find(Finding::Checkpoint { file: "checkpoints".to_owned(), why });
            }
        }
    }
    all.extend(trust.checkpoints.iter().cloned());
    let (known, findings) = sound(&report.origin, key.as_ref(), &trust.keys, all.iter());
    findings.into_iter().for_each(|finding| report.find(finding));
    if let Some(seen) = known.iter().rfind(|known| !known.seen_by.is_empty()) {
        report.cosigned = seen.size;
        report.seen_by.clone_from(&seen.seen_by);
    }
    report.checkpoints = known.len();
    Ok(known)
}

/// A way through the events of a log.
struct Walk<'a> {
    dir: &'a Path,
    header: SegmentHeader,
    files: &'a HashFiles,
    stored: Stored<'a>,
    /// By how many the numbers of the stored hashes are ahead, after events were found removed.
    shift: i64,
    tree: TreeCheck,
    /// The greatest number after events of which the log says that it deleted them.
    deleted_up_to: Option<u64>,
    report: Report,
    /// The hashes of events that were read and not looked at yet: one is looked ahead.
    ahead: VecDeque<Hash>,
    /// The first kept hash above single events that does not fit.
    hash_finding: Option<Finding>,
}

impl Walk<'_> {
    fn segments(&mut self) -> Result<(), FileError> {
        let firsts = list(self.dir)?;
        let last = firsts.last().copied();
        // Of a log that ended all may be deleted.
        self.report.first_kept = firsts.first().copied().or(self.deleted_up_to).unwrap_or(0);
        self.fill_from_stored(self.report.first_kept);
        for first in firsts {
            let next = self.next();
            if first > next {
                let missing = Finding::Missing { first: next, last: first - 1 };
                self.report.find(missing);
                self.look_at_all();
                self.fill_from_stored(first);
            }
            if first < next {
                let file = events_path(self.dir, first).display().to_string();
                self.report.find(Finding::Foreign { file });
                continue;
            }
            self.segment(first, last == Some(first));
        }
        self.look_at_all();
        Ok(())
    }

    /// The number of the next event to be read.
    fn next(&self) -> u64 {
        self.tree.size() + self.ahead.len() as u64
    }

    fn segment(&mut self, first: u64, is_last: bool) {
        let path = events_path(self.dir, first);
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let header = SegmentHeader { first, ..self.header };
        let length = path.metadata().map_or(0, |found| found.len());
        let mut reader = match SegmentReader::open(self.dir, header, u64::MAX) {
            Ok(reader) => reader,
            Err(SegmentFault::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                // Deleted since its directory was listed; if not by the log itself, it is found missing.
                return;
            }
            Err(_) => return self.report.find(Finding::Foreign { file }),
        };
        let mut index = (!is_last).then(|| IndexBuilder::new(first));
        loop {
            let at = reader.position();
            match reader.next_event() {
                Ok(Some((number, bytes))) => {
                    let event = self.event(number, &bytes);
                    if let Some(index) = &mut index {
                        index.add(at.offset, event.as_ref().map(IndexEntry::of).as_ref());
                    }
                }
                Ok(None) => break,
                // Not signed yet, so it may be what a crash left; the node cuts it when it starts.
                Err(SegmentFault::Torn { .. } | SegmentFault::Damaged { .. })
                    if is_last && at.number >= self.report.signed =>
                {
                    self.report.half_written = length.saturating_sub(at.offset);
                    break;
                }
                Err(_) => {
                    index = None;
                    self.report.find(Finding::Damaged {
                        number: at.number,
                        file: file.clone(),
                        offset: at.offset,
                    });
                    if reader.position() == at {
                        // Its length is no event's, so nobody knows where the next one begins.
                        break;
                    }
                    self.look_at_all();
                    self.fill_from_stored(at.number + 1);
                }
            }
        }
        if let Some(index) = index {
            let made = index.finish(length);
            let found = std::fs::read(index_path(self.dir, first));
            // A missing one is made by the node.
            if found.is_ok_and(|found| found != made && Index::decode(&made).is_some()) {
                self.report.find(Finding::Index { first });
            }
        }
    }

    fn event(&mut self, number: u64, bytes: &Bytes) -> Option<Event> {
        let event = Event::decode(bytes).ok();
        let said = event.as_ref().filter(|event| event.action == Action::AUDIT_DELETE);
        if let Some((origin, below)) = said.and_then(|event| deleted(event.object.as_deref()?)) {
            match origin {
                None => self.deleted_up_to = self.deleted_up_to.max(Some(below)),
                Some(origin) => {
                    let known = self.report.deleted_of_others.entry(origin.to_owned()).or_default();
                    *known = below.max(*known);
                }
            }
        }
        debug_assert_eq!(number, self.next());
        self.ahead.push_back(leaf_hash(bytes));
        if self.ahead.len() > 1 {
            self.look_at_one();
        }
        event
    }

    fn look_at_all(&mut self) {
        while !self.ahead.is_empty() {
            self.look_at_one();
        }
    }

    /// Compares an event with the hash that is kept of it, and goes on.
    fn look_at_one(&mut self) {
        let Some(hash) = self.ahead.pop_front() else { return };
        let number = self.tree.size();
        let place = number.saturating_add_signed(self.shift);
        let following = self.ahead.front().copied();
        match self.stored.at(place) {
            Some(stored) if stored != hash => self.explain(number, place, hash, following),
            // What no hash is kept of yet is judged by the checkpoints.
            Some(_) | None => {}
        }
        self.push(hash);
    }

    /// Says what happened to the event that is at `number`, where the one at `place` was hashed.
    fn explain(&mut self, number: u64, place: u64, hash: Hash, following: Option<Hash>) {
        let goes_on = |stored: &mut Stored<'_>, at: u64| {
            following.is_none_or(|following| stored.at(at + 1).is_none_or(|stored| stored == following))
        };
        match self.stored.find(hash, place) {
            Some(at) if at > place && goes_on(&mut self.stored, at) => {
                self.report.find(Finding::Removed { first: place, last: at - 1 });
                self.shift += i64::try_from(at - place).unwrap_or(0);
            }
            Some(at) => self.report.find(Finding::Moved { number, from: at }),
            None if following.is_some() && following == self.stored.at(place) => {
                self.report.find(Finding::Inserted { number });
                self.shift -= 1;
            }
            None => self.report.find(Finding::Changed { number }),
        }
    }

    /// Takes the kept hashes in place of events up to `end`.
    fn fill_from_stored(&mut self, end: u64) {
        while self.tree.size() < end {
            let number = self.tree.size();
            match self.stored.at(number) {
                Some(hash) => self.push(hash),
                None => {
                    self.report.find(Finding::HashesMissing { first: number, last: end - 1 });
                    // Nothing after it can be proved, and everything after it is numbered on.
                    while self.tree.size() < end {
                        self.push(Hash::from_bytes([0; 32]));
                    }
                }
            }
        }
    }

    fn push(&mut self, leaf: Hash) {
        let (files, number, finding) = (self.files, self.tree.size(), &mut self.hash_finding);
        let signed = self.stored.size();
        let found = self.tree.push(leaf, |height, hash| {
            if height == 0 || !height.is_multiple_of(TILE_HEIGHT) || number >= signed || finding.is_some() {
                return;
            }
            let (level, index) = (height / TILE_HEIGHT, number >> height);
            let kept = files.read_level(level, index, 1);
            if kept.is_ok_and(|kept| kept != hash.as_bytes()) {
                *finding = Some(Finding::Hashes { level, index });
            }
        });
        found.into_iter().for_each(|finding| self.report.find(finding));
    }

    fn end(mut self) -> Report {
        let size = self.tree.size();
        self.report.events = size;
        if let Some(finding) = self.tree.end(size.saturating_add_signed(self.shift)) {
            self.report.find(finding);
        }
        let first_kept = self.report.first_kept;
        if first_kept > 0 && self.deleted_up_to.is_none_or(|deleted| deleted < first_kept) {
            self.report.find(Finding::DeletedUnsaid { first_kept });
        }
        // It follows from what was found of the events, if something was.
        if self.report.is_whole()
            && let Some(finding) = self.hash_finding
        {
            self.report.find(finding);
        }
        self.report
    }
}
