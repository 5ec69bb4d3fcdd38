//! openraft's state machine: the pure `state` applied onto the store's tables.
//!
//! Each batch of applied entries also writes the mark of the last one, so that the tables are
//! consistent wherever a crash interrupts; the Raft log replays the rest. Before openraft may purge
//! the log up to a snapshot, the tables are fsynced.

use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::watch;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_model::{Account, NodeId};
use keymoot_state as state;
use keymoot_state::{Proposal, Table, Transaction};
use keymoot_store::{Directory, SnapshotReader, SnapshotWriter, Tables, View};
use keymoot_telemetry::Metrics;

use crate::checkpoints::is_checkpoint;
use crate::raft::snapshot_transfer::{Snapshot, SnapshotData};
use crate::raft::state_view::StateView;
use crate::vote_ledger::VoteLedger;
use crate::wire::raft_codec::{self, AppliedMark};
use crate::wire::raft_types::{Applied, Entry, LogId, Membership, StoredMembership, TypeConfig};

type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;

/// The key of the mark of the applied state in [`Table::Meta`].
pub(crate) const META_MARK: &[u8] = b"mark";

/// The most entries applied in one batch; bounds memory when a node catches up.
const RUN_ENTRIES_MAX: usize = 256;

/// The replicated state on this node.
pub(crate) struct StateMachine {
    tables: Tables,
    view: StateView,
    directory: Arc<Directory>,
    applied: Option<LogId>,
    membership: StoredMembership,
    applied_index: watch::Sender<u64>,
    metrics: Arc<Metrics>,
    ledger: VoteLedger,
}

impl StateMachine {
    /// The state in the tables. `directory` stores snapshot files. `view` reads the same tables,
    /// and is told when accounts change; `ledger` is told the voters.
    pub(crate) fn new(
        tables: Tables,
        view: StateView,
        directory: Arc<Directory>,
        metrics: Arc<Metrics>,
        ledger: VoteLedger,
    ) -> io::Result<Self> {
        let (applied, membership) = read_mark(&tables)?;
        let applied_index = watch::Sender::new(applied.map_or(0, |at| at.index));
        let machine = Self { tables, view, directory, applied, membership, applied_index, metrics, ledger };
        machine.begin_checkpoints()?;
        machine.tell_applied(true);
        Ok(machine)
    }

    /// Follows the index of the last applied entry.
    pub(crate) fn applied_index(&self) -> watch::Receiver<u64> {
        self.applied_index.subscribe()
    }

    fn apply_run(&mut self, run: Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let started = std::time::Instant::now();
        let view = self.view.of_applier();
        let mut transaction = Transaction::new(&view);
        let mut answers = Vec::with_capacity(run.len());
        let mut members_change = false;
        for (entry, responder) in run {
            let mut applied = Applied::default();
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(encoded) => {
                    let proposal: Proposal =
                        codec::decode(Kind::Entry, &encoded.0).map_err(io::Error::other)?;
                    applied.0 = state::apply(&mut transaction, &proposal).map_err(io::Error::other)?;
                }
                EntryPayload::Membership(members) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), members);
                    members_change = true;
                }
            }
            self.applied = Some(entry.log_id);
            if let Some(responder) = responder {
                answers.push((responder, applied));
            }
        }
        let (changes, digest) = transaction.finish().map_err(io::Error::other)?;
        let accounts_change = changes.iter().any(state::Change::is_of_account);
        self.write(changes)?;
        if let Some(at) = &self.applied {
            self.view.checkpoints().record(raft_codec::position(at), digest.number());
        }
        if accounts_change {
            self.view.accounts_changed();
        }
        self.tell_applied(members_change);
        self.metrics.apply_seconds.observe(started.elapsed().as_secs_f64());
        for (responder, applied) in answers {
            responder.send(applied);
        }
        Ok(())
    }

    /// Forgets the digests of the state that was here before, and begins with that of the present one.
    fn begin_checkpoints(&self) -> io::Result<()> {
        let checkpoints = self.view.checkpoints();
        checkpoints.clear();
        if let Some(at) = &self.applied {
            let digest = state::digest(&self.view).map_err(io::Error::other)?;
            checkpoints.record(raft_codec::position(at), digest.number());
        }
        Ok(())
    }

    fn tell_applied(&self, members_change: bool) {
        let index = self.applied.map_or(0, |at| at.index);
        let voters = || self.membership.membership().get_joint_config().iter().cloned().collect();
        self.ledger.apply(index, members_change.then(voters));
        self.applied_index.send_replace(index);
    }

    /// Applies entries without waiting clients.
    pub(crate) fn replay(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        self.apply_run(entries.into_iter().map(|entry| (entry, None)).collect())
    }

    /// Replaces the members, as of the last applied entry, and fsyncs everything. Returns that
    /// entry. Only for a state without a running node.
    pub(crate) fn replace_membership(&mut self, members: Membership) -> io::Result<Option<LogId>> {
        self.membership = StoredMembership::new(self.applied, members);
        self.write(Vec::new())?;
        self.tables.persist().map_err(io::Error::other)?;
        Ok(self.applied)
    }

    /// Forgets the cluster's certificate authority. Only for a state without a running node.
    pub(crate) fn forget_authority(&mut self) -> io::Result<()> {
        self.change(state::forget_authority)
    }

    /// Forgets the keys of the nodes, which may have others now. Only for a state without a running node.
    pub(crate) fn forget_node_keys(&mut self, members: &[NodeId]) -> io::Result<()> {
        self.change(|run| state::forget_node_keys(run, members))
    }

    /// Suspends the accounts that a backup brings back. Only for a state without a running node.
    pub(crate) fn suspend_restored(&mut self, accounts: &[Account], made_at_ms: u64) -> io::Result<()> {
        self.change(|run| state::suspend_restored(run, accounts, made_at_ms))
    }

    /// Forgets the operators. Only for a state without a running node.
    pub(crate) fn forget_operators(&mut self) -> io::Result<()> {
        self.change(state::forget_operators)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Transaction<'_, StateView>) -> Result<(), state::StateError>,
    ) -> io::Result<()> {
        let view = self.view.of_applier();
        let mut transaction = Transaction::new(&view);
        change(&mut transaction).map_err(io::Error::other)?;
        let (changes, _) = transaction.finish().map_err(io::Error::other)?;
        self.write(changes)
    }

    fn write(&self, changes: Vec<state::Change>) -> io::Result<()> {
        let mut batch = self.tables.begin();
        for change in changes {
            match change.value {
                Some(value) => batch.put(change.table as usize, change.key, value),
                None => batch.delete(change.table as usize, change.key),
            }
            .map_err(io::Error::other)?;
        }
        let mark = raft_codec::mark(self.applied.as_ref(), &self.membership);
        let mark = codec::encode(Kind::Mark, &mark).map_err(io::Error::other)?;
        batch.put(Table::Meta as usize, META_MARK, mark).map_err(io::Error::other)?;
        self.tables.commit(batch).map_err(io::Error::other)
    }

    fn builder(&self) -> SnapshotBuilder {
        SnapshotBuilder { tables: self.tables.clone(), meta: self.meta() }
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() }
    }

    /// Writes a view into a file, as if it had been received; openraft's own tests install views.
    fn file_of(&self, view: View, meta: &SnapshotMeta) -> Result<SnapshotReader, io::Error> {
        let mark = raft_codec::mark(meta.last_log_id.as_ref(), &meta.last_membership);
        let mark = codec::encode(Kind::Mark, &mark).map_err(io::Error::other)?;
        let mut incoming = self.directory.receive().map_err(io::Error::other)?;
        for piece in SnapshotWriter::new(view, mark) {
            incoming.write(&piece.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        incoming.finish().map_err(io::Error::other)
    }
}

/// The last applied entry, and the members as of then.
pub(crate) fn read_mark(tables: &Tables) -> io::Result<(Option<LogId>, StoredMembership)> {
    let mark = match tables.get(Table::Meta as usize, META_MARK).map_err(io::Error::other)? {
        Some(bytes) => mark_of(&bytes)?,
        None => AppliedMark::default(),
    };
    raft_codec::unmark(mark)
}

/// Decodes the mark from the value at [`META_MARK`].
pub(crate) fn mark_of(bytes: &[u8]) -> io::Result<AppliedMark> {
    codec::decode(Kind::Mark, bytes).map_err(io::Error::other)
}

/// Builds a snapshot: a view, with everything up to it fsynced.
pub(crate) struct SnapshotBuilder {
    tables: Tables,
    meta: SnapshotMeta,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let tables = self.tables.clone();
        let view = tokio::task::spawn_blocking(move || {
            // The log may be purged up to the snapshot, so the tables must be durable without it.
            // The view is made first: entries committed during the sync may not be durable.
            let view = tables.view();
            tables.persist()?;
            Ok::<_, keymoot_store::StoreError>(view)
        })
        .await
        .map_err(io::Error::other)?
        .map_err(io::Error::other)?;
        // The view may be newer than the builder, so its own mark counts.
        let meta = match view.get(Table::Meta as usize, META_MARK).map_err(io::Error::other)? {
            Some(bytes) => {
                let (last_log_id, last_membership) = raft_codec::unmark(mark_of(&bytes)?)?;
                SnapshotMeta { last_log_id, last_membership }
            }
            None => self.meta.clone(),
        };
        Ok(Snapshot { meta, snapshot: SnapshotData::View(view) })
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut runs = entries.ready_chunks(RUN_ENTRIES_MAX);
        while let Some(run) = runs.next().await {
            let mut rest = run.into_iter().collect::<Result<Vec<_>, _>>()?;
            while !rest.is_empty() {
                // Every node has the digest at the same entries, wherever its runs begin.
                let ends = rest.iter().position(|(entry, _)| is_checkpoint(entry.log_id.index));
                let behind = rest.split_off(ends.map_or(rest.len(), |last| last + 1));
                self.apply_run(std::mem::replace(&mut rest, behind))?;
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        self.builder()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        let started = std::time::Instant::now();
        let reader = match snapshot {
            SnapshotData::Received(reader) => reader,
            SnapshotData::View(view) => self.file_of(view, meta)?,
        };
        let tables = self.tables.clone();
        // What was here before is no longer reported once the tables may be others.
        self.view.checkpoints().clear();
        tokio::task::spawn_blocking(move || tables.replace(&reader))
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        // Writes the mark in openraft's present form and keeps everything else of the snapshot.
        self.write(Vec::new())?;
        self.begin_checkpoints()?;
        self.view.accounts_changed();
        self.tell_applied(true);
        tracing::info!(
            index = self.applied.map_or(0, |at| at.index),
            took_ms = started.elapsed().as_millis() as u64,
            "snapshot installed"
        );
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        if self.applied.is_none() {
            return Ok(None);
        }
        self.builder().build_snapshot().await.map(Some)
    }
}
