//! A key that a client holds stands in the audit of the node that gave it out, however many ask at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use cluster_tests::{Cluster, Signer, audit};

/// Clients at one node; their events are written together.
const CLIENTS: usize = 16;
/// Contents of each client.
const CONTENTS: usize = 10;

#[test]
fn whoever_has_been_answered_finds_the_grant_in_the_audit() {
    let cluster = Cluster::start().unwrap();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let node = cluster.addresses()[client % 3];
            let signer = cluster.signer().clone();
            scope.spawn(move || ask(client, node, &signer));
        }
    });
    let told = audit::search(&cluster.nodes()[0].config(), &["--action", "key."]).unwrap();
    let mut grants: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for event in &told {
        let what = (event.text("content"), event.text("action"), event.text("outcome"));
        *grants.entry(what).or_default() += 1;
        let kids = event.kids();
        assert_eq!(kids.len(), 1, "{event:?}");
        assert!(event.text("outcome") == "intended" || event.text("address") == "127.0.0.1", "{event:?}");
    }
    for client in 0..CLIENTS {
        for number in 0..CONTENTS {
            let content = content(client, number);
            let of = |action, outcome| grants.get(&(content.as_str(), action, outcome)).copied();
            let counts = [of("key.create", "intended"), of("key.create", "done"), of("key.read", "done")];
            assert_eq!(counts, [Some(1), Some(1), Some(2)], "{content}");
        }
    }
}

fn content(client: usize, number: usize) -> String {
    format!("audited-{client}-{number}.mp4")
}

/// Makes keys and reads each twice.
fn ask(client: usize, node: SocketAddr, signer: &Signer) {
    for number in 0..CONTENTS {
        let content = content(client, number);
        signer.create(node, &content).unwrap();
        for _ in 0..2 {
            signer.read(node, &content).unwrap();
        }
    }
}
