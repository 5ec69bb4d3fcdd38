//! The tables after power cuts and damage: a page, or any pages, of the journal never written; bytes
//! flipped; memory sealed at the wrong moment.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use crate::tables::*;

const NAMES: &[&str] = &["keys", "mark"];
const PAGE_BYTES: usize = 4096;

fn options(write_buffer_bytes: u64) -> TablesOptions {
    TablesOptions { cache_bytes: 1024 * 1024, hot_bytes: 1024 * 1024, write_buffer_bytes }
}

/// Commits batch `number`: three records and the number of batches, as the state does.
fn commit(tables: &Tables, number: u64, value_bytes: usize) {
    let mut batch = tables.begin();
    for part in 0..3 {
        let value = vec![number as u8 | 1; value_bytes];
        batch.put(0, format!("{number:06}-{part}"), value).unwrap();
    }
    batch.put(1, "count", (number + 1).to_be_bytes()).unwrap();
    tables.commit(batch).unwrap();
}

/// The number of batches in the tables, which must hold whole batches and nothing else.
fn batches(tables: &Tables) -> u64 {
    let count = tables.get(1, b"count").unwrap();
    let count = count.map_or(0, |count| u64::from_be_bytes(count.as_ref().try_into().unwrap()));
    let keys: Vec<String> = tables
        .view()
        .iter(0)
        .unwrap()
        .map(|record| String::from_utf8(record.unwrap().0.to_vec()).unwrap())
        .collect();
    let expected: Vec<String> =
        (0..count).flat_map(|number| (0..3).map(move |part| format!("{number:06}-{part}"))).collect();
    assert_eq!(keys, expected, "the mark says {count} batches");
    count
}

fn open(root: &Path) -> Result<Tables, StoreError> {
    Tables::open(root, NAMES, options(1024 * 1024))
}

fn journal(root: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> =
        fs::read_dir(root.join("state-1")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    files.sort();
    files.pop().unwrap()
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false if entry.file_name().to_str().unwrap().ends_with(".jnl") => {
                // The used part; the zeros after it would take too long to copy so often.
                let bytes = fs::read(entry.path()).unwrap();
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                fs::write(&target, &bytes[..used]).unwrap();
                fs::File::options().write(true).open(&target).unwrap().set_len(bytes.len() as u64).unwrap();
            }
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Tables with `synced` batches on the disk and `more` unsynced ones after them. The handle stays open; a
/// power cut works on a copy.
struct Written {
    home: tempfile::TempDir,
    _tables: Tables,
    synced_bytes: usize,
    synced: u64,
    bytes: Vec<u8>,
}

fn written(synced: u64, more: u64, value_bytes: usize) -> Written {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("live");
    let tables = Tables::open(&root, NAMES, options(u64::MAX)).unwrap();
    (0..synced).for_each(|number| commit(&tables, number, value_bytes));
    tables.persist().unwrap();
    let used = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let synced_bytes = used(&fs::read(journal(&root)).unwrap());
    (synced..synced + more).for_each(|number| commit(&tables, number, value_bytes));
    let mut bytes = fs::read(journal(&root)).unwrap();
    bytes.truncate(used(&bytes));
    Written { home, _tables: tables, synced_bytes, synced, bytes }
}

impl Written {
    /// A copy whose journal is `bytes`, `length` long.
    fn with(&self, bytes: &[u8], length: u64) -> tempfile::TempDir {
        let cut = tempfile::tempdir().unwrap();
        copy(&self.home.path().join("live"), cut.path());
        let file = journal(cut.path());
        fs::write(&file, bytes).unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_len(length).unwrap();
        cut
    }

    /// Opens a copy in which these pages never reached the disk, and continues from there.
    fn survives_holes(&self, pages: &[usize], length: u64) {
        let mut bytes = self.bytes.clone();
        for page in pages {
            let from = (page * PAGE_BYTES).max(self.synced_bytes);
            let to = ((page + 1) * PAGE_BYTES).min(bytes.len());
            if from < to {
                bytes[from..to].fill(0);
            }
        }
        let cut = self.with(&bytes[..bytes.len().min(length as usize)], length);
        let tables = open(cut.path()).unwrap_or_else(|error| panic!("holes at {pages:?}: {error:?}"));
        let kept = batches(&tables);
        assert!(kept >= self.synced, "holes at {pages:?}: {kept} of {} synced", self.synced);
        // The lost batches come again from the log.
        (kept..kept + 5).for_each(|number| commit(&tables, number, 10));
        tables.persist().unwrap();
        drop(tables);
        assert_eq!(batches(&open(cut.path()).unwrap()), kept + 5);
    }
}

#[test]
fn a_page_that_was_never_written_costs_only_what_is_behind_it() {
    // Values shorter and longer than a page: the engine alone refuses to open with a hole in a long one.
    for value_bytes in [300, 9000] {
        let written = written(2, if value_bytes > PAGE_BYTES { 2 } else { 12 }, value_bytes);
        let pages = written.bytes.len().div_ceil(PAGE_BYTES);
        assert!(pages > 3);
        for page in 0..pages {
            written.survives_holes(&[page], 64 * 1024 * 1024);
            // A reopened file is not preallocated any more.
            written.survives_holes(&[page], written.bytes.len() as u64);
        }
    }
}

#[test]
fn an_end_that_breaks_off_anywhere_is_cut() {
    let written = written(2, 3, 400);
    for length in (written.synced_bytes..written.bytes.len()).step_by(41) {
        written.survives_holes(&[], length as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn any_pages_may_be_missing(
        pages in prop::collection::vec(0_usize..60, 0..12),
        value_bytes in 100_usize..6000,
    ) {
        written(3, 12, value_bytes).survives_holes(&pages, 64 * 1024 * 1024);
    }
}

#[test]
fn a_flipped_bit_leaves_a_whole_prefix_or_a_refusal_but_never_a_mixture() {
    let written = written(3, 3, 50);
    for bit in (0..written.bytes.len() * 8).step_by(89) {
        let mut bytes = written.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let damaged = written.with(&bytes, 64 * 1024 * 1024);
        match open(damaged.path()) {
            Ok(tables) => drop(batches(&tables)),
            // The version of the first batch may have been hit.
            Err(StoreError::TablesDamaged { .. } | StoreError::UnknownFormat { .. }) => {}
            Err(other) => panic!("bit {bit}: {other:?}"),
        }
    }
}

/// Tables of which some batches are in table files and the journal holds them too.
fn sealed() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let tables = Tables::open(home.path(), NAMES, options(100_000)).unwrap();
    (0..500).for_each(|number| commit(&tables, number, 300));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let files = || walk(home.path()).into_iter().filter(|path| path.parent().unwrap().ends_with("tables"));
    while files().count() < 4 {
        assert!(std::time::Instant::now() < deadline, "nothing was sealed");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop(tables);
    home
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(walk(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

#[test]
fn damage_before_what_is_in_table_files_is_refused_at_every_start() {
    let home = sealed();
    assert_eq!(batches(&open(home.path()).unwrap()), 500);
    let file = journal(home.path());
    let mut bytes = fs::read(&file).unwrap();
    bytes[2000] ^= 1;
    fs::write(&file, bytes).unwrap();
    for _ in 0..2 {
        match open(home.path()) {
            Err(StoreError::TablesDamaged { file: named, offset }) => {
                assert_eq!(named, file);
                assert!(offset <= 2000, "{offset}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_damaged_table_file_is_refused_when_it_is_read() {
    let home = sealed();
    let files = walk(home.path());
    let file = files
        .iter()
        .filter(|path| path.parent().unwrap().ends_with("tables"))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let whole = fs::read(file).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(file, &bytes).unwrap();
        let Ok(tables) = open(home.path()) else { continue };
        for record in tables.view().iter(0).unwrap().chain(tables.view().iter(1).unwrap()) {
            let Ok((key, value)) = record else { break };
            let Ok(number) = std::str::from_utf8(&key).unwrap().split('-').next().unwrap().parse::<u64>()
            else {
                continue;
            };
            assert!(value.iter().all(|byte| *byte == number as u8 | 1), "byte {at} was read as it is");
        }
        drop(tables);
        fs::write(file, &whole).unwrap();
    }
}
