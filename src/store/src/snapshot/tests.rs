//! Snapshots against every kind of damage.

use std::fs;
use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::{SnapshotFault, StoreError, Tables, TablesOptions};

const NAMES: &[&str] = &["keys", "empty", "kids"];

fn tables(home: &Path, records: &[(usize, Vec<u8>, Vec<u8>)]) -> Tables {
    let options = TablesOptions {
        cache_bytes: 1024 * 1024,
        hot_bytes: 1024 * 1024,
        write_buffer_bytes: 64 * 1024 * 1024,
    };
    let tables = Tables::open(&home.join("tables"), NAMES, options).unwrap();
    let mut batch = tables.begin();
    for (table, key, value) in records {
        batch.put(*table, key, value).unwrap();
    }
    tables.commit(batch).unwrap();
    tables
}

/// Records in the order of a snapshot.
fn records(count: u32, value_bytes: usize) -> Vec<(usize, Vec<u8>, Vec<u8>)> {
    let table = |table| {
        (0..count).map(move |n| (table, n.to_be_bytes().to_vec(), vec![n as u8; value_bytes + table]))
    };
    table(0).chain(table(2)).collect()
}

fn pieces(tables: &Tables) -> Vec<Bytes> {
    SnapshotWriter::new(tables.view(), b"meta".to_vec()).map(Result::unwrap).collect()
}

/// Opens `bytes` as a snapshot file.
fn open(home: &Path, bytes: &[u8]) -> Result<SnapshotReader, StoreError> {
    let path = home.join("snapshot");
    fs::write(&path, bytes).unwrap();
    SnapshotReader::open(&path)
}

fn fault(home: &Path, bytes: &[u8]) -> SnapshotFault {
    match open(home, bytes) {
        Err(StoreError::Snapshot { file, offset, fault }) => {
            assert_eq!(file, home.join("snapshot"));
            assert!(offset <= bytes.len() as u64);
            fault
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_written_is_read_in_pieces_of_a_bounded_size() {
    let home = tempfile::tempdir().unwrap();
    let records = records(3000, 200);
    let pieces = pieces(&tables(home.path(), &records));
    assert!(pieces.len() > 5, "{} pieces", pieces.len());
    assert!(pieces.iter().all(|piece| piece.len() < 260 * 1024));
    let whole = pieces.concat();
    let reader = open(home.path(), &whole).unwrap();
    assert_eq!(reader.meta(), b"meta");
    assert_eq!(reader.tables(), NAMES);
    assert_eq!(reader.record_count(), 6000);
    assert_eq!(reader.byte_count(), whole.len() as u64);
    let read: Vec<_> = reader
        .records()
        .unwrap()
        .map(|record| record.unwrap())
        .map(|record| (record.table, record.key.to_vec(), record.value.to_vec()))
        .collect();
    assert_eq!(read, records);
}

#[test]
fn an_empty_state_is_a_whole_snapshot_with_these_bytes() {
    let home = tempfile::tempdir().unwrap();
    let whole = pieces(&tables(home.path(), &[])).concat();
    assert_eq!(open(home.path(), &whole).unwrap().record_count(), 0);
    let header =
        [b"KMSNAP\0\x01H\x19\0\0\0".as_slice(), &[0; 4], b"\x04\0\0\0meta\x03\x04keys\x05empty\x04kids"]
            .concat();
    assert_eq!(whole[..13], header[..13]);
    assert_eq!(whole[17..42], header[17..]);
    assert_eq!(whole[42..47], *b"F\x28\0\0\0");
    assert_eq!(whole.len(), 42 + 9 + 40);
}

#[test]
fn a_flipped_bit_in_any_byte_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let whole = pieces(&tables(home.path(), &records(10, 20))).concat();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fault(home.path(), &damaged);
    }
}

#[test]
fn a_file_that_breaks_off_anywhere_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let whole = pieces(&tables(home.path(), &records(10, 20))).concat();
    for length in 0..whole.len() {
        assert_eq!(fault(home.path(), &whole[..length]), SnapshotFault::Truncated, "{length}");
    }
}

#[test]
fn a_file_that_breaks_off_between_pieces_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let pieces = pieces(&tables(home.path(), &records(3000, 200)));
    for count in 0..pieces.len() {
        assert_eq!(fault(home.path(), &pieces[..count].concat()), SnapshotFault::Truncated);
    }
}

#[test]
fn a_missing_repeated_or_exchanged_piece_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let pieces = pieces(&tables(home.path(), &records(3000, 200)));
    let (first, last) = (1, pieces.len() - 2);
    for at in first..=last {
        let mut missing = pieces.clone();
        missing.remove(at);
        assert_eq!(fault(home.path(), &missing.concat()), SnapshotFault::Count);
        let mut repeated = pieces.clone();
        repeated.insert(at, pieces[at].clone());
        assert_eq!(fault(home.path(), &repeated.concat()), SnapshotFault::OutOfOrder);
    }
    let mut exchanged = pieces.clone();
    exchanged.swap(first, last);
    assert_eq!(fault(home.path(), &exchanged.concat()), SnapshotFault::OutOfOrder);
}

#[test]
fn a_piece_of_another_snapshot_is_refused() {
    let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut mixed = pieces(&tables(home.path(), &records(10, 20)));
    let mut changed = records(10, 20);
    changed[3].2 = vec![9; 20];
    mixed[1] = pieces(&tables(other.path(), &changed))[1].clone();
    assert_eq!(fault(home.path(), &mixed.concat()), SnapshotFault::Digest);
}

#[test]
fn what_follows_the_end_or_is_no_snapshot_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let mut whole = pieces(&tables(home.path(), &records(1, 1))).concat();
    whole.push(0);
    assert_eq!(fault(home.path(), &whole), SnapshotFault::Trailing);
    assert_eq!(fault(home.path(), b"something else entirely"), SnapshotFault::Magic);
    assert_eq!(fault(home.path(), b"KMSNAP\0\x02 and so on"), SnapshotFault::NewerFormat);
    assert!(matches!(SnapshotReader::open(&home.path().join("none")), Err(StoreError::Io { .. })));
}

#[test]
fn a_snapshot_shows_the_moment_it_was_begun() {
    let home = tempfile::tempdir().unwrap();
    let tables = tables(home.path(), &records(5, 5));
    let mut writer = SnapshotWriter::new(tables.view(), Vec::new());
    let header = writer.next().unwrap().unwrap();
    let mut batch = tables.begin();
    batch.delete(0, 3_u32.to_be_bytes()).unwrap();
    batch.put(1, "late", "x").unwrap();
    tables.commit(batch).unwrap();
    let rest: Vec<_> = writer.map(Result::unwrap).collect();
    assert_eq!(open(home.path(), &[header, rest.concat().into()].concat()).unwrap().record_count(), 10);
}
