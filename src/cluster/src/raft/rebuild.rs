//! Rebuilds a data directory from a state: for a restore from a backup, and for the recovery of a
//! cluster from one survivor.
//!
//! The new directory holds the state at one applied entry, members as of that entry, an empty log
//! that continues after it, and a vote in the next term, so that any leader elected later is newer
//! than all earlier ones. Nothing is written into the old contents; they are replaced as a whole
//! when the new ones are on disk.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use keymoot_model::{Account, NodeId};
use keymoot_state::TABLE_NAMES;
use keymoot_store::{
    Directory, Log, LogOptions, LogPosition, SnapshotReader, StoreError, StoredVote, Tables, TablesOptions,
};
use keymoot_telemetry::{Metrics, MetricsError};

use crate::raft::state_machine::StateMachine;
use crate::raft::state_view::StateView;
use crate::vote_ledger::VoteLedger;
use crate::wire::raft_codec;
use crate::wire::raft_types::{Member, Membership};

/// Why a data directory could not be rebuilt. The old contents are unchanged.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A file could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry of the log cannot be applied, or the state not written.
    #[error("the state cannot be rebuilt")]
    State(#[source] io::Error),
    /// The members cannot form a cluster.
    #[error("the members make no cluster: {0}")]
    Members(String),
    /// The state is empty.
    #[error("nothing was ever applied here; there is nothing to rebuild")]
    Nothing,
    /// Metrics cannot be set up.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// The members and the term of the new directory.
pub(crate) struct Foundation {
    /// All members, every one of which votes.
    pub members: BTreeMap<NodeId, String>,
    /// The highest known term.
    pub term: u64,
    /// Whether the state forgets its certificate authority. Each member does this by itself and comes
    /// to the same state, which no member could by wrapping another authority's key: wrapping draws
    /// a nonce. The new authority is put into the state through Raft, once the cluster runs.
    pub forget_authority: bool,
    /// The accounts that a backup brings back, and when it was made: they are suspended until an operator confirms
    /// them. Its operators are forgotten.
    pub suspend: Option<(Vec<Account>, u64)>,
}

/// Entries of a log that are applied on top of a state, in batches.
pub(crate) type Tail<'a> = &'a mut dyn Iterator<Item = io::Result<Vec<(LogPosition, Bytes)>>>;

/// Builds the contents of the data directory, which must be empty, and closes it. Returns the last
/// applied entry.
pub(crate) fn build(
    directory: Directory,
    foundation: &Foundation,
    snapshot: &SnapshotReader,
    tail: Tail<'_>,
) -> Result<LogPosition, RebuildError> {
    let directory = Arc::new(directory);
    let tables = Tables::create_from(directory.root(), TABLE_NAMES, TablesOptions::default(), snapshot)?;
    let applied = fill(&directory, tables, foundation, tail)?;
    begin_log(&directory, foundation, &applied)?;
    Ok(applied)
}

fn fill(
    directory: &Arc<Directory>,
    tables: Tables,
    foundation: &Foundation,
    tail: Tail<'_>,
) -> Result<LogPosition, RebuildError> {
    let mut machine = replay(directory, &tables, tail)?;
    if foundation.forget_authority {
        machine.forget_authority().map_err(RebuildError::State)?;
    }
    if let Some((accounts, made_at_ms)) = &foundation.suspend {
        machine.suspend_restored(accounts, *made_at_ms).map_err(RebuildError::State)?;
        machine.forget_operators().map_err(RebuildError::State)?;
    }
    let members: Vec<NodeId> = foundation.members.keys().copied().collect();
    machine.forget_node_keys(&members).map_err(RebuildError::State)?;
    let applied =
        machine.replace_membership(membership(&foundation.members)?).map_err(RebuildError::State)?;
    applied.as_ref().map(raft_codec::position).ok_or(RebuildError::Nothing)
}

/// Applies the entries onto the state in `tables`.
pub(crate) fn replay(
    directory: &Arc<Directory>,
    tables: &Tables,
    tail: Tail<'_>,
) -> Result<StateMachine, RebuildError> {
    let view = StateView::new(tables.clone());
    let metrics = Arc::new(Metrics::new()?);
    let mut machine =
        StateMachine::new(tables.clone(), view, directory.clone(), metrics, VoteLedger::detached())
            .map_err(RebuildError::State)?;
    for run in tail {
        let entries = run
            .map_err(RebuildError::State)?
            .into_iter()
            .map(|(at, payload)| raft_codec::entry(&at, payload));
        let entries = entries.collect::<io::Result<_>>().map_err(RebuildError::State)?;
        machine.replay(entries).map_err(RebuildError::State)?;
    }
    Ok(machine)
}

fn membership(members: &BTreeMap<NodeId, String>) -> Result<Membership, RebuildError> {
    let voters = members.keys().copied().collect();
    let nodes: BTreeMap<NodeId, Member> =
        members.iter().map(|(id, address)| (*id, Member { peer_address: address.clone() })).collect();
    Membership::new(vec![voters], nodes).map_err(|error| RebuildError::Members(error.to_string()))
}

/// Makes an empty log with a vote in an unused term.
fn begin_log(
    directory: &Directory,
    foundation: &Foundation,
    applied: &LogPosition,
) -> Result<(), RebuildError> {
    let log = Log::open(&directory.log(), LogOptions::default())?;
    let term = foundation.term.max(applied.term).saturating_add(1);
    let vote = StoredVote { term, node: directory.identity().node, committed: false };
    log.purge(*applied)
        .and_then(|()| log.save_vote(vote, Box::new(|_| {})))
        .and_then(|()| log.settle())
        .map_err(RebuildError::State)
}
