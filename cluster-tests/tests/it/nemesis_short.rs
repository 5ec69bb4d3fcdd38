//! Five nodes, each in a network namespace and on a disk of its own, withstand a short attack.
//!
//! Where the machine cannot do that, the test says so and why. `scripts/nemesis` attacks for longer,
//! and with more.

use std::time::Duration;

use cluster_tests::nemesis::faults::Kind;
use cluster_tests::nemesis::requirement;
use cluster_tests::nemesis::run::{Run, Settings};
use cluster_tests::nemesis::schedule::Schedule;
use cluster_tests::nemesis::site::Blueprint;
use cluster_tests::nemesis::workload::Load;

/// Another one can be given, to repeat what a run with it found.
const SEED: u64 = 20;

const FAULTS: [&str; 10] = [
    "one_way",
    "isolate_leader",
    "kill_leader",
    "kill_all",
    "power_cut_all",
    "pause_leader",
    "full_disk",
    "lost_disk",
    "full_disk_election",
    "transfer_to_the_unfit",
];

#[test]
fn five_nodes_withstand_each_of_the_plain_faults_or_the_machine_cannot_make_them() {
    if let Some(why) = requirement::missing() {
        println!("NOT RUN: {why}");
        return;
    }
    let seed = std::env::var("KEYMOOT_NEMESIS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED);
    println!("seed {seed}");
    let kinds: Vec<Kind> = FAULTS.iter().map(|name| Kind::named(name).unwrap()).collect();
    let blueprint = Blueprint::standard().unwrap();
    let schedule = Schedule::new(seed, &kinds, blueprint.nodes).one_at_a_time().take(kinds.len());
    let settings = Settings { blueprint, seed, load: Load::default(), name: format!("short-{seed}") };
    let mut run = Run::begin(settings).unwrap();
    run.attack(schedule, Duration::from_secs(180)).unwrap();
    let report = run.finish().unwrap();
    println!("{}", report.text());
    assert!(report.is_clean(), "{}", report.text());
    assert!(report.tally.ok > 500, "the clients got next to nothing done: {:?}", report.tally);
    assert_eq!(report.faults.len(), FAULTS.len(), "{:?}", report.faults);
}
