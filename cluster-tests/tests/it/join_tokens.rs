//! A token lets one node in, once, while it is good, and is told to nobody but the cluster it is of.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cluster_tests::operator::CommandOutput;
use cluster_tests::wait::pause;
use cluster_tests::{Grown, audit};
use keymoot_cluster::{AdminClient, AdminRequest, AdminResponse};
use keymoot_crypto::Keyring;
use keymoot_model::ClusterName;
use keymoot_state::{Command, JoinTokenRecord};
use keymoot_tls::{PeerCredentials, peer_client_config};

fn refused(said: &CommandOutput, reason: &str) {
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

    // Long enough for the node to be asked within it.
    let short = cluster.token("a", &["--ttl", "3s"]).unwrap();
    // Its life must pass; whoever asked earlier would spend it.
    pause(Duration::from_secs(3)).unwrap();
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
    // The audit has who was let in and who was not, from where and why, and no token.
    let told = audit::search_settled(&cluster.config("a"), &["--action", "node.join"]).unwrap();
    assert_eq!(told.iter().filter(|told| told.text("outcome") == "done").count(), 3, "{told:?}");
    let refused: Vec<_> = told.iter().filter(|told| told.text("outcome") == "refused").collect();
    assert!(!refused.is_empty(), "{told:?}");
    for told in &refused {
        assert!(told.text("address") == "127.0.0.1" && !told.text("reason").is_empty(), "{told:?}");
    }
    assert!(told.iter().all(|told| !told.event.to_string().contains(secret)), "{told:?}");
}

/// What a node answers to a tool that has the cluster's keyring, but not the rules of the command line.
fn propose(cluster: &Grown, command: Command) -> Result<AdminResponse, String> {
    let [ca, cert, key] = ["ca.pem", "node.pem", "node-key.pem"].map(|name| cluster.dir("a").join(name));
    let name = ClusterName::new("grown").unwrap();
    let credentials = PeerCredentials::load(&ca, &cert, &key, &name).unwrap();
    let tls = peer_client_config(&credentials).unwrap();
    let keyring = Arc::new(Keyring::load(cluster.keyring().as_ref()).unwrap());
    let address = cluster.node("a").peer.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = AdminClient::new(&name, Some(1), tls, keyring, 1, &address).unwrap();
        let asked = client.ask(AdminRequest::Propose(Box::new(command)), Duration::from_secs(20));
        asked.await.map_err(|error| error.to_string())
    })
}

#[test]
fn a_node_holds_every_tool_to_the_rules() {
    let cluster = Grown::begin("").unwrap();
    let put = |id, days: u64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let expires_at = now + Duration::from_secs(days * 24 * 3600);
        let token = JoinTokenRecord {
            id: [id; 8],
            secret_digest: [0; 32],
            expires_at_ms: u64::try_from(expires_at.as_millis()).unwrap(),
            learner: false,
            zone: None,
            revoked: false,
            spent: None,
        };
        propose(&cluster, Command::PutJoinToken(Box::new(token)))
    };
    assert!(matches!(put(1, 6), Ok(AdminResponse::Applied(_))));
    assert!(put(2, 30).unwrap_err().contains("a token lives for at most 168h"));
    assert!(put(3, 0).unwrap_err().contains("expired already"));
    let list = cluster.cluster("a", &["token", "list"]).unwrap().out;
    assert!(list.contains("0101010101010101  open") && list.lines().count() == 2, "{list}");
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
    let said: Vec<CommandOutput> = std::thread::scope(|scope| {
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

#[test]
fn a_wrong_port_a_key_of_a_voter_and_a_missing_configuration_are_named() {
    let mut cluster = Grown::begin("").unwrap();
    cluster.add_node("b").unwrap();
    let (peer, api) = (cluster.node("a").peer, cluster.node("a").api);
    let token = cluster.token("a", &[]).unwrap();
    refused(
        &cluster.try_join("b", &token, api, &[]).unwrap(),
        "the peer port is the one of cluster.peer_listen",
    );
    assert_eq!(cluster.try_join("b", &token, peer, &[]).unwrap().code, Some(0));
    cluster.serve("b").unwrap();
    cluster.await_voters("a", 2).unwrap();

    // The configuration is lost, the key is not.
    std::fs::remove_file(cluster.config("b")).unwrap();
    let said = cluster.try_join("b", &token, peer, &[]).unwrap();
    assert!(
        said.code == Some(0) && said.out.contains("node 2 is in the cluster grown already, as a voter"),
        "{said:?}"
    );

    let said = cluster.run(&["cluster", "status"]).unwrap();
    assert!(said.code == Some(64) && said.err.contains("--config"), "{said:?}");
}
