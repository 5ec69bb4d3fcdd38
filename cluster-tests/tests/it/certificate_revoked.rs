//! Who a node is, the cluster's state tells by the key in its certificate: a certificate that somebody made with the
//! authority's key opens nothing, and one that was revoked opens nothing from then on, on open connections too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster_tests::rogue::{Ask, Reply, Rogue, Stolen, StolenDirectory, stolen_authority};
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError};
use keymoot_cluster::{AdminRequest, AdminResponse};
use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{Keyring, ProofPurpose};
use keymoot_state::{ClusterIdentity, TABLE_NAMES, Table};
use keymoot_store::{Tables, TablesOptions};
use keymoot_tls::PEER_ALPN_4;

const NAME: &str = "grown";
const TOLD_WITHIN: Duration = Duration::from_secs(30);
/// A revoked certificate is out within a second; the rest is for a busy machine.
const OUT_WITHIN: Duration = Duration::from_secs(3);

/// A connection to node `a` as a tool or as node `claimed`, with proof of the master key.
fn enter(
    cluster: &Grown,
    shown: &Stolen,
    claimed: u64,
    directory: Option<StolenDirectory>,
) -> Result<Rogue, RigError> {
    let mut rogue = shown.connect(1, cluster.node("a").peer, PEER_ALPN_4)?;
    rogue.directory = directory;
    let keyring = Keyring::load(cluster.keyring().as_ref()).unwrap();
    rogue.open((Some(claimed), directory.map(|_| 0)), |rogue, challenge| {
        rogue.proof(&keyring, challenge, ProofPurpose::Peer)
    })?;
    Ok(rogue)
}

fn is_served(rogue: &mut Rogue) -> bool {
    matches!(rogue.ask(&Ask::Admin(AdminRequest::Status)), Ok(Reply::Admin(AdminResponse::Status(_))))
}

fn await_registered(cluster: &Grown, nodes: usize) {
    wait_until("the nodes' keys to be registered", TOLD_WITHIN, || {
        let said = cluster.cluster("a", &["certificate", "list"])?;
        match said.out.matches("registered").count() == nodes {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{said:?}"))),
        }
    })
    .unwrap();
}

#[test]
fn a_certificate_made_with_the_stolen_ca_key_opens_nothing_though_the_keyring_is_known_too() {
    let mut cluster = Grown::begin("").unwrap();
    cluster.join("b", "a", "", &[]).unwrap();
    cluster.await_voters("a", 2).unwrap();
    await_registered(&cluster, 2);
    cluster.stop("b").unwrap();
    let keyring = cluster.keyring();
    let authority = stolen_authority(&cluster.dir("b").join("data"), keyring.as_ref(), NAME).unwrap();
    let directory = StolenDirectory::read(&cluster.dir("b").join("data")).unwrap();
    cluster.serve("b").unwrap();
    cluster
        .await_status("both to be up", |table| table.contains("leader") && table.contains("follower"))
        .unwrap();
    let made = |id| Stolen::made(&authority, &authority.issue_node(id).unwrap()).unwrap();
    // As the leader itself, as another node, as a node that nobody admitted; as a tool, and as a member.
    for claimed in [1, 2, 99] {
        for directory in [None, Some(directory)] {
            let entered = enter(&cluster, &made(claimed), claimed, directory);
            let served = entered.is_ok_and(|mut rogue| {
                is_served(&mut rogue)
                    || rogue.ask(&Ask::Ping).is_ok_and(|reply| !matches!(reply, Reply::Failed(_)))
            });
            assert!(
                !served,
                "a certificate for node {claimed} is served; as a member: {}",
                directory.is_some()
            );
        }
    }
    let log = cluster.log("a");
    assert!(log.contains("another key than the one that is registered for it"), "{log}");
    // The true ones are.
    let own = Stolen::from(&cluster.dir("b"), NAME).unwrap();
    assert!(is_served(&mut enter(&cluster, &own, 2, None).unwrap()));
}

#[test]
fn a_revoked_certificate_is_out_on_open_connections_and_new_ones_and_after_a_restart() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    await_registered(&cluster, 3);
    let said = cluster.cluster("a", &["transfer-leader", "1", "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let stolen = Stolen::from(&cluster.dir("c"), NAME).unwrap();
    let mut open = enter(&cluster, &stolen, 3, None).unwrap();
    assert!(is_served(&mut open));
    let unknown = cluster.cluster("a", &["certificate", "revoke", "9", "--yes"]).unwrap();
    assert!(unknown.code == Some(1) && unknown.err.contains("there is no node 9"), "{unknown:?}");

    let said = cluster.cluster("a", &["certificate", "revoke", "3", "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let revoked_at = Instant::now();
    wait_until("the open connection to end", OUT_WITHIN, || match is_served(&mut open) {
        true => Err(RigError::Answer("it is still served".to_owned())),
        false => Ok(()),
    })
    .unwrap();
    assert!(revoked_at.elapsed() < OUT_WITHIN);
    for _ in 0..2 {
        let again = enter(&cluster, &stolen, 3, None);
        assert!(!again.is_ok_and(|mut rogue| is_served(&mut rogue)), "it is let in again");
    }
    // The node itself ends with what to do, whether it heard of it or its peers refuse it, and stays out.
    wait_until("the log to say what to do", TOLD_WITHIN, || {
        match cluster
            .log("a")
            .contains("the certificates of node 3 were revoked: remove it with keymoot cluster remove 3")
        {
            true => Ok(()),
            false => Err(RigError::Answer(cluster.log("a"))),
        }
    })
    .unwrap();
    cluster.stop("a").unwrap();
    cluster.serve("a").unwrap();
    wait_until("the others to serve", TOLD_WITHIN, || {
        cluster.signer().create(cluster.node("b").api, "after")
    })
    .unwrap();
    let again = enter(&cluster, &stolen, 3, None);
    assert!(!again.is_ok_and(|mut rogue| is_served(&mut rogue)), "a restart lets it in again");
    // What is said helps: the node is removed, and its machine comes back as another one. Meanwhile its key opens
    // nothing either.
    let done = AtomicBool::new(false);
    let (said, let_in) = std::thread::scope(|scope| {
        let trying = scope.spawn(|| {
            let mut let_in = 0_u32;
            while !done.load(Ordering::SeqCst) {
                let entered = enter(&cluster, &stolen, 3, None);
                let_in += u32::from(entered.is_ok_and(|mut rogue| is_served(&mut rogue)));
            }
            let_in
        });
        let said = cluster.cluster("a", &["remove", "3", "--yes"]);
        done.store(true, Ordering::SeqCst);
        (said.unwrap(), trying.join().unwrap())
    });
    assert_eq!((said.code, let_in), (Some(0), 0), "{said:?}");
    cluster.kill("c").unwrap();
    let token = cluster.token("a", &[]).unwrap();
    let said = cluster.replace_disk("c", "a", &["--token", &token]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    cluster.serve("c").unwrap();
    cluster.await_voters("a", 3).unwrap();
}

#[test]
fn a_revocation_that_would_cost_the_cluster_its_quorum_is_refused_and_what_it_says_helps() {
    let mut cluster = Grown::begin("").unwrap();
    cluster.join("b", "a", "", &[]).unwrap();
    cluster.await_voters("a", 2).unwrap();
    await_registered(&cluster, 2);
    let stolen = Stolen::from(&cluster.dir("b"), NAME).unwrap();
    let said = cluster.cluster("a", &["certificate", "revoke", "2", "--yes"]).unwrap();
    assert_eq!(said.code, Some(1), "{said:?}");
    for word in ["of the 2 voters, 1 would be up", "keymoot cluster remove 2", "--force"] {
        assert!(said.err.contains(word), "{said:?}");
    }
    assert!(is_served(&mut enter(&cluster, &stolen, 2, None).unwrap()), "nothing was revoked");
    // What it says.
    let said = cluster.cluster("a", &["remove", "2", "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = cluster.cluster("a", &["certificate", "revoke", "2", "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let again = enter(&cluster, &stolen, 2, None);
    assert!(!again.is_ok_and(|mut rogue| is_served(&mut rogue)), "it is let in again");
    cluster.signer().create(cluster.node("a").api, "after").unwrap();
    let alone = cluster.cluster("a", &["certificate", "revoke", "1", "--yes"]).unwrap();
    assert!(alone.code == Some(1) && alone.err.contains("no majority"), "{alone:?}");
}

/// Makes the state of the only node, which is stopped, one of feature level 3, which knows no keys of nodes.
fn set_back(cluster: &Grown, name: &str) {
    let data = cluster.dir(name).join("data");
    let tables = Tables::open(&data, TABLE_NAMES, TablesOptions::default()).unwrap();
    let meta = Table::Meta as usize;
    let bytes = tables.get(meta, b"identity").unwrap().expect("an identity");
    let identity: ClusterIdentity = codec::decode(Kind::Record, &bytes).unwrap();
    let before = ClusterIdentity { feature_level: 3, ..identity };
    let mut batch = tables.begin();
    batch.put(meta, b"identity", codec::encode(Kind::Record, &before).unwrap()).unwrap();
    batch.delete(meta, [&b"node_key/"[..], &1_u64.to_be_bytes()].concat()).unwrap();
    tables.commit(batch).unwrap();
    tables.persist().unwrap();
}

#[test]
fn a_node_from_before_is_registered_once_the_level_is_raised_and_what_is_said_until_then_helps() {
    let mut cluster = Grown::begin("").unwrap();
    await_registered(&cluster, 1);
    cluster.stop("a").unwrap();
    set_back(&cluster, "a");
    cluster.serve("a").unwrap();
    cluster.await_status("the node to lead", |status| status.contains("feature level 3")).unwrap();
    await_registered(&cluster, 0);
    let early = cluster.cluster("a", &["certificate", "revoke", "2", "--yes"]).unwrap();
    assert!(early.code == Some(1) && early.err.contains("keymoot cluster upgrade"), "{early:?}");
    // What it says.
    let said = cluster.cluster("a", &["upgrade", "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    await_registered(&cluster, 1);
    cluster.join("b", "a", "", &[]).unwrap();
    cluster.await_voters("a", 2).unwrap();
    await_registered(&cluster, 2);
}
