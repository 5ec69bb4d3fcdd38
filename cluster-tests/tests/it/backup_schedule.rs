//! The cluster takes its backups by itself: each verified, the oldest removed, on another node when the one
//! that took them is gone; what fails is told.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError, metrics};
use serde_json::Value;

/// Ten seconds pass between backups, and the next node in turn waits for those before it.
const TAKEN_WITHIN: Duration = Duration::from_secs(90);
const LAST: &str = "keymoot_backup_last_success_timestamp_seconds";
const FAILED: &str = "keymoot_backup_failed_attempts";

fn show(cluster: &Grown, at: &str) -> Result<Value, RigError> {
    let config = cluster.config(at);
    let said = cluster.run(&["backup", "schedule", "show", "--config", &config, "--output", "json"])?;
    serde_json::from_str(&said.out).map_err(|_| RigError::Answer(format!("no schedule: {}", said.err)))
}

fn await_shown(cluster: &Grown, at: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_until(what, TAKEN_WITHIN, || {
        let shown = show(cluster, at)?;
        if wanted(&shown) { Ok(shown) } else { Err(RigError::Answer(format!("{shown:#}"))) }
    })
    .unwrap()
}

fn await_metric(api: SocketAddr, name: &str, at_least: f64) {
    wait_until(name, TAKEN_WITHIN, || match metrics::sample(api, name)? {
        value if value >= at_least => Ok(()),
        value => Err(RigError::Answer(value.to_string())),
    })
    .unwrap();
}

/// The files of the schedule, oldest first.
fn taken(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.display().to_string().ends_with(".scheduled.backup")).collect();
    files.sort();
    files
}

#[test]
fn backups_are_taken_verified_and_pruned_and_another_node_takes_over() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    cluster.signer().create(cluster.node("a").api, "kept").unwrap();
    let directory = cluster.path("backups");
    fs::create_dir(&directory).unwrap();
    let mine = directory.join("mine.backup");
    fs::write(&mine, b"an operator's own").unwrap();
    let (config, to) = (cluster.config("b"), directory.display().to_string());
    assert_eq!(metrics::sample(cluster.node("c").api, LAST).unwrap(), 0.0);
    let set = ["backup", "schedule", "set", "--config", &config, "--keep", "2"];
    let relative = cluster.run(&[&set[..], &["--every", "10s", "--directory", "backups"]].concat()).unwrap();
    assert!(relative.code == Some(1) && relative.err.contains("absolute path"), "{relative:?}");
    let short = cluster.run(&[&set[..], &["--every", "1s", "--directory", &to]].concat()).unwrap();
    assert!(short.code == Some(1) && short.err.contains("ten seconds"), "{short:?}");
    cluster.must(&[&set[..], &["--every", "10s", "--directory", &to]].concat()).unwrap();

    let first = await_shown(&cluster, "c", "the first backup", |it| !it["last_scheduled"].is_null());
    assert_eq!(first["last_scheduled"]["node"], 1, "the lowest id takes the first: {first:#}");
    let file = PathBuf::from(first["last_scheduled"]["file"].as_str().unwrap());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let keyring = cluster.keyring();
    cluster.must(&["backup", "verify", &file.display().to_string(), "--keyring", &keyring]).unwrap();
    // Every node publishes it, whoever took it.
    for name in ["a", "b", "c"] {
        let api = cluster.node(name).api;
        await_metric(api, LAST, 1e9);
        assert_eq!(metrics::sample(api, "keymoot_backup_schedule_interval_seconds").unwrap(), 10.0);
    }

    // The third pushes out the first, and nothing that the schedule did not make.
    wait_until("the first to be removed", TAKEN_WITHIN, || match file.exists() {
        true => Err(RigError::Answer(format!("{:?}", taken(&directory)))),
        false => Ok(()),
    })
    .unwrap();
    assert_eq!(fs::read(&mine).unwrap(), b"an operator's own");
    assert!(taken(&directory).len() <= 2, "{:?}", taken(&directory));

    cluster.kill("a").unwrap();
    let after =
        await_shown(&cluster, "b", "another node to take over", |it| it["last_scheduled"]["node"] != 1);
    let file = after["last_scheduled"]["file"].as_str().unwrap().to_owned();
    cluster.must(&["backup", "verify", &file, "--keyring", &keyring]).unwrap();
    let said = cluster.run(&["backup", "schedule", "show", "--config", &config]).unwrap();
    assert!(said.code == Some(0) && said.out.contains("of which 2 are kept"), "{said:?}");

    // One that an operator takes counts, and the schedule goes on by itself.
    let by_hand = cluster.path("by-hand.backup").display().to_string();
    cluster.must(&["backup", "schedule", "off", "--config", &config]).unwrap();
    cluster.must(&["backup", "create", "--config", &config, "--output", &by_hand]).unwrap();
    let shown =
        await_shown(&cluster, "c", "the operator's", |it| it["last_good"]["file"] == by_hand.as_str());
    assert!(shown["schedule"].is_null(), "{shown:#}");
}

#[test]
fn a_backup_that_fails_is_told_on_every_node_until_one_is_good() {
    let mut cluster = Grown::begin("").unwrap();
    cluster.join("b", "a", "", &[]).unwrap();
    cluster.await_voters("a", 2).unwrap();
    let directory = cluster.path("backups");
    let (config, to) = (cluster.config("a"), directory.display().to_string());
    cluster
        .must(&["backup", "schedule", "set", "--config", &config, "--every", "10s", "--directory", &to])
        .unwrap();
    await_shown(&cluster, "b", "both nodes to fail", |it| it["failures_since"].as_u64() >= Some(2));
    let said = cluster.run(&["backup", "schedule", "show", "--config", &config]).unwrap();
    assert!(said.code == Some(2) && said.out.contains("there is no directory"), "{said:?}");
    for name in ["a", "b"] {
        await_metric(cluster.node(name).api, FAILED, 2.0);
        assert_eq!(metrics::sample(cluster.node(name).api, LAST).unwrap(), 0.0);
    }
    // What the failure says to do.
    fs::create_dir(&directory).unwrap();
    await_shown(&cluster, "b", "a good one", |it| !it["last_scheduled"].is_null());
    let said = cluster.run(&["backup", "schedule", "show", "--config", &config]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
}
