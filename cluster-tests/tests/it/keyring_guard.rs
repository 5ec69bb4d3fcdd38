//! A node whose keyring cannot open the cluster's keys does not start, and says which and why. A master key
//! that a member lacks is not activated; where it was all the same, that member is not ready.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_tests::search::files_under;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, RigError, operator, raw};

/// What `keymoot dev` made: the text of the keyring, and the id of its active master key.
fn keyring_of(cluster: &Cluster) -> (String, String) {
    let files = files_under(&cluster.dir()).unwrap();
    let path = files.iter().find(|path| path.file_name().is_some_and(|name| name == "keyring.toml"));
    let text = fs::read_to_string(path.expect("keymoot dev makes a keyring.toml")).unwrap();
    let active = text.lines().find_map(|line| line.strip_prefix("active = \"")).expect("an active key");
    let id = active.trim_end().trim_end_matches('"').to_owned();
    (text, id)
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Starts node `id` with this keyring; it must end by itself, in failure, and say all of `words`.
fn must_be_refused(cluster: &Cluster, id: u64, keyring: &Path, words: &[&str]) {
    let name = "KEYMOOT__KEYS__KEYRING_FILE".to_owned();
    let env = [(name, keyring.display().to_string())];
    let (status, said) = cluster.must_refuse(id, &env).unwrap();
    assert!(!status.success(), "it ended well: {said}");
    assert!(!said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "it does not say {word:?}: {said}");
    }
}

#[test]
fn a_node_with_the_wrong_keyring_refuses_to_start_and_says_why() {
    let mut cluster = Cluster::start().unwrap();
    let signer = cluster.signer().clone();
    let id = cluster.nodes()[2].id;
    let api = cluster.nodes()[2].api;
    let key = signer.create(api, "guarded.mp4").unwrap();
    cluster.await_caught_up(id).unwrap();
    cluster.stop(id).unwrap();

    let (text, master_key) = keyring_of(&cluster);
    let dir = tempfile::tempdir().unwrap();
    let [missing, exposed, renamed, swapped]: [PathBuf; 4] =
        ["missing.toml", "exposed.toml", "renamed.toml", "swapped.toml"].map(|name| dir.path().join(name));

    must_be_refused(&cluster, id, &missing, &[&missing.display().to_string()]);

    write(&exposed, &text, 0o644);
    must_be_refused(&cluster, id, &exposed, &[&exposed.display().to_string(), "0644"]);

    // A key of another id: the one the cluster wraps under is missing.
    write(&renamed, &text.replace(&format!("\"{master_key}\""), "\"another\""), 0o600);
    must_be_refused(&cluster, id, &renamed, &[&master_key]);

    // Another key of the same id: nothing that was wrapped opens.
    let other = "dGhpcyBpcyBub3QgdGhlIG1hc3RlciBrZXkgYXQgYWw=";
    let secret = text.lines().find_map(|line| line.strip_prefix("secret = \"")).expect("a secret");
    write(&swapped, &text.replace(secret.trim_end().trim_end_matches('"'), other), 0o600);
    must_be_refused(&cluster, id, &swapped, &[&master_key]);

    // Refusing changed nothing: with its own keyring the node serves.
    cluster.restart(id).unwrap();
    assert_eq!(signer.read(api, "guarded.mp4").unwrap(), key);
}

/// Waits until `/readyz` of a node answers with this status and a text with these words.
fn await_readiness(cluster: &Cluster, id: u64, status: u16, words: &str) {
    let api = cluster.node(id).unwrap().api;
    let request = raw::request("GET", "/readyz", &[("Connection", "close")], &[]);
    wait_until("the node to say whether it is ready", Duration::from_secs(30), || {
        let answer = raw::exchange_streamed(api, &request, Duration::from_secs(5))?;
        match answer.status == status && answer.text().contains(words) {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{}: {}", answer.status, answer.text()))),
        }
    })
    .unwrap();
}

#[test]
fn a_master_key_that_a_member_lacks_is_not_activated_and_what_is_said_to_do_helps() {
    let mut cluster = Cluster::start().unwrap();
    cluster.do_without_dev().unwrap();
    let keyring = cluster.dir().join("keyring.toml");
    let own = tempfile::tempdir().unwrap();
    let own = own.path().join("keyring.toml");
    fs::copy(&keyring, &own).unwrap();
    let [keyring, own] = [keyring, own].map(|path| path.display().to_string());
    let start =
        |cluster: &mut Cluster| cluster.start_with_env(3, &[("KEYMOOT__KEYS__KEYRING_FILE", &own)]).unwrap();
    cluster.stop(3).unwrap();
    start(&mut cluster);
    cluster.await_ready().unwrap();
    let config = cluster.node(1).unwrap().config();
    let typed = |arguments: &[&str]| operator::keymoot(&[&["keyring"], arguments].concat()).unwrap();
    let refused = |arguments: &[&str], words: &[&str]| {
        let said = typed(arguments);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(words.iter().all(|word| said.err.contains(word)), "{said:?}");
        assert_eq!(typed(&["list", &keyring]).succeeded().unwrap().matches("mk1  active").count(), 1);
    };

    typed(&["add", &keyring]).succeeded().unwrap();
    let lacks = ["node 3 lacks master key mk2", "copy", "to its keys.keyring_file first"];
    refused(&["activate", &keyring, "mk2", "--config", &config], &lacks);
    refused(&["activate", &keyring, "mk2", "--config", &config, "--force"], &lacks);
    let unasked = typed(&["activate", &keyring, "mk2"]);
    assert!(
        unasked.code == Some(64) && unasked.err.contains("pass the --config of a node that runs"),
        "{unasked:?}"
    );
    cluster.kill(3).unwrap();
    let silent = ["node 3 does not say whether it has master key mk2", "pass --force if it is away"];
    refused(&["activate", &keyring, "mk2", "--config", &config], &silent);
    typed(&["activate", &keyring, "mk2", "--config", &config, "--force"]).succeeded().unwrap();

    // It comes back without the copy that the message told to give it.
    start(&mut cluster);
    await_readiness(&cluster, 3, 503, "wraps under master key mk2, which this node lacks");
    let key = cluster.signer().create(cluster.node(1).unwrap().api, "under-mk2.mp4").unwrap();
    wait_until("status to tell", Duration::from_secs(30), || {
        let said = cluster.operate(1, &["status"])?;
        match said.code == Some(2)
            && said.out.contains("which node 3 lacks")
            && said.out.contains("copy the keyring")
        {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{said:?}"))),
        }
    })
    .unwrap();
    assert!(cluster.said(3).unwrap().contains("the node is not ready: its keyring lacks a master key"));
    fs::copy(&keyring, &own).unwrap();
    await_readiness(&cluster, 3, 200, "");
    assert_eq!(cluster.signer().read(cluster.node(3).unwrap().api, "under-mk2.mp4").unwrap(), key);
}
