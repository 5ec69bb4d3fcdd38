//! Files that the pinned crate wrote: it still writes the same, and they are still read. What else to check
//! before the pin moves: docs/watched-issues.md.

use super::*;
use crate::golden;
use crate::tables::journal::{Scanned, scan};

const GOLDEN: &str = "fjall";

/// Puts and deletes in both tables, in three batches.
fn write(root: &Path) -> Tables {
    let tables = open(root);
    put(&tables, &[(0, "a", "1"), (1, "a", "")]);
    let mut batch = tables.begin();
    batch.delete(0, "a").unwrap();
    batch.put(1, "b", [7; 5000]).unwrap();
    tables.commit(batch).unwrap();
    put(&tables, &[(0, "c", "3")]);
    tables.persist().unwrap();
    tables
}

/// The version and the used part of the journal, in a directory of their own.
fn written(home: &Path) -> Vec<PathBuf> {
    let (root, kept) = (home.join("live"), home.join("kept"));
    let _tables = write(&root);
    fs::create_dir(&kept).unwrap();
    let state = root.join("state-1");
    let mut journal = fs::read(state.join("0.jnl")).unwrap();
    let used = journal.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    journal.truncate(used);
    fs::write(kept.join("0.jnl"), journal).unwrap();
    fs::copy(state.join("version"), kept.join("version")).unwrap();
    vec![kept.join("0.jnl"), kept.join("version")]
}

#[test]
fn the_pinned_crate_writes_the_files_that_were_kept() {
    let home = tempfile::tempdir().unwrap();
    golden::compare(GOLDEN, &written(home.path()));
}

#[test]
fn the_journal_that_was_kept_is_read() {
    let file = golden::directory(GOLDEN).join("0.jnl");
    let Scanned { whole_bytes, last_seqno, bad } = scan(&file).unwrap();
    assert_eq!((whole_bytes, bad), (fs::metadata(&file).unwrap().len(), None));
    assert!(last_seqno.is_some());
}

/// A directory whose journal or version is of the next version, where `at` is that byte.
fn refused(name: &str, at: impl FnOnce(&[u8]) -> usize) -> (StoreError, bool) {
    let home = tempfile::tempdir().unwrap();
    drop(write(home.path()));
    let file = home.path().join("state-1").join(name);
    let mut bytes = fs::read(&file).unwrap();
    let at = at(&bytes);
    assert_eq!(bytes[at], 3);
    bytes[at] = 4;
    fs::write(&file, &bytes).unwrap();
    let error = Tables::open(home.path(), NAMES, SMALL).unwrap_err();
    (error, fs::read(&file).unwrap() == bytes)
}

#[test]
fn another_version_is_refused_and_not_cut_off() {
    let after_magic = |bytes: &[u8]| bytes.windows(3).position(|window| window == b"FJL").unwrap() + 3;
    for name in ["version", "0.jnl"] {
        let (error, is_unchanged) = refused(name, after_magic);
        assert!(matches!(error, StoreError::UnknownFormat { found: 4, known: 3, .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(is_unchanged, "what is refused is not changed");
    }
}
