//! The audit log of a node survives kills, power cuts and a full disk, and whoever touches its files is found out.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster_tests::loop_disk::{self, FileSystem, LoopDisk};
use cluster_tests::operator::{CommandOutput, keymoot};
use cluster_tests::signed::WIDEVINE;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, Options, RigError, Signer, metrics};

const CLIENTS: usize = 6;
const WITHIN: Duration = Duration::from_secs(60);
const UNWRITABLE: &str = "keymoot_audit_unwritable";

/// A key that a node has answered.
struct Answered {
    node: u64,
    key_id: String,
}

/// Clients that make keys at these nodes until they are told to stop. What fails is no answer.
fn load(
    cluster: &Cluster,
    nodes: &[u64],
    round: u64,
    answered: &Mutex<Vec<Answered>>,
    during: impl FnOnce(),
) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let node = nodes[client % nodes.len()];
            let (signer, api, stop) = (cluster.signer(), cluster.node(node).unwrap().api, &stop);
            scope.spawn(move || ask(signer, (node, api), (round, client), stop, answered));
        }
        during();
        stop.store(true, Ordering::Relaxed);
    });
}

fn ask(
    signer: &Signer,
    (node, api): (u64, std::net::SocketAddr),
    (round, client): (u64, usize),
    stop: &AtomicBool,
    answered: &Mutex<Vec<Answered>>,
) {
    for serial in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        match signer.create(api, &format!("audited-{round}-{client}-{serial}.mp4")) {
            Ok(key) => answered.lock().unwrap().push(Answered { node, key_id: key.key_id }),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The events in the files of a log, each as it is there.
fn events_in(log: &Path) -> Vec<String> {
    let mut files: Vec<_> =
        fs::read_dir(log.join("segments")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "events"));
    files.sort();
    let bytes: Vec<u8> = files.iter().flat_map(|path| fs::read(path).unwrap()).collect();
    // Between two of them are the header of a record.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split("{\"time_ms\":").skip(1).map(str::to_owned).collect()
}

/// Every key that was answered has an event in the log of the node that answered it, which says that it was done.
fn assert_each_has_its_event(cluster: &Cluster, answered: &[Answered]) {
    assert!(answered.len() > 20, "only {} keys were answered", answered.len());
    for node in cluster.nodes() {
        let done = "\"action\":\"key.create\",\"outcome\":\"done\"";
        let events = events_in(&log_of(cluster, node.id)).into_iter().filter(|event| event.contains(done));
        let events = events.collect::<String>();
        for key in answered.iter().filter(|key| key.node == node.id) {
            let kid = format!("\"kid\":\"{}\"", key.key_id);
            assert!(
                events.contains(&kid),
                "no event of node {} says that key {} was given out",
                node.id,
                key.key_id
            );
        }
    }
}

fn log_of(cluster: &Cluster, node: u64) -> PathBuf {
    cluster.node(node).unwrap().dir.join("data/audit")
}

fn verify(log: &Path, more: &[&str]) -> CommandOutput {
    let log = log.display().to_string();
    keymoot(&[&["audit", "verify", "--files", &log], more].concat()).unwrap()
}

fn assert_whole(log: &Path) -> String {
    let said = verify(log, &[]).succeeded().unwrap();
    assert!(said.contains(": whole") && !said.contains("NOT WHOLE"), "{said}");
    said
}

#[test]
fn a_node_that_is_killed_again_and_again_has_the_event_of_every_key_that_it_answered() {
    let mut cluster = Options::default().env("KEYMOOT__AUDIT__SYNC", "always").start().unwrap();
    cluster.do_without_dev().unwrap();
    let killed = cluster.others(cluster.leader().unwrap())[0];
    let answered = Mutex::default();
    for round in 0..4 {
        load(&cluster, &[killed], round, &answered, || {
            std::thread::sleep(Duration::from_millis(700 + 150 * round));
            let pid = cluster.node(killed).unwrap().pid.to_string();
            cluster_tests::tool::run("kill", &["-9", &pid]).unwrap();
        });
        cluster.kill(killed).unwrap();
        assert_whole(&log_of(&cluster, killed));
        cluster.restart(killed).unwrap();
        cluster.await_ready().unwrap();
    }
    assert_each_has_its_event(&cluster, &answered.into_inner().unwrap());
    let said = assert_whole(&log_of(&cluster, killed));
    assert!(!said.contains("goes on from"), "a kill ended the log: {said}");
}

#[test]
fn if_disks_can_be_mounted_a_power_cut_loses_no_event_of_a_key_that_was_answered() {
    if let Err(not_run) = loop_disk::available() {
        return eprintln!("{not_run}");
    }
    let mut disk = LoopDisk::make(FileSystem::Ext4, 700 * 1024 * 1024).unwrap();
    let mut cluster = Options::default()
        .dir(disk.path().join("cluster"))
        .env("KEYMOOT__AUDIT__SYNC", "always")
        .start()
        .unwrap();
    cluster.do_without_dev().unwrap();
    disk.sync().unwrap();
    let answered = Mutex::default();
    for round in 0..2 {
        load(&cluster, &[1, 2, 3], round, &answered, || {
            std::thread::sleep(Duration::from_millis(900 + 400 * round));
            disk.cut_power().unwrap();
        });
        cluster.kill_all().unwrap();
        disk.restore_power().unwrap();
        for node in 1..=3 {
            assert_whole(&log_of(&cluster, node));
        }
        cluster.restart_all().unwrap();
        cluster.await_ready().unwrap();
    }
    assert_each_has_its_event(&cluster, &answered.into_inner().unwrap());
    for node in 1..=3 {
        let said = assert_whole(&log_of(&cluster, node));
        assert!(!said.contains("goes on from"), "a power cut ended the log of node {node}: {said}");
    }
    drop(cluster);
}

#[test]
fn if_disks_can_be_mounted_a_node_whose_audit_cannot_be_written_grants_nothing_says_so_and_recovers() {
    if let Err(not_run) = loop_disk::available() {
        return eprintln!("{not_run}");
    }
    let disk = LoopDisk::make(FileSystem::Ext4, 64 * 1024 * 1024).unwrap();
    let mut cluster = Cluster::start().unwrap();
    cluster.do_without_dev().unwrap();
    let full = cluster.others(cluster.leader().unwrap())[0];
    let api = cluster.node(full).unwrap().api;
    cluster.signer().create(api, "film.mp4").unwrap();
    cluster.kill(full).unwrap();
    let dir = disk.path().join("audit");
    let small =
        [("KEYMOOT__AUDIT__DIR", &*dir.display().to_string()), ("KEYMOOT__AUDIT__HELD_BACK_BYTES", "65536")];
    cluster.start_with_env(full, &small).unwrap();
    cluster.await_ready().unwrap();
    cluster.signer().read(api, "film.mp4").unwrap();

    disk.fill().unwrap();
    let read = || cluster.signer().send(api, "GET", WIDEVINE, &cluster.signer().custom_data("film.mp4", &[]));
    let (began, mut granted) = (Instant::now(), 0);
    let refused = loop {
        let answer = read().unwrap();
        if answer.status != 200 {
            break answer;
        }
        granted += 1;
        assert!(began.elapsed() < WITHIN, "keys are handed out without an event");
    };
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{}", refused.text());
    assert!(granted > 20, "what is held back for events is not used: {granted} reads");
    wait_until("the node to say that it is not ready", WITHIN, || match metrics::is_ready(api) {
        Ok(()) => Err(RigError::Answer("it is ready".to_owned())),
        Err(_) => Ok(()),
    })
    .unwrap();
    await_metric(api, 1.0);
    let status = cluster.operate(full, &["status"]).unwrap();
    assert_eq!(status.code, Some(2), "{status:?}");
    assert!(status.out.contains("the audit log cannot be written"), "{}", status.out);
    // It votes and applies, and the others grant.
    for other in cluster.others(full) {
        let api = cluster.node(other).unwrap().api;
        cluster.signer().create(api, &format!("beside-{other}.mp4")).unwrap();
    }
    cluster.await_caught_up(full).unwrap();
    for _ in 0..20 {
        assert_eq!(read().unwrap().status, 503);
    }

    disk.free().unwrap();
    wait_until("the node to grant again", WITHIN, || cluster.signer().read(api, "film.mp4")).unwrap();
    cluster.await_ready().unwrap();
    await_metric(api, 0.0);
    assert_whole(&dir);
    cluster.stop(full).unwrap();
    assert_whole(&dir);
    drop(cluster);
}

fn await_metric(api: std::net::SocketAddr, wanted: f64) {
    wait_until("the metric", WITHIN, || match metrics::sample(api, UNWRITABLE)? {
        found if found == wanted => Ok(()),
        found => Err(RigError::Answer(format!("{UNWRITABLE} is {found}"))),
    })
    .unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(from, to).unwrap()),
        }
    }
}

/// Some keys, and then all that was written cosigned by the others.
pub(super) fn with_cosigned_events(cluster: &Cluster) -> PathBuf {
    let api = cluster.node(1).unwrap().api;
    for serial in 0..300 {
        cluster.signer().create(api, &format!("film-{serial}.mp4")).unwrap();
    }
    let log = log_of(cluster, 1);
    let size = |text: &str| text.lines().nth(1).and_then(|line| line.parse::<u64>().ok()).unwrap_or_default();
    wait_until("the log to be cosigned", WITHIN, || {
        let notes = fs::read_to_string(log.join("checkpoints")).unwrap_or_default();
        let newest = notes.rsplit("\n\n").find(|note| size(note) > 0).map_or(0, size);
        match newest > 600 {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{newest} events are cosigned"))),
        }
    })
    .unwrap();
    log
}

#[test]
fn whoever_touches_the_files_of_a_log_is_found_out_without_a_node() {
    let cluster = Cluster::start().unwrap();
    let log = with_cosigned_events(&cluster);
    let home = tempfile::tempdir().unwrap();
    let exported = home.path().join("exported").display().to_string();
    keymoot(&["audit", "export", "--config", &cluster.nodes()[0].config(), "--out", &exported])
        .unwrap()
        .succeeded()
        .unwrap();
    let keys = format!("{exported}/keys.txt");
    let copied = home.path().join("copied");
    copy(&log, &copied);
    drop(cluster);
    let said = verify(&copied, &["--keys", &keys]).succeeded().unwrap();
    assert!(said.contains(": whole") && said.contains("  cosigned: "), "{said}");
    assert!(!said.contains("by nobody"), "{said}");

    let mut events = fs::read_dir(copied.join("segments")).unwrap().map(|entry| entry.unwrap().path());
    let events = events.find(|path| path.extension().is_some_and(|end| end == "events")).unwrap();
    let length = fs::metadata(&events).unwrap().len();
    let file = OpenOptions::new().read(true).write(true).open(&events).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, length / 2).unwrap();
    file.write_all_at(&[byte[0] ^ 1], length / 2).unwrap();
    let found = verify(&copied, &["--keys", &keys]).failed_with(1).unwrap();
    assert!(found.out.contains("NOT WHOLE") && found.out.contains("is damaged"), "{found:?}");
    file.write_all_at(&byte, length / 2).unwrap();
    file.set_len(length / 2).unwrap();
    let found = verify(&copied, &["--keys", &keys]).failed_with(1).unwrap();
    assert!(found.out.contains("the tail was cut off: events "), "{found:?}");
    assert!(found.out.contains("cosigned by "), "{found:?}");
    let nothing = verify(home.path(), &[]).failed_with(64).unwrap();
    assert!(nothing.err.contains("there is no audit log in"), "{nothing:?}");
}
