//! The cluster's CA is replaced while the cluster serves and grows; afterwards what the old one signed opens nothing.

use std::time::Duration;

use cluster_tests::Grown;
use cluster_tests::ledger::Ledger;
use cluster_tests::rogue::{Stolen, stolen_authority};
use keymoot_tls::{PEER_ALPN_4, TrustedAuthorities};

const NAME: &str = "grown";
const TOLD_WITHIN: Duration = Duration::from_secs(30);

fn trusted(cluster: &Grown, name: &str) -> Vec<[u8; 32]> {
    TrustedAuthorities::load(&cluster.dir(name).join("ca.pem")).unwrap().digests()
}

#[test]
fn the_ca_is_replaced_while_the_cluster_serves_and_nodes_join_before_meanwhile_and_after() {
    let mut cluster = Grown::begin("").unwrap();
    cluster.join("b", "a", "", &[]).unwrap();
    cluster.await_voters("a", 2).unwrap();
    cluster.stop("b").unwrap();
    let keyring = cluster.keyring();
    let old = stolen_authority(&cluster.dir("b").join("data"), keyring.as_ref(), NAME).unwrap();
    let first = trusted(&cluster, "a");
    let mut ledger = Ledger::default();
    let write = |cluster: &Grown, ledger: &mut Ledger, content: &str| {
        ledger.enter(cluster.signer().create(cluster.node("a").api, content).unwrap(), content);
    };

    // One member is off: it would be shut out, so the replacement waits for it, and says so.
    cluster.serve("b").unwrap();
    cluster.await_voters("a", 2).unwrap();
    write(&cluster, &mut ledger, "before");
    cluster.join("c", "a", "", &["--learner"]).unwrap();
    cluster.stop("c").unwrap();
    let waits = cluster.cluster("a", &["authority", "replace", "--yes", "--wait", "3s"]).unwrap();
    assert!(waits.code == Some(1) && waits.out.contains("waits for node 3"), "{waits:?}");
    assert!(waits.err.contains("start them or remove them"), "{waits:?}");
    let status = cluster.cluster("a", &["status"]).unwrap();
    assert!(status.out.contains("CA is being replaced"), "{status:?}");
    let show = cluster.cluster("b", &["authority", "show"]).unwrap();
    assert!(show.out.contains("waits for node 3"), "{show:?}");
    assert_eq!(trusted(&cluster, "a").len(), 2, "both are trusted meanwhile");
    // Meanwhile the cluster serves and grows.
    write(&cluster, &mut ledger, "meanwhile");
    cluster.join("d", "b", "", &[]).unwrap();
    cluster.await_voters("a", 3).unwrap();

    // What it says: the node is started, and the same command goes on.
    cluster.serve("c").unwrap();
    let done = cluster.cluster("b", &["authority", "replace", "--yes", "--wait", "60s"]).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}\n{}\n{}", cluster.log("a"), cluster.log("c"));
    for name in ["a", "b", "c", "d"] {
        cluster_tests::wait::wait_until("the old CA to be retired", TOLD_WITHIN, || {
            let now = trusted(&cluster, name);
            match now.len() == 1 && now != first {
                true => Ok(()),
                false => Err(cluster_tests::RigError::Answer(format!("{name} trusts {} CAs", now.len()))),
            }
        })
        .unwrap();
    }
    write(&cluster, &mut ledger, "after");
    let now = std::fs::read_to_string(cluster.dir("a").join("ca.pem")).unwrap();
    let signed = Stolen::made_for(&old, &old.issue_node(2).unwrap(), &now).unwrap();
    let entered = signed.connect(1, cluster.node("a").peer, PEER_ALPN_4);
    let greeted = entered.and_then(|mut rogue| rogue.open_unproven((Some(2), None)));
    assert!(greeted.is_err(), "a certificate of the old CA is greeted");
    let own = Stolen::from(&cluster.dir("b"), NAME).unwrap();
    own.connect(1, cluster.node("a").peer, PEER_ALPN_4).unwrap().open_unproven((Some(2), None)).unwrap();
    // It holds over a restart of all, and for who joins.
    for name in ["a", "b", "c", "d"] {
        cluster.stop(name).unwrap();
    }
    for name in ["a", "b", "c", "d"] {
        cluster.serve(name).unwrap();
    }
    cluster.await_voters("a", 3).unwrap();
    cluster.join("e", "d", "", &[]).unwrap();
    cluster.await_voters("a", 4).unwrap();
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c", "d", "e"]));
}
