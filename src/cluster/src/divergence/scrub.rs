//! The scrub: reads all records of one moment, slowly, and compares their digest with the one that is
//! kept beside them.
//!
//! The kept digest changes with each applied entry and says nothing of records that changed on the
//! disk by themselves. A block that does not match its checksum is damage, noted by the read that
//! meets it. Records that were altered and still can be read are found here. From then on the node
//! counts as damaged, which makes it unready and keeps it from leading, and reports the digest of the
//! records that it really has: the comparison with the others decides whether it stops.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::time::Instant;

use keymoot_state::{Digest, StateError, Survey, Table};
use keymoot_store::{LogPosition, StoreError, View};
use keymoot_telemetry::Metrics;

use crate::raft::Raft;
use crate::raft::state_machine::{META_MARK, mark_of};
use crate::raft::state_view::StateView;
use crate::settings::StoreSection;
use crate::write::clock::now_ms;

/// The first check of a node begins this long after its start, or after the interval if that is shorter.
const FIRST_AFTER: Duration = Duration::from_secs(600);
/// The bytes that are read at once, between two pauses.
const PIECE_BYTES: u64 = 256 * 1024;

/// How often and how fast the records are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScrubSettings {
    /// The time between two checks; zero for none.
    interval: Duration,
    bytes_per_s: u64,
}

impl ScrubSettings {
    /// The settings of the configuration.
    pub(crate) fn of(store: &StoreSection) -> Self {
        Self {
            interval: Duration::from_secs(store.scrub_interval_s),
            bytes_per_s: store.scrub_rate_bytes_per_s.max(1),
        }
    }

    /// How long reading so many bytes takes at least.
    fn pause(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.bytes_per_s as f64)
    }
}

/// Checks the records of this node.
pub(crate) struct Scrub {
    settings: ScrubSettings,
    raft: Raft,
    state: StateView,
    metrics: Arc<Metrics>,
}

impl Scrub {
    /// Checks the records of `state`.
    pub(crate) const fn new(
        settings: ScrubSettings,
        raft: Raft,
        state: StateView,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { settings, raft, state, metrics }
    }

    /// Runs as long as Raft does.
    pub(crate) async fn run(self) {
        if self.settings.interval.is_zero() {
            return;
        }
        tokio::time::sleep(self.settings.interval.min(FIRST_AFTER)).await;
        while self.raft.metrics().borrow_watched().running_state.is_ok() {
            let began = Instant::now();
            if let Err(error) = self.round(began).await {
                tracing::error!(%error, "the records could not be checked");
            }
            tokio::time::sleep_until(began + self.settings.interval).await;
        }
    }

    /// Checks all records once; twice before it is believed that they are wrong.
    async fn round(&self, began: Instant) -> Result<(), ScrubError> {
        let replaced = self.state.checkpoints().replaced();
        if self.check().await?.is_none() {
            let took_s = began.elapsed().as_secs();
            let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            self.metrics.scrub_last_finished_timestamp_seconds.set(gauge(now_ms() / 1000));
            self.metrics.scrub_last_duration_seconds.set(gauge(took_s));
            tracing::info!(took_s, "all records agree with their digest");
        } else if let Some(wrong) = self.check().await? {
            self.believe(&wrong, replaced);
        }
        Ok(())
    }

    async fn check(&self) -> Result<Option<Wrong>, ScrubError> {
        let mut pass = Pass::begin(self.state.view());
        loop {
            let read = tokio::task::spawn_blocking(move || {
                let piece = pass.piece();
                (pass, piece)
            });
            let (next, piece) = read.await?;
            pass = next;
            match piece.inspect_err(|error| self.note(error))? {
                Some(bytes) => tokio::time::sleep(self.settings.pause(bytes)).await,
                None => return pass.finish(),
            }
        }
    }

    /// A read notes damaged blocks itself, but not records that do not decode.
    fn note(&self, error: &ScrubError) {
        if let ScrubError::State(error) = error {
            keymoot_state::Tables::note_damage(&self.state, error);
        }
    }

    fn believe(&self, wrong: &Wrong, replaced: u64) {
        let Wrong { at, kept, found } = wrong;
        let what = format!(
            "its records are not those that were written: after log entry {} of term {} they have the digest {found}, \
             and {kept} was kept of them",
            at.index, at.term
        );
        if self.state.checkpoints().correct(replaced, found.number().wrapping_sub(kept.number())) {
            tracing::error!(what, "the records of this node are wrong");
            self.state.note_wrong(&what);
        }
    }
}

/// Why records could not be checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrubError {
    /// A record cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record does not decode.
    #[error(transparent)]
    State(#[from] StateError),
    /// The mark of the applied state does not decode.
    #[error("the mark of the applied state does not decode")]
    Mark(#[from] std::io::Error),
    /// A piece was not read to its end.
    #[error(transparent)]
    Ended(#[from] tokio::task::JoinError),
}

/// Records with another digest than the one that was kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    at: LogPosition,
    kept: Digest,
    found: Digest,
}

/// A reading of all records of a view.
struct Pass {
    view: View,
    survey: Survey,
    mark: Vec<u8>,
    /// The table that is read next, and the last record of it that was read.
    table: usize,
    after: Vec<u8>,
}

impl Pass {
    fn begin(view: View) -> Self {
        Self { view, survey: Survey::default(), mark: Vec::new(), table: 0, after: Vec::new() }
    }

    /// Reads on. Returns how many bytes it read; `None` when all records were read.
    fn piece(&mut self) -> Result<Option<u64>, ScrubError> {
        let mut bytes = 0;
        while let Some(table) = Table::ALL.get(self.table).copied() {
            let records = match self.after.is_empty() {
                true => self.view.iter(self.table)?,
                false => self.view.starting_at(self.table, &self.after)?,
            };
            for record in records {
                let (key, value) = record?;
                if *key == *self.after {
                    continue;
                }
                if table == Table::Meta && *key == *META_MARK {
                    self.mark = value.to_vec();
                } else {
                    self.survey.add(table, &key, &value)?;
                }
                bytes += (key.len() + value.len()) as u64;
                if bytes >= PIECE_BYTES {
                    self.after = key.to_vec();
                    return Ok(Some(bytes));
                }
            }
            self.table += 1;
            self.after.clear();
        }
        Ok((bytes > 0).then_some(bytes))
    }

    /// What is wrong with the records, if anything is.
    fn finish(self) -> Result<Option<Wrong>, ScrubError> {
        // Nothing is kept before the first entry is applied.
        if self.mark.is_empty() || self.survey.is_sound() {
            return Ok(None);
        }
        let Some(at) = mark_of(&self.mark)?.applied else { return Ok(None) };
        Ok(Some(Wrong { at, kept: self.survey.kept(), found: self.survey.digest() }))
    }
}

#[cfg(test)]
mod tests {
    use keymoot_state::TABLE_NAMES;
    use keymoot_store::{Tables, TablesOptions};

    use super::*;
    use crate::wire::raft_codec::AppliedMark;
    use keymoot_codec as codec;
    use keymoot_codec::Kind;

    const AT: LogPosition = LogPosition { term: 3, node: 1, index: 77 };

    /// Tables with records in two tables, more than one piece of them, and the digest of them all.
    fn tables(home: &std::path::Path) -> Tables {
        let tables = Tables::open(home, TABLE_NAMES, TablesOptions::default()).unwrap();
        let mut survey = Survey::default();
        let mut batch = tables.begin();
        let mut put = |table: Table, key: Vec<u8>, value: Vec<u8>| {
            survey.add(table, &key, &value).unwrap();
            batch.put(table as usize, key, value).unwrap();
        };
        for number in 0..600_u32 {
            put(Table::Kids, number.to_be_bytes().to_vec(), vec![7; 1000]);
            put(Table::Rentals, number.to_be_bytes().to_vec(), vec![8; 10]);
        }
        let digest = codec::encode(Kind::Record, &survey.digest()).unwrap();
        batch.put(Table::Meta as usize, b"digest", digest).unwrap();
        let mark =
            codec::encode(Kind::Mark, &AppliedMark { applied: Some(AT), ..AppliedMark::default() }).unwrap();
        batch.put(Table::Meta as usize, META_MARK, mark).unwrap();
        tables.commit(batch).unwrap();
        tables
    }

    fn scrub(tables: &Tables) -> (usize, Option<Wrong>) {
        let mut pass = Pass::begin(tables.view());
        let mut pieces = 0;
        while pass.piece().unwrap().is_some() {
            pieces += 1;
        }
        (pieces, pass.finish().unwrap())
    }

    #[test]
    fn records_are_read_once_each_and_in_pieces() {
        let home = tempfile::tempdir().unwrap();
        let (pieces, wrong) = scrub(&tables(home.path()));
        assert_eq!(wrong, None);
        assert!((3..=5).contains(&pieces), "{pieces}");
        let empty = tempfile::tempdir().unwrap();
        let unused = Tables::open(empty.path(), TABLE_NAMES, TablesOptions::default()).unwrap();
        assert_eq!(scrub(&unused), (0, None));
    }

    #[test]
    fn a_record_that_was_altered_lost_or_added_is_found() {
        let alterations: [fn(&mut keymoot_store::WriteBatch); 3] = [
            |batch| batch.put(Table::Kids as usize, 599_u32.to_be_bytes(), [9; 1000]).unwrap(),
            |batch| batch.delete(Table::Rentals as usize, 0_u32.to_be_bytes()).unwrap(),
            |batch| batch.put(Table::JoinTokens as usize, b"x", b"y").unwrap(),
        ];
        for alter in alterations {
            let home = tempfile::tempdir().unwrap();
            let tables = tables(home.path());
            let before = tables.view();
            let mut batch = tables.begin();
            alter(&mut batch);
            tables.commit(batch).unwrap();
            let (_, wrong) = scrub(&tables);
            let wrong = wrong.expect("it is found");
            assert_eq!(wrong.at, AT);
            assert_ne!(wrong.kept, wrong.found);
            let mut pass = Pass::begin(before);
            while pass.piece().unwrap().is_some() {}
            assert_eq!(pass.finish().unwrap(), None, "the view from before is sound");
        }
    }

    #[test]
    fn a_check_reads_no_faster_than_it_may() {
        let store = StoreSection { scrub_rate_bytes_per_s: 1 << 20, ..StoreSection::default() };
        let settings = ScrubSettings::of(&store);
        assert_eq!(settings.pause(1 << 18), Duration::from_millis(250));
        assert!(ScrubSettings::of(&StoreSection { scrub_interval_s: 0, ..store }).interval.is_zero());
    }
}
