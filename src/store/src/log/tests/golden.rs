//! Files that the pinned crate wrote: it still writes the same, and they are still read. What else to check
//! before the pin moves: docs/watched-issues.md.

use super::*;
use crate::golden;

const GOLDEN: &str = "raft-log";

/// Every kind of record, in several files.
fn write(dir: &Path) -> Log {
    let log = Log::open(dir, SMALL).unwrap();
    vote(&log, 1, 1, true).unwrap();
    append(&log, entries(1, 0..9)).unwrap();
    log.truncate_after(Some(at(1, 6))).unwrap();
    vote(&log, 2, 0, false).unwrap();
    append(&log, entries(2, 7..20)).unwrap();
    log.save_committed(Some(at(2, 12))).unwrap();
    log.purge(at(1, 1)).unwrap();
    append(&log, entries(2, 20..22)).unwrap();
    log
}

#[test]
fn the_pinned_crate_writes_the_files_that_were_kept() {
    let home = tempfile::tempdir().unwrap();
    drop(write(home.path()));
    golden::compare(GOLDEN, &files(home.path()));
}

#[test]
fn the_files_that_were_kept_are_read() {
    let home = copy(&golden::directory(GOLDEN));
    let log = Log::open(home.path(), SMALL).unwrap();
    let expected = [entries(1, 2..7), entries(2, 7..22)].concat();
    assert_eq!(all(&log), expected);
    assert_eq!(log.bounds(), (Some(at(1, 1)), Some(at(2, 21))));
    assert_eq!(log.read_vote(), Some(StoredVote { term: 2, node: 0, committed: false }));
    assert_eq!(log.read_committed(), Some(at(2, 12)));
}

#[test]
fn another_version_is_refused_and_not_taken_for_damage() {
    for number in 0..files(&golden::directory(GOLDEN)).len() {
        let home = copy(&golden::directory(GOLDEN));
        let file = &files(home.path())[number];
        let mut bytes = fs::read(file).unwrap();
        assert_eq!(bytes[..5], [0, 0, 0, 5, 1], "the kind and the version of the first record");
        bytes[4] = 2;
        // The next version has a field more.
        bytes.insert(5, 1);
        fs::write(file, &bytes).unwrap();
        let error = Log::open(home.path(), SMALL).unwrap_err();
        assert!(matches!(error, StoreError::UnknownFormat { found: 2, known: 1, .. }), "{error:?}");
        assert!(error.to_string().contains("run the build that wrote it"), "{error}");
        assert!(fs::read(file).unwrap() == bytes, "what is refused is not changed");
    }
}
