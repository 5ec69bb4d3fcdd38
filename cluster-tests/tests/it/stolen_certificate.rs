//! Whoever has a join token, or a node's certificate with its TLS key, and not the cluster's keyring, gets no
//! certificate and opens nothing: no administration, no account, and no message of Raft's. Nor does an operator's
//! certificate, which is for the admin API.

use std::net::SocketAddr;

use cluster_tests::rogue::{Ask, Reply, Rogue, Stolen, StolenDirectory, stolen_authority};
use cluster_tests::{Grown, secret_file, widevine};
use keymoot_cluster::{
    AdminRequest, AdminResponse, Change, ChangeRequest, JoinReply, JoinRequest, PROTOCOL, ProvenJoin,
};
use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{Challenge, JoinToken, Keyring, KeyringProof, ProofPurpose};
use keymoot_model::{Account, AccountId, Consistency, ResponseShape};
use keymoot_state::{Command, FEATURE_LEVEL, NodeFacts, Proposal};
use keymoot_store::{LogPosition, StoredVote};
use keymoot_tls::{JOIN_ALPN, JOIN_ALPN_2, NodeKey, join_client_config};
use keymoot_tls::{PEER_ALPN, PEER_ALPN_3, PEER_ALPN_4};

const NAME: &str = "grown";

fn request(token: &JoinToken, certificate_request: Option<Vec<u8>>) -> JoinRequest {
    JoinRequest {
        protocol: PROTOCOL,
        token: token.id,
        secret: token.secret.clone(),
        certificate_request,
        peer_address: "127.0.0.1:1".into(),
        facts: NodeFacts { zone: String::new(), version: "0.1.0".into(), feature_level: FEATURE_LEVEL },
        only_check: false,
    }
}

/// Sends a request to join without a certificate and gives the reply.
fn join(
    at: SocketAddr,
    alpn: &[u8],
    token: &JoinToken,
    request: &JoinRequest,
    keyring: &Keyring,
) -> JoinReply {
    let tls = join_client_config(&token.cluster, token.authority).unwrap();
    let mut rogue = Rogue::connect((*tls).clone(), &token.cluster, 1, at, alpn).unwrap();
    if alpn == JOIN_ALPN {
        rogue.send(1, Kind::Frame, request).unwrap();
        return rogue.receive(Kind::Frame).unwrap();
    }
    let (challenge, _): (Challenge, KeyringProof) = rogue.receive(Kind::Hello).unwrap();
    let csr = request.certificate_request.as_deref().unwrap();
    let proof = rogue.proof(keyring, &challenge, ProofPurpose::Join(csr)).unwrap();
    rogue.send(1, Kind::Frame, &ProvenJoin { request: request.clone(), proof }).unwrap();
    rogue.receive(Kind::Frame).unwrap()
}

fn must_be_refused(reply: JoinReply, words: &[&str]) {
    let JoinReply::Refused(reason) = reply else { panic!("the node was answered {reply:?}") };
    for word in words {
        assert!(reason.contains(word), "{reason:?} does not say {word:?}");
    }
}

#[test]
fn a_token_without_the_keyring_gets_no_certificate_and_stays_good() {
    let mut cluster = Grown::begin("").unwrap();
    let at = cluster.node("a").peer;
    let text = cluster.token("a", &[]).unwrap();
    let token: JoinToken = text.parse().unwrap();
    let key = NodeKey::load_or_create(&cluster.path("own.pem")).unwrap();
    let asked = request(&token, Some(key.request().unwrap()));

    // A program of before, which proves nothing, is told what to do.
    let stranger = Keyring::generate().unwrap();
    let old = join(at, JOIN_ALPN, &token, &asked, &stranger);
    must_be_refused(old, &["earlier version", "use the version of Keymoot that this node runs", "not spent"]);
    let wrong = join(at, JOIN_ALPN_2, &token, &asked, &stranger);
    must_be_refused(wrong, &["master key", "use a copy of the keyring that the nodes use", "not spent"]);
    // The true keyring's proof covers another certificate request than the one that is sent.
    let keyring = Keyring::load(cluster.keyring().as_ref()).unwrap();
    let other = NodeKey::load_or_create(&cluster.path("other.pem")).unwrap().request().unwrap();
    let tls = join_client_config(&token.cluster, token.authority).unwrap();
    let mut rogue = Rogue::connect((*tls).clone(), &token.cluster, 1, at, JOIN_ALPN_2).unwrap();
    let (challenge, _): (Challenge, KeyringProof) = rogue.receive(Kind::Hello).unwrap();
    let proof = rogue.proof(&keyring, &challenge, ProofPurpose::Join(&other)).unwrap();
    rogue.send(1, Kind::Frame, &ProvenJoin { request: asked, proof }).unwrap();
    must_be_refused(rogue.receive(Kind::Frame).unwrap(), &["the proof is wrong"]);

    let log = cluster.log("a");
    assert!(log.contains("refused on the peer port") && log.contains("127.0.0.1:"), "{log}");
    let list = cluster.cluster("a", &["token", "list"]).unwrap().out;
    assert!(list.contains("  open  "), "{list}");
    cluster.add_node("b").unwrap();
    let said = cluster.try_join("b", &text, at, &[]).unwrap();
    assert_eq!(said.code, Some(0), "the token is still good: {said:?}");
}

/// The account of the cluster, open to whoever asks, and shut to its owner.
fn plundered() -> Command {
    let account = Account {
        id: AccountId::new("demo").unwrap(),
        ca_systems: Vec::new(),
        credentials: Vec::new(),
        allow_list: vec!["0.0.0.0/0".parse().unwrap()],
        consistency: Consistency::default(),
        response_shape: ResponseShape::default(),
        license_url: None,
        created_at_ms: 0,
        minimum_scheme: None,
        allow_unsigned_packagers: true,
        playready_la_url: None,
    };
    Command::PutAccount { account, if_absent: false }
}

fn proposal(command: Command) -> Vec<u8> {
    let proposal = Proposal { client: 7, serial: 1, floor: 1, now_ms: 1, commands: vec![command] };
    codec::encode(Kind::Entry, &proposal).unwrap()
}

fn change(change: Change) -> Ask {
    Ask::ChangeMembers(ChangeRequest { change, force: true, dry_run: false })
}

/// How the connection is opened.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// With the first version of the protocol, which has no proof.
    First,
    /// With a proof of another keyring.
    Stranger,
    /// With an empty proof.
    Nothing,
}

/// A connection to node 1 with the certificate of node 2: as that node, or as a tool.
fn open(stolen: &Stolen, directory: StolenDirectory, at: SocketAddr, way: Way, as_node: bool) -> Rogue {
    let alpn = if matches!(way, Way::First) { PEER_ALPN } else { PEER_ALPN_4 };
    // What fence the cluster has is said to whoever greets.
    let fence = stolen.connect(1, at, PEER_ALPN).unwrap().open_unproven((Some(2), None)).unwrap().fence;
    let mut rogue = stolen.connect(1, at, alpn).unwrap();
    rogue.directory = Some(directory);
    let claim = (Some(2), fence.filter(|_| as_node));
    let opened = match way {
        Way::First | Way::Nothing => rogue.open_unproven(claim),
        Way::Stranger => rogue.open(claim, |rogue, challenge| {
            rogue.proof(&Keyring::generate().unwrap(), challenge, ProofPurpose::Peer)
        }),
    };
    opened.unwrap();
    rogue
}

#[test]
fn a_nodes_certificate_without_the_keyring_opens_nothing_not_even_rafts_messages() {
    let mut cluster = Grown::begin("").unwrap();
    cluster.join("b", "a", "", &[]).unwrap();
    cluster.await_voters("a", 2).unwrap();
    let said = cluster.cluster("a", &["transfer-leader", "1", "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let (node, signer) = (cluster.node("a").api, cluster.signer());
    let key = signer.create(node, "film").unwrap();
    let token: JoinToken = cluster.token("a", &[]).unwrap().parse().unwrap();

    let stolen = Stolen::from(&cluster.dir("b"), NAME).unwrap();
    let at = cluster.node("a").peer;
    // Whoever has node 2's data too knows even its incarnation and its start.
    let directory = StolenDirectory::read(&cluster.dir("b").join("data")).unwrap();
    let of_tools = [
        Ask::Admin(AdminRequest::Status),
        Ask::Admin(AdminRequest::Accounts),
        Ask::Admin(AdminRequest::JoinTokens),
        Ask::Admin(AdminRequest::Propose(Box::new(plundered()))),
        Ask::BackupBegin { local: true },
        Ask::BackupNext,
        Ask::Join(Box::new(request(&token, None))),
    ];
    // A vote of a term to come would unseat the leader.
    let vote = StoredVote { term: 1 << 30, node: 2, committed: false };
    let last = Some(LogPosition { term: 1 << 30, node: 2, index: 1 << 30 });
    let of_nodes = [
        Ask::Ping,
        Ask::ReadIndex,
        Ask::Vote { pre_vote: true, vote, last, transfer: false },
        Ask::Vote { pre_vote: false, vote, last, transfer: true },
        Ask::TransferLeader { from: vote, to: 1, last },
        Ask::Propose(proposal(plundered())),
        Ask::Propose(proposal(Command::RemoveNode { id: 1 })),
        Ask::Propose(proposal(Command::RevokeJoinToken { id: token.id })),
        change(Change::AddLearner(9, "127.0.0.1:1".into())),
        change(Change::Address(2, "127.0.0.1:1".into())),
        change(Change::TransferLeader(Some(2))),
        Ask::Propose(b"no proposal".to_vec()),
    ];
    let lookup = widevine::lookup(&key.key_id).unwrap();
    for way in [Way::First, Way::Stranger, Way::Nothing] {
        let mut through = Vec::new();
        for as_node in [false, true] {
            // On one connection, so that nothing depends on what came before.
            let mut rogue = open(&stolen, directory, at, way, as_node);
            let asks = of_tools.iter().chain(of_nodes.iter().filter(|_| as_node));
            for ask in asks {
                match rogue.ask(ask) {
                    // What claims to be a member is not even greeted.
                    Ok(Reply::Failed(_)) | Err(_) => {}
                    Ok(reply) => through.push(format!("{way:?}, as a node {as_node}: {ask:?}: {reply:?}")),
                }
            }
            let pong = rogue.ask(&Ask::Ping);
            assert!(!as_node || pong.is_err(), "{way:?}: {pong:?}");
            let unsigned = widevine::ask(node, "demo", &lookup);
            for given in unsigned.iter().flat_map(|given| &given.tracks) {
                through.push(format!("an unsigned request is given the true key: {}", given.key == key.key));
            }
        }
        assert!(through.is_empty(), "{through:#?}");
    }
    // The owner's signature works, and nothing else has changed.
    assert_eq!(signer.read(node, "film").unwrap(), key);
    let list = cluster.cluster("a", &["token", "list"]).unwrap().out;
    assert!(list.contains("  open  "), "{list}");
    assert_eq!(cluster.status("a").unwrap()["members"].as_array().unwrap().len(), 2);
    let log = cluster.log("a");
    assert!(log.contains("only holders of the cluster's master key"), "{log}");
    assert!(log.lines().filter(|line| line.contains("refused on the peer port")).count() <= 20, "{log}");
}

#[test]
fn a_stolen_tls_key_does_not_cost_the_owner_its_place_in_the_cluster() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let stolen = Stolen::from(&cluster.dir("c"), NAME).unwrap();
    let (data, owner) = (cluster.dir("c").join("data"), cluster.node("c").peer);
    cluster.stop("c").unwrap();
    // While the owner is off, somebody with its TLS key, and even its incarnation, says to have started again.
    let directory = StolenDirectory::read(&data).unwrap().started_again(owner);
    let stranger = Keyring::generate().unwrap();
    for (id, name) in [(1, "a"), (2, "b")] {
        for alpn in [PEER_ALPN_4, PEER_ALPN_3, PEER_ALPN] {
            let connect = || {
                let mut rogue = stolen.connect(id, cluster.node(name).peer, alpn).unwrap();
                rogue.directory = Some(directory);
                rogue
            };
            // The answer may be a refusal, or none.
            let _ = connect().greet(Some(3), Some(0));
            let _ = connect().open_unproven((Some(3), Some(0)));
            let _ = connect().open((Some(3), Some(0)), |rogue, challenge| {
                rogue.proof(&stranger, challenge, ProofPurpose::Peer)
            });
        }
    }
    cluster.serve("c").unwrap();
    cluster.await_voters("a", 3).unwrap();
    // A place that was lost would show by now: every node meets every other within three seconds.
    std::thread::sleep(std::time::Duration::from_secs(5));
    let status = cluster.cluster("c", &["status"]).unwrap();
    assert_eq!(status.code, Some(0), "{status:?}\n{}\n{}", cluster.log("a"), cluster.log("c"));
    assert!(!status.out.contains("copy") && !status.out.contains("refuse"), "{status:?}");
    cluster.stop("a").unwrap();
    let written =
        cluster_tests::wait::wait_until("c to be needed", std::time::Duration::from_secs(30), || {
            cluster.signer().create(cluster.node("c").api, "after")
        });
    written.unwrap();
}

/// Makes a proof for a challenge.
type Make<'m> = &'m dyn Fn(&Rogue, &Challenge) -> KeyringProof;

#[test]
fn a_proof_is_good_on_its_own_connection_only() {
    let mut cluster = Grown::begin("").unwrap();
    cluster.join("b", "a", "", &[]).unwrap();
    let stolen = Stolen::from(&cluster.dir("b"), NAME).unwrap();
    let at = cluster.node("a").peer;
    let ring = |path: &str| Keyring::load(path.as_ref()).unwrap();
    let keyring = ring(&cluster.keyring());
    let connect = || stolen.connect(1, at, PEER_ALPN_4).unwrap();
    let open = |rogue: &mut Rogue, make: Make<'_>| {
        let mut shown = None;
        rogue.open((Some(2), None), |rogue, challenge| {
            let proof = make(rogue, challenge);
            shown = Some(proof.clone());
            Ok(proof)
        })?;
        Ok::<_, cluster_tests::RigError>(shown.unwrap())
    };
    let status = |rogue: &mut Rogue| rogue.ask(&Ask::Admin(AdminRequest::Status));

    let mut rogue = connect();
    let prove = |rogue: &Rogue, drawn: &Challenge| rogue.proof(&keyring, drawn, ProofPurpose::Peer).unwrap();
    let recorded = open(&mut rogue, &prove).unwrap();
    let answer = status(&mut rogue).unwrap();
    assert!(matches!(answer, Reply::Admin(AdminResponse::Status(_))), "{answer:?}");

    // Recorded there, played here; made for another purpose; under another id; by another key of the id.
    let renamed = cluster.path("renamed.toml");
    let text = std::fs::read_to_string(cluster.keyring()).unwrap();
    secret_file::write(&renamed, &text.replace("\"mk1\"", "\"mk9\"")).unwrap();
    let renamed = ring(&renamed.display().to_string());
    let stranger = Keyring::generate().unwrap();
    let makes: [(Make<'_>, &str); 4] = [
        (&|_, _| recorded.clone(), "the proof is wrong"),
        (&|rogue, drawn| rogue.proof(&keyring, drawn, ProofPurpose::Member).unwrap(), "the proof is wrong"),
        (&|rogue, drawn| rogue.proof(&renamed, drawn, ProofPurpose::Peer).unwrap(), "names no master key"),
        (&|rogue, drawn| rogue.proof(&stranger, drawn, ProofPurpose::Peer).unwrap(), "the proof is wrong"),
    ];
    for (make, word) in makes {
        let mut rogue = connect();
        open(&mut rogue, make).unwrap();
        let answer = status(&mut rogue).unwrap();
        assert!(matches!(&answer, Reply::Failed(reason) if reason.contains(word)), "{answer:?}");
    }
    // Cut short, it is no proof at all, and the connection ends.
    let mut rogue = connect();
    let challenge = rogue.challenge().unwrap();
    let mut bytes = codec::encode(Kind::Hello, &prove(&rogue, &challenge)).unwrap();
    bytes.truncate(bytes.len() - 1);
    rogue.send_bytes(0, &bytes).unwrap();
    assert!(status(&mut rogue).is_err());
}

#[test]
fn an_operators_certificate_opens_nothing_on_the_peer_port() {
    let mut cluster = Grown::begin("").unwrap();
    cluster.stop("a").unwrap();
    let keyring = cluster.keyring();
    let authority = stolen_authority(&cluster.dir("a").join("data"), keyring.as_ref(), NAME).unwrap();
    cluster.serve("a").unwrap();
    let operator = Stolen::made(&authority, &authority.issue_operator().unwrap()).unwrap();
    let at = cluster.node("a").peer;
    for alpn in [PEER_ALPN, PEER_ALPN_4] {
        for (node, fence) in [(None, None), (Some(1), None), (Some(1), Some(0))] {
            let greeted =
                operator.connect(1, at, alpn).and_then(|mut rogue| rogue.open_unproven((node, fence)));
            assert!(greeted.is_err(), "{greeted:?}");
        }
    }
    let log = cluster.log("a");
    assert!(log.contains("an operator's certificate opens the admin API"), "{log}");
}

#[test]
fn the_commands_with_another_keyring_or_none_are_refused_and_say_what_to_do() {
    let cluster = Grown::begin("").unwrap();
    let other = cluster.path("other.toml").display().to_string();
    cluster.must(&["keyring", "generate", &other]).unwrap();
    let text = std::fs::read_to_string(cluster.config("a")).unwrap();
    // Paths of a configuration are as seen from its directory. Without a credential the keyring is proved.
    let with_keyring = |name: &str, keyring: &str| {
        let line = |line: &str| match line.split(' ').next() {
            Some("keyring_file") => format!("keyring_file = {keyring:?}\n"),
            Some("credential_file") => String::new(),
            _ => format!("{line}\n"),
        };
        let path = cluster.dir("a").join(name);
        std::fs::write(&path, text.lines().map(line).collect::<String>()).unwrap();
        path.display().to_string()
    };
    let (wrong, missing) = (with_keyring("wrong.toml", &other), with_keyring("missing.toml", "none.toml"));
    let backup = cluster.path("stolen.backup").display().to_string();
    let key = cluster.path("signing.key").display().to_string();
    let commands: [&[&str]; 7] = [
        &["cluster", "status"],
        &["cluster", "token", "create"],
        &["cluster", "remove", "1", "--yes", "--force"],
        &["account", "list"],
        &["account", "add", "mine", "--allow", "0.0.0.0/0", "--encryption-key-file", &key],
        &["backup", "create", "--local", "--output", &backup],
        &["keyring", "status"],
    ];
    for command in commands {
        let said = cluster.run(&[command, &["--config", &wrong]].concat()).unwrap();
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{command:?}: {said:?}");
        for word in ["proves no master key of this keyring", "use a copy of the keyring that the nodes use"] {
            assert!(said.err.contains(word), "{command:?}: {said:?}");
        }
        let said = cluster.run(&[command, &["--config", &missing]].concat()).unwrap();
        assert_eq!(said.code, Some(64), "{command:?}: {said:?}");
        assert!(said.err.contains("none.toml") && said.err.contains("keys.keyring_file"), "{said:?}");
    }
    assert!(!std::path::Path::new(&backup).exists());
    assert!(cluster.status("a").unwrap()["members"].as_array().is_some_and(|members| members.len() == 1));
}
