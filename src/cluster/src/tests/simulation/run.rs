//! One run: a cluster, clients, faults, healing, and then a check of every promise.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use keymoot_state as state;
use keymoot_state::{Digest, Table, Tables as _};

use super::clients::{Clients, account};
use super::fate::Fate;
use super::faults::{self, Fault};
use super::world::World;
use crate::node::Node;
use crate::raft::state_machine::{META_MARK, mark_of};

/// The time after the last healing within which every node must serve.
const SERVES_WITHIN: Duration = Duration::from_secs(30);
/// How often the nodes' states are compared.
const COMPARE_EVERY: Duration = Duration::from_millis(100);

/// The parameters of a run.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub seed: u64,
    pub nodes: u64,
    /// How long faults happen, in simulated seconds.
    pub rages_s: u64,
    pub menu: &'static [Fault],
    pub weakness: Weakness,
}

/// A safeguard that is left out, to prove that the tests notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakness {
    /// No safeguard is left out.
    Nothing,
    /// Reads do not wait for the barrier.
    LocalReads,
    /// A retried proposal cannot be told from a new one.
    RenumberedForwards,
    /// A disk reports a sync before it happens.
    LyingDisks,
    /// A node hides its votes for other leaders than the first.
    HushedVotes,
    /// Nodes greet each other as earlier versions did, which remembered no data directories.
    ForgottenDirectories,
    /// Nodes greet each other as earlier versions did, which remembered no starts.
    ForgottenStarts,
}

/// The result of a run.
pub(crate) struct Outcome {
    /// The violated promises.
    pub violations: Vec<String>,
    /// Operations that were answered.
    pub answered: usize,
    /// Operations that were not answered.
    pub unanswered: usize,
}

/// Runs a cluster with this plan.
pub(crate) fn run(plan: Plan) -> Outcome {
    in_virtual_time(live(plan))
}

/// Runs a future on a runtime of its own, whose clock advances whenever all tasks wait.
pub(crate) fn in_virtual_time<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap();
    let outcome = runtime.block_on(what);
    runtime.shutdown_background();
    outcome
}

async fn live(plan: Plan) -> Outcome {
    let mut fate = Fate::new(plan.seed);
    let world = Arc::new(World::new(&mut fate, plan.nodes, plan.weakness));
    world.found().await;
    let clients = Arc::new(Clients::new(world.clone(), plan.weakness == Weakness::LocalReads));
    let until = Instant::now() + Duration::from_secs(plan.rages_s);
    let clients_run: Vec<_> =
        (0..4).map(|number| tokio::spawn(clients.clone().run(number, fate.fork(), until))).collect();
    let watching = tokio::spawn(compare(clients.clone()));
    faults::rage(&world, plan.menu, &mut fate, until).await;
    faults::heal(&world).await;
    for client in clients_run {
        client.await.unwrap();
    }
    let served = all_serve(&world, &clients).await;
    if served {
        settle(&world, &clients).await;
        last_look(&world, &clients).await;
    }
    watching.abort();
    let history = clients.history.lock().unwrap();
    let mut violations = std::mem::take(&mut *clients.broken.lock().unwrap());
    violations.extend(history.violations());
    let (answered, unanswered) = history.counts();
    Outcome { violations, answered, unanswered }
}

/// Waits until every node answers reads and writes.
async fn all_serve(world: &World, clients: &Clients) -> bool {
    let until = Instant::now() + SERVES_WITHIN;
    for node in world.clusters() {
        let register = format!("last-of-{}", node.node_id());
        loop {
            let before = clients.history.lock().unwrap().counts();
            clients.create(&node, &register).await;
            let after = clients.history.lock().unwrap().counts();
            if after.1 == before.1 {
                break;
            }
            if Instant::now() > until {
                let text =
                    format!("liveness: node {} does not serve after everything was healed", node.node_id());
                clients.broken.lock().unwrap().push(text);
                return false;
            }
            sleep(COMPARE_EVERY).await;
        }
    }
    true
}

/// Waits until all nodes have the same state.
async fn settle(world: &World, clients: &Clients) {
    let until = Instant::now() + SERVES_WITHIN;
    loop {
        let states: Vec<_> = world.nodes().iter().filter_map(|node| sample(node)).collect();
        let same = states.windows(2).all(|two| two[0] == two[1]);
        if same && states.len() == world.ids().len() {
            return;
        }
        if Instant::now() > until {
            let text = format!("digests: the nodes never agreed: {states:?}");
            clients.broken.lock().unwrap().push(text);
            return;
        }
        sleep(COMPARE_EVERY).await;
    }
}

/// Reads everything at every node: acknowledged writes must be there.
async fn last_look(world: &World, clients: &Clients) {
    let registers = clients.history.lock().unwrap().registers();
    let policies = clients.policies.lock().unwrap().clone();
    for node in world.clusters() {
        for register in &registers {
            clients.read(&node, register).await;
        }
        for (name, changes) in &policies {
            let version = state::policy(node.state(), &account(), name).unwrap().map(|record| record.version);
            if version != Some(*changes) {
                let text = format!(
                    "applied once: {name} was changed {changes} times and has version {version:?} at node {}",
                    node.node_id()
                );
                clients.broken.lock().unwrap().push(text);
            }
        }
    }
}

/// Compares the digests of nodes with the same applied index, and records nodes that stop, until it
/// is dropped.
async fn compare(clients: Arc<Clients>) {
    let mut seen: HashMap<u64, Digest> = HashMap::new();
    loop {
        sleep(COMPARE_EVERY).await;
        for node in clients.world.nodes() {
            if let Some(reason) = &*node.local.fatal.subscribe().borrow() {
                // A node that was stopped on purpose is no violation.
                if clients.world.node(node.id).is_some() {
                    clients.broken.lock().unwrap().push(format!("ends: node {} gave up: {reason}", node.id));
                    return;
                }
            }
            let Some((index, digest)) = sample(&node) else { continue };
            if *seen.entry(index).or_insert(digest) != digest {
                let text = format!("digests: node {} has another state at index {index}", node.id);
                clients.broken.lock().unwrap().push(text);
                return;
            }
        }
    }
}

/// A node's applied index and digest.
fn sample(node: &Node) -> Option<(u64, Digest)> {
    let index = || {
        let mark = node.state.get(Table::Meta, META_MARK).ok()??;
        Some(mark_of(&mark).ok()?.applied?.index)
    };
    let before = index()?;
    let digest = state::digest(&node.state).ok()?;
    // A snapshot may be installed meanwhile, on another thread.
    (index()? == before).then_some((before, digest))
}
