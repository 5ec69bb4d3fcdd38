//! The cluster's CA is replaced while the cluster serves and grows; afterwards what the old one signed opens nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::rogue::{Stolen, stolen_authority};
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError, secret_file};
use keymoot_tls::{PEER_ALPN_4, TrustedAuthorities};

const NAME: &str = "grown";
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// A CA file at the end of a path that is so long that no other file can be made beside it: not even `root` replaces it.
struct Blocked {
    file: PathBuf,
    moved: PathBuf,
}

impl Blocked {
    fn at(file: &Path) -> Self {
        let mut deep = file.parent().unwrap().canonicalize().unwrap();
        while deep.as_os_str().len() < 4085 {
            let left = 4085 - deep.as_os_str().len();
            // A name and the separator before it.
            deep.push("d".repeat(left.saturating_sub(1).clamp(1, 200)));
        }
        std::fs::create_dir_all(&deep).unwrap();
        let moved = deep.join("c");
        std::fs::copy(file, &moved).unwrap();
        let link = file.with_extension("link");
        std::os::unix::fs::symlink(&moved, &link).unwrap();
        std::fs::rename(&link, file).unwrap();
        Self { file: file.to_owned(), moved }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = std::fs::rename(&self.moved, &self.file);
    }
}

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
    // With the pause for clients that is the default the last step is left to another run.
    let done = cluster.cluster("b", &["authority", "replace", "--yes", "--wait", "60s"]).unwrap();
    assert!(done.code == Some(0) && done.out.contains("not done yet"), "{done:?}");
    let waits = |status: &str| status.contains("clients that believe the cluster's CA need the new ca.pem");
    cluster.await_status("the nodes to say that clients are waited for", waits).unwrap();
    assert_eq!(trusted(&cluster, "a").len(), 2, "the old one is trusted yet");
    let late = cluster.cluster("b", &["authority", "cancel", "--yes"]).unwrap();
    assert!(late.code == Some(1) && late.err.contains("no way back"), "{late:?}");
    let replace = ["authority", "replace", "--yes", "--wait", "60s", "--pause", "0s"];
    let done = cluster.cluster("b", &replace).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}\n{}\n{}", cluster.log("a"), cluster.log("c"));
    for name in ["a", "b", "c", "d"] {
        wait_until("the old CA to be retired", TOLD_WITHIN, || {
            let now = trusted(&cluster, name);
            match now.len() == 1 && now != first {
                true => Ok(()),
                false => Err(RigError::Answer(format!("{name} trusts {} CAs", now.len()))),
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

#[test]
fn a_ca_file_that_cannot_be_written_is_complained_of_and_the_replacement_can_be_cancelled() {
    let mut cluster = Grown::begin("").unwrap();
    let first = trusted(&cluster, "a");
    let ca = cluster.dir("a").join("ca.pem");
    // A directory in the place of the file that the next one is written to.
    let blocked = Blocked::at(&ca);
    let waits = cluster.cluster("a", &["authority", "replace", "--yes", "--wait", "3s"]).unwrap();
    assert!(waits.code == Some(1) && waits.err.contains("keymoot cluster authority cancel"), "{waits:?}");
    let status = cluster.cluster("a", &["status"]).unwrap();
    for word in ["the CA file cannot be replaced", "ca.pem", "keymoot cluster authority cancel"] {
        assert!(status.out.contains(word), "{status:?}");
    }
    // What it says.
    let said = cluster.cluster("a", &["authority", "cancel", "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    drop(blocked);
    let show = cluster.cluster("a", &["authority", "show"]).unwrap();
    assert!(show.out.contains("none is being replaced"), "{show:?}");
    assert_eq!(trusted(&cluster, "a"), first);
    let again = cluster.cluster("a", &["authority", "cancel", "--yes"]).unwrap();
    assert!(again.code == Some(0) && again.out.contains("nothing to cancel"), "{again:?}");
    // It can be begun anew, and a member that took the next one in takes it out when it is given up.
    cluster.join("b", "a", "", &["--learner"]).unwrap();
    cluster.stop("b").unwrap();
    let waits = cluster.cluster("a", &["authority", "replace", "--yes", "--wait", "3s"]).unwrap();
    assert_eq!(waits.code, Some(1), "{waits:?}");
    assert_eq!(trusted(&cluster, "a").len(), 2);
    let said = cluster.cluster("a", &["authority", "cancel", "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    wait_until("the next CA to be taken out", TOLD_WITHIN, || match trusted(&cluster, "a") == first {
        true => Ok(()),
        false => Err(RigError::Answer("it trusts both".to_owned())),
    })
    .unwrap();
    cluster.serve("b").unwrap();
    // A key of the CA of before, found when the CA has been replaced, keeps no node from starting.
    let keyring = cluster.keyring();
    cluster.stop("a").unwrap();
    let old = stolen_authority(&cluster.dir("a").join("data"), keyring.as_ref(), NAME).unwrap();
    cluster.serve("a").unwrap();
    cluster.await_status("the node to lead", |status| status.contains("leader")).unwrap();
    let replace = ["authority", "replace", "--yes", "--wait", "60s", "--pause", "0s"];
    let said = cluster.cluster("a", &replace).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}\n{}", cluster.log("a"));
    cluster.stop("a").unwrap();
    let key = String::from_utf8(old.key_pem().expose().to_vec()).unwrap();
    secret_file::write(&cluster.dir("a").join("ca-key.pem"), &key).unwrap();
    cluster.serve("a").unwrap();
    cluster.await_status("the node to lead", |status| status.contains("leader")).unwrap();
    let log = cluster.log("a");
    assert!(log.contains("ca-key.pem") && log.contains("left over when the CA was replaced"), "{log}");
}
