//! Rentals end and devices are counted, whichever node is asked: a second node grants no further
//! slot, a slot that has ended is free, and a rental that is over stays over.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cluster_tests::license::{self, CLEAR_KEY, clear_key_challenge, entitling, keys_of};
use cluster_tests::policy::{self, Account};
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, RigError, metrics};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than any lease or rental that a test waits for.
const WITHIN: Duration = Duration::from_secs(30);

struct Stage {
    cluster: Cluster,
    account: Account,
    kid: [u8; 16],
    _entitled: TempDir,
}

/// A cluster with one film, whose policy is this.
fn stage(policy: &Value) -> Stage {
    let (options, entitled) = entitling(&["studio"]).unwrap();
    let cluster = options.start().unwrap();
    let account = policy::add_account(&cluster, "studio", &["--consistency", "local"]).unwrap();
    let node = cluster.addresses()[0];
    let made = policy::send(node, &account.keeper, ("POST", "/policy"), &json!({ "policy": policy }), &[]);
    assert_eq!(made.unwrap().status, 200);
    let data = account.scrambler.custom_data("film", &[("policy", policy["name"].as_str().unwrap())]);
    let key = account.scrambler.send(node, "POST", "/cenc/widevine/encryption", &data).unwrap();
    let kid = cluster_tests::KeyAnswer::from_answer(&key).unwrap().bytes().unwrap().1;
    Stage { cluster, account, kid, _entitled: entitled }
}

impl Stage {
    /// Asks for a license: nothing when it is given, else status and message.
    fn ask(&self, node: SocketAddr, viewer: &[(&str, &str)]) -> Result<(), (u16, String)> {
        let data = self.account.player.custom_data("film", viewer);
        let challenge = clear_key_challenge([&self.kid]);
        let answer = license::send(node, &self.account.player, CLEAR_KEY, &data, &challenge).unwrap();
        if answer.status == 200 {
            assert_eq!(keys_of(&answer).unwrap().len(), 1);
            return Ok(());
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        Err((answer.status, body["message"].as_str().unwrap().to_owned()))
    }

    fn watch(&self, node: SocketAddr, user: &str, udid: &str) -> Result<(), (u16, String)> {
        self.ask(node, &[("user_id", user), ("udid", udid)])
    }
}

fn leased(seconds: u32, slots: u32) -> Value {
    json!({ "name": "leased", "lease": { "duration_seconds": seconds, "slots": slots } })
}

#[test]
fn no_second_node_grants_a_slot_too_many() {
    let stage = stage(&leased(600, 2));
    let nodes = stage.cluster.addresses();
    assert_eq!(stage.watch(nodes[0], "ann", "phone"), Ok(()));
    assert_eq!(stage.watch(nodes[1], "ann", "tablet"), Ok(()));
    for node in &nodes {
        let (status, message) = stage.watch(*node, "ann", "laptop").unwrap_err();
        assert!(status == 401 && message.contains("2 devices play"), "{status} {message}");
        assert_eq!(stage.watch(*node, "ann", "phone"), Ok(()), "its own slot is renewed anywhere");
    }
    assert_eq!(stage.watch(nodes[2], "bob", "laptop"), Ok(()), "another viewer has slots of his own");
    assert!(metrics::sample(nodes[2], "keymoot_lease_decisions_total").is_ok_and(|count| count > 0.5));
    let freed = policy::command(
        &stage.cluster,
        &["free-slot", "studio", "film", "--user", "ann", "--udid", "tablet"],
    );
    assert!(freed.unwrap().status.success());
    assert_eq!(stage.watch(nodes[2], "ann", "laptop"), Ok(()));
}

#[test]
fn all_nodes_at_once_grant_as_many_slots_as_there_are() {
    let stage = stage(&leased(600, 3));
    let nodes = stage.cluster.addresses();
    let granted = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..24)
            .map(|index| {
                let (stage, node) = (&stage, nodes[index % nodes.len()]);
                scope.spawn(move || stage.watch(node, "ann", &format!("device {index}")).is_ok())
            })
            .collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).filter(|ok| *ok).count()
    });
    assert_eq!(granted, 3);
}

#[test]
fn a_slot_that_has_ended_is_free_and_survives_the_leader_until_then() {
    let mut stage = stage(&leased(8, 1));
    let nodes = stage.cluster.addresses();
    let began = Instant::now();
    assert_eq!(stage.watch(nodes[0], "ann", "phone"), Ok(()));
    let leader = stage.cluster.leader().unwrap();
    stage.cluster.kill(leader).unwrap();
    let survivors = stage.cluster.others(leader);
    let node = stage.cluster.node(survivors[0]).unwrap().api;
    assert!(stage.watch(node, "ann", "tablet").is_err(), "the new leader knows who plays");
    wait_until("the slot to be free", WITHIN, || {
        stage.watch(node, "ann", "tablet").map_err(|refusal| RigError::Answer(format!("{refusal:?}")))
    })
    .unwrap();
    assert!(began.elapsed() >= Duration::from_millis(7900), "it was free after {:?}", began.elapsed());
    let other = stage.cluster.node(survivors[1]).unwrap().api;
    assert!(stage.watch(other, "ann", "phone").is_err());
}

#[test]
fn an_expired_rental_gets_no_license_from_anybody_until_it_is_ended() {
    let stage = stage(&json!({ "name": "rental", "rental_duration_seconds": 6 }));
    let nodes = stage.cluster.addresses();
    let began = Instant::now();
    for node in &nodes {
        assert_eq!(stage.watch(*node, "ann", "phone"), Ok(()));
    }
    wait_until("the rental to expire", WITHIN, || match stage.watch(nodes[0], "ann", "phone") {
        Ok(()) => Err(RigError::Answer("it goes on".to_owned())),
        Err(_) => Ok(()),
    })
    .unwrap();
    // A license is for whole seconds, so none is given in the last one.
    assert!(began.elapsed() >= Duration::from_millis(4900), "it expired after {:?}", began.elapsed());
    for node in &nodes {
        let (status, message) = stage.watch(*node, "ann", "tablet").unwrap_err();
        assert!(status == 401 && message.contains("expired"), "{status} {message}");
    }
    assert_eq!(stage.watch(nodes[1], "bob", "phone"), Ok(()), "another viewer's begins now");
    let ended = policy::command(&stage.cluster, &["end-rental", "studio", "film", "--user", "ann"]).unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let leader = stage.cluster.node(stage.cluster.leader().unwrap()).unwrap().api;
    assert_eq!(stage.watch(leader, "ann", "phone"), Ok(()));
}

#[test]
fn who_is_to_be_counted_and_is_not_named_gets_none() {
    let stage = stage(&leased(600, 2));
    let node = stage.cluster.addresses()[0];
    for (viewer, missing) in [
        (&[("udid", "phone")][..], "user_id"),
        (&[("user_id", "ann")], "udid"),
        (&[("user_id", ""), ("user_token", ""), ("udid", "phone")], "user_id"),
    ] {
        let (status, message) = stage.ask(node, viewer).unwrap_err();
        assert!(status == 400 && message.contains(missing), "{status} {message}");
    }
    assert_eq!(stage.ask(node, &[("user_token", "t"), ("udid", "phone")]), Ok(()), "a token names a viewer");
}
