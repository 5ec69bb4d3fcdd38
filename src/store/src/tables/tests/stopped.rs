//! Workers of the engine that fail, as on a full disk.

use std::sync::mpsc::channel;

use super::*;

/// A first batch that takes the workers longer to write than the few that follow.
const KEYS: u32 = 300_000;

#[test]
fn a_writer_does_not_wait_for_workers_that_have_failed() {
    let home = tempfile::tempdir().unwrap();
    // Each batch is written to files.
    let tables = Tables::open(home.path(), NAMES, TablesOptions { write_buffer_bytes: 1, ..SMALL }).unwrap();
    let mut batch = tables.begin();
    for key in 0..KEYS {
        batch.put(0, key.to_be_bytes(), [7; 200]).unwrap();
    }
    tables.commit(batch).unwrap();
    // Once a worker writes, no file can be finished any more.
    let files = home.path().join("state-1").join("keyspaces").join("1").join("tables");
    let began = Instant::now();
    while fs::read_dir(&files).unwrap().next().is_none() {
        assert!(began.elapsed() < Duration::from_secs(10), "nobody writes the batch to a file");
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::rename(&files, files.with_extension("aside")).unwrap();

    let (sender, receiver) = channel();
    let writer = tables.clone();
    std::thread::spawn(move || {
        let commit = |number: u32| {
            let mut batch = writer.begin();
            batch.put(0, number.to_be_bytes(), "x").unwrap();
            writer.commit(batch)
        };
        let _ = sender.send((0..1000).find_map(|number| commit(number).err()));
    });
    let error =
        receiver.recv_timeout(Duration::from_secs(30)).expect("the writer waits without end").unwrap();
    assert!(matches!(error, StoreError::TablesStopped { .. }), "{error:?}");
    assert!(error.to_string().contains("make room on the disk"), "{error}");
    assert!(tables.persist().is_err(), "it stays stopped");
    assert!(tables.get(0, &7_u32.to_be_bytes()).unwrap().is_some(), "reads go on");
}
