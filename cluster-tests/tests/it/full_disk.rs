//! A full disk makes a node read-only and not dead: the others go on, it starts again on the full
//! disk, and it writes again by itself when there is room. When it is elected, it transfers the leadership at once, and nobody
//! can tell it to lead. When every disk is full, reads go on.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cluster_tests::ledger::Ledger;
use cluster_tests::loop_disk::{self, FileSystem, LoopDisk};
use cluster_tests::signed::WIDEVINE;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, Options, RigError, metrics, purge, raw};

const DISK_BYTES: u64 = 400 * 1024 * 1024;
const WITHIN: Duration = Duration::from_secs(60);

fn await_read_only(cluster: &Cluster, node: u64, wanted: bool) {
    let api = cluster.node(node).unwrap().api;
    let noticed = wait_until("the node to notice its disk", WITHIN, || {
        match metrics::sample(api, metrics::DISK_READ_ONLY)? > 0.5 {
            found if found == wanted => Ok(()),
            found => Err(RigError::Answer(format!("read-only: {found}"))),
        }
    });
    // The log tells why, where the node has ended.
    noticed.unwrap_or_else(|error| panic!("{error}\n{}", cluster.said(node).unwrap()));
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

    // Filled to the last byte in the middle of a write, such as of its vote for another one, a node stops.
    disk.fill_but(DISK_BYTES / 50).unwrap();
    await_read_only(&cluster, full, true);
    create(&cluster, &mut ledger, &cluster.others(full), "beside-a-full-disk");
    assert_ne!(cluster.leader().unwrap(), full, "a node without room leads");
    disk.fill().unwrap();
    // The full node takes writes for the others, while it knows all that was taken away: while it lacks nothing.
    for serial in 0..12 {
        let api = cluster.node(full).unwrap().api;
        match cluster.signer().create(api, &format!("through-a-full-disk-{serial}.mp4")) {
            Ok(key) => ledger.enter(key, "through-a-full-disk"),
            Err(refused) => assert!(refused.to_string().contains("disk is full"), "{refused}"),
        }
    }
    assert!(cluster.said(full).unwrap().contains("the node is read-only until there is room"));

    // It starts on the full disk too: the ballast is what it starts from.
    cluster.kill(full).unwrap();
    cluster.restart(full).unwrap();
    await_read_only(&cluster, full, true);
    assert!(cluster.said(full).unwrap().contains("the ballast is given up"));
    create(&cluster, &mut ledger, &cluster.others(full), "after-its-restart");

    disk.free().unwrap();
    await_read_only(&cluster, full, false);
    cluster.await_caught_up(full).unwrap();
    cluster.await_ready().unwrap();
    ledger.assert_kept(cluster.signer(), &cluster.addresses());
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
    disk.fill_but(DISK_BYTES / 50).unwrap();
    for node in &all {
        await_read_only(&cluster, *node, true);
    }
    disk.fill().unwrap();
    // What the others committed before all had noticed, the first one to notice lacks: it says so, and refuses.
    let last = |api| metrics::sample(api, metrics::LAST_LOG_INDEX).unwrap();
    let newest = cluster.addresses().into_iter().map(last).fold(0.0, f64::max);
    let whole: Vec<_> = cluster.addresses().into_iter().filter(|api| last(*api) >= newest).collect();
    assert!(!whole.is_empty());
    ledger.assert_kept(cluster.signer(), &whole);
    let status = cluster.operate(1, &["status"]).unwrap();
    assert_eq!(status.code, Some(1), "{status:?}");
    for words in ["no write can commit: 0 of 3 voters can store one", "node 2 is read-only", "docs/disks.md"]
    {
        assert!(status.out.contains(words), "{}", status.out);
    }
    // A write is refused in words, and nothing of it is there later.
    let api = cluster.addresses()[0];
    let request =
        cluster.signer().request("POST", WIDEVINE, &cluster.signer().custom_data("refused.mp4", &[]));
    let answer = raw::exchange(api, &request, WITHIN).unwrap();
    assert_eq!(answer.status, 503);
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(said.contains("full") || said.contains("no quorum"), "{said}");

    disk.free().unwrap();
    for node in &all {
        await_read_only(&cluster, *node, false);
    }
    cluster.await_ready().unwrap();
    create(&cluster, &mut ledger, &all, "roomy-again");
    ledger.assert_kept(cluster.signer(), &cluster.addresses());
    drop(cluster);
}

/// Fills the disk of a follower that lacks nothing.
fn fill(cluster: &Cluster, disk: &LoopDisk, full: u64) {
    let last = |id| metrics::sample(cluster.node(id).unwrap().api, metrics::LAST_LOG_INDEX).unwrap();
    let lacks_nothing = (0..10).any(|_| {
        // Votes fit in.
        disk.fill_but(DISK_BYTES / 50).unwrap();
        await_read_only(cluster, full, true);
        // What came just before does not: it shall lack nothing.
        let has_all = last(full) >= last(cluster.leader().unwrap());
        if !has_all {
            empty(cluster, disk, full);
        }
        has_all
    });
    assert!(lacks_nothing, "there is never a full node that lacks nothing");
}

/// Makes room on the disk of a follower again, and waits until it has all.
fn empty(cluster: &Cluster, disk: &LoopDisk, full: u64) {
    disk.free().unwrap();
    await_read_only(cluster, full, false);
    cluster.await_caught_up(full).unwrap();
}

/// Restarts a follower of `cluster` on a disk of its own that is soon full: the disk, and the follower.
fn with_a_small_disk(cluster: &mut Cluster) -> (LoopDisk, u64) {
    cluster.do_without_dev().unwrap();
    let full = cluster.others(cluster.leader().unwrap())[0];
    cluster.kill(full).unwrap();
    let disk = LoopDisk::over(&cluster.node(full).unwrap().dir, FileSystem::Ext4, DISK_BYTES).unwrap();
    cluster.restart(full).unwrap();
    cluster.await_ready().unwrap();
    (disk, full)
}

/// A cluster in which the disk of a follower is full: it, the disk, the follower, the other one.
fn with_a_full_follower() -> (Cluster, LoopDisk, u64, u64) {
    let mut cluster = Options::default().envs(&purge::SLOW_SNAPSHOTS).start().unwrap();
    let (disk, full) = with_a_small_disk(&mut cluster);
    cluster.signer().create(cluster.node(full).unwrap().api, "before.mp4").unwrap();
    fill(&cluster, &disk, full);
    let leader = cluster.leader().unwrap();
    assert_ne!(leader, full, "it led, and did not transfer the leadership");
    let third = cluster.others(full).into_iter().find(|id| *id != leader).unwrap();
    (cluster, disk, full, third)
}

/// How often a node has led, by its log.
fn elections(cluster: &Cluster, id: u64) -> usize {
    cluster.said(id).unwrap().matches(&format!("leader=Some({id})")).count()
}

/// Waits until a write is taken at a node, which must be soon after `since`.
fn await_write(cluster: &Cluster, api: SocketAddr, since: Instant, content: &str) {
    wait_until("a write to be taken", 2 * WITHIN, || cluster.signer().create(api, content)).unwrap();
    let gap = since.elapsed();
    // An election, two seconds, and what a busy machine adds.
    assert!(gap < Duration::from_secs(8), "no write was taken for {gap:?}");
}

#[test]
fn if_disks_can_be_mounted_a_full_follower_stands_aside_for_whoever_has_all_and_can_write() {
    if let Err(not_run) = loop_disk::available() {
        return eprintln!("{not_run}");
    }
    let (mut cluster, disk, full, _) = with_a_full_follower();
    let before = elections(&cluster, full);
    // Without its standing aside it would be elected every other time.
    for round in 0..5 {
        let leader = cluster.leader().unwrap();
        let third = cluster.others(full).into_iter().find(|id| *id != leader).unwrap();
        let api = cluster.node(third).unwrap().api;
        let killed_at = Instant::now();
        cluster.kill(leader).unwrap();
        wait_until("the third node to lead", 2 * WITHIN, || match cluster.leader()? {
            leads if leads == third => Ok(()),
            leads => Err(RigError::Answer(format!("node {leads} leads"))),
        })
        .unwrap();
        println!("it led {:.2?} after the leader was killed", killed_at.elapsed());
        assert_eq!(elections(&cluster, full), before, "the full node was elected in round {round}");
        cluster.restart(leader).unwrap();
        await_write(&cluster, api, Instant::now(), &format!("round-{round}.mp4"));
        empty(&cluster, &disk, full);
        fill(&cluster, &disk, full);
    }
}

#[test]
fn if_disks_can_be_mounted_a_full_follower_that_alone_has_all_leads_fills_another_and_hands_over() {
    if let Err(not_run) = loop_disk::available() {
        return eprintln!("{not_run}");
    }
    let (mut cluster, mut ledger) = (Options::default().start().unwrap(), Ledger::default());
    let (disk, full) = with_a_small_disk(&mut cluster);
    let leader = cluster.leader().unwrap();
    assert_ne!(leader, full);
    let third = cluster.others(full).into_iter().find(|id| *id != leader).unwrap();

    // What is acknowledged now is on the leader and on the disk that is full then, and nowhere else.
    cluster.kill(third).unwrap();
    create(&cluster, &mut ledger, &[leader, full], "while-one-was-away");
    disk.fill_but(DISK_BYTES / 50).unwrap();
    await_read_only(&cluster, full, true);
    let before = elections(&cluster, full);
    cluster.kill(leader).unwrap();
    cluster.restart(third).unwrap();
    wait_until("the full node to be elected", WITHIN, || match elections(&cluster, full) > before {
        true => Ok(()),
        false => Err(RigError::Answer("it was not".to_owned())),
    })
    .unwrap();
    let elected_at = Instant::now();
    wait_until("the third node to lead", WITHIN, || match cluster.leader()? {
        leads if leads == third => Ok(()),
        leads => Err(RigError::Answer(format!("node {leads} leads"))),
    })
    .unwrap();
    let gap = elected_at.elapsed();
    println!("the full node handed over {gap:.2?} after it was elected");
    assert!(gap < Duration::from_secs(6), "it led for {gap:?}");
    let api = cluster.node(third).unwrap().api;
    // A write takes two that can store it.
    cluster.restart(leader).unwrap();
    await_write(&cluster, api, Instant::now(), "after.mp4");
    ledger.assert_kept(cluster.signer(), &[api]);

    // It lacks what was written since, cannot store it, and says so at once.
    let signer = cluster.signer();
    let full_api = cluster.node(full).unwrap().api;
    let began = Instant::now();
    let request = signer.request("GET", WIDEVINE, &signer.custom_data("after.mp4", &[]));
    let answer = raw::exchange(full_api, &request, WITHIN).unwrap();
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{}", answer.text());
    assert!(answer.text().contains("this server's disk is full"), "{}", answer.text());
    assert!(began.elapsed() < Duration::from_secs(3), "a read was kept for {:?}", began.elapsed());
}

#[test]
fn if_disks_can_be_mounted_nobody_is_told_to_lead_who_is_full_silent_or_behind() {
    if let Err(not_run) = loop_disk::available() {
        return eprintln!("{not_run}");
    }
    let (cluster, disk, full, third) = with_a_full_follower();
    let (leader, full_api) = (cluster.leader().unwrap(), cluster.node(full).unwrap().api);
    let leader_api = cluster.node(leader).unwrap().api;
    let term = metrics::sample(leader_api, metrics::TERM).unwrap();
    let refused = |to: u64, why: &str| {
        let said = cluster.operate(leader, &["transfer-leader", &to.to_string(), "--yes"]).unwrap();
        assert_eq!(said.code, Some(1), "{said:?}");
        let wanted =
            [format!("node {to} cannot lead now"), why.to_owned(), format!("node {leader} goes on leading")];
        assert!(
            wanted.iter().all(|wanted| said.err.contains(wanted)) && !said.out.contains("done"),
            "{said:?}"
        );
    };
    refused(full, "its disk is nearly full");
    cluster.pause(third).unwrap();
    refused(third, "it does not answer");
    cluster.resume(third).unwrap();

    // What the full node lacks is purged, and comes as a snapshot that takes seconds.
    std::thread::scope(|scope| {
        for client in 0..4 {
            let signer = cluster.signer();
            scope.spawn(move || {
                for serial in 0..400 {
                    signer.create(leader_api, &format!("missed-{client}-{serial}.mp4")).unwrap();
                }
            });
        }
    });
    let last_known = metrics::sample(full_api, metrics::LAST_LOG_INDEX).unwrap();
    let signer = cluster.signer();
    purge::write_until_purged(signer, &[leader_api], "more", last_known + 1.0, WITHIN).unwrap();
    disk.free().unwrap();
    await_read_only(&cluster, full, false);
    refused(full, "it lacks ");
    assert_eq!(metrics::sample(leader_api, metrics::TERM).unwrap(), term, "there was an election");

    cluster.await_caught_up(full).unwrap();
    let said = cluster.operate(third, &["transfer-leader", &full.to_string(), "--yes"]).unwrap();
    assert!(said.code == Some(0) && said.out.contains(&format!("done: node {full} leads")), "{said:?}");
    assert_eq!(cluster.leader().unwrap(), full);
}
