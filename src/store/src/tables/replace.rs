//! Replaces the live tables by a snapshot's records.
//!
//! They are loaded into a directory of their own, synced and closed. Only then `CURRENT` is switched to it
//! and the handle in memory replaced. Until the switch a crash or an error leaves the old tables live; the
//! new directory is removed at the next start.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Shared, TablesOptions, generation::Generation};
use crate::states::States;
use crate::{SnapshotReader, SnapshotRecord, SnapshotRecords, StoreError, durable};

/// The interval of checks whether the old tables still have readers.
const RETIRE_PAUSE: Duration = Duration::from_millis(20);

pub(super) fn replace(shared: &Shared, snapshot: &SnapshotReader) -> Result<(), StoreError> {
    refuse_others(snapshot, shared.names)?;
    let number = shared.live.load().number().saturating_add(1);
    let unfinished = shared.states.begin(number)?;
    let built = build(shared, &unfinished, number, snapshot);
    if built.is_err() {
        // The old tables stay live; a directory left behind is removed at the next start.
        let _removed = durable::remove_directory(&unfinished);
    }
    let old = shared.live.swap(Arc::new(built?));
    retire(old);
    Ok(())
}

/// Creates the first state directory from a snapshot's records.
pub(super) fn create(
    states: &States,
    names: &'static [&'static str],
    options: TablesOptions,
    snapshot: &SnapshotReader,
) -> Result<(), StoreError> {
    refuse_others(snapshot, names)?;
    let unfinished = states.begin(1)?;
    let loading = Generation::open(unfinished.clone(), names, options)?;
    load(&loading, snapshot.records()?)?;
    loading.close("sync")?;
    states.complete_as(&unfinished, 1)?;
    states.switch(1)
}

/// New tables are only ever added at the end, so a snapshot of an older version has a prefix of the list.
fn refuse_others(snapshot: &SnapshotReader, names: &[&str]) -> Result<(), StoreError> {
    if names.get(..snapshot.tables().len()).is_some_and(|first| snapshot.tables() == first) {
        return Ok(());
    }
    Err(StoreError::OtherTables {
        found: snapshot.tables().to_vec(),
        expected: names.iter().map(|name| (*name).to_owned()).collect(),
    })
}

/// Loads the snapshot, makes the new directory the live one on the disk and opens it.
fn build(
    shared: &Shared,
    unfinished: &Path,
    number: u64,
    snapshot: &SnapshotReader,
) -> Result<Generation, StoreError> {
    let loading = Generation::open(unfinished.to_owned(), shared.names, shared.options)?;
    load(&loading, snapshot.records()?)?;
    loading.close("sync")?;
    let path = shared.states.complete_as(unfinished, number)?;
    let generation = Generation::open(path, shared.names, shared.options)?.numbered(number);
    shared.states.switch(number)?;
    Ok(generation)
}

/// Writes the records, which come in order, straight into files.
fn load(generation: &Generation, mut records: SnapshotRecords) -> Result<(), StoreError> {
    let failed = |error| StoreError::tables("load", generation.path())(error);
    let mut next: Option<SnapshotRecord> = records.next().transpose()?;
    for table in 0..generation.names().len() {
        let mut loading = generation.keyspace(table)?.start_ingestion().map_err(failed)?;
        while let Some(record) = next.take_if(|record| record.table == table) {
            loading.write(record.key.as_ref(), record.value.as_ref()).map_err(failed)?;
            next = records.next().transpose()?;
        }
        loading.finish().map_err(failed)?;
    }
    Ok(())
}

/// Closes and removes the old tables once they have no readers. Closing joins threads and removing takes
/// time, so the last reader must not do either.
fn retire(old: Arc<Generation>) {
    let path = old.path().to_owned();
    let retiring = std::thread::Builder::new().name("retire-state".to_owned());
    let spawned = retiring.spawn(move || close_and_remove(old, &path));
    if let Err(error) = spawned {
        tracing::warn!(%error, "the old tables stay on the disk until the next start");
    }
}

fn close_and_remove(mut old: Arc<Generation>, path: &Path) {
    loop {
        match Arc::try_unwrap(old) {
            Ok(unread) => break drop(unread),
            Err(read) => old = read,
        }
        std::thread::sleep(RETIRE_PAUSE);
    }
    if let Err(error) = durable::remove_directory(path) {
        tracing::warn!(%error, "the old tables stay on the disk until the next start");
    }
}
