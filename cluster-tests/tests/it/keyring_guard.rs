//! A node whose keyring cannot open the cluster's keys does not start, and says which and why.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cluster_tests::Cluster;
use cluster_tests::search::files_under;

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
