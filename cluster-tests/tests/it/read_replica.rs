//! A learner is a read replica: it serves what the cluster serves, and with the quorum gone it still
//! serves `local` reads.

use std::time::Duration;

use cluster_tests::signed::WIDEVINE;
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError, Signer, raw, secret_file};

const KEY: &str = "a signing key of whoever reads locally";

#[test]
fn a_learner_serves_the_cluster_and_reads_alone() {
    let mut cluster =
        Grown::begin_with("west", &[("KEYMOOT__CLUSTER__REQUEST_DEADLINE_MS", "2000")]).unwrap();
    cluster.join("b", "a", "west", &[]).unwrap();
    cluster.join("l", "b", "far", &["--learner", "--zone", "replica"]).unwrap();
    cluster.await_voters("a", 2).unwrap();
    // One account reads what its node has, the other what the cluster has.
    let (key, config) = (cluster.path("local.key"), cluster.config("b"));
    secret_file::write(&key, KEY).unwrap();
    let key = key.display().to_string();
    let add = ["account", "add", "local", "--config", &config, "--ca-system", "OVP"];
    let more = ["--allow", "127.0.0.0/8", "--consistency", "local", "--encryption-key-file", &key];
    cluster.must(&[&add[..], &more].concat()).unwrap();
    let (signer, local) = (cluster.signer(), Signer::new("local", "OVP", KEY));
    let replica = cluster.node("l").api;

    // It never votes, whatever time passes, and its zone is the token's.
    let status = cluster.status("l").unwrap();
    let learner = &status["members"][2];
    assert_eq!((learner["voter"].as_bool(), learner["zone"].as_str()), (Some(false), Some("replica")));
    assert_eq!(learner["status"]["role"], "learner");

    // Writing and linearizable reading at the learner are forwarded, and work.
    let written = signer.create(replica, "film").unwrap();
    assert_eq!(signer.read(replica, "film").unwrap(), written);
    let elsewhere = signer.create(cluster.node("a").api, "other").unwrap();
    assert_eq!(signer.read(replica, "other").unwrap(), elsewhere);
    let kept = local.create(replica, "film").unwrap();

    // Without a quorum it reads what it has, and says clearly that the rest does not work.
    cluster.kill("a").unwrap();
    cluster.kill("b").unwrap();
    wait_until("a local read without a quorum", Duration::from_secs(10), || {
        match local.read(replica, "film")? {
            key if key == kept => Ok(()),
            _ => Err(RigError::Answer("another key".into())),
        }
    })
    .unwrap();
    let request = signer.request("GET", WIDEVINE, &signer.custom_data("film", &[]));
    let answer = raw::exchange(replica, &request, Duration::from_secs(20)).unwrap();
    assert_eq!(answer.status, 503, "a linearizable read needs a quorum");
    let said = cluster.cluster("l", &["status"]).unwrap();
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("no quorum: 0 of 2 voters answer"), "{said:?}");
}
