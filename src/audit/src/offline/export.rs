//! A log as tiles, which any program for C2SP's tlog-tiles reads: hashes, events and a checkpoint, in files as a server
//! would have them at their addresses.

use std::fs;
use std::path::{Path, PathBuf};

use super::prove::ProveError;
use crate::disk::checkpoints;
use crate::disk::manifest::Manifest;
use crate::files::{self, FileError};
use crate::hashes::HashFiles;
use crate::segment::{SegmentFault, SegmentHeader, SegmentReader, events_path, list};

/// How many hashes or events a full tile has.
const TILE: u64 = 256;

/// What was laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// How many events the checkpoint covers.
    pub events: u64,
    /// The first event that is there: older ones are deleted.
    pub first: u64,
}

/// Lays a log out as tiles in a directory, as far as its newest checkpoint covers it. Bundles of events in which one is
/// deleted are left out.
///
/// # Errors
/// [`ProveError`] when the log cannot be read, or the directory not be written.
pub fn export_tiles(log: &Path, to: &Path) -> Result<Exported, ProveError> {
    let missing = || FileError::new("find a log in", log)(std::io::ErrorKind::NotFound.into());
    let manifest = Manifest::read(log)?.ok_or_else(missing)?;
    let own = checkpoints::read_own(log)?.transpose()?;
    let own = own.ok_or(ProveError::NotSigned { number: 0, signed: 0 })?;
    let size = own.checkpoint().size;
    let mut cosigned = checkpoints::read_cosigned(log)?.into_iter().flatten();
    let checkpoint = cosigned.rfind(|found| found.checkpoint() == own.checkpoint()).unwrap_or(own);
    files::create_directory(to)?;
    hash_tiles(&HashFiles::open_to_read(log)?, size, to)?;
    let first = bundles(log, manifest.log_id(), size, to)?;
    // Last: it promises the others.
    write(&to.join("checkpoint"), checkpoint.to_string().as_bytes())?;
    Ok(Exported { events: size, first })
}

fn hash_tiles(hashes: &HashFiles, size: u64, to: &Path) -> Result<(), FileError> {
    let (mut level, mut count) = (0, size);
    while count > 0 {
        let mut index = 0;
        while index * TILE < count {
            let width = (count - index * TILE).min(TILE);
            let path = to.join("tile").join(level.to_string()).join(tile_name(index, width));
            let read = hashes.read_level(level, index * TILE, usize::try_from(width).unwrap_or(0));
            write(&path, &read.map_err(FileError::new("read hashes for", &path))?)?;
            index += 1;
        }
        (level, count) = (level + 1, count / TILE);
    }
    Ok(())
}

/// The events in bundles. Gives the number of the first one.
fn bundles(log: &Path, log_id: u64, size: u64, to: &Path) -> Result<u64, ProveError> {
    let firsts = list(log)?;
    let first_kept = firsts.first().copied().unwrap_or(0);
    let (mut bundle, mut index) = (Vec::new(), first_kept.div_ceil(TILE));
    let first = index * TILE;
    let mut next = first;
    let put = |index: u64, width: u64, bundle: &[u8]| {
        write(&to.join("tile").join("entries").join(tile_name(index, width)), bundle)
    };
    for segment in firsts {
        let failed = |number, source: SegmentFault| {
            let file = events_path(log, segment).display().to_string();
            ProveError::Read { number, file, source }
        };
        let opened = SegmentReader::open(log, SegmentHeader { first: segment, log_id }, u64::MAX);
        let mut reader = opened.map_err(|fault| failed(segment, fault))?;
        while next < size {
            let Some((number, bytes)) = reader.next_event().map_err(|fault| failed(next, fault))? else {
                break;
            };
            if number < next {
                continue;
            }
            // Lossless: an event is shorter than 64 KiB.
            bundle.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            bundle.extend_from_slice(&bytes);
            next = number + 1;
            if next.is_multiple_of(TILE) {
                put(index, TILE, &bundle)?;
                bundle.clear();
                index += 1;
            }
        }
    }
    if !bundle.is_empty() {
        put(index, next % TILE, &bundle)?;
    }
    Ok(first)
}

/// The path of a tile below its level: its number in groups of three digits, all but the last with an x before.
fn tile_name(index: u64, width: u64) -> PathBuf {
    let (mut name, mut rest) = (format!("{:03}", index % 1000), index / 1000);
    while rest > 0 {
        name = format!("x{:03}/{name}", rest % 1000);
        rest /= 1000;
    }
    match width {
        TILE => name.into(),
        width => format!("{name}.p/{width}").into(),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(FileError::new("create", parent))?;
    }
    fs::write(path, bytes).map_err(FileError::new("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_named_as_the_specification_has_it() {
        let name = |index, width| tile_name(index, width).display().to_string();
        assert_eq!(name(0, 256), "000");
        assert_eq!(name(5, 7), "005.p/7");
        assert_eq!(name(1234067, 256), "x001/x234/067");
        assert_eq!(name(1000, 1), "x001/000.p/1");
    }
}
