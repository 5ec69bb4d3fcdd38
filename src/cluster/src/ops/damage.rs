//! A node whose tables are damaged: a block does not match its checksum, or a record does not
//! decode.
//!
//! A read of damaged data returns an error, never "not found". From then on the node is not ready,
//! transfers the leadership and does not stand for election. The exception: when the cluster has
//! served nothing for long, it stands for election, because where every node has a damaged record
//! somewhere, all others must stay readable. The node continues to store the log and to vote,
//! because its log is sound, and to answer what it can read, because each block has a checksum. It
//! stops when it meets the damage while applying. A snapshot that replaces its tables repairs it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::time::Instant;

use keymoot_model::NodeId;
use keymoot_telemetry::Metrics;

use crate::members::candidacy::Bar;
use crate::members::leader_transfer::LeaderTransferError;
use crate::members::membership::Members;
use crate::raft::Raft;
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;

/// How often the node checks whether a read has met damage.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a damaged node checks whether another node leads, and how long it waits for the
/// answer.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The pause after a failed transfer: it leaves the cluster without a leader until the others elect
/// one, and they elected this node because no other could lead. The pause is not needed where no
/// target was found.
const TRANSFER_EVERY: Duration = Duration::from_secs(600);

/// Reports the damage on this node.
#[derive(Clone)]
pub(crate) struct DamageReport {
    id: NodeId,
    data_dir: PathBuf,
    state: StateView,
}

impl DamageReport {
    /// The report of node `id`, whose data directory is `data_dir`.
    pub(crate) const fn new(id: NodeId, data_dir: PathBuf, state: StateView) -> Self {
        Self { id, data_dir, state }
    }

    /// The damage on this node and its remedy; `None` when nothing is damaged.
    pub(crate) fn damage(&self) -> Option<String> {
        let (id, data) = (self.id, self.data_dir.display());
        self.state.damage().map(|what| {
            format!(
                "{what}; stop the node and run `keymoot cluster replace-disk` here: the machine comes back under a new \
                 id, and the data in {data} are kept (by hand: `keymoot cluster remove {id}` at another node, then \
                 join with an empty directory)"
            )
        })
    }
}

/// Prevents a damaged node from leading.
pub(crate) struct DamageWatch {
    report: DamageReport,
    raft: Raft,
    members: Arc<Members>,
    barrier: Arc<ReadBarrier>,
    metrics: Arc<Metrics>,
}

impl DamageWatch {
    /// Watches the damage in `report`.
    pub(crate) const fn new(
        report: DamageReport,
        raft: Raft,
        members: Arc<Members>,
        barrier: Arc<ReadBarrier>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { report, raft, members, barrier, metrics }
    }

    /// Runs as long as Raft does.
    pub(crate) async fn run(self) {
        watch(&self).await;
    }
}

async fn watch(node: &DamageWatch) {
    let mut known: Option<String> = None;
    let mut transferred: Option<Instant> = None;
    let mut served = Instant::now();
    while node.raft.metrics().borrow_watched().running_state.is_ok() {
        tokio::time::sleep(LOOK_EVERY).await;
        let damage = node.report.damage();
        if damage != known {
            tell(node, damage.as_deref());
            served = Instant::now();
            known = damage;
        }
        if known.is_none() {
            continue;
        }
        if node.members.leads() && transferred.is_none_or(|at| at.elapsed() >= TRANSFER_EVERY) {
            transferred = transfer_away(node).await.then(Instant::now);
        }
        stand_aside(node, &mut served).await;
    }
}

fn tell(node: &DamageWatch, damage: Option<&str>) {
    node.members.bar(Bar::Damage, damage.is_some());
    node.metrics.tables_damaged.set(damage.is_some().into());
    match damage {
        Some(damage) => tracing::error!(damage, "the node is not ready, and does not lead"),
        None => tracing::info!("the damaged tables were replaced by a snapshot: the node is whole again"),
    }
}

/// Stands for election only when the cluster has served no reads for long.
async fn stand_aside(node: &DamageWatch, served: &mut Instant) {
    let asked = Instant::now();
    if node.barrier.wait(asked + ASK_EVERY).await.is_ok() {
        *served = asked;
    }
    let is_last_resort = served.elapsed() >= node.members.last_resort();
    node.members.bar(Bar::Damage, !is_last_resort);
    tokio::time::sleep_until(asked + ASK_EVERY).await;
}

/// Transfers the leadership; returns whether the transfer failed on its way.
async fn transfer_away(node: &DamageWatch) -> bool {
    match node.members.transfer_leader_away(false).await {
        Ok(()) => false,
        Err(LeaderTransferError::Nobody(unfit)) => {
            tracing::debug!(?unfit, "no other voter can lead in place of a damaged node");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "the leadership was not taken over from a damaged node");
            true
        }
    }
}
