//! Whole clusters in virtual time: minutes of faults in seconds.
//!
//! Real: openraft, the state machine over real tables, proposer, read barrier, leader client,
//! links, peer server, monitor and reconciler. Simulated: the network between the nodes (delays,
//! lost connections, late copies of proposals, partitions), the disk under the log (syncs that take
//! time, power cuts), the clock, and the simulation's own randomness.
//!
//! The seed determines network, disks, faults and clients, but not everything: openraft draws its
//! election timeouts itself, hash maps have no fixed order, and threads write and install
//! snapshots. So a seed that failed is likely to fail again, but may need a few tries.
//!
//! `KEYMOOT_SIM_SEED=7` runs that seed alone, `KEYMOOT_SIM_SEEDS=500` as many, with `cargo nextest
//! run -p keymoot-cluster -E 'test(tests::simulation)'`.

mod clients;
mod disk;
mod divergence;
mod fate;
mod faults;
mod forgetful_voter;
mod history;
mod membership;
mod network;
mod overtaking_snapshot;
mod run;
mod stale_leader;
mod transfer;
mod world;

use faults::Fault;
use run::{Plan, Weakness, run};

/// How long faults happen in a run, in simulated seconds.
const RAGES_S: u64 = 8;
/// The most seeds that are run until a weakness is noticed.
const TRIES: u64 = 12;

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn seeds(first: u64, count: u64) -> Vec<u64> {
    match from_environment("KEYMOOT_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (first..first + from_environment("KEYMOOT_SIM_SEEDS").unwrap_or(count)).collect(),
    }
}

fn keep_every_promise(nodes: u64, first_seed: u64, count: u64) {
    let (mut answered, mut unanswered) = (0, 0);
    for seed in seeds(first_seed, count) {
        let plan = Plan { seed, nodes, rages_s: RAGES_S, menu: &faults::ALL, weakness: Weakness::Nothing };
        let began = std::time::Instant::now();
        let outcome = run(plan);
        println!(
            "{nodes} nodes, seed {seed}: {} answered, {} not, {:?}",
            outcome.answered,
            outcome.unanswered,
            began.elapsed()
        );
        assert!(
            outcome.violations.is_empty(),
            "{nodes} nodes, KEYMOOT_SIM_SEED={seed}:\n{}",
            outcome.violations.join("\n")
        );
        (answered, unanswered) = (answered + outcome.answered, unanswered + outcome.unanswered);
    }
    println!("{answered} operations were answered, {unanswered} were not");
    // A run in which the faults let almost nothing through would prove nothing.
    assert!(answered > 10 * unanswered, "{answered} operations were answered, {unanswered} were not");
}

#[test]
fn three_nodes_keep_every_promise_whatever_fails() {
    keep_every_promise(3, 1000, 12);
}

#[test]
fn five_nodes_keep_every_promise_whatever_fails() {
    keep_every_promise(5, 2000, 6);
}

/// Runs seeds until the weakness shows, and asserts that it shows as a violation of one of these
/// promises.
fn is_noticed(weakness: Weakness, menu: &'static [Fault], promises: &[&str]) {
    for seed in 1..=TRIES {
        let outcome = run(Plan { seed, nodes: 3, rages_s: RAGES_S, menu, weakness });
        let breaks = |violation: &String| promises.iter().any(|promise| violation.starts_with(promise));
        if outcome.violations.iter().any(breaks) {
            println!("{weakness:?}: noticed with seed {seed}");
            return;
        }
    }
    panic!("{weakness:?} was not noticed as a breach of {promises:?} with {TRIES} seeds");
}

#[test]
fn reads_that_ask_nobody_are_noticed() {
    is_noticed(Weakness::LocalReads, &[Fault::Isolated, Fault::Slow], &["linearizability"]);
}

#[test]
fn proposals_that_are_applied_twice_are_noticed() {
    is_noticed(Weakness::RenumberedForwards, &[Fault::Lossy], &["applied once"]);
}

#[test]
fn acknowledgements_before_the_sync_are_noticed() {
    // A node may detect that its log lacks committed entries, and stop.
    is_noticed(Weakness::LyingDisks, &[Fault::AllPowerCut], &["linearizability", "ends"]);
}
