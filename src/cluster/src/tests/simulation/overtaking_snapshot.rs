//! A follower whose syncs are slow gets appends, a new leader and whole snapshots, none of which waits for the
//! answer to the one before. A snapshot comes on a channel of its own and may overtake appends that wait for
//! the disk: <https://github.com/databendlabs/openraft/issues/2116>.
//!
//! What the follower is sent is what some leader could send: it holds what was committed before, it never
//! says less of what is committed, a snapshot ends with a committed entry, and a leader sends no entries
//! before its snapshot is answered. The snapshot may end before the entries that the follower got: their
//! answers were lost.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::EntryPayload;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::AppendEntriesRequest;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::fate::Fate;
use super::run::{Weakness, in_virtual_time};
use super::world::World;
use crate::node::Node;
use crate::raft::snapshot_transfer::{self, Snapshot, SnapshotData};
use crate::wire::raft_types::{
    Entry, LeaderId, LogId, Member, Membership, StoredMembership, TypeConfig, Vote,
};

const FOLLOWER: u64 = 3;
const MESSAGES: u64 = 60;
/// Longer than all that waits for the disk.
const WITHIN: Duration = Duration::from_secs(120);

/// What the leaders have: the log and how much of it is committed.
struct Leaders {
    leader: LeaderId,
    log: Vec<LogId>,
    committed: usize,
    /// How much of the log was sent.
    sent: usize,
}

fn membership() -> Membership {
    let nodes: BTreeMap<_, _> =
        (1..=3).map(|id| (id, Member { peer_address: format!("node-{id}:1") })).collect();
    Membership::new(vec![nodes.keys().copied().collect()], nodes).unwrap()
}

impl Leaders {
    fn new() -> Self {
        let leader = LeaderId { term: 1, node_id: 1 };
        Self { leader, log: vec![LogId { leader_id: leader, index: 0 }], committed: 1, sent: 0 }
    }

    fn vote(&self) -> Vote {
        Vote { leader_id: self.leader, committed: true }
    }

    fn propose(&mut self, entries: u64) {
        for _ in 0..entries {
            self.log.push(LogId { leader_id: self.leader, index: self.log.len() as u64 });
        }
    }

    fn commit(&mut self, fate: &mut Fate) {
        self.committed = fate.between(self.committed as u64, self.log.len() as u64) as usize;
    }

    /// The next leader has lost what was not committed, or a part of it.
    fn change(&mut self, fate: &mut Fate) {
        let term = self.leader.term + 1;
        self.leader = LeaderId { term, node_id: 1 + term % 2 };
        let kept = fate.between(self.committed as u64, self.log.len() as u64) as usize;
        self.log.truncate(kept);
        self.propose(1);
        self.sent = self.sent.min(kept);
    }

    /// The entries from `from` up to `to`.
    fn append(&self, from: usize, to: usize) -> AppendEntriesRequest<TypeConfig> {
        let entry = |at: &LogId| Entry {
            log_id: *at,
            payload: match at.index {
                0 => EntryPayload::Membership(membership()),
                _ => EntryPayload::Blank,
            },
        };
        AppendEntriesRequest {
            vote: self.vote(),
            prev_log_id: from.checked_sub(1).map(|before| self.log[before]),
            entries: self.log[from..to].iter().map(entry).collect(),
            leader_commit: Some(self.log[self.committed - 1]),
        }
    }

    fn snapshot(&self, entries: usize, node: &Node) -> Snapshot {
        let last_membership = StoredMembership::new(Some(self.log[0]), membership());
        let meta = openraft::alias::SnapshotMetaOf::<TypeConfig> {
            last_log_id: Some(self.log[entries - 1]),
            last_membership,
        };
        Snapshot { meta, snapshot: SnapshotData::View(node.state.view()) }
    }
}

/// Messages whose answers are not waited for.
#[derive(Default)]
struct Sent {
    messages: JoinSet<Result<(), String>>,
    /// Whether the present leader's snapshot is not answered yet.
    installing: Arc<AtomicBool>,
}

impl Sent {
    fn append(&mut self, node: &Arc<Node>, request: AppendEntriesRequest<TypeConfig>) {
        let raft = node.raft.clone();
        self.messages.spawn(async move { raft.append_entries(request).await.map(drop).map_err(text) });
    }

    fn snapshot(&mut self, node: &Arc<Node>, vote: Vote, snapshot: Snapshot) {
        let (raft, installing) = (node.raft.clone(), self.installing.clone());
        installing.store(true, Ordering::Relaxed);
        self.messages.spawn(async move {
            let installed = snapshot_transfer::install(&raft, vote, snapshot).await;
            installing.store(false, Ordering::Relaxed);
            installed.map(drop).map_err(text)
        });
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

async fn follow(seed: u64) {
    let mut fate = Fate::new(seed);
    let world = World::new(&mut fate, 3, Weakness::Nothing);
    world.start(FOLLOWER).await;
    world.disk(FOLLOWER).set_sync_ms((0, *fate.one_of(&[3, 400, 5_000])));
    let node = world.node(FOLLOWER).unwrap();
    let (mut leaders, mut sent) = (Leaders::new(), Sent::default());
    for _ in 0..MESSAGES {
        step(&mut leaders, &mut sent, &node, &mut fate);
        match fate.between(0, 9) {
            0 => sleep(Duration::from_millis(fate.between(0, 2_000))).await,
            1..5 => tokio::task::yield_now().await,
            _ => {}
        }
    }
    let began = Instant::now();
    while sent.installing.load(Ordering::Relaxed) {
        assert!(began.elapsed() < WITHIN, "seed {seed}: a snapshot is not installed");
        sleep(Duration::from_millis(100)).await;
    }
    // Whatever the follower lacks.
    sent.append(&node, leaders.append(0, leaders.log.len()));
    leaders.propose(1);
    leaders.committed = leaders.log.len();
    sent.append(&node, leaders.append(leaders.log.len() - 1, leaders.log.len()));
    let until = Instant::now() + WITHIN;
    let wanted = leaders.log.last().copied();
    while node.raft.metrics().borrow_watched().last_applied != wanted {
        let metrics = node.raft.metrics().borrow_watched().clone();
        assert!(Instant::now() < until, "seed {seed}: {metrics}");
        sent.append(&node, leaders.append(leaders.log.len() - 1, leaders.log.len()));
        sleep(Duration::from_millis(500)).await;
    }
    while let Some(answer) = sent.messages.join_next().await {
        assert_eq!(answer.unwrap(), Ok(()), "seed {seed}");
    }
}

/// Sends the follower one more message.
fn step(leaders: &mut Leaders, sent: &mut Sent, node: &Arc<Node>, fate: &mut Fate) {
    let installing = sent.installing.load(Ordering::Relaxed);
    match fate.between(0, 9) {
        // More entries, some of them committed already.
        0..5 if !installing => {
            leaders.propose(fate.between(1, 30));
            let to = fate.between(leaders.sent as u64, leaders.log.len() as u64) as usize;
            if fate.happens(500) {
                leaders.commit(fate);
            }
            sent.append(node, leaders.append(leaders.sent, to));
            leaders.sent = to;
        }
        // What was sent before, again: an answer was lost.
        5 if !installing => {
            let from = fate.between(0, leaders.sent as u64) as usize;
            sent.append(node, leaders.append(from, leaders.sent));
        }
        0..7 => {
            leaders.commit(fate);
            sent.append(node, leaders.append(leaders.sent, leaders.sent));
        }
        7 => {
            leaders.change(fate);
            sent.installing = Arc::default();
        }
        _ if installing => {}
        _ => {
            let entries = fate.between(1, leaders.committed as u64) as usize;
            sent.snapshot(node, leaders.vote(), leaders.snapshot(entries, node));
            leaders.sent = leaders.sent.max(entries);
        }
    }
}

#[test]
fn a_snapshot_that_overtakes_appends_on_a_slow_disk_is_installed() {
    for seed in super::seeds(1, 40) {
        in_virtual_time(follow(seed));
    }
}
