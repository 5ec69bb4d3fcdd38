//! Room on the disk that is held back: a file whose only use is its size. The last events before the disk is full, and
//! what says that it is, are written into its room; and nothing is granted again before it is there again.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use crate::files::{self, FileError};

const FILE: &str = "held-back";
/// What is written at once on file systems that cannot reserve room.
const PIECE_BYTES: usize = 1024 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    pub(crate) fn new(log: &Path, bytes: u64) -> Self {
        Self { path: log.join(FILE), bytes }
    }

    pub(crate) fn is_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| found.len() == self.bytes)
    }

    /// Gives the room up.
    pub(crate) fn release(&self) -> Result<(), FileError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(FileError::new("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Takes the room, unless it is taken.
    pub(crate) fn make(&self) -> Result<(), FileError> {
        if self.is_there() {
            return Ok(());
        }
        let made = self.fill();
        if made.is_err() {
            // Half of it would count as none, and take room.
            let _removed = fs::remove_file(&self.path);
        }
        made
    }

    fn fill(&self) -> Result<(), FileError> {
        let mut file = files::open_file(&self.path)?;
        let failed = || FileError::new("reserve room for", &self.path);
        file.set_len(0).map_err(failed())?;
        match fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP) => {
                write_zeros(&mut file, self.bytes).map_err(failed())?;
            }
            Err(errno) => return Err(failed()(errno.into())),
        }
        file.sync_all().map_err(failed())
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
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_room_is_really_taken_and_given_back() {
        let home = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(home.path(), 3 * 1024 * 1024);
        assert!(!ballast.is_there());
        ballast.make().unwrap();
        assert!(ballast.is_there());
        let blocks = fs::metadata(home.path().join(FILE)).unwrap().blocks();
        assert!(blocks * 512 >= 3 * 1024 * 1024, "only {blocks} blocks are taken");
        ballast.release().unwrap();
        ballast.release().unwrap();
        assert!(!ballast.is_there());
    }
}
