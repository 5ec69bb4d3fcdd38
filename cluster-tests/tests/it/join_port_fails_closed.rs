//! The peer port for who shows no certificate: it answers a join request, and nothing else.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster_tests::Grown;
use keymoot_cluster::{JoinReply, JoinRequest, PROTOCOL, Prover, ask_to_join};
use keymoot_crypto::{JoinToken, Keyring};
use keymoot_state::NodeFacts;
use keymoot_tls::PEER_ALPN;
use keymoot_tls::{NodeKey, join_client_config};
use rustls::pki_types::ServerName;
use std::io::{Read as _, Write as _};

/// Sends bytes over TLS without a certificate, and hands back all that is answered until the end.
fn say(tls: Arc<rustls::ClientConfig>, at: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let name = ServerName::try_from("node-1.grown.keymoot.internal").unwrap();
    let mut session = rustls::ClientConnection::new(tls, name).unwrap();
    let mut socket = std::net::TcpStream::connect(at).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    // The other side may hang up meanwhile: then there is nothing to read.
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// A frame that announces `announced` bytes and holds `body`.
fn frame(announced: u32, body: &[u8]) -> Vec<u8> {
    [&announced.to_be_bytes()[..], &7_u64.to_be_bytes(), body].concat()
}

#[test]
fn without_a_certificate_there_is_the_join_request_and_nothing_else() {
    let cluster = Grown::begin("").unwrap();
    let at = cluster.node("a").peer;
    let token: JoinToken = cluster.token("a", &[]).unwrap().parse().unwrap();
    let join = join_client_config(&token.cluster, token.authority).unwrap();

    // As a peer: hung up on, whatever it says.
    let mut peer = (*join).clone();
    peer.alpn_protocols = vec![PEER_ALPN.to_vec()];
    assert_eq!(say(Arc::new(peer), at, &frame(4, b"helo")), b"");
    let mut nothing = (*join).clone();
    nothing.alpn_protocols = Vec::new();
    assert_eq!(say(Arc::new(nothing), at, &frame(4, b"helo")), b"");

    // As a node that wants in: nonsense is refused in words, too much is not even read.
    let refused = say(join.clone(), at, &[frame(4, b"helo"), frame(4, b"helo"), frame(4, b"helo")].concat());
    let answers = |said: &[u8]| said.windows(8).filter(|part| *part == 7_u64.to_be_bytes()).count();
    assert_eq!(answers(&refused), 2, "two requests on a connection, no more");
    assert_eq!(answers(&say(join.clone(), at, &frame(17 * 1024, &[0; 1024]))), 0);

    // A program that knows too little is told so before the token is spent.
    let key = NodeKey::load_or_create(&cluster.path("key.pem")).unwrap();
    let request = JoinRequest {
        protocol: PROTOCOL,
        token: token.id,
        secret: token.secret.clone(),
        certificate_request: Some(key.request().unwrap()),
        peer_address: "127.0.0.1:1".into(),
        facts: NodeFacts { zone: String::new(), version: "0.0.1".into(), feature_level: 0 },
        only_check: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let at = at.to_string();
    let keyring = Arc::new(Keyring::load(cluster.keyring().as_ref()).unwrap());
    let own = Prover::holder(token.cluster.clone(), keyring);
    let ask =
        |request: &JoinRequest| runtime.block_on(ask_to_join(&at, join.clone(), &own, request)).unwrap();
    match ask(&request) {
        JoinReply::Refused(reason) => assert!(reason.contains("it needs Keymoot 0.1.0 or later"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let wrong = JoinRequest { peer_address: "nowhere".into(), ..request.clone() };
    assert!(matches!(ask(&wrong), JoinReply::Refused(reason) if reason.contains("no address")));
    let bent = JoinRequest { certificate_request: Some(vec![1, 2, 3]), ..request };
    assert!(matches!(ask(&bent), JoinReply::Refused(reason) if reason.contains("certificate request")));
    assert!(cluster.cluster("a", &["token", "list"]).unwrap().out.contains("  open  "));

    // A flood closes the gate, and the cluster goes on.
    for _ in 0..40 {
        drop(std::net::TcpStream::connect(at.as_str()).unwrap());
        let name = ServerName::try_from("node-1.grown.keymoot.internal").unwrap();
        let mut session = rustls::ClientConnection::new(join.clone(), name).unwrap();
        let mut socket = std::net::TcpStream::connect(at.as_str()).unwrap();
        let _ = rustls::Stream::new(&mut session, &mut socket).write_all(b"");
    }
    cluster.signer().create(cluster.node("a").api, "still here").unwrap();
}

/// Connections that have come as far as they get without a proof, and say nothing.
fn silent(tls: &Arc<rustls::ClientConfig>, at: SocketAddr, count: usize) -> Vec<impl Sized> {
    let open = || {
        let name = ServerName::try_from("node-1.grown.keymoot.internal").unwrap();
        let mut session = rustls::ClientConnection::new(tls.clone(), name).unwrap();
        let mut socket = std::net::TcpStream::connect(at).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        while session.is_handshaking() {
            session.complete_io(&mut socket).ok()?;
        }
        Some((session, socket))
    };
    (0..count).filter_map(|_| open()).collect()
}

#[test]
fn silent_connections_keep_no_node_from_joining() {
    let mut cluster = Grown::begin("").unwrap();
    let at = cluster.node("a").peer;
    let token: JoinToken = cluster.token("a", &[]).unwrap().parse().unwrap();
    let tls = join_client_config(&token.cluster, token.authority).unwrap();
    let done = AtomicBool::new(false);
    let (begun, has_begun) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut held = VecDeque::new();
            while !done.load(Ordering::Relaxed) {
                held.push_back(silent(&tls, at, 6));
                held.truncate(20);
                begun.send(()).ok();
                // Those that are there shall be silent for a while.
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        has_begun.recv().unwrap();
        // The scope waits for them, which must end whatever comes of the test.
        let joined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cluster.join("b", "a", "", &[]).unwrap();
        }));
        done.store(true, Ordering::Relaxed);
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}
