//! A node's clock may jump: no read is stale, no write is lost, and nobody stands for election for it. Nor does a
//! node that starts with a wrong clock make the cluster forget what others have proposed.

use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::wait::{pause, wait_until};
use cluster_tests::{Cluster, Options, faketime, metrics};
use keymoot_state::{TABLE_NAMES, Table};
use keymoot_store::{Tables, TablesOptions};

const TERM: &str = "keymoot_raft_term";

#[test]
fn if_libfaketime_is_installed_jumps_of_the_leaders_clock_change_nothing() {
    let Some(liar) = faketime::library() else { return };
    // On a busy machine an election of its own making would look like one of the clock's.
    let mut cluster = Options::default()
        .env("KEYMOOT__CLUSTER__HEARTBEAT_MS", "300")
        .env("KEYMOOT__CLUSTER__ELECTION_TIMEOUT_MIN_MS", "2000")
        .env("KEYMOOT__CLUSTER__ELECTION_TIMEOUT_MAX_MS", "3000")
        .start()
        .unwrap();
    cluster.do_without_dev().unwrap();
    let home = tempfile::tempdir().unwrap();
    let offset = home.path().join("offset");
    std::fs::write(&offset, "+0\n").unwrap();
    // Every node lies from its start on, each by what the file says; all but one are told to lie too,
    // so whichever leads has a clock that jumps.
    let env = faketime::environment(&liar, &offset);
    let honest = cluster.others(cluster.leader().unwrap())[0];
    let jumping = cluster.others(honest);
    for id in &jumping {
        cluster.kill(*id).unwrap();
        cluster.start_with_env(*id, &env).unwrap();
        let api = cluster.node(*id).unwrap().api;
        wait_until("a node to be ready", Duration::from_secs(60), || metrics::is_ready(api)).unwrap();
    }
    cluster.await_ready().unwrap();
    let (mut ledger, honest_api) = (Ledger::default(), cluster.node(honest).unwrap().api);
    let term = metrics::sample(honest_api, TERM).unwrap();
    for (number, jump) in ["+1h", "-2h", "+400d", "-0.7", "+0"].into_iter().enumerate() {
        std::fs::write(&offset, format!("{jump}\n")).unwrap();
        for serial in 0..10 {
            write_then_read(&cluster, &mut ledger, &format!("jump-{number}-{serial}.mp4"), serial);
        }
        // Longer than an election would take to begin.
        pause(Duration::from_millis(3500)).unwrap();
    }
    assert!(
        (metrics::sample(honest_api, TERM).unwrap() - term).abs() < 0.5,
        "a jump of a clock made an election"
    );
    ledger.assert_kept(cluster.signer(), &cluster.addresses());
}

#[test]
fn if_libfaketime_is_installed_a_node_that_starts_hours_ahead_makes_nobody_forget_the_others() {
    let Some(liar) = faketime::library() else { return };
    let (mut cluster, mut ledger) = (Options::default().start().unwrap(), Ledger::default());
    cluster.do_without_dev().unwrap();
    cluster.await_ready().unwrap();
    for (serial, api) in cluster.addresses().into_iter().enumerate() {
        ledger.enter(cluster.signer().create(api, &format!("each-{serial}.mp4")).unwrap(), "each");
    }
    let early = cluster.others(cluster.leader().unwrap())[0];
    cluster.kill(early).unwrap();
    let env =
        [("LD_PRELOAD", liar.to_str().unwrap()), ("FAKETIME", "+3h"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    cluster.start_with_env(early, &env).unwrap();
    let api = cluster.node(early).unwrap().api;
    wait_until("the node to be ready", Duration::from_secs(60), || metrics::is_ready(api)).unwrap();
    ledger.enter(cluster.signer().create(api, "hours-ahead.mp4").unwrap(), "hours ahead");
    let other = cluster.others(early)[0];
    cluster.await_caught_up(other).unwrap();
    ledger.assert_kept(cluster.signer(), &cluster.addresses());
    cluster.kill_all().unwrap();
    let data = cluster.node(other).unwrap().dir.join("data");
    let tables = Tables::open(&data, TABLE_NAMES, TablesOptions::default()).unwrap();
    // One for each process that proposed; theirs, to whom a proposal may still come back, among them.
    let sessions = tables.prefix(Table::Sessions as usize, b"c", usize::MAX).unwrap().len();
    assert!(sessions > 3, "{sessions} clients are remembered");
}

/// Creates a key at one node; the next must know it at once.
fn write_then_read(cluster: &Cluster, ledger: &mut Ledger, content: &str, serial: usize) {
    let nodes = cluster.addresses();
    let (writer, reader) = (nodes[serial % nodes.len()], nodes[(serial + 1) % nodes.len()]);
    ledger.enter(cluster.signer().create(writer, content).unwrap(), "the writer");
    let read = cluster.signer().read(reader, content).unwrap();
    ledger.enter(read, "the reader");
}
