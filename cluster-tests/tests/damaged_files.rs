//! A node refuses to start from damaged files, naming file, place and remedy; and with every byte as it was it is
//! one of the cluster again.

use std::path::{Path, PathBuf};

use cluster_tests::ledger::Ledger;
use cluster_tests::search::files_under;
use cluster_tests::{Cluster, Options};

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 0x20;
    std::fs::write(file, bytes).unwrap();
}

/// The files of a node's data directory that a name ends so.
fn files(data: &Path, end: &str) -> Vec<PathBuf> {
    let mut files = files_under(data).unwrap();
    files.retain(|path| path.display().to_string().ends_with(end));
    files.sort();
    files
}

fn refused(cluster: &Cluster, id: u64, words: &[&str]) {
    let (status, said) = cluster.must_refuse(id, &[]).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

#[test]
fn each_damaged_file_is_refused_by_name_and_place() {
    let mut cluster =
        Options::default().env("KEYMOOT__RAFT__SNAPSHOT_LOG_ENTRIES", "1000000").start().unwrap();
    cluster.do_without_dev().unwrap();
    let mut ledger = Ledger::default();
    let leader = cluster.leader().unwrap();
    let id = cluster.others(leader)[0];
    for serial in 0..40 {
        let api = cluster.node(leader).unwrap().api;
        ledger.enter(cluster.signer().create(api, &format!("film-{serial}.mp4")).unwrap(), "before");
    }
    cluster.await_caught_up(id).unwrap();
    cluster.stop(id).unwrap();
    let data = cluster.node(id).unwrap().dir.join("data");
    let anew = "keymoot cluster remove";

    let log = files(&data, ".wal").pop().unwrap();
    let whole = std::fs::read(&log).unwrap();
    for at in [2, 10, whole.len() / 3, whole.len() / 2, whole.len() - 2] {
        flip(&log, at);
        refused(&cluster, id, &[&log.display().to_string(), "is damaged at byte", anew]);
        std::fs::write(&log, &whole).unwrap();
    }

    for (name, words) in [
        ("identity.toml", "cannot be read as an identity"),
        ("incarnations.toml", "cannot be read as incarnations"),
        ("CURRENT", "names no state directory"),
    ] {
        let file = data.join(name);
        let whole = std::fs::read(&file).unwrap();
        flip(&file, 1);
        refused(&cluster, id, &[&file.display().to_string(), words, anew]);
        std::fs::write(&file, whole).unwrap();
    }

    // A batch with a number that no power cut can have written.
    let journal = files(&data, ".jnl").pop().unwrap();
    let whole = std::fs::read(&journal).unwrap();
    flip(&journal, 12);
    refused(&cluster, id, &[&journal.display().to_string(), "is damaged at byte", anew]);
    std::fs::write(&journal, &whole).unwrap();

    // With every byte as it was, it starts; with its journal damaged in the middle it heals itself
    // from the log, which still has everything.
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    flip(&journal, used / 2);
    cluster.restart(id).unwrap();
    cluster.await_caught_up(id).unwrap();
    assert!(cluster.said(id).unwrap().contains("it comes again from the raft log"));
    cluster.await_ready().unwrap();
    let findings = ledger.audit(cluster.signer(), &cluster.addresses()).unwrap();
    assert!(findings.is_empty(), "{findings:#?}");
}
