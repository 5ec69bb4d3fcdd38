//! Decides which failed reads mean that stored data differs from the written data.

use std::io;

use rustix::io::Errno;

/// Whether a read failed for lack of memory or file descriptors, and may succeed the next time.
pub(super) fn passes(error: &fjall::Error) -> bool {
    use fjall::Error::{Io, Storage};
    match error {
        Io(error) | Storage(fjall::LsmError::Io(error)) => ran_out(error),
        _ => false,
    }
}

fn ran_out(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use super::super::{Tables, TablesOptions};
    use super::*;
    use crate::{SnapshotReader, SnapshotWriter};

    const NAMES: &[&str] = &["keys", "kids"];
    const VALUE: &[u8] = b"a value that is easy to find among the bytes of its file";

    fn open(root: &Path) -> Tables {
        // Each commit is written to files.
        Tables::open(root, NAMES, TablesOptions { write_buffer_bytes: 1, ..TablesOptions::default() })
            .unwrap()
    }

    /// The file below `root` (not a journal) that holds these bytes, and their offset.
    fn find(root: &Path, bytes: &[u8]) -> Option<(PathBuf, usize)> {
        std::fs::read_dir(root).ok()?.find_map(|entry| {
            let path = entry.ok()?.path();
            if path.is_dir() {
                return find(&path, bytes);
            }
            let held = std::fs::read(&path).ok().filter(|_| path.extension().is_none())?;
            Some((path, held.windows(bytes.len()).position(|window| window == bytes)?))
        })
    }

    /// Tables with one flipped bit in a record in a file.
    fn damaged(root: &Path) -> Tables {
        let tables = open(root);
        let mut batch = tables.begin();
        batch.put(0, b"a", VALUE).unwrap();
        batch.put(1, b"b", b"sound").unwrap();
        tables.commit(batch).unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        let (file, at) = loop {
            if let Some(found) = find(root, VALUE) {
                break found;
            }
            assert!(Instant::now() < until, "the record is in no file");
            std::thread::sleep(Duration::from_millis(10));
        };
        drop(tables);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[at + 3] ^= 0x10;
        std::fs::write(file, bytes).unwrap();
        open(root)
    }

    #[test]
    fn a_flipped_bit_is_an_error_wherever_it_is_read_and_is_noted() {
        let home = tempfile::tempdir().unwrap();
        let tables = damaged(home.path());
        assert_eq!(tables.get(1, b"b").unwrap().as_deref(), Some(&b"sound"[..]));
        assert_eq!(tables.damage(), None, "nobody has met it yet");
        let reads: [fn(&Tables) -> bool; 5] = [
            |tables| tables.get(0, b"a").is_err(),
            |tables| tables.get_once(0, b"a").is_err(),
            |tables| tables.prefix(0, b"a", 9).is_err(),
            |tables| tables.view().get(0, b"a").is_err(),
            |tables| tables.view().starting_at(0, b"").unwrap().any(|record| record.is_err()),
        ];
        for read in reads {
            // The same file: each process notes damage for itself.
            assert!(read(&tables));
            let damage = tables.damage().unwrap();
            assert!(
                damage.contains(&home.path().display().to_string()) && damage.contains("Checksum"),
                "{damage}"
            );
        }
        assert_eq!(tables.get(1, b"b").unwrap().as_deref(), Some(&b"sound"[..]));
    }

    #[test]
    fn tables_that_are_replaced_are_whole_again() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tables = damaged(home.path());
        assert!(tables.get(0, b"a").is_err() && tables.damage().is_some());
        let sound = open(other.path());
        let path = other.path().join("snapshot");
        let pieces = SnapshotWriter::new(sound.view(), b"meta".to_vec());
        std::fs::write(&path, pieces.map(Result::unwrap).collect::<Vec<_>>().concat()).unwrap();
        tables.replace(&SnapshotReader::open(&path).unwrap()).unwrap();
        assert_eq!((tables.get(0, b"a").unwrap(), tables.damage()), (None, None));
    }

    #[test]
    fn want_of_descriptors_passes_and_a_disk_that_cannot_be_read_does_not() {
        let of = |errno: Errno| fjall::Error::Storage(fjall::LsmError::Io(errno.into()));
        assert!(passes(&of(Errno::MFILE)) && passes(&fjall::Error::Io(Errno::NOMEM.into())));
        assert!(!passes(&of(Errno::IO)) && !passes(&of(Errno::NOENT)));
        assert!(!passes(&fjall::Error::Storage(fjall::LsmError::Unrecoverable)));
    }
}
