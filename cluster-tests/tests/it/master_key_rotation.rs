//! Everything that is wrapped changes its master key under load, though the leader dies meanwhile, and the old
//! master key can then go.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster_tests::creating::Creating;
use cluster_tests::operator::{self, CommandOutput};
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, RigError};

const WITHIN: Duration = Duration::from_secs(60);

/// How many secrets stand under each key, and which key each node has active.
type Status = (BTreeMap<String, u64>, Vec<Option<String>>);

/// What `keyring status` says.
fn status(config: &str) -> Result<Status, RigError> {
    let said =
        operator::keymoot(&["keyring", "status", "--config", config, "--output", "json"])?.succeeded()?;
    let value: serde_json::Value =
        serde_json::from_str(&said).map_err(|error| RigError::Answer(error.to_string()))?;
    let secrets = value["secrets"].as_object().into_iter().flatten();
    let secrets = secrets.map(|(id, count)| (id.clone(), count.as_u64().unwrap_or(0))).collect();
    let members = value["members"].as_array().into_iter().flatten();
    Ok((secrets, members.map(|member| member["active"].as_str().map(str::to_owned)).collect()))
}

fn refused(said: &CommandOutput, word: &str) {
    assert!(said.code != Some(0) && said.err.contains(word), "{said:?}");
}

#[test]
fn every_key_is_put_under_the_new_master_key_under_load_though_the_leader_dies() {
    let mut cluster = Cluster::start().unwrap();
    let signer = cluster.signer().clone();
    let nodes = cluster.addresses();
    // All nodes of the rig read one file; machines have a copy each.
    let keyring = cluster.dir().join("keyring.toml").display().to_string();
    let leader = cluster.leader().unwrap();
    let asked = cluster.others(leader)[0];
    let config = cluster.node(asked).unwrap().config();
    let typed = |arguments: &[&str]| operator::keymoot(&[&["keyring"], arguments].concat()).unwrap();

    let load = Creating::begin(&signer, &nodes, 6);
    load.await_contents(400).unwrap();
    let (before, _) = status(&config).unwrap();
    assert_eq!(before.keys().collect::<Vec<_>>(), ["mk1"]);
    assert!(before["mk1"] >= 400, "{before:?}");

    typed(&["add", &keyring]).succeeded().unwrap();
    typed(&["activate", &keyring, "mk2", "--config", &config]).succeeded().unwrap();
    wait_until("every node to have read its keyring", WITHIN, || match status(&config)? {
        (_, active) if active == vec![Some("mk2".to_owned()); 3] => Ok(()),
        (_, active) => Err(RigError::Answer(format!("{active:?}"))),
    })
    .unwrap();
    refused(&typed(&["remove", &keyring, "mk1", "--config", &config]), "stand under master key mk1");

    let under_the_old = status(&config).unwrap().0["mk1"];
    // The leader dies while secrets are exchanged. Without one member nobody can tell what it wraps under, so
    // the command is given again once it is back.
    let exchanging = {
        let config = config.clone();
        std::thread::spawn(move || operator::keymoot(&["keyring", "rewrap", "--config", &config]))
    };
    wait_until("secrets to be exchanged", WITHIN, || match status(&config)?.0.get("mk1") {
        Some(left) if *left == under_the_old => Err(RigError::Answer(format!("{left} stand under mk1"))),
        _ => Ok(()),
    })
    .unwrap();
    cluster.kill(leader).unwrap();
    let interrupted = exchanging.join().unwrap().unwrap();
    assert!(!interrupted.err.contains("panicked"), "{interrupted:?}");
    refused(&typed(&["rewrap", "--config", &config]), &format!("node {leader} does not say"));
    cluster.restart(leader).unwrap();
    wait_until("everything to stand under the new key", WITHIN, || {
        operator::keymoot(&["keyring", "rewrap", "--config", &config])?.succeeded().map(drop)
    })
    .unwrap();
    let (after, _) = status(&config).unwrap();
    assert_eq!(after.keys().collect::<Vec<_>>(), ["mk2"]);
    // Both keys' wrappings are counted by whole blocks of every node that wrapped, and the bound holds what stands.
    let counted = typed(&["status", "--config", &config, "--output", "json"]).succeeded().unwrap();
    let counted: serde_json::Value = serde_json::from_str(&counted).unwrap();
    for id in ["mk1", "mk2"] {
        let wraps = counted["wraps_at_most"][id].as_u64().unwrap();
        assert!(wraps >= 131_072 && wraps.is_multiple_of(65_536), "{id}: {wraps}");
        assert!(wraps >= after.get(id).copied().unwrap_or(0), "{id}: {wraps}");
    }
    let said = typed(&["status", "--config", &config]).succeeded().unwrap();
    assert!(said.contains("mk2 wrapped at most"), "{said}");

    typed(&["remove", &keyring, "mk1", "--config", &config]).succeeded().unwrap();
    let listed = typed(&["list", &keyring]).succeeded().unwrap();
    assert_eq!(listed, "mk2  active\n");
    let ledger = load.stop();
    // With nothing but the new key, every node opens every key that was ever acknowledged.
    cluster.kill_all().unwrap();
    cluster.restart_all().unwrap();
    ledger.assert_kept(&signer, &nodes);
}
