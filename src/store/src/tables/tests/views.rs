//! Views that are opened while the engine writes files.
//!
//! A flush and a compaction publish sequence numbers of their own, also in the middle of a batch that took its
//! number before. A view at the newest published number would hold a part of that batch.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Enough for a flush to end while a batch is applied.
const KEYS: u32 = 2_000;
const BATCHES: u32 = 60;

/// Writes the batch's number at every key of both tables.
fn write(tables: &Tables, number: u32) {
    let mut batch = tables.begin();
    for key in 0..KEYS {
        batch.put(0, key.to_be_bytes(), number.to_be_bytes()).unwrap();
        batch.put(1, key.to_be_bytes(), number.to_be_bytes()).unwrap();
    }
    tables.commit(batch).unwrap();
}

/// The numbers at the keys that the engine applies first and last.
fn first_and_last(view: &View) -> (Option<Value>, Option<Value>) {
    let at = |table, key: u32| view.get(table, &key.to_be_bytes()).unwrap();
    // The last is read first: what is applied between the two reads must not hide the difference.
    let last = at(1, KEYS - 1);
    (at(0, 0), last)
}

#[test]
fn a_view_that_is_opened_while_files_are_written_holds_whole_batches() {
    let home = tempfile::tempdir().unwrap();
    // Each batch is written to files.
    let tables = Tables::open(home.path(), NAMES, TablesOptions { write_buffer_bytes: 1, ..SMALL }).unwrap();
    write(&tables, 0);
    let done = AtomicBool::new(false);
    let (views, torn) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut views, mut torn) = (0, 0);
            while !done.load(Ordering::Acquire) {
                let (first, last) = first_and_last(&tables.view());
                views += 1;
                torn += u32::from(first != last);
            }
            (views, torn)
        });
        for number in 1..=BATCHES {
            write(&tables, number);
        }
        done.store(true, Ordering::Release);
        reader.join().unwrap()
    });
    assert!(views > BATCHES, "{views} views are too few to show anything");
    assert_eq!(torn, 0, "of {views} views");
}

#[test]
fn a_view_that_is_opened_after_a_commit_holds_it() {
    let home = tempfile::tempdir().unwrap();
    let tables = Tables::open(home.path(), NAMES, TablesOptions { write_buffer_bytes: 1, ..SMALL }).unwrap();
    for number in 0..20 {
        write(&tables, number);
        let expected = Some(number.to_be_bytes().to_vec());
        let (first, last) = first_and_last(&tables.view());
        assert_eq!(first.map(|value| value.to_vec()), expected);
        assert_eq!(last.map(|value| value.to_vec()), expected);
    }
}
