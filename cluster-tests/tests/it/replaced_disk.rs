//! A node whose data are lost, damaged, copied or set back comes back as a new node by one command, which never makes the
//! cluster worse, deletes nothing, and goes on where it was interrupted.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::loop_disk::{self, FileSystem, LoopDisk};
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError, audit, binary};

const WITHIN: Duration = Duration::from_secs(60);
/// As much room as `cluster status` wants; the file behind it is sparse.
const DISK_BYTES: u64 = 3 << 30;

fn write(cluster: &Grown, ledger: &mut Ledger, at: &str, content: &str) {
    let key =
        wait_until("a key to be made", WITHIN, || cluster.signer().create(cluster.node(at).api, content));
    ledger.enter(key.unwrap(), at);
}

/// Waits until `cluster status` finds nothing wrong, with so many voters and nobody else.
fn await_healthy(cluster: &Grown, at: &str, voters: usize) {
    cluster.await_voters(at, voters).unwrap();
    wait_until("the cluster to be healthy", WITHIN, || {
        let status = cluster.cluster(at, &["status"])?;
        if status.code == Some(0) { Ok(()) } else { Err(RigError::Answer(status.out)) }
    })
    .unwrap();
    assert_eq!(cluster.status(at).unwrap()["members"].as_array().unwrap().len(), voters);
}

/// Kills a node and takes its data away, as a replaced disk does.
fn lose_disk(cluster: &mut Grown, name: &str) {
    cluster.kill(name).unwrap();
    std::fs::remove_dir_all(cluster.dir(name).join("data")).unwrap();
}

fn ids(cluster: &Grown, at: &str) -> Vec<u64> {
    let status = cluster.status(at).unwrap();
    status["members"].as_array().unwrap().iter().map(|member| member["id"].as_u64().unwrap()).collect()
}

#[test]
fn an_emptied_voter_comes_back_under_a_new_id_by_one_command() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    write(&cluster, &mut ledger, "b", "before");
    let config = std::fs::read_to_string(cluster.config("b")).unwrap();
    // The cluster knows of its audit log, so that the next one can name it.
    wait_until("the audit log of b to be registered", WITHIN, || {
        match cluster.must(&["audit", "logs", "--config", &cluster.config("a")])?.out {
            logs if logs.lines().any(|line| line.starts_with("2/")) => Ok(()),
            logs => Err(RigError::Answer(logs)),
        }
    })
    .unwrap();
    lose_disk(&mut cluster, "b");

    let said = cluster.replace_disk("b", "c", &[]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    for part in [
        "node 2 of cluster grown, whose data directory",
        "is empty",
        "node 2 is removed for ever; its id is not given again",
        "voters 3 -> 2, failures survived 1 -> 0",
        "joins under a new id as a learner, and votes once it has caught up",
        "node 2 is replaced: this machine is node 4",
        "systemctl start keymoot",
    ] {
        assert!(said.out.contains(part), "{part:?} is not in {}", said.out);
    }
    // One number of the configuration changed, and no token, key or certificate waits any more.
    let changed = std::fs::read_to_string(cluster.config("b")).unwrap();
    assert_eq!(changed, config.replace("id = 2", "id = 4"));
    let files: Vec<String> = std::fs::read_dir(cluster.dir("b"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("next") || name.contains("replace-disk"))
        .collect();
    assert_eq!(files, Vec::<String>::new());
    assert!(cluster.dir("b").join("node-key.pem.of-node-2").exists());

    cluster.serve("b").unwrap();
    write(&cluster, &mut ledger, "b", "after");
    await_healthy(&cluster, "a", 3);
    assert_eq!(ids(&cluster, "b"), [1, 3, 4]);
    assert_eq!(ledger.len(), 2);
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
    // Its audit names the one that went with the disk.
    wait_until("the new log to name the old one", WITHIN, || {
        let told = audit::search(&cluster.config("a"), &["--action", "audit.begin"])?;
        let names = |told: &audit::Told| {
            told.node == 4 && told.text("object").contains("before=grown.keymoot.audit/2/")
        };
        match told.iter().any(names) {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{told:?}"))),
        }
    })
    .unwrap();
}

#[test]
fn an_older_copy_keeps_what_it_held_and_says_itself_who_the_members_are() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    let (data, copy) = (cluster.dir("a").join("data"), cluster.path("copy"));
    cluster.stop("a").unwrap();
    let copied = Command::new("cp").arg("-a").args([&data, &copy]).status().unwrap();
    assert!(copied.success());
    cluster.serve("a").unwrap();
    write(&cluster, &mut ledger, "a", "after-the-copy");
    lose_disk(&mut cluster, "a");
    std::fs::rename(&copy, &data).unwrap();

    // The first node's configuration names nobody: its directory does.
    let config = cluster.config("a");
    let said = cluster.run(&["cluster", "replace-disk", "--config", &config, "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let aside = data.join("before-replace-1-by-4");
    assert!(said.out.contains(&format!("the old data are in {}", aside.display())), "{said:?}");
    assert!(aside.join("log").is_dir() && aside.join("identity.toml").exists());
    cluster.serve("a").unwrap();
    await_healthy(&cluster, "c", 3);
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
}

#[test]
fn nothing_is_changed_where_the_cluster_would_lose_by_it() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    write(&cluster, &mut ledger, "b", "kept");
    let refused = |cluster: &Grown, code: i32, words: &[&str], more: &[&str]| {
        let said = cluster.replace_disk("b", "a", more).unwrap();
        assert_eq!(said.code, Some(code), "{said:?}");
        for word in words {
            assert!(said.err.contains(word), "{word:?} is not in {}", said.err);
        }
    };
    // The node runs from this directory, or from the one that this is a copy of.
    refused(&cluster, 64, &["is in use by another process", "stop the node first"], &[]);
    let copy = cluster.path("copy");
    std::fs::create_dir(&copy).unwrap();
    for file in ["keymoot.toml", "ca.pem", "node.pem", "node-key.pem"] {
        std::fs::copy(cluster.dir("b").join(file), copy.join(file)).unwrap();
    }
    let of_copy = copy.join("keymoot.toml").display().to_string();
    let member = format!("1={}", cluster.node("a").peer);
    let arguments = ["cluster", "replace-disk", "--config", &of_copy, "--member", &member, "--yes"];
    let said = cluster.run(&arguments).unwrap();
    assert!(
        said.code == Some(1) && said.err.contains("it runs elsewhere and this is a copy of it"),
        "{said:?}"
    );

    // A directory that is not this node's is no mistake's victim.
    cluster.kill("c").unwrap();
    let others = cluster.dir("c").join("data").display().to_string();
    let text = std::fs::read_to_string(&of_copy).unwrap();
    std::fs::write(&of_copy, text.replace("data_dir = \"data\"", &format!("data_dir = \"{others}\"")))
        .unwrap();
    let said = cluster.run(&arguments).unwrap();
    assert!(said.code == Some(64) && said.err.contains("holds the data of node 3"), "{said:?}");

    // Two of three are down, so nothing can be written: not even that one of them is gone.
    lose_disk(&mut cluster, "b");
    refused(&cluster, 1, &["keymoot cluster recover, docs/backup.md"], &[]);

    // Whoever has the certificate and not the master key is nobody, also with a token.
    cluster.serve("c").unwrap();
    let token = cluster.token("c", &[]).unwrap();
    let (ring, aside) = (cluster.dir("b").join("ring.toml"), cluster.dir("b").join("keymoot.aside"));
    cluster.must(&["keyring", "generate", &ring.display().to_string()]).unwrap();
    let text = std::fs::read_to_string(cluster.config("b")).unwrap();
    std::fs::copy(cluster.config("b"), &aside).unwrap();
    let line = text.lines().find(|line| line.starts_with("keyring_file")).unwrap();
    std::fs::write(cluster.config("b"), text.replace(line, "keyring_file = \"ring.toml\"")).unwrap();
    refused(&cluster, 1, &["proves no master key of this keyring"], &[]);
    refused(&cluster, 1, &["proves no master key of this keyring"], &["--token", &token]);
    std::fs::rename(&aside, cluster.config("b")).unwrap();

    assert_eq!(ids(&cluster, "a"), [1, 2, 3], "nothing was changed by all that");
    let said = cluster.replace_disk("b", "a", &[]).unwrap();
    assert!(said.code == Some(0) && said.out.contains("this machine is node 4"), "{said:?}");
    cluster.serve("b").unwrap();
    await_healthy(&cluster, "a", 3);
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
}

#[test]
fn a_node_that_was_removed_before_comes_back_with_a_token() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    lose_disk(&mut cluster, "b");
    let removed = cluster.cluster("c", &["remove", "2", "--yes"]).unwrap();
    assert_eq!(removed.code, Some(0), "{removed:?}");
    let said = cluster.replace_disk("b", "a", &[]).unwrap();
    let words = ["node 2 was removed before", "keymoot cluster token create", "--token TOKEN"];
    assert!(said.code == Some(64) && words.iter().all(|word| said.err.contains(word)), "{said:?}");
    let token = cluster.token("c", &[]).unwrap();
    let said = cluster.replace_disk("b", "a", &["--token", &token]).unwrap();
    assert!(said.code == Some(0) && said.out.contains("this machine is node 4"), "{said:?}");
    cluster.serve("b").unwrap();
    await_healthy(&cluster, "a", 3);
}

#[test]
fn after_a_recovery_the_machines_of_the_dead_come_back_as_the_command_says() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    write(&cluster, &mut ledger, "a", "kept");
    for name in ["a", "b", "c"] {
        cluster.kill(name).unwrap();
    }
    let recovered = cluster.cluster("a", &["recover", "--yes-the-others-are-stopped", "grown"]).unwrap();
    let words = format!("replace-disk on each, with --member 1={}", cluster.node("a").peer);
    assert!(recovered.code == Some(0) && recovered.out.contains(&words), "{recovered:?}");
    cluster.serve("a").unwrap();
    for (name, old, new) in [("b", 2, 4), ("c", 3, 5)] {
        let said = cluster.replace_disk(name, "a", &[]).unwrap();
        let words = [format!("node {old} is no member any more"), format!("this machine is node {new}")];
        assert!(said.code == Some(0) && words.iter().all(|word| said.out.contains(word)), "{said:?}");
        cluster.serve(name).unwrap();
    }
    await_healthy(&cluster, "a", 3);
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
}

/// Runs the command until it prints a line with this text.
fn begin(cluster: &Grown, name: &str, at: &str, more: &[&str], text: &str) -> Child {
    let mut command = Command::new(binary::keymoot().unwrap());
    command.args(cluster.replacing(name, at)).args(more).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(text)), "it never said {text:?}");
    child
}

/// Kills the command at this line.
fn kill_at(cluster: &Grown, name: &str, at: &str, text: &str) {
    let mut child = begin(cluster, name, at, &[], text);
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn interrupted_anywhere_it_goes_on_and_leaves_no_second_node_behind() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    let steps = [
        "then this machine joins",
        "this machine is node",
        "has left the cluster",
        "certificate and key are replaced",
        "the old data are in",
        "is replaced: this machine",
    ];
    for (round, step) in steps.into_iter().enumerate() {
        // Its data are there, for instance damaged; the command moves them aside.
        cluster.kill("b").unwrap();
        kill_at(&cluster, "b", "a", step);
        let said = cluster.replace_disk("b", "c", &[]).unwrap();
        assert_eq!(said.code, Some(0), "after {step:?}: {said:?}");
        cluster.serve("b").unwrap();
        write(&cluster, &mut ledger, "b", &format!("round-{round}"));
        cluster.await_voters("a", 3).unwrap();
        // Ids are given one after another: one that was given twice would show.
        assert_eq!(ids(&cluster, "a"), [1, 3, 4 + round as u64], "after {step:?}");
    }
    await_healthy(&cluster, "a", 3);
    assert_eq!(ledger.len(), steps.len());
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
}

#[test]
fn a_mount_point_is_replaced_in_place_or_says_that_it_could_not_be_tried() {
    if let Err(why) = loop_disk::available() {
        println!("{why}");
        return;
    }
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    cluster.stop("b").unwrap();
    let data = cluster.dir("b").join("data");
    let mut disk = LoopDisk::over(&data, FileSystem::Ext4, DISK_BYTES).unwrap();
    cluster.serve("b").unwrap();
    write(&cluster, &mut ledger, "b", "on-the-disk");
    // The old data stay on their disk, out of the way.
    cluster.kill("b").unwrap();
    let said = cluster.replace_disk("b", "a", &[]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(data.join("before-replace-2-by-4/log").is_dir(), "{said:?}");
    cluster.serve("b").unwrap();
    await_healthy(&cluster, "a", 3);
    // The disk itself is another one.
    cluster.kill("b").unwrap();
    disk.replace().unwrap();
    let said = cluster.replace_disk("b", "a", &[]).unwrap();
    assert!(said.code == Some(0) && said.out.contains("is empty"), "{said:?}");
    cluster.serve("b").unwrap();
    await_healthy(&cluster, "a", 3);
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
    cluster.kill("b").unwrap();
}

#[test]
fn of_five_nodes_two_get_new_disks_one_after_the_other() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    cluster.join("d", "a", "", &[]).unwrap();
    cluster.join("e", "a", "", &[]).unwrap();
    cluster.await_voters("a", 5).unwrap();
    write(&cluster, &mut ledger, "d", "with-all");
    lose_disk(&mut cluster, "d");
    lose_disk(&mut cluster, "e");
    write(&cluster, &mut ledger, "c", "with-three");
    for (name, at, id) in [("d", "a", 6), ("e", "b", 7)] {
        // It waits for the node, which is started meanwhile.
        let mut waiting = begin(&cluster, name, at, &["--wait", "1m"], "is replaced: this machine");
        cluster.serve(name).unwrap();
        let status = waiting.wait().unwrap();
        assert_eq!(status.code(), Some(0));
        assert!(ids(&cluster, "a").contains(&id) && cluster.id(name) == Some(id));
        write(&cluster, &mut ledger, name, &format!("with-{id}"));
    }
    await_healthy(&cluster, "a", 5);
    assert_eq!(ids(&cluster, "e"), [1, 2, 3, 6, 7]);
    assert_eq!(ledger.len(), 4);
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c", "d", "e"]));
    assert!(!cluster.dir("d").join("node-key.pem.replace-disk").exists());
}
