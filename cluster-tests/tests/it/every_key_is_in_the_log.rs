//! A key that a client holds stands in the log of the node that gave it out, however many ask at once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cluster_tests::{Cluster, Signer};

/// Clients at one node; their lines are written together.
const CLIENTS: usize = 16;
/// Contents of each client.
const CONTENTS: usize = 10;

#[test]
fn whoever_has_been_answered_finds_the_grant_in_the_log() {
    let cluster = Cluster::start().unwrap();
    let logs: Vec<PathBuf> = cluster.log_files().unwrap();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let node = cluster.addresses()[client % 3];
            let (signer, logs) = (cluster.signer().clone(), &logs);
            scope.spawn(move || must_be_logged(client, node, &signer, logs));
        }
    });
}

/// Makes keys and reads each twice: as many grants must be there when the answer is.
fn must_be_logged(client: usize, node: SocketAddr, signer: &Signer, logs: &[PathBuf]) {
    for number in 0..CONTENTS {
        let content = format!("audited-{client}-{number}.mp4");
        signer.create(node, &content).unwrap();
        assert_eq!(grants_of(&content, logs), 1);
        for reads in 1..3 {
            signer.read(node, &content).unwrap();
            assert_eq!(grants_of(&content, logs), 1 + reads);
        }
    }
}

fn grants_of(content: &str, logs: &[PathBuf]) -> usize {
    let is_grant = |line: &&str| line.contains("granted") && line.contains(content);
    logs.iter().map(|log| read(log).lines().filter(is_grant).count()).sum()
}

fn read(log: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned()
}
