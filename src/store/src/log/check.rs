//! Conditions on changes to the log, checked before any part of a change is made.

use std::io;

use bytes::Bytes;

use super::record::Types;
use super::{ENTRY_BYTES_MAX, LogPosition};

/// The index after `position`; the first index when there is none.
pub(super) fn next_index(position: Option<&LogPosition>) -> u64 {
    position.map_or(0, |position| position.index.saturating_add(1))
}

/// Refuses entries that leave a gap after `last`, go back in term or are too long. The first entry of an
/// empty log may have any index.
pub(super) fn entries_follow(last: Option<&LogPosition>, entries: &[(LogPosition, Bytes)]) -> io::Result<()> {
    let mut last = last.copied();
    for (position, bytes) in entries {
        let consecutive =
            last.is_none_or(|last| last < *position && next_index(Some(&last)) == position.index);
        if !consecutive {
            return refuse(format!("entry {position:?} does not follow {last:?}"));
        }
        if bytes.len() > ENTRY_BYTES_MAX {
            return refuse(format!("entry {position:?} is longer than {ENTRY_BYTES_MAX} bytes"));
        }
        last = Some(*position);
    }
    Ok(())
}

/// Refuses a `keep` that is not in the log, or was purged.
pub(super) fn can_keep(log: &raft_log::RaftLog<Types>, keep: Option<LogPosition>) -> io::Result<()> {
    let Some(keep) = keep else {
        return Ok(());
    };
    let state = log.log_state();
    if state.purged() == Some(&keep) || state.last() == Some(&keep) {
        return Ok(());
    }
    let found = log.read(keep.index, keep.index.saturating_add(1)).next().transpose()?;
    match found {
        Some((position, _payload)) if position == keep => Ok(()),
        _ => refuse(format!("there is no entry {keep:?} to keep")),
    }
}

/// Refuses entries with a gap between them: a file of the log is missing.
pub(super) fn consecutive(entries: &[(LogPosition, Bytes)]) -> io::Result<()> {
    let gap = entries.array_windows().find(|[(a, _), (b, _)]| next_index(Some(a)) != b.index);
    match gap {
        None => Ok(()),
        Some([(a, _), _]) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("the log lacks the entry after {a:?}")))
        }
    }
}

pub(super) fn refuse(why: String) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}
