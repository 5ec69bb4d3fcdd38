//! The hashes of a log's tree on disk. They stay when the events are deleted.
//!
//! ```text
//! hashes/0    the hash of each event, one after the other, 32 bytes each
//! hashes/1    the roots over each 256 of them
//! hashes/2    the roots over each 256 of those; and so on
//! ```
//!
//! These are the hashes of tlog-tiles, whose tiles have 256 each. Any complete subtree is at most 128 of them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::files::{self, FileError};
use crate::tree::{Frontier, Hash, SubtreeHashes, node_hash};

const HASHES: &str = "hashes";
/// The height of a tile.
pub(crate) const TILE_HEIGHT: u32 = 8;
/// A tree of 2^64 events has eight levels of tiles.
const LEVELS_MAX: u32 = 8;

/// The file of a level.
pub(crate) fn level_path(log: &Path, level: u32) -> PathBuf {
    log.join(HASHES).join(level.to_string())
}

/// Hashes that are not on disk yet, by level.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewHashes([Vec<u8>; LEVELS_MAX as usize]);

impl NewHashes {
    /// Takes the root of a subtree that became complete.
    pub(crate) fn take(&mut self, height: u32, hash: Hash) {
        if height.is_multiple_of(TILE_HEIGHT)
            && let Some(level) = self.0.get_mut((height / TILE_HEIGHT) as usize)
        {
            level.extend_from_slice(hash.as_bytes());
        }
    }

    /// Appends those of `more`, which come after these.
    pub(crate) fn append(&mut self, more: Self) {
        for (level, more) in self.0.iter_mut().zip(more.0) {
            level.extend(more);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }
}

/// The files of hashes.
#[derive(Debug)]
pub(crate) struct HashFiles {
    log: PathBuf,
    levels: Vec<File>,
    /// The levels that were written to since the last sync.
    dirty: Vec<u32>,
}

impl HashFiles {
    /// Opens them for reading and writing, and creates what is missing.
    pub(crate) fn open(log: &Path) -> Result<Self, FileError> {
        files::create_directory(&log.join(HASHES))?;
        let levels = (0..LEVELS_MAX).map(|level| files::open_file(&level_path(log, level)));
        let levels = levels.collect::<Result<_, _>>()?;
        files::sync_directory(&log.join(HASHES))?;
        Ok(Self { log: log.to_owned(), levels, dirty: Vec::new() })
    }

    /// Opens them for reading.
    pub(crate) fn open_to_read(log: &Path) -> Result<Self, FileError> {
        let open = |level| {
            let path = level_path(log, level);
            File::open(&path).map_err(FileError::new("read", &path))
        };
        let levels = (0..LEVELS_MAX).map(open).collect::<Result<_, _>>()?;
        Ok(Self { log: log.to_owned(), levels, dirty: Vec::new() })
    }

    /// How many events there are hashes of.
    pub(crate) fn size(&self) -> Result<u64, FileError> {
        let path = level_path(&self.log, 0);
        let found = self.levels.first().map_or(Ok(0), |file| file.metadata().map(|found| found.len()));
        Ok(found.map_err(FileError::new("measure", &path))? / Hash::BYTES as u64)
    }

    /// How many bytes they take.
    pub(crate) fn bytes(&self) -> u64 {
        self.levels.iter().filter_map(|file| file.metadata().ok()).map(|found| found.len()).sum()
    }

    /// Leaves the hashes of the first `size` events.
    pub(crate) fn truncate(&self, size: u64) -> Result<(), FileError> {
        for (level, file) in (0..).zip(&self.levels) {
            let bytes = length(size, level);
            file.set_len(bytes).map_err(FileError::new("cut", &level_path(&self.log, level)))?;
        }
        Ok(())
    }

    /// Writes hashes behind those of the first `size` events. Can be repeated after it failed.
    pub(crate) fn write(&mut self, size: u64, new: &NewHashes) -> Result<(), FileError> {
        for ((level, file), bytes) in
            (0..).zip(&self.levels).zip(&new.0).filter(|(_, bytes)| !bytes.is_empty())
        {
            let written = file.write_all_at(bytes, length(size, level));
            written.map_err(FileError::new("write", &level_path(&self.log, level)))?;
            if !self.dirty.contains(&level) {
                self.dirty.push(level);
            }
        }
        Ok(())
    }

    /// Makes durable what was written.
    pub(crate) fn sync(&mut self) -> Result<(), FileError> {
        while let Some(level) = self.dirty.last().copied() {
            let synced = self.levels.get(level as usize).map_or(Ok(()), File::sync_data);
            synced.map_err(FileError::new("sync", &level_path(&self.log, level)))?;
            self.dirty.pop();
        }
        Ok(())
    }

    /// The hashes of a level, as many as `count`, from number `index` on, as bytes.
    pub(crate) fn read_level(&self, level: u32, index: u64, count: usize) -> Result<Vec<u8>, io::Error> {
        let mut bytes = vec![0; count.saturating_mul(Hash::BYTES)];
        let file = self.levels.get(level as usize).ok_or(io::ErrorKind::InvalidInput)?;
        file.read_exact_at(&mut bytes, index.saturating_mul(Hash::BYTES as u64))?;
        Ok(bytes)
    }

    /// The frontier of the first `size` events.
    pub(crate) fn frontier(&self, size: u64) -> Result<Frontier, FileError> {
        crate::tree::frontier(self, size).map_err(FileError::new("read", &self.log.join(HASHES)))
    }
}

/// How long the file of a level is for so many events.
pub(crate) fn length(size: u64, level: u32) -> u64 {
    size.checked_shr(TILE_HEIGHT * level).unwrap_or(0).saturating_mul(Hash::BYTES as u64)
}

impl SubtreeHashes for HashFiles {
    fn subtree(&self, height: u32, index: u64) -> Result<Hash, io::Error> {
        let (level, rest) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
        let bytes = self.read_level(level, index << rest, 1 << rest)?;
        let mut hashes: Vec<_> =
            bytes.as_chunks::<32>().0.iter().map(|hash| Hash::from_bytes(*hash)).collect();
        while hashes.len() > 1 {
            let pairs = hashes.as_chunks::<2>().0.iter();
            hashes = pairs.map(|[left, right]| node_hash(left, right)).collect();
        }
        hashes.first().copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
