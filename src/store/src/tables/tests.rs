//! The tables against batches, views, replacements and crashes, and against a model.

mod golden;
mod journal;
mod lost_files;
mod stopped;
mod views;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::SnapshotWriter;

const NAMES: &[&str] = &["keys", "kids"];

const SMALL: TablesOptions =
    TablesOptions { cache_bytes: 1024 * 1024, hot_bytes: 1024 * 1024, write_buffer_bytes: 1024 * 1024 };

fn open(root: &Path) -> Tables {
    Tables::open(root, NAMES, SMALL).unwrap()
}

fn put(tables: &Tables, records: &[(usize, &str, &str)]) {
    let mut batch = tables.begin();
    for (table, key, value) in records {
        batch.put(*table, key, value).unwrap();
    }
    tables.commit(batch).unwrap();
}

fn text(value: Option<Value>) -> Option<String> {
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn at(tables: &Tables, table: usize, key: &str) -> Option<String> {
    text(tables.get(table, key.as_bytes()).unwrap())
}

fn texts(records: Vec<(Value, Value)>) -> Vec<(String, String)> {
    records.into_iter().map(|(key, value)| (text(Some(key)).unwrap(), text(Some(value)).unwrap())).collect()
}

fn pairs(records: &[(&str, &str)]) -> Vec<(String, String)> {
    records.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Writes the tables of `from` as a snapshot file under `home`.
fn snapshot(home: &Path, from: &Tables) -> PathBuf {
    let path = home.join("snapshot");
    let pieces = SnapshotWriter::new(from.view(), b"meta".to_vec());
    fs::write(&path, pieces.map(|piece| piece.unwrap()).collect::<Vec<_>>().concat()).unwrap();
    path
}

fn state_directories(root: &Path) -> Vec<String> {
    let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("state-")).collect();
    names.sort();
    names
}

/// Copies a directory in the state in which a killed process would leave it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn nobody_sees_a_batch_until_it_is_committed() {
    let home = tempfile::tempdir().unwrap();
    let tables = open(home.path());
    put(&tables, &[(0, "a", "1"), (0, "b", "2"), (1, "a", "other")]);
    let mut batch = tables.begin();
    batch.put(0, "a", "changed").unwrap();
    batch.delete(0, "b").unwrap();
    batch.put(0, "c", "new").unwrap();
    assert_eq!(at(&tables, 0, "a").as_deref(), Some("1"));
    assert_eq!(at(&tables, 0, "c"), None);
    tables.commit(batch).unwrap();
    assert_eq!(texts(tables.prefix(0, b"", 9).unwrap()), pairs(&[("a", "changed"), ("c", "new")]));
}

#[test]
fn a_prefix_returns_its_keys_in_order_up_to_the_limit() {
    let home = tempfile::tempdir().unwrap();
    let tables = open(home.path());
    put(&tables, &[(0, "b1", ""), (0, "a1", ""), (0, "a2", ""), (0, "a3", ""), (0, "a", "")]);
    let found = |limit| texts(tables.prefix(0, b"a", limit).unwrap());
    assert_eq!(found(9), pairs(&[("a", ""), ("a1", ""), ("a2", ""), ("a3", "")]));
    assert_eq!(found(2), pairs(&[("a", ""), ("a1", "")]));
    let from: Vec<_> = tables.view().starting_at(0, b"a3").unwrap().map(Result::unwrap).collect();
    assert_eq!(texts(from), pairs(&[("a3", ""), ("b1", "")]));
}

#[test]
fn a_view_stays_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let tables = open(home.path());
    put(&tables, &[(0, "a", "1"), (1, "a", "1")]);
    let view = tables.view();
    put(&tables, &[(0, "a", "2"), (0, "b", "2"), (1, "a", "2")]);
    assert_eq!(text(view.get(0, b"a").unwrap()).as_deref(), Some("1"));
    assert_eq!(text(view.get(1, b"a").unwrap()).as_deref(), Some("1"));
    assert_eq!(view.iter(0).unwrap().count(), 1);
    assert_eq!(tables.view().iter(0).unwrap().count(), 2);
}

#[test]
fn what_was_committed_outlives_the_process() {
    let home = tempfile::tempdir().unwrap();
    let tables = open(&home.path().join("live"));
    for number in 0..50 {
        put(&tables, &[(0, &format!("key {number}"), "x"), (1, "count", &number.to_string())]);
    }
    copy(&home.path().join("live"), &home.path().join("killed"));
    let killed = open(&home.path().join("killed"));
    assert_eq!(at(&killed, 1, "count").as_deref(), Some("49"));
    assert_eq!(killed.view().iter(0).unwrap().count(), 50);
    tables.persist().unwrap();
    drop(tables);
    assert_eq!(at(&open(&home.path().join("live")), 1, "count").as_deref(), Some("49"));
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let tables = open(home.path());
    let mut batch = tables.begin();
    assert!(matches!(batch.put(2, "a", "x"), Err(StoreError::NoTable { table: 2, tables: 2 })));
    assert!(matches!(batch.put(0, "", "x"), Err(StoreError::Key { bytes: 0, .. })));
    assert!(matches!(batch.delete(0, vec![0; 65_536]), Err(StoreError::Key { .. })));
    assert!(batch.is_empty());
    assert!(matches!(tables.get(2, b"a"), Err(StoreError::NoTable { .. })));
    assert!(matches!(tables.prefix(7, b"a", 1), Err(StoreError::NoTable { .. })));
    assert_eq!(tables.get(0, b"").unwrap(), None);
    batch.put(0, vec![b'k'; 65_535], "longest").unwrap();
    tables.commit(batch).unwrap();
}

#[test]
fn a_replacement_is_seen_whole_and_survives() {
    let home = tempfile::tempdir().unwrap();
    let source = open(&home.path().join("source"));
    put(&source, &[(0, "a", "new"), (0, "c", "new"), (1, "z", "new")]);
    let root = home.path().join("target");
    fs::create_dir(&root).unwrap();
    let tables = open(&root);
    put(&tables, &[(0, "a", "old"), (0, "b", "old")]);
    let (view, mut batch) = (tables.view(), tables.begin());
    batch.put(0, "d", "late").unwrap();

    let path = snapshot(home.path(), &source);
    tables.replace(&SnapshotReader::open(&path).unwrap()).unwrap();

    assert_eq!(texts(tables.prefix(0, b"", 9).unwrap()), pairs(&[("a", "new"), ("c", "new")]));
    assert_eq!(at(&tables, 1, "z").as_deref(), Some("new"));
    assert_eq!(text(view.get(0, b"b").unwrap()).as_deref(), Some("old"));
    assert!(matches!(tables.commit(batch), Err(StoreError::Superseded)));
    put(&tables, &[(0, "a", "newer"), (1, "y", "more")]);
    assert_eq!(at(&tables, 0, "a").as_deref(), Some("newer"));

    drop(view);
    let deadline = Instant::now() + Duration::from_secs(20);
    while state_directories(&root) != ["state-2"] {
        assert!(Instant::now() < deadline, "{:?} are left", state_directories(&root));
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(tables);
    let tables = open(&root);
    assert_eq!(texts(tables.prefix(0, b"", 9).unwrap()), pairs(&[("a", "newer"), ("c", "new")]));
    assert_eq!(texts(tables.prefix(1, b"", 9).unwrap()), pairs(&[("y", "more"), ("z", "new")]));
}

#[test]
fn a_replacement_by_an_empty_snapshot_empties_the_tables() {
    let home = tempfile::tempdir().unwrap();
    let path = snapshot(home.path(), &open(&home.path().join("source")));
    let tables = open(&home.path().join("source"));
    put(&tables, &[(0, "a", "old")]);
    tables.replace(&SnapshotReader::open(&path).unwrap()).unwrap();
    assert_eq!(tables.view().iter(0).unwrap().count(), 0);
}

#[test]
fn a_replacement_that_fails_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let source = open(&home.path().join("source"));
    for number in 0..100 {
        put(&source, &[(0, &format!("key {number}"), "new")]);
    }
    let root = home.path().join("target");
    let tables = open(&root);
    put(&tables, &[(0, "a", "old")]);
    let path = snapshot(home.path(), &source);
    let reader = SnapshotReader::open(&path).unwrap();
    // The disk fails after the verification.
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(tables.replace(&reader), Err(StoreError::Snapshot { .. })));
    put(&tables, &[(0, "b", "old")]);
    assert_eq!(texts(tables.prefix(0, b"", 9).unwrap()), pairs(&[("a", "old"), ("b", "old")]));
    assert_eq!(state_directories(&root), ["state-1"]);
    drop(tables);
    assert_eq!(open(&root).view().iter(0).unwrap().count(), 2);
}

#[test]
fn a_snapshot_of_other_tables_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let source = Tables::open(&home.path().join("source"), &["kids", "keys"], SMALL).unwrap();
    let reader = SnapshotReader::open(&snapshot(home.path(), &source)).unwrap();
    let tables = open(&home.path().join("target"));
    assert!(matches!(tables.replace(&reader), Err(StoreError::OtherTables { .. })));
}

#[test]
fn what_a_crash_left_of_a_replacement_is_swept() {
    let home = tempfile::tempdir().unwrap();
    let tables = open(home.path());
    put(&tables, &[(0, "a", "old")]);
    drop(tables);
    copy(&home.path().join("state-1"), &home.path().join("state-2"));
    fs::create_dir(home.path().join("state-3.new")).unwrap();
    let tables = open(home.path());
    assert_eq!(at(&tables, 0, "a").as_deref(), Some("old"));
    assert_eq!(state_directories(home.path()), ["state-1"]);
}

#[test]
fn readers_meet_the_old_tables_or_the_new_ones_and_never_a_mixture() {
    let home = tempfile::tempdir().unwrap();
    let tables = open(&home.path().join("live"));
    let records =
        |value: &str| (0..200).map(|n| (format!("key {n:03}"), value.to_owned())).collect::<Vec<_>>();
    let fill = |tables: &Tables, value: &str| {
        let mut batch = tables.begin();
        for (key, value) in records(value) {
            batch.put(0, key, value).unwrap();
        }
        tables.commit(batch).unwrap();
    };
    fill(&tables, "0");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let seen: Vec<_> = tables.view().iter(0).unwrap().map(Result::unwrap).collect();
                    let seen = texts(seen);
                    assert_eq!(seen, records(&seen[0].1));
                    assert!(tables.get(0, b"key 007").unwrap().is_some());
                }
            });
        }
        for round in 1..6 {
            let path = snapshot(home.path(), &tables);
            fill(&tables, &format!("{round}a"));
            tables.replace(&SnapshotReader::open(&path).unwrap()).unwrap();
            fill(&tables, &format!("{round}b"));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(at(&tables, 0, "key 007").as_deref(), Some("5b"));
}

#[derive(Clone, Debug)]
enum Step {
    Put(usize, String, u8),
    Delete(usize, String),
    Commit,
    Abandon,
    Replace,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..2_usize, "[ab]{1,3}", any::<u8>()).prop_map(|(table, key, value)| Step::Put(table, key, value)),
        6 => (0..2_usize, "[ab]{1,3}").prop_map(|(table, key)| Step::Delete(table, key)),
        4 => Just(Step::Commit),
        1 => Just(Step::Abandon),
        1 => Just(Step::Replace),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..60)
}

type Model = [BTreeMap<String, u8>; 2];

fn with_prefix(model: &Model, table: usize, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let records = model[table].iter().filter(|(key, _)| key.starts_with(prefix));
    records.map(|(key, value)| (key.clone(), vec![*value])).collect()
}

fn found(records: Vec<(Value, Value)>) -> Vec<(String, Vec<u8>)> {
    let key = |key: Value| String::from_utf8(key.to_vec()).unwrap();
    records.into_iter().map(|(k, value)| (key(k), value.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_tables_are_what_maps_would_be(steps in steps()) {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("live");
        let mut tables = open(&root);
        let mut committed = Model::default();
        let mut model = Model::default();
        let mut batch = tables.begin();
        for step in steps {
            match step {
                Step::Put(table, key, value) => {
                    batch.put(table, &key, [value]).unwrap();
                    model[table].insert(key, value);
                }
                Step::Delete(table, key) => {
                    batch.delete(table, &key).unwrap();
                    model[table].remove(&key);
                }
                Step::Commit => {
                    tables.commit(batch).unwrap();
                    committed = model.clone();
                    batch = tables.begin();
                }
                Step::Abandon | Step::Replace | Step::Reopen => {
                    drop(batch);
                    model = committed.clone();
                    if matches!(step, Step::Replace) {
                        let path = snapshot(home.path(), &tables);
                        tables.replace(&SnapshotReader::open(&path).unwrap()).unwrap();
                    }
                    if matches!(step, Step::Reopen) {
                        drop(tables);
                        tables = open(&root);
                    }
                    batch = tables.begin();
                }
            }
            for (table, prefix) in [(0, ""), (1, "a"), (0, "bb")] {
                let prefixed = prefix.as_bytes();
                prop_assert_eq!(
                    found(tables.prefix(table, prefixed, 100).unwrap()),
                    with_prefix(&committed, table, prefix)
                );
                let expected = with_prefix(&committed, table, prefix).into_iter().take(3).collect::<Vec<_>>();
                prop_assert_eq!(found(tables.prefix(table, prefixed, 3).unwrap()), expected);
            }
        }
    }
}
