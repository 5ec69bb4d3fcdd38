use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::peer::fatal_signal::FatalSignal;
use keymoot_store::{Directory, Identity, LogOptions, StoreError};

fn at(index: u64) -> LogPosition {
    LogPosition { term: 2, node: 1, index }
}

fn owner() -> Identity {
    Identity { cluster: "west".to_owned(), node: 3, fence: 0 }
}

/// A log with entries 0 to 9, of which 0 to `committed` are committed.
async fn log(home: &Path, committed: u64) -> (LogStorage, FatalSignal) {
    let directory = Arc::new(Directory::open(home, &owner()).unwrap());
    let log = Log::open(&directory.log(), LogOptions::default()).unwrap();
    let entries = (0..10).map(|index| (at(index), Bytes::from_static(b"entry"))).collect();
    log.append(entries, Box::new(|_| {})).unwrap();
    log.settle().unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let fatal = FatalSignal::default();
    let stop = FinalStop::new(3, directory, fatal.clone(), metrics.clone());
    let ledger = VoteLedger::new(3, None, Some(at(9)));
    let mut storage = LogStorage::new(log, metrics, ledger, Some(stop));
    storage.save_committed(Some(raft_codec::log_id(&at(committed)))).await.unwrap();
    (storage, fatal)
}

#[tokio::test]
async fn a_node_that_would_cut_committed_entries_stops_for_good() {
    let home = tempfile::tempdir().unwrap();
    let (mut storage, fatal) = log(home.path(), 6).await;
    let error = storage.truncate_after(Some(raft_codec::log_id(&at(5)))).await.unwrap_err();
    let reason = fatal.subscribe().borrow().clone().unwrap();
    assert_eq!(error.to_string(), reason);
    assert!(reason.contains("entry 6 of term 2 was committed here"), "{reason}");
    assert_eq!(storage.log.bounds().1, Some(at(9)), "nothing is cut");
    drop(storage);
    for _ in 0..2 {
        match Directory::open(home.path(), &owner()) {
            Err(StoreError::Diverged { reason: again, .. }) => assert_eq!(again, reason),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn entries_that_were_not_committed_are_cut() {
    let home = tempfile::tempdir().unwrap();
    let (mut storage, fatal) = log(home.path(), 5).await;
    storage.truncate_after(Some(raft_codec::log_id(&at(5)))).await.unwrap();
    assert_eq!((storage.log.bounds().1, fatal.subscribe().borrow().clone()), (Some(at(5)), None));
    drop(storage);
    Directory::open(home.path(), &owner()).unwrap();
}
