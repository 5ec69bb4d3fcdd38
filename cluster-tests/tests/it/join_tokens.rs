//! A token lets one node in, once, while it is good, and is told to nobody but the cluster it is of.

use std::time::Duration;

use cluster_tests::Grown;
use cluster_tests::operator::SignedPayload;
use cluster_tests::wait::pause;

fn refused(said: &SignedPayload, reason: &str) {
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains(reason), "{said:?}");
}

#[test]
fn a_token_that_is_over_or_of_another_cluster_lets_nobody_in() {
    let mut cluster = Grown::begin("").unwrap();
    let at = cluster.node("a").peer;
    for name in ["b", "c", "d"] {
        cluster.add_node(name).unwrap();
    }

    // Another keyring is found out before the token is spent.
    let token = cluster.token("a", &[]).unwrap();
    let other = cluster.path("other.toml").display().to_string();
    cluster.must(&["keyring", "generate", &other]).unwrap();
    let said = cluster.try_join("b", &token, at, &["--keyring", &other]).unwrap();
    refused(&said, "does not prove any master key of this keyring");
    let list = cluster.cluster("a", &["token", "list"]).unwrap().out;
    assert!(list.contains("  open  "), "{list}");
    assert!(!list.contains(&token), "the list shows a secret");

    // With the right one it is, and then it is spent; the same node may ask again.
    assert_eq!(cluster.try_join("b", &token, at, &[]).unwrap().code, Some(0));
    refused(&cluster.try_join("c", &token, at, &[]).unwrap(), "the token was used already");
    std::fs::remove_file(cluster.dir("b").join("keymoot.toml")).unwrap();
    let again = cluster.try_join("b", &token, at, &[]).unwrap();
    assert!(again.code == Some(0) && again.out.contains("node 2 joined"), "{again:?}");

    let revoked = cluster.token("a", &[]).unwrap();
    let list = cluster.cluster("a", &["token", "list"]).unwrap().out;
    let id = list.lines().find(|line| line.contains("  open  ")).unwrap()[..16].to_owned();
    assert_eq!(cluster.cluster("a", &["token", "revoke", &id]).unwrap().code, Some(0));
    refused(&cluster.try_join("c", &revoked, at, &[]).unwrap(), "the token was revoked");

    let short = cluster.token("a", &["--ttl", "1s"]).unwrap();
    // Its life must pass; whoever asked earlier would spend it.
    pause(Duration::from_secs(1)).unwrap();
    refused(&cluster.try_join("c", &short, at, &[]).unwrap(), "the token has expired");

    // A man in the middle with an authority of his own is hung up on before anything is said.
    let man = Grown::begin("").unwrap();
    let token = cluster.token("a", &[]).unwrap();
    let said = cluster.try_join("c", &token, man.node("a").peer, &[]).unwrap();
    refused(&said, "somebody may be in between");
    assert!(!man.log("a").contains(&token), "the token reached the man in the middle");
    // His own token is worth nothing here.
    let his = man.token("a", &[]).unwrap();
    refused(&cluster.try_join("c", &his, at, &[]).unwrap(), "somebody may be in between");
    assert_eq!(cluster.try_join("c", &token, at, &[]).unwrap().code, Some(0), "the token is still good");
    let secret = token.rsplit('.').next().unwrap();
    assert!(!cluster.log("a").contains(secret) && !man.log("a").contains(secret), "a token is logged");
}

#[test]
fn of_two_joins_that_race_for_one_token_exactly_one_wins() {
    let mut cluster = Grown::begin("").unwrap();
    let at = cluster.node("a").peer;
    let names = ["b", "c", "d", "e"];
    for name in names {
        cluster.add_node(name).unwrap();
    }
    let token = cluster.token("a", &[]).unwrap();
    let cluster = &cluster;
    let said: Vec<SignedPayload> = std::thread::scope(|scope| {
        let joins: Vec<_> = names
            .iter()
            .map(|name| {
                let token = &token;
                scope.spawn(move || cluster.try_join(name, token, at, &[]).unwrap())
            })
            .collect();
        joins.into_iter().map(|join| join.join().unwrap()).collect()
    });
    let won = said.iter().filter(|said| said.code == Some(0)).count();
    assert_eq!(won, 1, "{said:#?}");
    for lost in said.iter().filter(|said| said.code != Some(0)) {
        refused(lost, "the token was used already");
    }
    let members = cluster.status("a").unwrap()["members"].as_array().unwrap().len();
    assert_eq!(members, 2);
}
