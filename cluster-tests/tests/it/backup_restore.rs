//! A backup taken under load holds every key acknowledged before it, and makes a cluster elsewhere that the
//! old nodes cannot speak to.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use cluster_tests::creating::Creating;
use cluster_tests::elsewhere::Elsewhere;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, RigError, metrics, operator};

fn text(path: &std::path::Path) -> String {
    path.display().to_string()
}

#[test]
fn what_was_acknowledged_before_the_backup_is_restored_elsewhere_and_the_old_nodes_stay_out() {
    let mut cluster = Cluster::start().unwrap();
    let signer = cluster.signer().clone();
    let leader = cluster.leader().unwrap();
    let follower = cluster.others(leader)[0];
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("live.backup");
    let config = cluster.node(follower).unwrap().config();
    let create = |arguments: &[&str]| {
        operator::keymoot(&[&["backup", "create", "--config", &config, "--output"], arguments].concat())
            .unwrap()
    };

    let load = Creating::begin(&signer, &cluster.addresses(), 6);
    load.await_contents(300).unwrap();
    let promised = load.acknowledged();
    let said = create(&[&text(&file)]).succeeded().unwrap();
    assert!(said.contains("mk1"), "{said}");
    let api = cluster.node(follower).unwrap().api;
    assert!(metrics::sample(api, "keymoot_backup_last_bytes").unwrap() > 10_000.0);

    // Its owner's alone, complete under its name, and never over another one.
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    let again = create(&[&text(&file)]);
    assert!(again.code == Some(1) && again.err.contains("--force"), "{again:?}");
    create(&[&text(&home.path().join("other.backup")), "--node", &leader.to_string()]).succeeded().unwrap();
    cluster.kill_all().unwrap();
    let later = load.stop();
    assert!(later.len() > promised.len(), "the load did not go on during the backup");

    let keyring = text(&cluster.dir().join("keyring.toml"));
    let verified = operator::keymoot(&["backup", "verify", &text(&file), "--keyring", &keyring]).unwrap();
    let verified = verified.succeeded().unwrap();
    assert!(verified.contains("secrets open"), "{verified}");
    assert!(verified.contains("signed by this cluster, under master key `mk1`"), "{verified}");

    let mut elsewhere = Elsewhere::prepare(&cluster, home.path(), &[1, 2, 3]).unwrap();
    // One that was altered is refused by both, and so is one whose signature was cut.
    let bytes = std::fs::read(&file).unwrap();
    let mut altered = bytes.clone();
    *altered.last_mut().unwrap() ^= 1;
    let bad = home.path().join("bad.backup");
    for (bytes, why) in
        [(altered.as_slice(), "its signature does not fit"), (&bytes[..bytes.len() - 32], "damaged")]
    {
        std::fs::write(&bad, bytes).unwrap();
        let verified = operator::keymoot(&["backup", "verify", &text(&bad), "--keyring", &keyring]).unwrap();
        assert!(verified.code == Some(1) && verified.err.contains(why), "{verified:?}");
        let refused = elsewhere.restore(&bad, &[1]).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    std::fs::remove_file(&bad).unwrap();
    // Node 3 is a member with an empty directory: it takes over the fence and fills itself from the others.
    let said = elsewhere.restore(&file, &[1, 2]).unwrap();
    assert!(said.contains("keymoot account confirm --all"), "{said}");
    assert!(said.lines().any(|line| line.starts_with("demo") && line.contains("encryption")), "{said}");
    elsewhere.start().unwrap();
    // What the backup brings back may have been taken away since: nobody is served before it is confirmed.
    let refused = signer.create(elsewhere.nodes()[0].api, "not-yet.mp4").unwrap_err();
    assert!(refused.to_string().contains("status 401"), "{refused}");
    let complaint =
        operator::keymoot(&["cluster", "status", "--config", &text(&elsewhere.nodes()[1].config)]);
    let complaint = complaint.unwrap();
    assert!(complaint.out.contains("then keymoot account confirm --all"), "{complaint:?}");
    let accounts = ["account", "list", "--config", &text(&elsewhere.nodes()[2].config)].map(str::to_owned);
    let listed = operator::keymoot(&accounts).unwrap().succeeded().unwrap();
    assert!(listed.contains("restored, not confirmed"), "{listed}");
    elsewhere.confirm_accounts().unwrap();
    promised.assert_kept(&signer, &elsewhere.addresses());
    let new = signer.create(elsewhere.nodes()[0].api, "after-the-restore.mp4").unwrap();
    assert_eq!(signer.read(elsewhere.nodes()[1].api, "after-the-restore.mp4").unwrap(), new);

    // Node 3 comes back with its old data, where the restored node 3 is expected.
    elsewhere.stop(3);
    let listen = elsewhere.nodes()[2].peer.to_string();
    cluster.start_with_env(3, &[("KEYMOOT__CLUSTER__PEER_LISTEN", &listen)]).unwrap();
    let status = ["cluster", "status", "--config", &text(&elsewhere.nodes()[0].config)].map(str::to_owned);
    wait_until("the old node to be refused", Duration::from_secs(30), || {
        let said = operator::keymoot(&status)?.out;
        match said.contains("refuses node 3: it belongs to the cluster before it was recovered or restored") {
            true => Ok(()),
            false => Err(RigError::Answer(said)),
        }
    })
    .unwrap();
    assert_eq!(metrics::sample(cluster.nodes()[2].api, metrics::IS_LEADER).unwrap(), 0.0);
    let key = signer.create(elsewhere.nodes()[1].api, "while-refused.mp4").unwrap();
    assert_eq!(signer.read(elsewhere.nodes()[0].api, "while-refused.mp4").unwrap(), key);
}
