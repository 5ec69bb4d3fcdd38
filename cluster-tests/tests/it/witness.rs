//! A witness holds no master key: it votes, so that either of two nodes may be lost, and it leads only to hand over. What
//! it shows opens Raft's messages and nothing else.

use std::path::Path;
use std::time::Duration;

use cluster_tests::operator::CommandOutput;
use cluster_tests::rogue::{Ask, Reply, Rogue, Stolen, StolenDirectory};
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError, faketime, metrics, process};
use keymoot_cluster::{
    AdminRequest, Change, ChangeRequest, JoinReply, JoinRequest, PROTOCOL, Prover, ask_to_join,
};
use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{JoinToken, Keyring, KeyringProof};
use keymoot_state::{Command, FEATURE_LEVEL, NodeFacts, Proposal};
use keymoot_store::StoredVote;
use keymoot_tls::{
    NodeKey, PEER_ALPN_4, RENEW_ALPN, TrustedAuthorities, WITNESS_ALPN, join_client_config,
    renewal_client_config, witness_client_config,
};
use rustix::process::Signal;

const NAME: &str = "grown";
const WITHIN: Duration = Duration::from_secs(60);

/// Runs `cluster join` for a witness `w` at a member.
fn join(cluster: &Grown, token: &str, at: &str, more: &[&str]) -> CommandOutput {
    let (node, at) = (cluster.node("w"), cluster.node(at).peer.to_string());
    let (dir, peer, api) =
        (cluster.dir("w").display().to_string(), node.peer.to_string(), node.api.to_string());
    let args = ["cluster", "join", "--token", token, "--member", &at, "--dir", &dir, "--listen", &peer];
    cluster.run(&[&args[..], &["--http-listen", &api], more].concat()).unwrap()
}

/// Two nodes, `a` and `b`, and a witness `w`, which is node 3.
fn begin() -> Grown {
    let mut cluster = Grown::begin("west").unwrap();
    cluster.join("b", "a", "east", &[]).unwrap();
    cluster.add_node("w").unwrap();
    let token = cluster.token("a", &["--witness", "--zone", "north"]).unwrap();
    let said = join(&cluster, &token, "a", &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("node 3 joined the cluster grown as a witness"), "{}", said.out);
    cluster.serve("w").unwrap();
    cluster.await_voters("a", 3).unwrap();
    cluster
}

/// Waits until a key can be made at a node.
fn must_create(cluster: &Grown, at: &str, content: &str) {
    let api = cluster.node(at).api;
    let made = wait_until("a key to be made", WITHIN, || cluster.signer().create(api, content));
    made.unwrap_or_else(|error| panic!("{error}\n{}\n{}", cluster.log("w"), cluster.log(at)));
}

/// Waits until this node leads, as another one sees it.
fn await_leader(cluster: &Grown, at: &str, id: u64) {
    wait_until(&format!("node {id} to lead"), WITHIN, || {
        let leader = metrics::sample(cluster.node(at).api, "keymoot_raft_leader_id")?;
        if (leader - id as f64).abs() < 0.5 { Ok(()) } else { Err(RigError::Answer(format!("{leader}"))) }
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", cluster.log("w")));
}

fn signal(cluster: &Grown, name: &str, signal: Signal) {
    process::signal(cluster.pid(name).unwrap(), signal, &cluster.dir(name)).unwrap();
}

#[test]
fn either_of_two_nodes_may_be_lost_where_a_witness_votes_and_the_witness_holds_no_master_key() {
    let mut cluster = begin();
    let table = cluster.cluster("a", &["status"]).unwrap();
    let row = table.out.lines().find(|line| line.starts_with("3 ")).unwrap().to_owned();
    assert!(row.contains("witness") && row.contains("  yes  ") && row.contains("north"), "{}", table.out);
    assert_eq!(table.code, Some(0), "{}", table.out);
    let doctor = cluster.run(&["doctor", "--config", &cluster.config("a")]).unwrap();
    assert!(doctor.out.contains("node 3") && !doctor.out.contains("copy the keyring"), "{}", doctor.out);
    for name in ["a", "b"] {
        must_create(&cluster, name, &format!("before {name}"));
        let other = if name == "a" { "b" } else { "a" };
        cluster.kill(name).unwrap();
        must_create(&cluster, other, &format!("without {name}"));
        cluster.serve(name).unwrap();
        cluster.await_voters(other, 3).unwrap();
        must_create(&cluster, name, &format!("after {name}"));
    }
    // It was ready all the while, and serves nobody but monitors.
    let witness = cluster.node("w").api;
    wait_until("the witness to be ready", WITHIN, || metrics::is_ready(witness)).unwrap();
    let refused = cluster.signer().create(witness, "at the witness").unwrap_err().to_string();
    assert!(refused.contains("404"), "{refused}");
    assert!(!cluster.dir("w").join("keyring.toml").exists());
    let told = cluster.run(&["doctor", "--config", &cluster.config("w")]).unwrap();
    assert!(told.out.contains("a witness has no keyring, and none is here"), "{}", told.out);
}

#[test]
fn what_nobody_but_the_witness_has_is_given_to_the_other_node_which_then_leads() {
    let mut cluster = begin();
    must_create(&cluster, "b", "at first");
    cluster.must(&["cluster", "transfer-leader", "1", "--yes", "--config", &cluster.config("a")]).ok();
    await_leader(&cluster, "a", 1);
    let refused = cluster.cluster("a", &["transfer-leader", "3", "--yes"]).unwrap();
    assert!(refused.code != Some(0) && refused.err.contains("it is a witness"), "{}", refused.err);
    // What is acknowledged now, node b does not have.
    signal(&cluster, "b", Signal::STOP);
    let (api, signer) = (cluster.node("a").api, cluster.signer());
    let keys: Vec<_> = (0..20).map(|n| signer.create(api, &format!("alone {n}")).unwrap()).collect();
    cluster.kill("a").unwrap();
    signal(&cluster, "b", Signal::CONT);
    let api = cluster.node("b").api;
    for (n, key) in keys.iter().enumerate() {
        let read = wait_until("a key to be read", WITHIN, || signer.read(api, &format!("alone {n}")));
        assert_eq!(&read.unwrap_or_else(|error| panic!("{error}\n{}", cluster.log("w"))), key);
    }
    must_create(&cluster, "b", "without a");
    await_leader(&cluster, "b", 2);
    cluster.await_log("w", "the witness has handed the leadership over").unwrap();
}

/// A connection to node `id`, as the node of this directory without its keyring.
fn enter(cluster: &Grown, as_node: (&str, u64), to: (&str, u64)) -> Rogue {
    let shown = Stolen::from(&cluster.dir(as_node.0), NAME).unwrap();
    let mut rogue = shown.connect(to.1, cluster.node(to.0).peer, PEER_ALPN_4).unwrap();
    rogue.directory = Some(StolenDirectory::read(&cluster.dir(as_node.0).join("data")).unwrap());
    rogue
}

fn proposal(command: Command) -> Ask {
    let commands = vec![command];
    let proposal = Proposal { client: 77, serial: 1, floor: 1, now_ms: 1, commands };
    Ask::Propose(codec::encode(Kind::Entry, &proposal).unwrap())
}

#[test]
fn the_certificate_of_a_witness_opens_rafts_messages_and_nothing_else() {
    let mut cluster = begin();
    // Stopped, so that its connections are not in the way.
    cluster.stop("w").unwrap();
    let change = ChangeRequest { change: Change::Remove(2), force: true, dry_run: false };
    let facts = |id| Command::DescribeNode {
        id,
        facts: NodeFacts { zone: "n".into(), version: "0.1.0".into(), feature_level: FEATURE_LEVEL },
    };
    let asks = [
        (Ask::Admin(AdminRequest::Status), "registered as a witness"),
        (Ask::Admin(AdminRequest::Accounts), "registered as a witness"),
        (Ask::Admin(AdminRequest::Propose(Box::new(Command::RaiseFeatureLevel { to: 9 }))), "as a witness"),
        (Ask::ReadIndex, "registered as a witness"),
        (Ask::BackupBegin { local: true }, "registered as a witness"),
        (Ask::ChangeMembers(change), "registered as a witness"),
        (proposal(Command::RaiseFeatureLevel { to: 4 }), "no command that a witness may ask for"),
        (proposal(Command::RegisterNodeKey { id: 3, digest: [1; 32] }), "no command that a witness may"),
        (proposal(Command::RegisterNodeKey { id: 1, digest: [1; 32] }), "no command that a witness may"),
        (proposal(facts(1)), "no command that a witness may ask for"),
    ];
    for (ask, word) in asks {
        // As a member, with all that its directory says, and as a tool.
        for fence in [Some(0), None] {
            let mut rogue = enter(&cluster, ("w", 3), ("a", 1));
            rogue.open_unproven((Some(3), fence)).unwrap();
            match (rogue.ask(&ask).unwrap(), fence) {
                (Reply::Failed(reason), Some(_)) => assert!(reason.contains(word), "{ask:?}: {reason}"),
                (Reply::Failed(_), None) => {}
                (other, _) => panic!("{ask:?}: {other:?}"),
            }
        }
    }
    let mut rogue = enter(&cluster, ("w", 3), ("a", 1));
    rogue.open_unproven((Some(3), Some(0))).unwrap();
    let vote = StoredVote { term: 1, node: 3, committed: false };
    let asked = Ask::Vote { pre_vote: true, vote, last: None, transfer: false };
    assert!(matches!(rogue.ask(&asked).unwrap(), Reply::Voted { granted: false, .. }));
    assert!(matches!(rogue.ask(&Ask::Ping).unwrap(), Reply::Pong));
    // The certificate of a node with the keyring opens nothing without it, at a node and at a witness.
    cluster.serve("w").unwrap();
    cluster.await_voters("a", 3).unwrap();
    for (name, id) in [("a", 1), ("w", 3)] {
        let mut rogue = enter(&cluster, ("b", 2), (name, id));
        let entered = rogue.open_unproven((Some(2), Some(0)));
        let refused = match entered {
            Ok(_) => rogue.ask(&Ask::Vote { pre_vote: false, vote, last: None, transfer: false }).is_err(),
            Err(_) => true,
        };
        assert!(refused, "node {id} believes who proved no master key");
        let status = rogue_status(&cluster, (name, id));
        assert!(status.contains("only holders of the cluster's master key may ask this"), "{status}");
    }
    assert!(cluster.signer().create(cluster.node("a").api, "still whole").is_ok());
}

/// What a node answers a tool with the certificate of `b`, which proves no master key.
fn rogue_status(cluster: &Grown, to: (&str, u64)) -> String {
    let mut rogue = enter(cluster, ("b", 2), to);
    rogue.open_unproven((Some(2), None)).unwrap();
    match rogue.ask(&Ask::Admin(AdminRequest::Status)).unwrap() {
        Reply::Failed(reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// Asks to join with a token, whatever kind it is of.
fn ask(cluster: &Grown, token: &JoinToken, key: &Path, own: &Prover) -> Result<JoinReply, String> {
    let config = match own.is_witness() {
        true => witness_client_config(&token.cluster, token.authority),
        false => join_client_config(&token.cluster, token.authority),
    };
    let request = JoinRequest {
        protocol: PROTOCOL,
        token: token.id,
        secret: token.secret.clone(),
        certificate_request: Some(NodeKey::load_or_create(key).unwrap().request().unwrap()),
        peer_address: "127.0.0.1:1".into(),
        facts: NodeFacts { zone: String::new(), version: "0.1.0".into(), feature_level: FEATURE_LEVEL },
        only_check: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let at = cluster.node("a").peer.to_string();
    let asked = runtime.block_on(ask_to_join(&at, config.unwrap(), own, &request));
    asked.map_err(|error| error.to_string())
}

#[test]
fn a_token_of_either_kind_lets_in_nobody_of_the_other() {
    let mut cluster = Grown::begin("").unwrap();
    cluster.add_node("w").unwrap();
    let [of_node, of_witness] = [&[][..], &["--witness"]].map(|more| cluster.token("a", more).unwrap());
    let [node, witness]: [JoinToken; 2] = [&of_node, &of_witness].map(|token| token.parse().unwrap());
    let ring = std::sync::Arc::new(Keyring::load(cluster.keyring().as_ref()).unwrap());
    let (cluster_name, key) = (node.cluster.clone(), cluster.path("key.pem"));
    let holder = Prover::holder(cluster_name.clone(), ring.clone());
    let keyless = Prover::witness(cluster_name.clone(), ring.verifiers());
    let unknown = |reply: Result<JoinReply, String>| match reply {
        Ok(JoinReply::Refused(reason)) => assert!(reason.contains("not one of this cluster"), "{reason}"),
        other => panic!("{other:?}"),
    };
    // Without a keyring an ordinary token opens nothing, and with one a witness's does not either.
    unknown(ask(&cluster, &node, &key, &keyless));
    unknown(ask(&cluster, &witness, &key, &holder));
    // A witness tells a member from somebody who has a member's TLS key alone.
    let other = Prover::witness(cluster_name, Keyring::generate().unwrap().verifiers());
    let said = ask(&cluster, &witness, &key, &other).unwrap_err();
    assert!(said.contains("does not prove any master key"), "{said}");
    // As it is typed.
    let config = cluster.keyring();
    for (token, more, word) in [
        (&of_node, &[][..], "pass --keyring FILE"),
        (&of_witness, &["--keyring", &config], "must hold no master key"),
    ] {
        let said = join(&cluster, token, "a", more);
        assert!(said.code == Some(64) && said.err.contains(word), "{said:?}");
    }
    let listed = cluster.cluster("a", &["token", "list"]).unwrap().out;
    assert_eq!(listed.lines().filter(|line| line.contains("  open  ")).count(), 2, "{listed}");
    assert!(listed.contains("  witness  "), "{listed}");
    let said = join(&cluster, &of_witness, "a", &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let spent = ask(&cluster, &witness, &key, &keyless);
    assert!(matches!(&spent, Ok(JoinReply::Refused(reason)) if reason.contains("used already")), "{spent:?}");
    // Nothing but a join request is answered there.
    let tls = witness_client_config(&witness.cluster, witness.authority).unwrap();
    let at = cluster.node("a").peer;
    let mut rogue = Rogue::connect((*tls).clone(), &witness.cluster, 1, at, WITNESS_ALPN).unwrap();
    rogue.challenge().unwrap();
    rogue.send(1, Kind::Frame, &Ask::Ping).unwrap();
    assert!(matches!(rogue.receive(Kind::Frame).unwrap(), JoinReply::Refused(_)));
}

#[test]
fn a_removed_witness_is_shut_out_and_one_with_a_keyring_does_not_start() {
    let mut cluster = begin();
    cluster.stop("w").unwrap();
    // A keyring at a witness would be what nobody wants there.
    let config = std::fs::read_to_string(cluster.config("w")).unwrap();
    let ring = cluster.keyring();
    std::fs::write(cluster.config("w"), format!("{config}\n[keys]\nkeyring_file = \"{ring}\"\n")).unwrap();
    let serve = |cluster: &Grown| cluster.run(&["serve", "--config", &cluster.config("w")]).unwrap();
    let said = serve(&cluster);
    assert!(said.code == Some(64) && said.err.contains("a witness must hold no master key"), "{said:?}");
    // Nor does it become a node by its configuration.
    let as_node =
        config.lines().filter(|line| !line.starts_with("witness") && !line.starts_with("verifiers"));
    let as_node = as_node.collect::<Vec<_>>().join("\n");
    std::fs::write(cluster.config("w"), format!("{as_node}\n[keys]\nkeyring_file = \"{ring}\"\n")).unwrap();
    let said = serve(&cluster);
    assert!(said.code == Some(1) && said.err.contains("was admitted as a witness"), "{said:?}");
    std::fs::write(cluster.config("w"), &config).unwrap();
    cluster.serve("w").unwrap();
    cluster.await_voters("a", 3).unwrap();
    let removed = cluster.cluster("a", &["remove", "3", "--yes"]).unwrap();
    assert_eq!(removed.code, Some(0), "{}", removed.err);
    assert!(!cluster.await_end("w", WITHIN).unwrap().success());
    assert!(cluster.log("w").contains("was removed from cluster grown"), "{}", cluster.log("w"));
    let mut rogue = enter(&cluster, ("w", 3), ("a", 1));
    assert!(rogue.open_unproven((Some(3), Some(0))).is_err() || rogue.ask(&Ask::Ping).is_err());
}

#[test]
fn the_next_certificate_of_a_witness_is_made_by_a_member_for_the_registered_key_alone() {
    let mut cluster = begin();
    let name = NAME.parse().unwrap();
    let authority = TrustedAuthorities::load(&cluster.dir("a").join("ca.pem")).unwrap().digests()[0];
    let tls = renewal_client_config(&name, authority).unwrap();
    let ask = |id: u64, key: &Path| -> String {
        let at = cluster.node("a").peer;
        let mut rogue = Rogue::connect((*tls).clone(), &name, 1, at, RENEW_ALPN).unwrap();
        rogue.challenge().unwrap();
        let request = NodeKey::load_or_create(key).unwrap().request().unwrap();
        rogue.send(1, Kind::Frame, &(id, request, KeyringProof::default())).unwrap();
        match rogue.receive(Kind::Frame).unwrap() {
            Renewal::Renewed(certificate) => certificate,
            Renewal::Refused(reason) => reason,
        }
    };
    let [own, other] = [cluster.dir("w").join("node-key.pem"), cluster.path("other.pem")];
    assert!(ask(3, &own).starts_with("-----BEGIN CERTIFICATE"));
    let refusal = "only holders of the cluster's master key may ask this";
    assert!(ask(3, &other).contains(refusal), "{}", ask(3, &other));
    assert!(ask(2, &cluster.dir("b").join("node-key.pem")).contains(refusal), "a node proves the keyring");
    // With the clocks of all in the last third of the certificates' lives, and with the witness's ended.
    let Some(library) = faketime::library() else { return };
    for (offset, days) in [("+70d", 150.0..161.0), ("+400d", 480.0..491.0)] {
        for name in ["a", "b", "w"] {
            cluster.stop(name).unwrap();
            let file = cluster.path(&format!("{name}.offset"));
            std::fs::write(&file, format!("{offset}\n")).unwrap();
            cluster.serve_with(name, &faketime::environment(&library, &file)).unwrap();
        }
        let until = "keymoot_certificate_expires_timestamp_seconds{listener=\"peers\"}";
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        wait_until("the witness to be given its next certificate", WITHIN, || {
            let left = (metrics::sample(cluster.node("w").api, until)? - now) / 86_400.0;
            if days.contains(&left) { Ok(()) } else { Err(RigError::Answer(format!("{left} days"))) }
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", cluster.log("w")));
    }
}

#[derive(serde::Deserialize)]
enum Renewal {
    Renewed(String),
    Refused(String),
}
