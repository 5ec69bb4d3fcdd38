//! A data directory from an older copy is refused by the peers and by the node itself, before it votes or
//! counts; a copy that is started while the node runs takes nothing over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError};

/// Longer than nodes need to meet, to report to each other, and to write what they heard.
const REMEMBERED_WITHIN: Duration = Duration::from_secs(30);
const TOLD_WITHIN: Duration = Duration::from_secs(30);

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}

/// Puts the copy in the place of the directory.
fn put_back(copy: &Path, directory: &Path) {
    std::fs::remove_dir_all(directory).unwrap();
    std::fs::rename(copy, directory).unwrap();
}

/// Waits until the memory that a node has written of a peer is `wanted`.
fn await_memory(cluster: &Grown, of: u64, at: &[&str], what: &str, wanted: impl Fn(&toml::Value) -> bool) {
    wait_until(what, REMEMBERED_WITHIN, || {
        for name in at {
            let file = cluster.dir(name).join("data/starts.toml");
            let text = std::fs::read_to_string(&file).map_err(RigError::at("read", &file))?;
            let starts: toml::Value =
                toml::from_str(&text).map_err(|error| RigError::Answer(error.to_string()))?;
            let known = starts.get("peers").and_then(|peers| peers.get(of.to_string()));
            if !known.is_some_and(&wanted) {
                return Err(RigError::Answer(format!("{name}: {text}")));
            }
        }
        Ok(())
    })
    .unwrap();
}

fn number(memory: &toml::Value) -> i64 {
    memory.get("number").and_then(toml::Value::as_integer).unwrap_or_default()
}

fn held(memory: &toml::Value) -> i64 {
    let held = memory.get("held").and_then(|held| held.get(2)?.as_integer());
    held.unwrap_or_default()
}

fn last_index(cluster: &Grown, at: &str) -> i64 {
    cluster.status(at).unwrap()["members"][0]["status"]["applied_index"].as_i64().unwrap()
}

fn ends_with(cluster: &mut Grown, name: &str, parts: &[&str]) {
    assert_eq!(cluster.await_end(name, TOLD_WITHIN).unwrap().code(), Some(1), "{}", cluster.log(name));
    let log = cluster.log(name);
    for part in parts {
        assert!(log.contains(part), "{part:?} is not in: {log}");
    }
}

#[test]
fn a_directory_from_an_older_copy_is_refused_and_says_what_to_do() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    let mut write = |cluster: &Grown, at: &str, content: &str| {
        ledger.enter(cluster.signer().create(cluster.node(at).api, content).unwrap(), at);
    };
    write(&cluster, "b", "in-the-copy");
    let (data, old): (PathBuf, PathBuf) = (cluster.dir("b").join("data"), cluster.path("b.old"));
    cluster.stop("b").unwrap();
    copy(&data, &old);
    cluster.serve("b").unwrap();
    cluster.await_voters("a", 3).unwrap();
    write(&cluster, "b", "after-the-copy");
    await_memory(&cluster, 2, &["a", "c"], "the start of b to be remembered", |memory| number(memory) >= 2);

    // The machine is set back to the copy: it is at an earlier start.
    cluster.kill("b").unwrap();
    put_back(&old, &data);
    cluster.serve_with("b", &[]).unwrap();
    ends_with(&mut cluster, "b", &["has met start", "an older copy", "keymoot cluster replace-disk"]);
    let told = cluster.cluster("a", &["status"]).unwrap();
    assert_eq!(told.code, Some(2), "{told:?}");
    assert!(told.out.contains("refuses node 2: its data directory is an older copy"), "{told:?}");
    write(&cluster, "c", "without-it");
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "c"]));
}

#[test]
fn a_machine_that_is_set_back_within_one_start_is_refused_too() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    let data = cluster.dir("b").join("data");
    let (old, starts) = (cluster.path("b.old"), data.join("starts.toml"));
    cluster.stop("b").unwrap();
    copy(&data, &old);
    cluster.serve("b").unwrap();
    cluster.await_voters("a", 3).unwrap();
    for content in ["one", "two", "three"] {
        ledger.enter(cluster.signer().create(cluster.node("b").api, content).unwrap(), "b");
    }
    let acknowledged = last_index(&cluster, "a");
    let knows = |memory: &toml::Value| held(memory) >= acknowledged;
    await_memory(&cluster, 2, &["a", "c"], "what b has acknowledged to be remembered", knows);

    // As a snapshot of the disk from the time of this start: it knows the start, and not the entries.
    cluster.kill("b").unwrap();
    std::fs::copy(&starts, old.join("starts.toml")).unwrap();
    put_back(&old, &data);
    // The others were stopped meanwhile: what they remember is on their disks.
    cluster.kill("c").unwrap();
    cluster.serve_with("b", &[]).unwrap();
    ends_with(&mut cluster, "b", &["was set back to an older state", "acknowledged entry", "replace-disk"]);
    cluster.serve("c").unwrap();
    cluster.await_status("a quorum without b", |table| table.contains("leads")).unwrap();
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "c"]));
}

#[test]
fn a_whole_cluster_that_starts_again_and_again_is_taken_as_it_is() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    for round in 0..3 {
        ledger.enter(cluster.signer().create(cluster.node("a").api, &format!("film-{round}")).unwrap(), "a");
        for name in ["a", "b", "c"] {
            cluster.kill(name).unwrap();
        }
        // One of them starts several times without a quorum.
        for _ in 0..round {
            cluster.serve("b").unwrap();
            cluster.kill("b").unwrap();
        }
        for name in ["c", "b", "a"] {
            cluster.serve(name).unwrap();
        }
        cluster.await_voters("a", 3).unwrap();
    }
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
}

#[test]
fn a_clone_of_a_running_node_is_refused_and_the_node_goes_on() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    await_memory(&cluster, 3, &["a", "b"], "c to be met", |memory| number(memory) >= 1);
    // The whole directory of node 3, as of a running machine, on another one with another address.
    let (elsewhere, _) = cluster.add_node("clone").unwrap();
    copy(&cluster.dir("c"), &cluster.dir("clone"));
    let (listen, api) = (elsewhere.to_string(), cluster.node("clone").api.to_string());
    let env = [
        ("KEYMOOT__CLUSTER__PEER_LISTEN", listen.as_str()),
        ("KEYMOOT__HTTP__LISTEN", api.as_str()),
        // Any port: that of the copied configuration is taken by the node that runs.
        ("KEYMOOT__ADMIN__LISTEN", "127.0.0.1:0"),
    ];
    cluster.serve_with("clone", &env).unwrap();
    cluster
        .await_status("the clone to be refused", |table| {
            table.contains("another process of node 3 is connected") && table.contains(&listen)
        })
        .unwrap();
    // The node that was there keeps its place, its address and its vote.
    ledger.enter(cluster.signer().create(cluster.node("c").api, "at-the-first").unwrap(), "c");
    cluster.kill("b").unwrap();
    ledger.enter(cluster.signer().create(cluster.node("c").api, "it-still-counts").unwrap(), "c");
    cluster.serve("b").unwrap();
    let own = cluster.node("c").peer.to_string();
    cluster.await_status("the first to be where it was", |table| table.contains(&own)).unwrap();
    cluster.kill("clone").unwrap();
    cluster.kill("c").unwrap();
    cluster.serve("c").unwrap();
    cluster.await_voters("a", 3).unwrap();
    wait_until("the cluster to be healthy", TOLD_WITHIN, || {
        let status = cluster.cluster("a", &["status"])?;
        if status.code == Some(0) { Ok(()) } else { Err(RigError::Answer(status.out)) }
    })
    .unwrap();
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
}
