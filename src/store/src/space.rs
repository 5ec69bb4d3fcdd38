//! Free disk space of a directory's file system, and the ballast that reserves some of it.
//!
//! The ballast is a file whose only use is its size. A node that finds its disk full at start removes it, so
//! that log and tables can be opened, and creates it again once there is enough free space.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::{StoreError, durable};

const FILE: &str = "ballast";
/// The bytes written at once on file systems that cannot reserve space.
const PIECE_BYTES: usize = 1024 * 1024;

/// Size of a file system, and its free space for unprivileged programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl Space {
    /// The space of the file system that holds `path`, which must exist.
    ///
    /// # Errors
    /// An I/O error.
    pub fn of(path: &Path) -> Result<Self, StoreError> {
        let measured = statvfs(path).map_err(|errno| StoreError::io("measure", path)(errno.into()))?;
        let bytes = |blocks: u64| blocks.saturating_mul(measured.f_frsize);
        Ok(Self { free_bytes: bytes(measured.f_bavail), total_bytes: bytes(measured.f_blocks) })
    }
}

/// A file that reserves disk space.
#[derive(Clone, Debug)]
pub struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    /// The ballast of the data directory `root`, of `bytes` bytes, whether or not the file exists. With 0 it
    /// is never created.
    pub fn new(root: &Path, bytes: u64) -> Self {
        Self { path: root.join(FILE), bytes }
    }

    /// The bytes needed to create the file; 0 when it exists.
    pub fn missing_bytes(&self) -> u64 {
        let held = fs::metadata(&self.path).map_or(0, |found| found.len());
        if held == self.bytes { 0 } else { self.bytes }
    }

    /// Frees the space. Returns whether there was a file.
    ///
    /// # Errors
    /// An I/O error.
    pub fn release(&self) -> Result<bool, StoreError> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", &self.path)(error)),
        }
    }

    /// Creates the file at its full size.
    ///
    /// # Errors
    /// An I/O error, for example a full disk; the file is then removed.
    pub fn make(&self) -> Result<(), StoreError> {
        if self.bytes == 0 {
            return self.release().map(drop);
        }
        let made = self.fill();
        if made.is_err() {
            // An incomplete ballast would count as none and still use space.
            let _removed = fs::remove_file(&self.path);
        }
        made
    }

    fn fill(&self) -> Result<(), StoreError> {
        let mut file = durable::open_file(&self.path)?;
        file.set_len(0).map_err(StoreError::io("truncate", &self.path))?;
        match fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP) => {
                write_zeros(&mut file, self.bytes).map_err(StoreError::io("write", &self.path))?;
            }
            Err(errno) => return Err(StoreError::io("reserve room for", &self.path)(errno.into())),
        }
        file.sync_all().map_err(StoreError::io("sync", &self.path))
    }
}

fn write_zeros(file: &mut fs::File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(zeros.get(..piece).unwrap_or_default())?;
        // Lossless: a `usize` has at most 64 bits on every supported target.
        left -= piece as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_has_no_more_free_than_it_has() {
        let space = Space::of(Path::new("/")).unwrap();
        assert!(space.total_bytes > 0 && space.free_bytes <= space.total_bytes, "{space:?}");
        assert!(Space::of(Path::new("/nowhere")).unwrap_err().to_string().contains("/nowhere"));
    }

    #[test]
    fn ballast_takes_its_room_and_gives_it_back() {
        let home = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(home.path(), 3 * 1024 * 1024);
        assert_eq!(ballast.missing_bytes(), 3 * 1024 * 1024);
        ballast.make().unwrap();
        assert_eq!(ballast.missing_bytes(), 0);
        use std::os::unix::fs::MetadataExt as _;
        let blocks = fs::metadata(home.path().join(FILE)).unwrap().blocks();
        assert!(blocks * 512 >= 3 * 1024 * 1024, "only {blocks} blocks are really taken");
        assert!(ballast.release().unwrap());
        assert!(!ballast.release().unwrap());
    }

    #[test]
    fn ballast_of_another_size_is_made_anew_and_of_none_removed() {
        let home = tempfile::tempdir().unwrap();
        Ballast::new(home.path(), 4096).make().unwrap();
        let other = Ballast::new(home.path(), 8192);
        assert_eq!(other.missing_bytes(), 8192);
        other.make().unwrap();
        assert_eq!(other.missing_bytes(), 0);
        Ballast::new(home.path(), 0).make().unwrap();
        assert!(!home.path().join(FILE).exists());
    }
}
