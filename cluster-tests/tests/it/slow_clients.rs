//! Clients that are slow, silent or do not listen cost a node a bounded time, bounded memory and never its place
//! in the cluster.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use cluster_tests::crowd::{Attack, Crowd, addresses};
use cluster_tests::raw::{self, percent_encode};
use cluster_tests::signed::COMMON;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, KeyAnswer, Options, RigError, Signer, metrics};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

const MIB: f64 = 1024.0 * 1024.0;
/// Much longer than the limits that the tests set.
const CUT_WITHIN: Duration = Duration::from_secs(25);

fn connect(node: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&node, Duration::from_secs(10)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn send(node: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(node);
    stream.write_all(bytes).unwrap();
    stream
}

/// The head of a request that announces 60,000 bytes, and one of them.
fn announced(method: &str, path: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: keymoot\r\nContent-Length: 60000\r\n\r\n{{").into_bytes()
}

/// The next answer of a connection that is kept.
fn answered(mut stream: &TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut part = [0; 4096];
    let bytes = stream.read(&mut part).unwrap();
    String::from_utf8_lossy(&part[..bytes]).into_owned()
}

/// All that comes, and whether the connection ended.
fn received(mut stream: TcpStream, deadline: Instant) -> (String, bool) {
    let mut all = Vec::new();
    let mut part = [0; 65_536];
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).unwrap();
        match stream.read(&mut part) {
            Ok(bytes @ 1..) => all.extend_from_slice(&part[..bytes]),
            ended => {
                let waits = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
                let is_open = ended.is_err_and(|error| waits(error.kind()));
                return (String::from_utf8_lossy(&all).into_owned(), !is_open);
            }
        }
    }
}

fn must_serve(node: SocketAddr, signer: &Signer, content: &str) {
    let healthy = raw::exchange(node, &raw::request("GET", "/healthz", &[], &[]), Duration::from_secs(10));
    assert_eq!(healthy.unwrap().status, 200);
    let request = signer.request("POST", COMMON, &signer.custom_data(content, &[]));
    KeyAnswer::from_answer(&raw::exchange(node, &request, Duration::from_secs(20)).unwrap()).unwrap();
}

fn resident(node: SocketAddr) -> f64 {
    metrics::sample(node, "process_resident_memory_bytes").unwrap()
}

fn counted(node: SocketAddr, reason: &str) -> Result<f64, RigError> {
    metrics::sample(node, &format!("keymoot_http_slow_clients_total{{reason=\"{reason}\"}}"))
}

#[test]
fn what_a_client_announces_and_never_sends_is_waited_for_only_so_long() {
    let cluster = Options::default()
        .nodes(1)
        .env("KEYMOOT__HTTP__HEADER_TIMEOUT_MS", "1500")
        .env("KEYMOOT__HTTP__BODY_TIMEOUT_MS", "3000")
        .env("KEYMOOT__HTTP__KEEP_ALIVE_MS", "5000")
        .start()
        .unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let mut waiting = Vec::new();
    for path in [
        "/cenc/encryption",
        "/widevine/schedule",
        "/policy",
        "/cenc/getcontentkey/demo",
        "/playready/acquirepackagingdata/demo",
        "/cenc/clearkey/license",
        "/bulk",
        "/export",
    ] {
        waiting.push((path, Some("400"), send(node, &announced("POST", path))));
    }
    let wrong = format!("{COMMON}?signature={}", percent_encode(&signer.signature(b"other")));
    waiting.push(("a signature of its form", Some("400"), send(node, &announced("PUT", &wrong))));
    let chunk = b"POST /cenc/encryption HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n";
    waiting.push(("a chunk", Some("400"), send(node, chunk)));
    // Refused before anybody looks at the body.
    waiting.push(("no such path", Some("404"), send(node, &announced("POST", "/nothing"))));
    waiting.push(("a body of GET", Some("200"), send(node, &announced("GET", "/healthz"))));
    let chunk = b"POST /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n";
    waiting.push(("a chunk for nobody", Some("404"), send(node, chunk)));
    // The head of a second request.
    waiting.push((
        "half a head",
        Some("200"),
        send(node, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /he"),
    ));
    let mut later = send(node, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(later.read(&mut [0; 1024]).unwrap() > 0);
    later.write_all(b"G").unwrap();
    waiting.push(("a byte of a head", None, later));

    let deadline = Instant::now() + CUT_WITHIN;
    let mut held = Vec::new();
    for (what, status, stream) in waiting {
        let (answer, has_ended) = received(stream, deadline);
        match status {
            _ if !has_ended => held.push(what),
            Some(status) => {
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
                assert_eq!(answer.contains("too slowly"), status == "400", "{what}: {answer}");
            }
            None => {}
        }
    }
    assert_eq!(held, [""; 0], "these connections are still open");
    assert!(counted(node, "body").unwrap() > 9.5 && counted(node, "head").unwrap() > 1.5);
    must_serve(node, signer, "after");
}

#[test]
fn what_came_while_a_node_was_stopped_is_answered_when_it_goes_on() {
    let cluster = Options::default()
        .nodes(1)
        .env("KEYMOOT__HTTP__HEADER_TIMEOUT_MS", "1000")
        .env("KEYMOOT__HTTP__BODY_TIMEOUT_MS", "1000")
        .env("KEYMOOT__HTTP__KEEP_ALIVE_MS", "1000")
        .start()
        .unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let whole = || signer.request("POST", COMMON, &signer.custom_data("stopped", &[]));
    let (head, body) = ("GET /healthz HTTP/1.1\r\nHost: a\r\n", b"\r\n");
    // What the node has of each request when it is stopped, and what comes then.
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let kept = send(node, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(answered(&kept).starts_with("HTTP/1.1 200 "));
        waiting.push(("a request on a kept connection", kept, whole()));
        waiting.push(("a request on a connection that was just opened", connect(node), whole()));
        waiting.push(("the rest of a head", send(node, head.as_bytes()), body.to_vec()));
        let request = whole();
        let (begun, rest) = request.split_at(request.len() - 20);
        waiting.push(("the rest of a body", send(node, begun), rest.to_vec()));
    }
    // Until the node has what was sent.
    std::thread::sleep(Duration::from_millis(100));
    cluster.pause(1).unwrap();
    for (_, stream, rest) in &mut waiting {
        stream.write_all(rest).unwrap();
    }
    waiting.push(("a connection that was opened meanwhile", send(node, &whole()), vec![]));
    // Longer than every limit, and what is cached of the time is old.
    std::thread::sleep(Duration::from_secs(3));
    cluster.resume(1).unwrap();
    for (what, stream, _) in &waiting {
        let answer = answered(stream);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{what}: {answer:?}");
    }
    // The limits hold again.
    let deadline = Instant::now() + CUT_WITHIN;
    for (what, stream, _) in waiting {
        assert!(received(stream, deadline).1, "{what}: it is still open");
    }
}

#[test]
fn a_body_that_trickles_is_cut_and_one_that_is_merely_slow_is_served() {
    let cluster = Options::default()
        .nodes(1)
        .env("KEYMOOT__HTTP__HEADER_TIMEOUT_MS", "1500")
        .env("KEYMOOT__HTTP__BODY_BYTES_PER_S_MIN", "1000")
        .start()
        .unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let mut body = signer.custom_data("slow", &[]);
    body.resize(15_000, b' ');
    let upload = |bytes_a_step: usize| {
        let request = signer.request("POST", COMMON, &body);
        let (head, rest) = request.split_at(request.len() - body.len());
        let (mut stream, began) = (send(node, head), Instant::now());
        for part in rest.chunks(bytes_a_step) {
            // The node may have answered and closed its end.
            if stream.write_all(part).is_err() || began.elapsed() > CUT_WITHIN {
                break;
            }
            // How slowly it comes is what the node judges.
            std::thread::sleep(Duration::from_millis(100));
        }
        let sent_for = began.elapsed();
        (received(stream, Instant::now() + Duration::from_secs(3)).0, sent_for)
    };
    let ((slow, _), (trickling, sent_for)) = std::thread::scope(|scope| {
        let trickling = scope.spawn(|| upload(30));
        (upload(400), trickling.join().unwrap())
    });
    assert!(sent_for < CUT_WITHIN, "300 bytes a second were taken for {sent_for:?}");
    // What was sent behind the answer may have cost the client the answer, as ever in HTTP.
    assert!(!trickling.starts_with("HTTP/1.1 200 "), "{trickling}");
    assert!(slow.starts_with("HTTP/1.1 200 "), "4000 bytes a second: {slow}");
    assert!(counted(node, "body").unwrap() > 0.5);
}

#[test]
fn slow_bodies_beyond_the_limit_of_connections_leave_room_for_others() {
    let cluster = Options::default()
        .nodes(1)
        .env("KEYMOOT__HTTP__WORKERS", "2")
        .env("KEYMOOT__HTTP__CONNECTIONS_PER_WORKER_MAX", "100")
        .start()
        .unwrap();
    let node = cluster.addresses()[0];
    // They are not waited for until the node gives them up: some are cut at once.
    let held: Vec<TcpStream> = (0..260).map(|_| send(node, &announced("POST", "/cenc/encryption"))).collect();
    must_serve(node, cluster.signer(), "in between");
    // All are from one address, which gives way to itself.
    assert!(counted(node, "address").unwrap() > 50.0);
    drop(held);
}

#[test]
fn a_node_whose_clients_want_more_connections_than_it_may_open_files_keeps_its_peers() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let mut cluster = Options::default().open_files(1024).start().unwrap();
    let signer = cluster.signer().clone();
    let leader = cluster.leader().unwrap();
    let (follower, node) = (cluster.others(leader)[0], cluster.node(leader).unwrap().api);
    // From addresses of their own: one that has as many connections as it may gives way to itself alone, and an
    // honest client that shared it would, too.
    let siege = Attack::Stalls(announced("POST", "/cenc/encryption"));
    let crowd = Crowd::gather(node, &siege, 1100, &addresses(100));
    wait_until("the siege to begin", Duration::from_secs(60), || match crowd.opened() {
        1100.. => Ok(()),
        opened => Err(RigError::Answer(format!("{opened} connections are opened"))),
    })
    .unwrap();
    let other = cluster.node(cluster.others(leader)[1]).unwrap().api;
    cluster.kill(follower).unwrap();
    for number in 0..20 {
        signer.create(other, &format!("missed-{number}")).unwrap();
    }
    let known = metrics::sample(other, metrics::LAST_LOG_INDEX).unwrap();
    cluster.restart(follower).unwrap();
    let api = cluster.node(follower).unwrap().api;
    wait_until("the follower to catch up", Duration::from_secs(40), || {
        match metrics::sample(api, metrics::APPLIED_INDEX)? {
            applied if applied >= known => Ok(()),
            applied => Err(RigError::Answer(format!("it has applied {applied} of {known}"))),
        }
    })
    .unwrap();
    for number in 0..5 {
        must_serve(node, &signer, &format!("besieged-{number}"));
    }
    let files = metrics::sample(node, "process_open_fds").unwrap();
    assert!(files < 900.0, "{files} files are open");
    drop(crowd);
}

#[test]
fn answers_that_are_not_read_are_given_up_and_cost_little_memory() {
    let cluster = Options::default().nodes(1).env("KEYMOOT__HTTP__WRITE_TIMEOUT_MS", "3000").start().unwrap();
    let node = cluster.addresses()[0];
    raw::exchange(node, &raw::request("GET", "/openapi.json", &[], &[]), raw::ANSWER_WITHIN).unwrap();
    let before = resident(node);
    let requests = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(6000);
    let held: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = connect(node);
            stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
            // The node stops to take requests at some point; the kernel takes the rest.
            stream.write_all(&requests).ok();
            stream
        })
        .collect();
    let mut most = before;
    let given_up = wait_until("the node to give up those who do not read", CUT_WITHIN, || {
        most = most.max(resident(node));
        match counted(node, "write")? {
            cut if cut > 49.5 => Ok(()),
            cut => Err(RigError::Answer(format!("{cut} of 50 are given up"))),
        }
    });
    println!("resident memory: {:.0} MiB before, at most {:.0} MiB", before / MIB, most / MIB);
    given_up.unwrap();
    assert!(most - before < 64.0 * MIB, "{:.0} MiB more", (most - before) / MIB);
    drop(held);
    must_serve(node, cluster.signer(), "after");
}

/// Sends all of a bulk request of nearly 4 MiB but its last byte.
fn send_bulk(node: SocketAddr, signer: &Signer, signature: &str) -> TcpStream {
    let head =
        json!({"bulk": 1, "ca_system": signer.ca_system, "account_id": signer.account_id, "method": "POST"})
            .to_string();
    let mut body = format!("{head}\n").into_bytes();
    body.resize(4 * 1024 * 1024, b' ');
    let target = format!("/bulk?signature={}", percent_encode(signature));
    let request = raw::request("POST", &target, &[("Connection", "close")], &body);
    let mut stream = connect(node);
    // A node that refuses early closes its end.
    stream.write_all(&request[..request.len() - 1]).ok();
    stream
}

#[test]
fn a_bulk_request_of_nobody_is_refused_by_its_head_and_all_unproved_ones_share_one_bound() {
    let cluster = Options::default()
        .nodes(1)
        .env("KEYMOOT__HTTP__UNPROVED_BODY_BYTES_MAX", &(32 * 1024 * 1024).to_string())
        .start()
        .unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let before = resident(node);
    let grown = || (resident(node) - before) / MIB;
    let signature = signer.signature(b"something else");

    let nobody = Signer::new("nobody", &signer.ca_system, "whatever");
    let held: Vec<TcpStream> = (0..100).map(|_| send_bulk(node, &nobody, &signature)).collect();
    let unknown = grown();
    println!("100 bulk requests of an unknown account: {unknown:.0} MiB more");
    let deadline = Instant::now() + CUT_WITHIN;
    let answers: Vec<_> = held.into_iter().map(|stream| received(stream, deadline)).collect();
    let refused = answers.iter().filter(|(answer, _)| answer.starts_with("HTTP/1.1 401 ")).count();
    let waiting = answers.iter().filter(|(_, has_ended)| !has_ended).count();
    assert!(unknown < 64.0, "{unknown:.0} MiB more");
    assert!(waiting == 0 && refused > 0, "{refused} were refused, {waiting} are still open");

    let held: Vec<TcpStream> = (0..100).map(|_| send_bulk(node, signer, &signature)).collect();
    let wrong = grown();
    println!("100 bulk requests with a wrong signature: {wrong:.0} MiB more");
    assert!(wrong < 160.0, "{wrong:.0} MiB more");
    // Whole, they are refused, and their room is given back.
    for mut stream in held {
        stream.write_all(b" ").ok();
    }
    let one =
        json!({"bulk": 1, "ca_system": signer.ca_system, "account_id": signer.account_id, "method": "POST"})
            .to_string();
    let body = format!("{one}\n{}", json!({"content_id": "sound"}));
    let target = format!("/bulk?signature={}", percent_encode(&signer.signature(body.as_bytes())));
    let request = raw::request("POST", &target, &[("Connection", "close")], body.as_bytes());
    wait_until("a sound bulk request to be answered", CUT_WITHIN, || {
        let answer = raw::exchange_streamed(node, &request, raw::ANSWER_WITHIN)?;
        match answer.status {
            200 => Ok(()),
            status => Err(RigError::Answer(format!("{status}: {}", answer.text()))),
        }
    })
    .unwrap();
}

#[test]
fn an_offer_of_another_protocol_does_not_take_the_length_from_a_body() {
    let cluster = Cluster::start().unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let body = signer.custom_data("upgraded", &[]);
    let target = format!("{COMMON}?signature={}", percent_encode(&signer.signature(&body)));
    let offer = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    let answer = raw::exchange(node, &raw::request("POST", &target, &offer, &body), Duration::from_secs(15));
    KeyAnswer::from_answer(&answer.unwrap()).unwrap();
    let request = raw::request("GET", "/healthz", &offer, &[]);
    assert_eq!(raw::exchange(node, &request, Duration::from_secs(15)).unwrap().status, 200);
}
