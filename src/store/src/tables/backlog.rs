//! Waits until the engine has written enough of its memory to files, in place of the engine's own wait.
//!
//! The engine lets a writer wait while a table has four sealed memtables or thirty runs of files. It does not
//! look whether any of its worker threads is left to write them, and a worker ends with its first failed
//! write, as on a full disk. So memory is sealed only while a table is below both limits with everything that
//! is sealed, and the wait before that ends with an error when the workers failed.

use std::time::{Duration, Instant};

use fjall::{AbstractTree as _, Keyspace};

use super::generation::Generation;
use crate::StoreError;

/// One more is sealed after the wait; the engine waits at four.
const SEALED_MAX: usize = 2;
/// A table gets at most one run for each sealed memtable; the engine waits at thirty.
const RUNS_MAX: usize = 24;
const PAUSE: Duration = Duration::from_millis(10);
/// The longest time without any progress.
const STANDSTILL_MAX: Duration = Duration::from_secs(300);
const LOG_EVERY: Duration = Duration::from_secs(60);

/// What is left to write or to compact in all tables.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Backlog {
    sealed: usize,
    runs: usize,
    compactions: usize,
    is_over: bool,
}

impl Backlog {
    fn of(generation: &Generation) -> Self {
        let compactions = generation.db().compactions_completed();
        let mut backlog = Self { sealed: 0, runs: 0, compactions, is_over: false };
        for table in generation.keyspaces() {
            backlog.add(table);
        }
        backlog
    }

    fn add(&mut self, table: &Keyspace) {
        let (sealed, runs) = (table.tree.sealed_memtable_count(), table.tree.l0_run_count());
        self.sealed += sealed;
        self.runs += runs;
        self.is_over |= sealed > SEALED_MAX || runs > RUNS_MAX;
    }
}

/// Returns once the memory of every table can be sealed without a wait in the engine.
///
/// # Errors
/// [`StoreError::TablesStopped`] when the engine's workers failed, or write nothing for minutes.
pub(super) fn wait(generation: &Generation) -> Result<(), StoreError> {
    let mut before = Backlog::of(generation);
    let (mut progressed, mut logged) = (Instant::now(), None);
    while before.is_over {
        generation.refuse_stopped()?;
        if progressed.elapsed() > STANDSTILL_MAX {
            let why = "it has written nothing for five minutes";
            return Err(StoreError::TablesStopped { path: generation.path().to_owned(), why });
        }
        if logged.is_none_or(|logged: Instant| logged.elapsed() > LOG_EVERY) {
            logged = Some(Instant::now());
            let (sealed, runs) = (before.sealed, before.runs);
            tracing::warn!(sealed, runs, "the disk is slow: writes wait until the tables are in files");
        }
        std::thread::sleep(PAUSE);
        let now = Backlog::of(generation);
        if now != before {
            (before, progressed) = (now, Instant::now());
        }
    }
    Ok(())
}
