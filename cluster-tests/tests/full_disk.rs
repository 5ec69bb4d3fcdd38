//! A full disk makes a node read-only and not dead: the others go on, it starts again on the full
//! disk, and it writes again by itself when there is room. When every disk is full, reads go on.

use std::net::SocketAddr;
use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::loop_disk::{self, FileSystem, LoopDisk};
use cluster_tests::signed::WIDEVINE;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, Options, RigError, metrics, raw};

const DISK_BYTES: u64 = 400 * 1024 * 1024;
const WITHIN: Duration = Duration::from_secs(60);

fn await_read_only(api: SocketAddr, wanted: bool) {
    wait_until("the node to notice its disk", WITHIN, || {
        match metrics::sample(api, metrics::DISK_READ_ONLY)? > 0.5 {
            found if found == wanted => Ok(()),
            found => Err(RigError::Answer(format!("read-only: {found}"))),
        }
    })
    .unwrap();
}

fn create(cluster: &Cluster, ledger: &mut Ledger, nodes: &[u64], when: &str) {
    for (serial, node) in (0..12).zip(nodes.iter().cycle()) {
        let api = cluster.node(*node).unwrap().api;
        ledger.enter(cluster.signer().create(api, &format!("{when}-{serial}.mp4")).unwrap(), when);
    }
}

#[test]
fn if_disks_can_be_mounted_a_leader_on_a_full_disk_steps_back_and_recovers_by_itself() {
    if let Err(not_run) = loop_disk::available() {
        return eprintln!("{not_run}");
    }
    let (mut cluster, mut ledger) = (Cluster::start().unwrap(), Ledger::default());
    cluster.do_without_dev().unwrap();
    let full = cluster.leader().unwrap();
    cluster.kill(full).unwrap();
    let disk = LoopDisk::over(&cluster.node(full).unwrap().dir, FileSystem::Ext4, DISK_BYTES).unwrap();
    cluster.restart(full).unwrap();
    cluster.await_ready().unwrap();
    // The full node shall be the leader.
    let api = cluster.node(full).unwrap().api;
    for other in cluster.others(full).into_iter().cycle().take(20) {
        if cluster.leader().unwrap() == full {
            break;
        }
        cluster.stop(other).unwrap();
        cluster.restart(other).unwrap();
        cluster.await_ready().unwrap();
    }
    let all: Vec<u64> = cluster.nodes().iter().map(|node| node.id).collect();
    create(&cluster, &mut ledger, &all, "roomy");

    let filling = disk.fill().unwrap();
    await_read_only(api, true);
    create(&cluster, &mut ledger, &cluster.others(full), "beside-a-full-disk");
    assert_ne!(cluster.leader().unwrap(), full, "a node without room leads");
    // The full node takes writes for the others.
    create(&cluster, &mut ledger, &[full], "through-a-full-disk");
    assert!(cluster.said(full).unwrap().contains("the node is read-only until there is room"));

    // It starts on the full disk too: the ballast is what it starts from.
    cluster.kill(full).unwrap();
    cluster.restart(full).unwrap();
    await_read_only(api, true);
    assert!(cluster.said(full).unwrap().contains("the ballast is given up"));
    create(&cluster, &mut ledger, &cluster.others(full), "after-its-restart");

    std::fs::remove_file(filling).unwrap();
    await_read_only(api, false);
    cluster.await_caught_up(full).unwrap();
    cluster.await_ready().unwrap();
    let findings = ledger.audit(cluster.signer(), &cluster.addresses()).unwrap();
    assert!(findings.is_empty(), "{findings:#?}");
    assert!(cluster.said(full).unwrap().contains("the disk has room again"));
    assert!(cluster.node(full).unwrap().dir.join("data/ballast").exists(), "no ballast for the next time");
    drop(cluster);
}

#[test]
fn if_disks_can_be_mounted_reads_go_on_when_every_disk_is_full() {
    if let Err(not_run) = loop_disk::available() {
        return eprintln!("{not_run}");
    }
    let disk = LoopDisk::make(FileSystem::Ext4, 2 * DISK_BYTES).unwrap();
    let (mut cluster, mut ledger) =
        (Options::default().dir(disk.path().join("cluster")).start().unwrap(), Ledger::default());
    cluster.do_without_dev().unwrap();
    let all: Vec<u64> = cluster.nodes().iter().map(|node| node.id).collect();
    create(&cluster, &mut ledger, &all, "roomy");
    let filling = disk.fill().unwrap();
    for api in cluster.addresses() {
        await_read_only(api, true);
    }
    let findings = ledger.audit(cluster.signer(), &cluster.addresses()).unwrap();
    assert!(findings.is_empty(), "{findings:#?}");
    // A write is refused in words, and nothing of it is there later.
    let api = cluster.addresses()[0];
    let request =
        cluster.signer().request("POST", WIDEVINE, &cluster.signer().custom_data("refused.mp4", &[]));
    let answer = raw::exchange(api, &request, WITHIN).unwrap();
    assert_eq!(answer.status, 503);
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(said.contains("full") || said.contains("no quorum"), "{said}");

    std::fs::remove_file(filling).unwrap();
    for api in cluster.addresses() {
        await_read_only(api, false);
    }
    cluster.await_ready().unwrap();
    create(&cluster, &mut ledger, &all, "roomy-again");
    let findings = ledger.audit(cluster.signer(), &cluster.addresses()).unwrap();
    assert!(findings.is_empty(), "{findings:#?}");
    drop(cluster);
}
