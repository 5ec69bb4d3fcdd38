//! A cluster in memory: nodes that apply one log, each when it proposes or asks for a fresh read.
//!
//! Between those a node is behind, as a follower is, so what another node did is contention; so is what
//! was planned while another proposal was under way. Faults are
//! put in by hand: each befalls one proposal.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use keymoot_cluster::{ClusterError, Committed};
use keymoot_state::{
    Change, Command, Pair, Proposal, Response, StateError, Table, Tables, Transaction, apply,
};

use crate::ReplicatedState;
use crate::clock::now_ms;

/// What befalls a proposal.
pub(super) enum Fault {
    /// No quorum takes it.
    Refused,
    /// It is applied, and its answer never comes.
    AnswerLost,
    /// It is applied, and by the time it is asked for again its answer is forgotten.
    AnswerForgotten,
    /// These commands of somebody else are applied just before it.
    After(Vec<Command>),
}

/// A node. Clones are handles of the same node.
#[derive(Clone)]
pub(super) struct MemoryNode(Arc<Node>);

struct Node {
    log: Arc<Mutex<Vec<Proposal>>>,
    client: u64,
    tables: MemoryTables,
    applied: Mutex<usize>,
    faults: Mutex<VecDeque<Fault>>,
    has_quorum: AtomicBool,
    lags: AtomicBool,
    barriers: AtomicUsize,
    account_changes: AtomicU64,
    noted_contact_s: AtomicU64,
    late_notes: Mutex<Vec<u8>>,
}

impl MemoryNode {
    /// Nodes of a new cluster.
    pub(super) fn cluster<const N: usize>() -> [Self; N] {
        let log: Arc<Mutex<Vec<Proposal>>> = Arc::default();
        std::array::from_fn(|client| {
            Self(Arc::new(Node {
                log: log.clone(),
                client: client as u64 + 1,
                tables: MemoryTables::default(),
                applied: Mutex::new(0),
                faults: Mutex::default(),
                has_quorum: AtomicBool::new(true),
                lags: AtomicBool::new(false),
                barriers: AtomicUsize::new(0),
                account_changes: AtomicU64::new(1),
                noted_contact_s: AtomicU64::new(0),
                late_notes: Mutex::default(),
            }))
        })
    }

    /// Lets this befall the next proposal of this node that nothing befalls yet.
    pub(super) fn next_proposal_is(&self, fault: Fault) {
        self.0.faults.lock().unwrap().push_back(fault);
    }

    /// Cuts this node off from the others.
    pub(super) fn lose_quorum(&self) {
        self.0.has_quorum.store(false, Ordering::SeqCst);
    }

    /// Connects this node to the others again.
    pub(super) fn regain_quorum(&self) {
        self.0.has_quorum.store(true, Ordering::SeqCst);
    }

    /// Lets this node know that it is behind, or not.
    pub(super) fn lag_behind(&self, lags: bool) {
        self.0.lags.store(lags, Ordering::SeqCst);
    }

    /// Lets no record be read any more.
    pub(super) fn damage(&self) {
        self.0.tables.damaged.store(true, Ordering::SeqCst);
    }

    /// How many fresh reads this node was asked for.
    pub(super) fn barriers(&self) -> usize {
        self.0.barriers.load(Ordering::SeqCst)
    }

    /// The commands of each proposal in the log, whoever made it.
    pub(super) fn log(&self) -> Vec<Vec<Command>> {
        self.0.log.lock().unwrap().iter().map(|proposal| proposal.commands.clone()).collect()
    }

    fn no_quorum() -> ClusterError {
        ClusterError::NoQuorum { waited: Duration::from_secs(1) }
    }

    fn append(&self, client: u64, commands: Vec<Command>) {
        let mut log = self.0.log.lock().unwrap();
        let serial = log.iter().filter(|proposal| proposal.client == client).count() as u64 + 1;
        log.push(Proposal { client, serial, floor: serial, now_ms: now_ms(), commands });
    }

    /// Applies what is in the log, and gives the answers to the last proposal.
    fn catch_up(&self) -> Vec<Response> {
        let (log, mut applied) = (self.0.log.lock().unwrap(), self.0.applied.lock().unwrap());
        let mut last = Vec::new();
        for proposal in &log[*applied..] {
            let mut run = Transaction::new(&self.0.tables);
            last = apply(&mut run, proposal).unwrap();
            let (changes, _) = run.finish().unwrap();
            let of_account = changes.iter().any(keymoot_state::Change::is_of_account);
            self.0.tables.make(changes);
            self.0.account_changes.fetch_add(of_account.into(), Ordering::SeqCst);
        }
        *applied = log.len();
        last
    }
}

impl ReplicatedState for MemoryNode {
    type Tables = MemoryTables;

    fn state(&self) -> &MemoryTables {
        &self.0.tables
    }

    fn account_changes(&self) -> u64 {
        self.0.account_changes.load(Ordering::SeqCst)
    }

    fn request_deadline(&self) -> Duration {
        Duration::from_millis(500)
    }

    async fn read_barrier_within(&self, patience: Duration) -> Result<(), ClusterError> {
        let outcome = self.read_barrier().await;
        if outcome.is_err() {
            tokio::time::sleep(patience).await;
        }
        outcome
    }

    fn lag(&self) -> Option<ClusterError> {
        let lags = self.0.lags.load(Ordering::SeqCst);
        lags.then_some(ClusterError::Behind { applied: 1, index: 9, read_only: false })
    }

    fn noted_contact_s(&self) -> Option<u64> {
        match self.0.noted_contact_s.load(Ordering::SeqCst) {
            0 => None,
            at_s => Some(at_s),
        }
    }

    fn note_contact(&self, at_s: u64) {
        self.0.noted_contact_s.store(at_s, Ordering::SeqCst);
    }

    async fn keep_late_notes(&self, bytes: Vec<u8>) -> Result<(), ClusterError> {
        *self.0.late_notes.lock().unwrap() = bytes;
        Ok(())
    }

    fn kept_late_notes(&self) -> Result<Vec<u8>, ClusterError> {
        Ok(self.0.late_notes.lock().unwrap().clone())
    }

    async fn read_barrier(&self) -> Result<(), ClusterError> {
        self.0.barriers.fetch_add(1, Ordering::SeqCst);
        if !self.0.has_quorum.load(Ordering::SeqCst) {
            return Err(Self::no_quorum());
        }
        self.catch_up();
        Ok(())
    }

    async fn propose_indexed(&self, commands: Vec<Command>) -> Result<Committed, ClusterError> {
        // Others are under way at the same time, as in one batch.
        tokio::task::yield_now().await;
        let fault = self.0.faults.lock().unwrap().pop_front();
        if !self.0.has_quorum.load(Ordering::SeqCst) || matches!(fault, Some(Fault::Refused)) {
            return Err(Self::no_quorum());
        }
        if let Some(Fault::After(others)) = &fault {
            self.append(u64::MAX, others.clone());
        }
        self.append(self.0.client, commands);
        let responses = self.catch_up();
        match fault {
            Some(Fault::AnswerLost) => Err(Self::no_quorum()),
            Some(Fault::AnswerForgotten) => {
                let responses = vec![Response::AnsweredBefore; responses.len()];
                Ok(Committed { responses, log_index: None })
            }
            _ => Ok(Committed { responses, log_index: Some(self.0.log.lock().unwrap().len() as u64) }),
        }
    }
}

type Pairs = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// What a node has applied.
#[derive(Default)]
pub(super) struct MemoryTables {
    pairs: RwLock<Pairs>,
    damaged: AtomicBool,
}

impl MemoryTables {
    fn sound(&self) -> Result<(), StateError> {
        match self.damaged.load(Ordering::SeqCst) {
            true => Err(StateError::Store("a checksum is wrong".into())),
            false => Ok(()),
        }
    }

    fn make(&self, changes: Vec<Change>) {
        let mut pairs = self.pairs.write().unwrap();
        for Change { table, key, value } in changes {
            match value {
                Some(value) => pairs.insert((table, key), value),
                None => pairs.remove(&(table, key)),
            };
        }
    }
}

impl Tables for MemoryTables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.sound()?;
        Ok(self.pairs.read().unwrap().get(&(table, key.to_vec())).cloned())
    }

    fn prefix(&self, table: Table, prefix: &[u8]) -> Result<Vec<Pair>, StateError> {
        self.sound()?;
        let pairs = self.pairs.read().unwrap();
        let wanted = pairs.range((table, prefix.to_vec())..);
        let wanted = wanted.take_while(|((of, key), _)| *of == table && key.starts_with(prefix));
        Ok(wanted.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn page(&self, table: Table, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Pair>, StateError> {
        let all = self.prefix(table, prefix)?;
        Ok(all.into_iter().filter(|(key, _)| key.as_slice() > after).take(limit).collect())
    }
}
