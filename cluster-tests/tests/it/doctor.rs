//! `keymoot doctor` finds what is wrong with a node, and says how to fix it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::time::Duration;

use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, RigError, binary};
use serde_json::Value;

fn doctor(config: &str, env: &[(&str, &str)]) -> (Option<i32>, Vec<Value>) {
    let mut command = Command::new(binary::keymoot().unwrap());
    command.args(["doctor", "--config", config, "--output", "json"]);
    let Output { status, stdout, stderr } = command.envs(env.iter().copied()).output().unwrap();
    let report: Value = serde_json::from_slice(&stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&stderr)));
    (status.code(), report["checks"].as_array().unwrap().clone())
}

fn check<'c>(checks: &'c [Value], name: &str) -> &'c Value {
    checks
        .iter()
        .find(|check| check["check"] == name)
        .unwrap_or_else(|| panic!("there is no check {name}: {checks:#?}"))
}

#[test]
fn a_sound_node_is_found_sound_whether_it_runs_or_not() {
    let mut cluster = Cluster::start().unwrap();
    let config = cluster.node(1).unwrap().config();
    let (code, checks) = doctor(&config, &[]);
    // A slow or small machine may earn warnings; nothing fails.
    assert!(matches!(code, Some(0 | 2)), "{checks:#?}");
    assert!(checks.iter().all(|check| check["level"] != "fail"), "{checks:#?}");
    let sound = ["keyring of the cluster", "node certificate", "http.listen", "node 2", "clock of node 3"];
    for name in sound.into_iter().chain(["core dumps", "locked memory"]) {
        assert_eq!(check(&checks, name)["level"], "ok", "{checks:#?}");
    }
    assert!(check(&checks, "this node")["saw"].as_str().unwrap().starts_with("runs as"));

    // With a keyring that is not the cluster's, nodes do not answer, and the file is said to be the fault.
    let other = cluster.dir().join("other-keyring.toml");
    cluster_tests::operator::keymoot(&["keyring".as_ref(), "generate".as_ref(), other.as_os_str()])
        .and_then(cluster_tests::operator::CommandOutput::succeeded)
        .unwrap();
    let (code, checks) = doctor(&config, &[("KEYMOOT__KEYS__KEYRING_FILE", other.to_str().unwrap())]);
    assert_eq!(code, Some(1));
    let found = check(&checks, "this node");
    assert!(found["level"] == "fail" && found["fix"].as_str().unwrap().contains("keyring"), "{found}");
    assert_eq!(check(&checks, "http.listen")["level"], "ok", "{checks:#?}");

    cluster.kill(1).unwrap();
    let (code, checks) = doctor(&config, &[]);
    assert!(matches!(code, Some(0 | 2)), "{checks:#?}");
    assert_eq!(check(&checks, "this node")["saw"], "does not run");
    assert_eq!(check(&checks, "keyring of the cluster")["level"], "warn");
}

#[test]
fn mistakes_are_found_each_with_its_fix() {
    let mut cluster = Cluster::start().unwrap();
    let node = cluster.node(1).unwrap().clone();
    let config = node.config();
    cluster.kill(1).unwrap();

    // Somebody else's port, another node's number, and a key that everybody may read.
    let taken = wait_until("the node's port to be free", Duration::from_secs(20), || {
        std::net::TcpListener::bind(node.api).map_err(RigError::io("cannot listen"))
    })
    .unwrap();
    let (_, checks) = doctor(&config, &[]);
    assert_eq!(check(&checks, "http.listen")["level"], "fail");
    drop(taken);
    let (code, checks) = doctor(&config, &[("KEYMOOT__NODE__ID", "2")]);
    assert_eq!(code, Some(1));
    assert_eq!(check(&checks, "node certificate")["level"], "fail");
    assert_eq!(check(&checks, "data owner")["level"], "fail");
    let keyring = node.dir.join("loose-keyring.toml");
    std::fs::write(&keyring, "").unwrap();
    std::fs::set_permissions(&keyring, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, checks) = doctor(&config, &[("KEYMOOT__KEYS__KEYRING_FILE", keyring.to_str().unwrap())]);
    let found = check(&checks, "keys.keyring_file");
    assert_eq!(found["level"], "fail");
    assert!(found["fix"].as_str().unwrap().contains("chmod 600"), "{found}");

    let (code, checks) = doctor(&config, &[("KEYMOOT__HTTP__LISTNE", "x")]);
    assert_eq!((code, checks.len()), (Some(1), 1));
    assert!(checks[0]["saw"].as_str().unwrap().contains("http.listen"), "{checks:?}");
}
