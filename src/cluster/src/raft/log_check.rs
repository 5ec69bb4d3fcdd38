//! Checks the Raft log against the tables, before a node starts on them.
//!
//! When files of the log are missing, or its end was cut off together with acknowledged records,
//! the log cannot show it. The tables can: they prove that the log reached the last applied entry,
//! and that this node accepted the leader that proposed that entry. Two losses cannot be detected:
//! a vote in a later term of which nothing was applied, and acknowledged entries after the last
//! applied one.

use std::io;
use std::path::PathBuf;

use keymoot_store::{Directory, JOIN_ANEW, Log, LogPosition, StoreError, StoredVote};

/// Why the log and the tables cannot be used together.
#[derive(Debug, thiserror::Error)]
pub enum LogCheckError {
    /// There are tables, but no log.
    #[error("the tables in {} end with entry {applied}, but {} holds no Raft log: the node's votes and the entries it acknowledged behind that one are lost here; put the log's files back if they were moved, else {anew}", root.display(), log.display(), anew = JOIN_ANEW)]
    NoLog {
        /// The last entry in the tables.
        applied: u64,
        root: PathBuf,
        /// The directory of the log.
        log: PathBuf,
    },
    /// The log's directory cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vote that the tables prove cannot be saved.
    #[error("the vote cannot be saved")]
    Vote(#[source] io::Error),
}

/// Refuses tables that end with the entry `applied` without a log, before a new log is made.
///
/// # Errors
/// [`LogCheckError::NoLog`] when there is no log, or another error when the directory of the log
/// cannot be read.
pub(crate) fn refuse_no_log(
    applied: Option<&LogPosition>,
    directory: &Directory,
) -> Result<(), LogCheckError> {
    match applied {
        Some(applied) if !directory.holds_log()? => Err(no_log(applied, directory)),
        _ => Ok(()),
    }
}

fn no_log(applied: &LogPosition, directory: &Directory) -> LogCheckError {
    LogCheckError::NoLog { applied: applied.index, root: directory.root().to_owned(), log: directory.log() }
}

/// Refuses an empty log beside tables that end with the entry `applied`, and raises the vote if
/// that entry proves a later one.
///
/// # Errors
/// [`LogCheckError`] when log and tables do not fit together; the log is not changed then.
pub(crate) fn check_against_tables(
    log: &Log,
    applied: Option<LogPosition>,
    directory: &Directory,
) -> Result<(), LogCheckError> {
    let Some(applied) = applied else {
        return Ok(());
    };
    // A vote is always saved before entries reach the tables, and a rebuilt directory has both a
    // vote and a purge mark.
    if log.read_vote().is_none() && log.bounds() == (None, None) {
        return Err(no_log(&applied, directory));
    }
    raise_vote(log, &applied).map_err(LogCheckError::Vote)
}

/// Raises the vote to the leader that proposed `applied`, if the log holds none as late.
///
/// Before this node had that entry, from the leader's log or in a snapshot of a later one, it had
/// saved a vote for a leader at least as late, so a log with an earlier vote has lost one. Without
/// raising it, this node could elect an earlier leader, or accept entries from one, and break that
/// promise. Raising it is sound: most voters have elected the leader that it names already. Votes
/// are ordered by term and then by node, so in that leader's term only a later node can still be
/// voted for, as before the loss. The vote is not `committed`: that would mean that this leader
/// still leads, which is unknown here.
fn raise_vote(log: &Log, applied: &LogPosition) -> io::Result<()> {
    #[cfg(feature = "mutants")]
    if keymoot_mutant::is("no-vote") {
        return Ok(());
    }
    let found = log.read_vote();
    if found.is_some_and(|vote| (vote.term, vote.node) >= (applied.term, applied.node)) {
        return Ok(());
    }
    let vote = StoredVote { term: applied.term, node: applied.node, committed: false };
    tracing::error!(
        found = ?found.map(|vote| (vote.term, vote.node)),
        raised_to = ?(vote.term, vote.node),
        applied_index = applied.index,
        last_index = log.bounds().1.map(|last| last.index),
        "the Raft log has lost its end: its vote (term, node) is older than the last applied entry. The vote is \
         raised to that entry's, so that it is not given to anybody older again; but a later vote, and entries that this \
         node acknowledged, may be lost. See to its disk, and while every other voter is up, {JOIN_ANEW}"
    );
    log.save_vote(vote, Box::new(|_| {}))?;
    log.settle()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;

    use super::*;
    use keymoot_store::{Identity, LogOptions};

    const fn at(term: u64, node: u64, index: u64) -> LogPosition {
        LogPosition { term, node, index }
    }

    const APPLIED: LogPosition = at(4, 2, 9);

    fn directory(home: &Path) -> Directory {
        let identity = Identity { cluster: "west".to_owned(), node: 3, fence: 0 };
        Directory::open(home, &identity).unwrap()
    }

    fn open(directory: &Directory) -> Log {
        Log::open(&directory.log(), LogOptions::default()).unwrap()
    }

    fn voted(directory: &Directory, term: u64, node: u64) -> Log {
        let log = open(directory);
        log.append(vec![(at(1, 1, 0), Bytes::from_static(b"entry"))], Box::new(|_| {})).unwrap();
        log.save_vote(StoredVote { term, node, committed: true }, Box::new(|_| {})).unwrap();
        log.settle().unwrap();
        log
    }

    #[test]
    fn a_vote_older_than_the_last_applied_entry_is_raised_to_it_for_good() {
        for (term, node) in [(1, 3), (4, 1)] {
            let home = tempfile::tempdir().unwrap();
            let directory = directory(home.path());
            let log = voted(&directory, term, node);
            check_against_tables(&log, Some(APPLIED), &directory).unwrap();
            drop(log);
            let raised = Some(StoredVote { term: 4, node: 2, committed: false });
            assert_eq!(open(&directory).read_vote(), raised, "found ({term}, {node})");
        }
    }

    #[test]
    fn a_vote_as_late_as_the_last_applied_entry_stays() {
        for (term, node) in [(4, 2), (4, 3), (5, 1)] {
            let home = tempfile::tempdir().unwrap();
            let directory = directory(home.path());
            let log = voted(&directory, term, node);
            check_against_tables(&log, Some(APPLIED), &directory).unwrap();
            assert_eq!(log.read_vote(), Some(StoredVote { term, node, committed: true }));
        }
    }

    #[test]
    fn a_log_without_a_vote_gets_the_one_that_its_tables_prove() {
        let home = tempfile::tempdir().unwrap();
        let directory = directory(home.path());
        let log = open(&directory);
        log.purge(APPLIED).unwrap();
        check_against_tables(&log, Some(APPLIED), &directory).unwrap();
        assert_eq!(log.read_vote(), Some(StoredVote { term: 4, node: 2, committed: false }));
    }

    #[test]
    fn a_new_log_is_refused_beside_tables_that_are_not_new() {
        let home = tempfile::tempdir().unwrap();
        let directory = directory(home.path());
        let log = open(&directory);
        check_against_tables(&log, None, &directory).unwrap();
        let error = check_against_tables(&log, Some(APPLIED), &directory).unwrap_err();
        assert!(matches!(error, LogCheckError::NoLog { applied: 9, .. }), "{error:?}");
        assert!(error.to_string().contains("keymoot cluster remove"), "{error}");
        assert_eq!(log.read_vote(), None, "what is refused is not changed");
    }
}
