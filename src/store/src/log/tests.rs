//! The log against cuts, flipped bits, missing files and a failing disk.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::channel;

use super::*;

mod damage;
mod golden;
mod model;

const SMALL: LogOptions = LogOptions { cache_bytes: 0, chunk_bytes: 600, gather: Duration::from_micros(50) };

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition { term, node: term % 3, index }
}

fn entry(term: u64, index: u64) -> (LogPosition, Bytes) {
    (at(term, index), Bytes::from(format!("entry {index} of term {term}")))
}

fn entries(term: u64, indexes: Range<u64>) -> Vec<(LogPosition, Bytes)> {
    indexes.map(|index| entry(term, index)).collect()
}

fn append(log: &Log, entries: Vec<(LogPosition, Bytes)>) -> io::Result<()> {
    let (sender, receiver) = channel();
    log.append(entries, Box::new(move |outcome| sender.send(outcome).unwrap()))?;
    receiver.recv().unwrap()
}

fn vote(log: &Log, term: u64, node: u64, committed: bool) -> io::Result<()> {
    let (sender, receiver) = channel();
    let vote = StoredVote { term, node, committed };
    log.save_vote(vote, Box::new(move |outcome| sender.send(outcome).unwrap()))?;
    receiver.recv().unwrap()
}

fn all(log: &Log) -> Vec<(LogPosition, Bytes)> {
    log.read(0..u64::MAX, None).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some());
    files.sort();
    files
}

fn copy(from: &Path) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for file in files(from) {
        fs::copy(&file, home.path().join(file.file_name().unwrap())).unwrap();
    }
    home
}

#[test]
fn entries_are_readable_at_once_and_after_a_reopening() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    log.append(entries(1, 0..100), Box::new(drop)).unwrap();
    assert_eq!(all(&log), entries(1, 0..100));
    assert_eq!(log.read(10..12, None).unwrap(), entries(1, 10..12));
    drop(log);
    let log = Log::open(home.path(), SMALL).unwrap();
    assert_eq!(all(&log), entries(1, 0..100));
    assert_eq!(log.bounds(), (None, Some(at(1, 99))));
    assert!(files(home.path()).len() > 3, "the log is too small to show anything");
}

#[test]
fn a_reading_stops_at_its_byte_limit_but_never_returns_nothing() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), LogOptions::default()).unwrap();
    append(&log, entries(1, 0..10)).unwrap();
    let one = entry(1, 0).1.len();
    assert_eq!(log.read(0..10, Some(3 * one)).unwrap(), entries(1, 0..3));
    assert_eq!(log.read(0..10, Some(3 * one - 1)).unwrap(), entries(1, 0..2));
    assert_eq!(log.read(4..10, Some(0)).unwrap(), entries(1, 4..5));
    assert!(log.read(10..20, Some(0)).unwrap().is_empty());
}

#[test]
fn a_cut_anywhere_in_the_last_file_loses_nothing_before_the_cut() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    let mut end_of_entry = Vec::new();
    for index in 0..25 {
        append(&log, vec![entry(1, index)]).unwrap();
        let last = files(home.path()).pop().unwrap();
        end_of_entry.push((last.clone(), fs::metadata(&last).unwrap().len()));
    }
    vote(&log, 4, 2, true).unwrap();
    let last = files(home.path()).pop().unwrap();
    drop(log);
    let length = fs::metadata(&last).unwrap().len();
    for cut in 0..length {
        let copied = copy(home.path());
        let file = copied.path().join(last.file_name().unwrap());
        fs::File::options().write(true).open(&file).unwrap().set_len(cut).unwrap();
        let log = Log::open(copied.path(), SMALL).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let kept = all(&log);
        let written = end_of_entry.iter().filter(|(file, end)| *file != last || *end <= cut).count();
        assert!(kept.len() >= written, "cut at {cut}: {} of {written} entries", kept.len());
        assert_eq!(kept, entries(1, 0..kept.len() as u64), "cut at {cut}");
        append(&log, vec![entry(2, kept.len() as u64)]).unwrap();
    }
}

#[test]
fn zeros_in_place_of_the_last_record_are_torn_too() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    append(&log, entries(1, 0..3)).unwrap();
    drop(log);
    let last = files(home.path()).pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    bytes.extend([0; 700]);
    fs::write(&last, bytes).unwrap();
    assert_eq!(all(&Log::open(home.path(), SMALL).unwrap()), entries(1, 0..3));
}

#[test]
fn a_missing_file_behind_a_purge_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    append(&log, entries(1, 0..60)).unwrap();
    log.purge(at(1, 30)).unwrap();
    drop(log);
    fs::remove_file(&files(home.path())[0]).unwrap();
    assert!(matches!(Log::open(home.path(), SMALL), Err(StoreError::LogGap { missing: 31, .. })));
}

#[test]
fn truncated_entries_give_way_to_others_also_of_a_lower_term() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    append(&log, entries(2, 0..10)).unwrap();
    append(&log, entries(9, 10..40)).unwrap();
    log.truncate_after(Some(at(2, 5))).unwrap();
    assert_eq!(log.bounds().1, Some(at(2, 5)));
    append(&log, entries(3, 6..50)).unwrap();
    let expected: Vec<_> = entries(2, 0..6).into_iter().chain(entries(3, 6..50)).collect();
    assert_eq!(all(&log), expected);
    drop(log);
    let log = Log::open(home.path(), SMALL).unwrap();
    assert_eq!(all(&log), expected);
    log.truncate_after(None).unwrap();
    assert_eq!((all(&log), log.bounds()), (vec![], (None, None)));
}

#[test]
fn what_does_not_follow_is_refused_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    append(&log, entries(2, 0..10)).unwrap();
    log.save_committed(Some(at(2, 7))).unwrap();
    let refused = |outcome: io::Result<()>| {
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    };
    refused(append(&log, vec![entry(2, 10), entry(2, 12)]));
    refused(append(&log, vec![entry(2, 9)]));
    refused(append(&log, vec![entry(1, 10)]));
    refused(log.truncate_after(Some(at(2, 6))));
    refused(log.truncate_after(Some(at(1, 8))));
    refused(log.truncate_after(Some(at(2, 10))));
    assert!(!log.failed());
    assert_eq!(all(&log), entries(2, 0..10));
    log.truncate_after(Some(at(2, 7))).unwrap();
    append(&log, entries(3, 8..9)).unwrap();
}

#[test]
fn a_refused_append_answers_its_completion() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    append(&log, entries(2, 0..1)).unwrap();
    let (sender, receiver) = channel();
    log.append(entries(2, 5..6), Box::new(move |outcome| sender.send(outcome).unwrap())).unwrap_err();
    assert!(receiver.recv().unwrap().is_err());
}

#[test]
fn a_purge_frees_files_and_can_pass_the_end() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    append(&log, entries(1, 0..100)).unwrap();
    let (files_before, bytes_before) = (files(home.path()).len(), log.on_disk_bytes());
    log.purge(at(1, 79)).unwrap();
    log.purge(at(1, 20)).unwrap();
    log.settle().unwrap();
    assert_eq!(log.bounds(), (Some(at(1, 79)), Some(at(1, 99))));
    assert_eq!(all(&log), entries(1, 80..100));
    assert!(files(home.path()).len() < files_before / 2);
    assert!(log.on_disk_bytes() < bytes_before / 2);
    log.purge(at(7, 500)).unwrap();
    drop(log);
    let log = Log::open(home.path(), SMALL).unwrap();
    assert_eq!((all(&log), log.bounds()), (vec![], (Some(at(7, 500)), Some(at(7, 500)))));
    append(&log, entries(8, 501..503)).unwrap();
    assert_eq!(all(&log), entries(8, 501..503));
}

#[test]
fn a_vote_changes_within_its_term_but_its_term_never_goes_back() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    assert_eq!(log.read_vote(), None);
    vote(&log, 5, 3, false).unwrap();
    vote(&log, 5, 1, true).unwrap();
    assert_eq!(vote(&log, 4, 9, true).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    drop(log);
    let log = Log::open(home.path(), SMALL).unwrap();
    assert_eq!(log.read_vote(), Some(StoredVote { term: 5, node: 1, committed: true }));
    vote(&log, 5, 2, false).unwrap();
}

#[test]
fn the_committed_position_is_a_hint_that_only_moves_within_the_log() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    append(&log, entries(1, 0..10)).unwrap();
    for (given, noted) in [(Some(4), Some(4)), (Some(2), Some(4)), (None, Some(4)), (Some(10), Some(4))] {
        log.save_committed(given.map(|index| at(1, index))).unwrap();
        assert_eq!(log.read_committed(), noted.map(|index| at(1, index)));
    }
    drop(log);
    assert_eq!(Log::open(home.path(), SMALL).unwrap().read_committed(), Some(at(1, 4)));
}

#[test]
fn the_hint_is_written_with_the_next_entries_or_when_somebody_asks() {
    let home = tempfile::tempdir().unwrap();
    // A log of one file: the end of a file is written at once.
    let log = Log::open(home.path(), LogOptions { chunk_bytes: 1 << 20, ..SMALL }).unwrap();
    let written = || Log::open(copy(home.path()).path(), SMALL).unwrap().read_committed();
    append(&log, entries(1, 0..10)).unwrap();
    log.save_committed(Some(at(1, 4))).unwrap();
    assert_eq!(written(), None, "a hint wakes nobody");
    append(&log, entries(1, 10..11)).unwrap();
    assert_eq!(written(), Some(at(1, 4)));
    log.save_committed(Some(at(1, 7))).unwrap();
    log.write_out().unwrap();
    // No call waits for it, so it may take a moment.
    let comes = |_| {
        std::thread::sleep(Duration::from_millis(10));
        written() == Some(at(1, 7))
    };
    assert!((0..500).any(comes));
}

#[test]
fn readers_see_a_whole_log_while_it_grows() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), LogOptions { chunk_bytes: 4000, ..SMALL }).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut seen = 0;
                while seen < 2000 {
                    let read = all(&log);
                    assert!(read.len() >= seen);
                    seen = read.len();
                    assert_eq!(read, entries(1, 0..seen as u64));
                }
            });
        }
        for first in (0..2000).step_by(20) {
            log.append(entries(1, first..first + 20), Box::new(|outcome| outcome.unwrap())).unwrap();
        }
    });
}

#[test]
fn a_failure_on_the_disk_is_final_and_everybody_is_told() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    append(&log, entries(1, 0..60)).unwrap();
    let (sender, receiver) = channel();
    log.on_failure(Box::new(move |reason| sender.send(reason.to_owned()).unwrap()));
    // The flush thread cannot remove a file that is gone, and ends.
    fs::remove_file(&files(home.path())[0]).unwrap();
    log.purge(at(1, 50)).unwrap();
    let first = (60..200).find_map(|index| append(&log, vec![entry(1, index)]).err());
    assert!(first.is_some(), "no append after the failure failed");
    assert!(!receiver.recv().unwrap().is_empty());
    assert!(log.failed());
    assert!(append(&log, entries(1, 200..201)).is_err());
    assert!(vote(&log, 9, 1, false).is_err());
    assert!(log.purge(at(1, 51)).is_err() && log.settle().is_err());
    let (sender, receiver) = channel();
    log.on_failure(Box::new(move |reason| sender.send(reason.to_owned()).unwrap()));
    assert!(!receiver.recv().unwrap().is_empty());
}

#[test]
fn a_second_opening_of_the_same_log_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let _log = Log::open(home.path(), SMALL).unwrap();
    assert!(matches!(Log::open(home.path(), SMALL), Err(StoreError::Io { .. })));
}
