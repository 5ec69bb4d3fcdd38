//! Opening a log: what a crash left half written is cut, what nobody may have changed is checked, and where a log
//! cannot go on, a new one begins that names it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use tokio::sync::watch;

use crate::files::{self, FileError};
use crate::hashes::HashFiles;
use crate::note::{Checkpoint, SignedCheckpoint};
use crate::segment::{Block, Index, SegmentFault, SegmentHeader, SegmentReader, events_path, list};
use crate::tree::{Frontier, leaf_hash};
use crate::{Action, Actor, AuditSettings, Event, LogIdentity, OpenError, Outcome, Predecessor, Usage};

use super::active::Active;
use super::keeper::index_of;
use super::manifest::{self, Manifest};
use super::reserve::Least;
use super::tail::Tail;
use super::{DiskLog, Durable, Hashes, Running, SEGMENT_BYTES, Sealed, checkpoints};
use crate::clock::now_ms;

/// A killed process holds its lock until the system has freed its memory.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a log is opened.
pub(crate) struct Opening<'a> {
    pub(crate) settings: &'a AuditSettings,
    pub(crate) dir: &'a Path,
    pub(crate) identity: &'a LogIdentity,
    pub(crate) predecessor: Option<Predecessor>,
    pub(crate) segment_bytes: u64,
}

/// Why a log cannot go on.
enum Ending {
    /// It is another node's, cluster's or directory's.
    Foreign(String),
    /// It is not as it was left.
    Damaged(String),
    File(FileError),
}

impl From<FileError> for Ending {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// Opens the log in a directory, or begins one.
pub(crate) fn open(
    settings: &AuditSettings,
    dir: &Path,
    identity: &LogIdentity,
    predecessor: Option<Predecessor>,
) -> Result<Running, OpenError> {
    let opening = Opening { settings, dir, identity, predecessor, segment_bytes: SEGMENT_BYTES };
    opening.open()
}

impl Opening<'_> {
    pub(crate) fn open(mut self) -> Result<Running, OpenError> {
        files::create_directory(self.dir)?;
        let lock = take_lock(self.dir)?;
        let found = match Manifest::read(self.dir)? {
            None => None,
            Some(manifest) => match self.go_on(&manifest) {
                Ok(parts) => Some((manifest, parts)),
                Err(Ending::File(error)) => return Err(error.into()),
                Err(Ending::Foreign(reason)) => {
                    tracing::info!(reason, "the audit log ends, and a new one begins");
                    self.end(&manifest, reason)?;
                    None
                }
                Err(Ending::Damaged(reason)) => {
                    tracing::error!(
                        reason,
                        log = manifest.origin(),
                        "the audit log is not as it was left: it is set aside, and a new one begins; run keymoot audit \
                         verify"
                    );
                    self.end(&manifest, reason)?;
                    None
                }
            },
        };
        let is_new = found.is_none();
        let (manifest, parts) = match found {
            Some(found) => found,
            None => self.begin()?,
        };
        let key = manifest::read_key(self.dir, &manifest.origin())?;
        let checkpoint = match parts.checkpoint {
            Some(checkpoint) => checkpoint,
            None => {
                let empty = Frontier::default();
                let checkpoint = Checkpoint { origin: manifest.origin(), size: 0, root: empty.root() };
                SignedCheckpoint::sign(checkpoint, &key).map_err(|error| OpenError::Key(error.to_string()))?
            }
        };
        let size = parts.active.frontier.size();
        let log = DiskLog {
            dir: self.dir.to_owned(),
            settings: self.settings.clone(),
            segment_bytes: self.segment_bytes,
            key,
            tail: Mutex::new(Tail::new(parts.active.frontier.clone())),
            active: Mutex::new(parts.active),
            hashes: Mutex::new(parts.hashes),
            sealed: Mutex::new(parts.sealed),
            checkpoint: Mutex::new(checkpoint),
            written: watch::Sender::new(size),
            durable: watch::Sender::new(Durable { size, fault: None }),
            requests: Mutex::default(),
            wake: Condvar::new(),
            unsigned: Mutex::default(),
            usage: Mutex::new(Usage::default()),
            acknowledged: Mutex::default(),
            stopping: AtomicBool::new(false),
            manifest,
            _lock: lock,
        };
        if is_new {
            // It waits for nobody: until it is written, nothing else is.
            let said = log.append_own(log.manifest.first_event()).and_then(|_| log.write());
            if let Err(fault) = said {
                tracing::error!(reason = fault.reason, "the audit log cannot say that it began");
            }
        }
        if let Some(reason) = log.hold_back(Least::ToGoOn) {
            log.fail(reason);
        }
        log.measure();
        Ok(Running::start(log).map_err(FileError::new("start the threads of", self.dir))?)
    }

    /// Makes a new log.
    fn begin(&self) -> Result<(Manifest, Parts), FileError> {
        files::create_directory(&self.dir.join("segments"))?;
        let mut id = [0; 8];
        rand::fill(&mut id).map_err(|_| {
            FileError::new("draw an id for", self.dir)(std::io::Error::other("there is no randomness"))
        })?;
        let predecessor = self.predecessor.clone();
        let manifest = Manifest::new(self.identity.clone(), u64::from_be_bytes(id), now_ms(), predecessor);
        manifest::make_key(self.dir, &manifest.origin())?;
        let hashes = HashFiles::open(self.dir)?;
        hashes.truncate(0)?;
        let active = Active::create(self.dir, manifest.log_id(), Frontier::default())?;
        // Last, for a directory with it holds a log.
        manifest.write(self.dir)?;
        let hashes =
            Hashes { files: hashes, in_files: 0, waiting: Default::default(), frontier: Frontier::default() };
        Ok((manifest, Parts { active, hashes, sealed: Vec::new(), checkpoint: None }))
    }

    /// Sets a log aside, for the new one to name it.
    fn end(&mut self, manifest: &Manifest, reason: String) -> Result<(), FileError> {
        let last = match checkpoints::read_own(self.dir) {
            Ok(Some(Ok(checkpoint))) => checkpoint.checkpoint().clone(),
            _ => Checkpoint { origin: manifest.origin(), size: 0, root: Frontier::default().root() },
        };
        let aside = self.dir.join(super::ENDED).join(format!("{:016x}", manifest.log_id()));
        files::create_directory(&aside)?;
        let names = ["segments", "hashes", "checkpoint", "checkpoints", "public-key", "key"];
        // Last what says that there is a log: repeated after a crash, the rest is moved then.
        for name in names.into_iter().chain(["log.json"]) {
            let (from, to) = (self.dir.join(name), aside.join(name));
            if from.exists() {
                fs::rename(&from, &to).map_err(FileError::new("move", &from))?;
            }
        }
        // It signs nothing any more.
        let key = aside.join("key");
        fs::remove_file(&key).map_err(FileError::new("remove", &key))?;
        files::sync_directory(&aside)?;
        files::sync_directory(self.dir)?;
        self.predecessor =
            Some(Predecessor { origin: manifest.origin(), size: last.size, root: last.root, reason });
        Ok(())
    }

    /// Checks the log that is there, and cuts what a crash left half written.
    fn go_on(&self, manifest: &Manifest) -> Result<Parts, Ending> {
        if manifest.identity != *self.identity {
            let (old, new) = (&manifest.identity, self.identity);
            let reason = format!(
                "it is of cluster={} node={} directory={}, and this is cluster={} node={} directory={}",
                old.cluster,
                old.node,
                old.incarnation.as_deref().unwrap_or("-"),
                new.cluster,
                new.node,
                new.incarnation.as_deref().unwrap_or("-")
            );
            return Err(Ending::Foreign(reason));
        }
        let key = manifest::read_key(self.dir, &manifest.origin())?;
        let checkpoint = match checkpoints::read_own(self.dir)? {
            None => None,
            Some(read) => {
                let damaged = |why: String| Ending::Damaged(format!("its checkpoint is damaged: {why}"));
                let read = read.map_err(|error| damaged(error.to_string()))?;
                read.verify(key.verifier()).map_err(|error| damaged(error.to_string()))?;
                Some(read)
            }
        };
        let signed = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.checkpoint().size);
        let mut hashes = HashFiles::open(self.dir)?;
        if hashes.size()? < signed {
            return Err(Ending::Damaged(format!("hashes of events below {signed} are missing")));
        }
        hashes.truncate(signed)?;
        let mut frontier = match hashes.frontier(signed) {
            Ok(frontier) => frontier,
            Err(error) => return Err(Ending::Damaged(error.in_words())),
        };
        if checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.checkpoint().root != frontier.root()) {
            return Err(Ending::Damaged("its hashes do not lead to the root of its checkpoint".to_owned()));
        }
        let firsts = self.segments(manifest)?;
        let (sealed, last) = self.sealed(manifest, &firsts)?;
        let mut waiting = crate::hashes::NewHashes::default();
        // Leaves from the checkpoint on, which are in the last segments.
        for sealed in sealed.iter().filter(|sealed| sealed.first + sealed.count > signed) {
            let header = SegmentHeader { first: sealed.first, log_id: manifest.log_id() };
            let reader = SegmentReader::open(self.dir, header, sealed.bytes);
            let mut reader = reader.map_err(|error| Ending::Damaged(error.to_string()))?;
            while let Some((number, bytes)) =
                reader.next_event().map_err(|error| Ending::Damaged(error.to_string()))?
            {
                if number >= signed {
                    frontier.push_with(leaf_hash(&bytes), |height, hash| waiting.take(height, hash));
                }
            }
        }
        let mut active = self.last_segment(manifest, last, signed, &mut frontier, &mut waiting)?;
        active.frontier = frontier.clone();
        hashes.write(signed, &waiting)?;
        let in_files = frontier.size();
        let hashes = Hashes { files: hashes, in_files, waiting: Default::default(), frontier };
        Ok(Parts { active, hashes, sealed, checkpoint })
    }

    /// The segments, without one at the end that was never begun: it has no header, and so no event.
    fn segments(&self, manifest: &Manifest) -> Result<Vec<u64>, FileError> {
        let mut firsts = list(self.dir)?;
        while let Some(first) = firsts.last().copied().filter(|first| *first > 0) {
            let header = SegmentHeader { first, log_id: manifest.log_id() };
            match SegmentReader::open(self.dir, header, u64::MAX) {
                Err(SegmentFault::Header) => {
                    let path = events_path(self.dir, first);
                    fs::remove_file(&path).map_err(FileError::new("remove", &path))?;
                    firsts.pop();
                }
                _ => break,
            }
        }
        Ok(firsts)
    }

    /// The segments before the last, each of which must begin where the one before it ends; and the first event of the
    /// last one.
    fn sealed(&self, manifest: &Manifest, firsts: &[u64]) -> Result<(Vec<Sealed>, u64), Ending> {
        let Some((last, before)) = firsts.split_last() else {
            return Err(Ending::Damaged("its segments are gone".to_owned()));
        };
        let mut sealed = Vec::with_capacity(before.len());
        for (first, next) in before.iter().zip(firsts.iter().skip(1)) {
            let path = events_path(self.dir, *first);
            let bytes = path.metadata().map_err(FileError::new("measure", &path))?.len();
            let found = match Index::read(self.dir, *first)? {
                Some(index) if index.events_bytes == bytes => {
                    let Index { first, count, min_ms, max_ms, .. } = index;
                    Sealed {
                        first,
                        count,
                        bytes,
                        min_ms,
                        max_ms,
                        is_indexed: true,
                        index: None,
                        blocks: Vec::new(),
                    }
                }
                _ => {
                    let header = SegmentHeader { first: *first, log_id: manifest.log_id() };
                    let made = index_of(self.dir, header);
                    let damaged = |error| Ending::Damaged(format!("{}: {error}", path.display()));
                    let (found, index) = made.map_err(damaged)?;
                    Index::write(self.dir, *first, &index)?;
                    found
                }
            };
            if found.first + found.count != *next {
                let end = found.first + found.count;
                return Err(Ending::Damaged(format!(
                    "events from {end} to {next} are missing between its segments"
                )));
            }
            sealed.push(found);
        }
        Ok((sealed, *last))
    }

    /// Reads the last segment, and cuts what is half written at its end.
    fn last_segment(
        &self,
        manifest: &Manifest,
        first: u64,
        signed: u64,
        frontier: &mut Frontier,
        waiting: &mut crate::hashes::NewHashes,
    ) -> Result<Active, Ending> {
        let path = events_path(self.dir, first);
        let file = files::open_file(&path)?;
        let length = file.metadata().map_err(FileError::new("measure", &path))?.len();
        let header = SegmentHeader { first, log_id: manifest.log_id() };
        let reader = SegmentReader::open(self.dir, header, length);
        let mut reader = reader.map_err(|error| Ending::Damaged(format!("{}: {error}", path.display())))?;
        let (mut blocks, mut times): (Vec<Block>, _) = (Vec::new(), super::tail::NO_TIMES);
        let end = loop {
            let at = reader.position();
            match reader.next_event() {
                Ok(Some((number, bytes))) => {
                    if blocks.last().is_none_or(|last| at.offset - last.offset >= crate::segment::BLOCK_BYTES)
                    {
                        blocks.push(at);
                    }
                    if let Ok(event) = Event::decode(&bytes) {
                        times = (times.0.min(event.time_ms), times.1.max(event.time_ms));
                    }
                    if number >= signed {
                        frontier.push_with(leaf_hash(&bytes), |height, hash| waiting.take(height, hash));
                    }
                }
                Ok(None) => break at,
                Err(error) if at.number < signed => {
                    return Err(Ending::Damaged(format!(
                        "{}: {error}, and its checkpoint covers {signed}",
                        path.display()
                    )));
                }
                Err(error) => {
                    let cut = length - at.offset;
                    tracing::warn!(
                        %error,
                        bytes = cut,
                        "the end of the audit log was half written when the node ended, and is cut"
                    );
                    break at;
                }
            }
        };
        if end.number < signed {
            let reason = format!("it ends before event {}, and its checkpoint covers {signed}", end.number);
            return Err(Ending::Damaged(reason));
        }
        if end.offset < length {
            file.set_len(end.offset).map_err(FileError::new("cut", &path))?;
        }
        // What was written may be on no disk yet.
        file.sync_all().map_err(FileError::new("sync", &path))?;
        let mut active = Active::new(file, first, end, frontier.clone());
        active.opened_ms = if times.0 == u64::MAX { now_ms() } else { times.0 };
        (active.blocks, active.times) = (blocks, times);
        Ok(active)
    }
}

/// What a log is made of once it is open.
struct Parts {
    active: Active,
    hashes: Hashes,
    sealed: Vec<Sealed>,
    checkpoint: Option<SignedCheckpoint>,
}

impl Manifest {
    /// The event that a log begins with.
    fn first_event(&self) -> Event {
        let mut event = Event::new(
            self.identity.node,
            self.begun_ms,
            Action::AUDIT_LOG_BEGIN,
            Outcome::Done,
            Actor::SYSTEM,
        );
        let origin = self.origin();
        event.object = Some(match &self.predecessor {
            Some(before) => before.named_by(&origin),
            None => format!("log={origin}"),
        });
        event.reason = self.predecessor.as_ref().map(|before| before.reason.clone());
        event
    }
}

fn take_lock(dir: &Path) -> Result<File, OpenError> {
    let path: PathBuf = dir.join("lock");
    let file = files::open_file(&path)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20))
            }
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(FileError::new("lock", &path)(error).into()),
        }
    }
}
