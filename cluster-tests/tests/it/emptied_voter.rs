//! A voter that lost its data directory neither votes nor counts under its old id: it is refused, says so and
//! ends, and what it acknowledged before is not lost through it.

use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::rogue::stolen_authority;
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, Options, RigError, secret_file};

/// Longer than nodes that run need to meet each other.
const MET_WITHIN: Duration = Duration::from_secs(20);
/// Longer than an emptied node needs to hear that it is refused.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// Waits until each of these data directories remembers `peers` others. A build that remembers nobody goes on
/// and is found out by what comes.
fn await_met(data: &[std::path::PathBuf], peers: usize) {
    let _met = wait_until("all nodes to have met", MET_WITHIN, || {
        for data in data {
            let file = data.join("incarnations.toml");
            let text = std::fs::read_to_string(&file).map_err(RigError::at("read", &file))?;
            let known = text.lines().skip_while(|line| *line != "[peers]").skip(1).count();
            if known < peers {
                return Err(RigError::Answer(text));
            }
        }
        Ok(())
    });
}

#[test]
fn an_emptied_voter_elects_nobody_and_no_acknowledged_key_is_lost() {
    // Two answers that do not come are waited for, which is long enough for elections.
    let mut cluster =
        Options::default().env("KEYMOOT__CLUSTER__REQUEST_DEADLINE_MS", "4000").start().unwrap();
    cluster.do_without_dev().unwrap();
    let data: Vec<_> = cluster.nodes().iter().map(|node| node.dir.join("data")).collect();
    await_met(&data, 2);
    let signer = cluster.signer().clone();
    let [one, two, three] = [1, 2, 3].map(|id| cluster.node(id).unwrap().api);

    // What node 3 does not have, 1 and 2 acknowledged.
    cluster.kill(3).unwrap();
    let key = wait_until("a key to be made", TOLD_WITHIN, || signer.create(one, "film-x")).unwrap();
    assert_eq!(signer.read(two, "film-x").unwrap(), key);
    cluster.kill(1).unwrap();
    cluster.kill(2).unwrap();
    std::fs::remove_dir_all(&data[1]).unwrap();

    cluster.restart(3).unwrap();
    cluster.start_with_env(2, &[]).unwrap();
    let refused = |answer: Result<cluster_tests::KeyAnswer, RigError>| match answer {
        Err(RigError::Answer(text)) => assert!(text.starts_with("status 503"), "{text}"),
        Err(other) => panic!("no answer: {other}"),
        Ok(other) => panic!("a key was made or found that was never acknowledged: {}", other.key_id),
    };
    // Node 3 alone is no quorum, and node 2 is none with it.
    refused(signer.read(three, "film-x"));
    refused(signer.create(three, "film-x"));
    assert_eq!(cluster.await_own_end(2).unwrap().code(), Some(1));
    let said = cluster.said(2).unwrap();
    for part in [
        "node 2 of cluster dev has another data directory than node 3 knows it by",
        "keymoot cluster replace-disk",
    ] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }

    cluster.restart(1).unwrap();
    for api in [one, three] {
        let read = wait_until("the key to be read", TOLD_WITHIN, || signer.read(api, "film-x")).unwrap();
        assert_eq!(read, key);
        assert_eq!(signer.create(api, "film-x").unwrap(), key);
    }
    // It ends again however often it is started, and `cluster status` at a member says why and what to do.
    cluster.start_with_env(2, &[]).unwrap();
    assert_eq!(cluster.await_own_end(2).unwrap().code(), Some(1));
    let told = cluster.operate(3, &["status"]).unwrap();
    assert_ne!(told.code, Some(0), "{told:?}");
    assert!(told.out.contains("refuses node 2: its data directory is not the one it had"), "{told:?}");
    assert!(told.out.contains("keymoot cluster replace-disk"), "{told:?}");
}

#[test]
fn of_five_nodes_one_that_lost_its_disk_costs_nothing_while_never_more_than_two_are_impaired() {
    let mut cluster = Options::default().nodes(5).start().unwrap();
    cluster.do_without_dev().unwrap();
    let data: Vec<_> = cluster.nodes().iter().map(|node| node.dir.join("data")).collect();
    await_met(&data, 4);
    let signer = cluster.signer().clone();
    let leader = cluster.leader().unwrap();
    let [emptied, third, paused, other] = cluster.others(leader)[..] else { panic!("not five nodes") };
    let api = |cluster: &cluster_tests::Cluster, id| cluster.node(id).unwrap().api;

    // Two are away while the other three acknowledge a key.
    cluster.pause(paused).unwrap();
    cluster.pause(other).unwrap();
    let at = api(&cluster, third);
    let key = wait_until("a key to be made", TOLD_WITHIN, || signer.create(at, "film-x")).unwrap();
    cluster.kill(leader).unwrap();
    cluster.kill(emptied).unwrap();
    std::fs::remove_dir_all(cluster.node(emptied).unwrap().dir.join("data")).unwrap();
    cluster.resume(paused).unwrap();
    cluster.resume(other).unwrap();
    cluster.start_with_env(emptied, &[]).unwrap();

    for id in [paused, other, third] {
        let at = api(&cluster, id);
        let read = wait_until("the key to be read", TOLD_WITHIN, || signer.read(at, "film-x")).unwrap();
        assert_eq!(read, key, "at node {id}");
        assert_eq!(signer.create(at, "film-x").unwrap(), key, "at node {id}");
    }
    assert_eq!(cluster.await_own_end(emptied).unwrap().code(), Some(1));
}

#[test]
fn a_founder_that_lost_its_disk_begins_no_second_cluster_while_the_others_are_away() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let key = cluster.signer().create(cluster.node("b").api, "film").unwrap();
    for name in ["a", "b", "c"] {
        cluster.kill(name).unwrap();
    }
    // A tool that manages its configuration has put the founding key back.
    let keyring = cluster.keyring();
    let authority = stolen_authority(&cluster.dir("a").join("data"), keyring.as_ref(), "grown").unwrap();
    secret_file::write(
        &cluster.dir("a").join("ca-key.pem"),
        std::str::from_utf8(authority.key_pem().expose()).unwrap(),
    )
    .unwrap();
    std::fs::remove_dir_all(cluster.dir("a").join("data")).unwrap();
    cluster.serve_with("a", &[]).unwrap();
    assert_eq!(cluster.await_end("a", TOLD_WITHIN).unwrap().code(), Some(1), "{}", cluster.log("a"));
    for part in ["has founded its cluster before", "ca-key.founded", "keymoot cluster replace-disk"] {
        assert!(cluster.log("a").contains(part), "{part}: {}", cluster.log("a"));
    }
    cluster.serve("b").unwrap();
    cluster.serve("c").unwrap();
    let read = wait_until("the key to be read", TOLD_WITHIN, || {
        cluster.signer().read(cluster.node("c").api, "film")
    });
    assert_eq!(read.unwrap(), key);
}

/// Peers that refused a node speak to it again when they dial it next.
fn await_healthy(cluster: &Grown) {
    wait_until("the cluster to be healthy", TOLD_WITHIN, || {
        let status = cluster.cluster("a", &["status"])?;
        if status.code == Some(0) { Ok(()) } else { Err(RigError::Answer(status.out)) }
    })
    .unwrap();
}

#[test]
fn an_emptied_voter_is_replaced_as_its_last_words_say() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    await_met(&["a", "b", "c"].map(|name| cluster.dir(name).join("data")), 2);
    let mut ledger = Ledger::default();
    let mut write = |cluster: &Grown, at: &str, content: &str| {
        ledger.enter(cluster.signer().create(cluster.node(at).api, content).unwrap(), at);
        ledger.len()
    };
    write(&cluster, "b", "with-all");

    // Its disk is not mounted, say: it ends, the others go on, and with its directory back it is as before.
    let (data, aside) = (cluster.dir("b").join("data"), cluster.dir("b").join("data.aside"));
    cluster.kill("b").unwrap();
    std::fs::rename(&data, &aside).unwrap();
    cluster.serve_with("b", &[]).unwrap();
    assert_eq!(cluster.await_end("b", TOLD_WITHIN).unwrap().code(), Some(1));
    let said = "node 2 of cluster grown has another data directory than node";
    assert!(cluster.log("b").contains(said), "{}", cluster.log("b"));
    write(&cluster, "c", "without-it");
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&aside, &data).unwrap();
    cluster.serve("b").unwrap();
    cluster.await_voters("a", 3).unwrap();
    write(&cluster, "b", "with-it-again");
    await_healthy(&cluster);

    // It is lost: what the node says to do is done, to the letter.
    cluster.kill("b").unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    cluster.serve_with("b", &[]).unwrap();
    assert_eq!(cluster.await_end("b", TOLD_WITHIN).unwrap().code(), Some(1));
    let removed = cluster.cluster("c", &["remove", "2", "--yes"]).unwrap();
    assert_eq!(removed.code, Some(0), "{removed:?}");
    let token = cluster.token("c", &[]).unwrap();
    let member = cluster.node("c").peer;
    let there = cluster.try_join("b", &token, member, &[]).unwrap();
    assert!(there.code == Some(64) && there.err.contains("move the whole directory"), "{there:?}");
    std::fs::rename(cluster.dir("b"), cluster.path("b.old")).unwrap();
    let joined = cluster.try_join("b", &token, member, &[]).unwrap();
    assert!(joined.code == Some(0) && joined.out.contains("node 4 joined"), "{joined:?}");
    cluster.serve("b").unwrap();
    cluster.await_voters("a", 3).unwrap();
    write(&cluster, "b", "under-a-new-id");
    await_healthy(&cluster);
    assert_eq!(ledger.len(), 4);
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
}
