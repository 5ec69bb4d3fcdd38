//! After a node has handed out keys, its memory holds none of them, in no form in which they were received or
//! sent, whoever made them and by whatever protocol they went; and it leaves no core dump.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::license::{self, clear_keys};
use cluster_tests::memory::{self, Findings};
use cluster_tests::raw::{self, Link, percent_encode, request};
use cluster_tests::search::{Needle, forms_of};
use cluster_tests::signed::COMMON;
use cluster_tests::wait::pause;
use cluster_tests::{Cluster, Signer, widevine};
use serde_json::{Value, json};

use super::{playready_packager, tls_by_default};

type Key = [u8; 16];

/// How long connections, whose buffers hold what was sent last, may stay open behind their answers.
const IDLE: Duration = Duration::from_secs(2);

/// Skips with a word where nodes cannot be looked into: passing silently would prove nothing.
fn may_look_into(cluster: &Cluster) -> bool {
    let may = cluster.nodes().iter().all(|node| memory::may_be_read(node.pid));
    if !may {
        eprintln!("SKIPPED: only root may read the memory of a node; run this test as root");
    }
    may
}

/// What lies in a node's memory, while it stands still.
fn look_into(cluster: &Cluster, id: u64, needles: &[Needle]) -> Findings {
    cluster.pause(id).unwrap();
    let findings = memory::search(cluster.node(id).unwrap().pid, needles);
    cluster.resume(id).unwrap();
    findings.unwrap()
}

fn needles(keys: &[(String, Key)]) -> Vec<Needle> {
    keys.iter().flat_map(|(what, key)| forms_of(what, key)).collect()
}

fn signed_query(signer: &Signer, content: &str) -> String {
    let data = signer.custom_data(content, &[]);
    let (text, signature) = (STANDARD.encode(&data), signer.signature(&data));
    format!("custom_data={}&signature={}", percent_encode(&text), percent_encode(&signature))
}

fn get(node: SocketAddr, target: &str) -> raw::Answer {
    let answer = raw::exchange(node, &request("GET", target, &[], &[]), raw::ANSWER_WITHIN).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// The key as an encoder gets it: by the URL that key-info names.
fn hls_key(node: SocketAddr, signer: &Signer, content: &str) -> Key {
    let info = get(node, &format!("/hls/keyinfo?{}", signed_query(signer, content)));
    let text = String::from_utf8(info.body).unwrap();
    let url = text.lines().find(|line| line.contains("token=")).unwrap();
    let behind = url.split_once("://").unwrap().1;
    get(node, &behind[behind.find('/').unwrap()..]).body.try_into().unwrap()
}

fn bulk_keys(node: SocketAddr, signer: &Signer, lines: &[Value]) -> Vec<Key> {
    let head = json!({
        "bulk": 1, "ca_system": signer.ca_system, "account_id": signer.account_id, "keys": true, "method": "POST",
    });
    let body: String = std::iter::once(&head).chain(lines).map(|line| format!("{line}\n")).collect();
    let target = format!("/bulk?signature={}", percent_encode(&signer.signature(body.as_bytes())));
    let sent = request("POST", &target, &[("Connection", "close")], body.as_bytes());
    let answer = raw::exchange_streamed(node, &sent, raw::ANSWER_WITHIN).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = String::from_utf8(answer.body).unwrap();
    let results = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    results
        .filter_map(|result| Some(STANDARD.decode(result["key"].as_str()?).unwrap().try_into().unwrap()))
        .collect()
}

/// Has the nodes make, take and hand out keys by each front end, and hands these back.
fn drive(cluster: &Cluster) -> Vec<(String, Key)> {
    let (scrambler, player) =
        license::add_account(cluster, "viewers", &["--allow-unsigned-packagers"]).unwrap();
    let (nodes, mut keys) = (cluster.addresses(), Vec::new());
    let mut note = |what: &str, at: usize, key: Key| keys.push((format!("{what} {at}"), key));
    for at in 0..60 {
        let content = format!("film-{at}");
        let (key, kid) = scrambler.create(nodes[at % 3], &content).unwrap().bytes().unwrap();
        for node in &nodes {
            assert_eq!(scrambler.read(*node, &content).unwrap().bytes().unwrap(), (key, kid));
        }
        let licensed = clear_keys(nodes[(at + 1) % 3], &player, &content, [&kid]).unwrap();
        assert_eq!(licensed.get(&kid), Some(&key));
        note("uDRM and Clear Key", at, key);
    }
    for at in 0..20_usize {
        let (key, kid) = (rand::random::<Key>(), rand::random::<Key>());
        scrambler.supply(nodes[at % 3], &format!("supplied-{at}"), &key, &kid).unwrap();
        note("supplied", at, key);
    }
    for at in 0..20 {
        note("HLS", at, hls_key(nodes[at % 3], &scrambler, &format!("stream-{at}")));
    }
    for at in 0..20 {
        let asked = [
            widevine::request(&format!("tracks-{at}"), &["SD", "AUDIO"]),
            widevine::rotating(&format!("live-{at}"), &["HD"], 10, 100, 2),
        ];
        for inner in asked {
            for track in widevine::ask(nodes[at % 3], "viewers", &inner).unwrap().tracks {
                note("Widevine", at, track.key_bytes().unwrap());
            }
        }
    }
    for at in 0..20 {
        note("PlayReady", at, packaging_key(nodes[at % 3], "viewers", &format!("program-{at}")));
    }
    let mut lines: Vec<Value> = (0..60).map(|at| json!({"content_id": format!("many-{at}")})).collect();
    let own: Vec<Key> = (0..20).map(|_| rand::random()).collect();
    lines.extend(own.iter().enumerate().map(|(at, key)| {
        let kid: Key = rand::random();
        json!({"content_id": format!("own-{at}"), "key": STANDARD.encode(key), "key_id": STANDARD.encode(kid)})
    }));
    let bulk = bulk_keys(nodes[1], &scrambler, &lines);
    assert_eq!((bulk.len(), &bulk[60..]), (80, &own[..]));
    for (at, key) in bulk.into_iter().enumerate() {
        note("bulk", at, key);
    }
    // Each key is opened once more on the node, and sealed for somebody.
    let export = json!({
        "export": 1, "method": "POST", "ca_system": scrambler.ca_system, "account_id": scrambler.account_id,
        "recipient": STANDARD.encode([9; 32]),
    });
    let exported = scrambler.send(nodes[2], "POST", "/export", export.to_string().as_bytes()).unwrap();
    assert_eq!(exported.status, 200, "{}", exported.text());
    keys
}

/// The key as a packager that speaks PlayReady's protocol gets it.
fn packaging_key(node: SocketAddr, account: &str, program: &str) -> Key {
    let answer = playready_packager::ask(node, account, program);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = String::from_utf8(answer.body).unwrap();
    let key = text.split_once("<KeyData>").and_then(|(_, behind)| behind.split_once("</KeyData>")).unwrap().0;
    STANDARD.decode(key).unwrap().try_into().unwrap()
}

#[test]
fn no_key_is_left_in_a_nodes_memory_after_it_was_handed_out() {
    let (options, _entitlements) = license::entitling(&["viewers"]).unwrap();
    let cluster = options.start().unwrap();
    if !may_look_into(&cluster) {
        return;
    }
    let keys = drive(&cluster);
    assert!(keys.len() >= 200, "{}", keys.len());
    let needles = needles(&keys);
    pause(IDLE).unwrap();
    for node in cluster.nodes() {
        let left = look_into(&cluster, node.id, &needles);
        eprintln!("node {}: {} in {} MiB", node.id, left.total(), left.searched_bytes >> 20);
        assert!(left.found.is_empty(), "{:?} in the memory of node {}", left.found, node.id);
    }

    // The same search finds what a node must hold; otherwise it proves nothing. A body that is on its way is
    // in memory, and goes with its connection.
    let key: Key = rand::random();
    let forms = forms_of("on its way", &key);
    let node = &cluster.nodes()[0];
    let mut half = TcpStream::connect(node.api).unwrap();
    let target = format!("{COMMON}?signature={}", percent_encode(&cluster.signer().signature(b"anything")));
    let begun = format!(
        "POST {target} HTTP/1.1\r\nHost: keymoot\r\nContent-Length: 400\r\n\r\n{{\"key\":\"{}\",",
        STANDARD.encode(key)
    );
    half.write_all(begun.as_bytes()).unwrap();
    pause(Duration::from_millis(300)).unwrap();
    assert!(look_into(&cluster, node.id, &forms).total() > 0, "the search finds nothing at all");
    drop(half);
    pause(IDLE).unwrap();
    let left = look_into(&cluster, node.id, &forms).found;
    assert!(left.is_empty(), "a body outlived its connection: {left:?}");
}

/// TLS has buffers of its own, on both sides of the cipher.
#[test]
fn no_key_is_left_in_a_nodes_memory_after_it_went_through_tls() {
    let (cluster, client) = tls_by_default::serving();
    let (pid, node) = (cluster.pid("a").unwrap(), cluster.node("a").api);
    if !memory::may_be_read(pid) {
        eprintln!("SKIPPED: only root may read the memory of a node; run this test as root");
        return;
    }
    let mut keys: Vec<(String, Key)> = (0..40)
        .map(|at| {
            let (_, key) = tls_by_default::create(&client, node, &format!("film-{at}"));
            let key = STANDARD.decode(key.as_str().unwrap()).unwrap();
            (format!("made {at}"), key.try_into().unwrap())
        })
        .collect();
    for at in 0..20 {
        let (key, kid) = (rand::random::<Key>(), rand::random::<Key>());
        tls_by_default::supply(&client, node, &format!("own-{at}"), &key, &kid);
        keys.push((format!("supplied {at}"), key));
    }
    // With the client its connections end.
    drop(client);
    pause(IDLE).unwrap();
    let left = memory::search(pid, &needles(&keys)).unwrap();
    eprintln!("{} in {} MiB", left.total(), left.searched_bytes >> 20);
    assert!(left.searched_bytes > 0 && left.found.is_empty(), "{:?}", left.found);
}

/// What a kept connection has sent last lies in a buffer of the framework, until it sends more or is closed.
#[test]
fn an_open_connection_holds_the_key_of_its_last_answer_and_no_other() {
    let cluster = Cluster::start().unwrap();
    if !may_look_into(&cluster) {
        return;
    }
    let node = &cluster.nodes()[0];
    let mut link = Link::open(node.api, raw::ANSWER_WITHIN).unwrap();
    let mut keys = Vec::new();
    for at in 0..50 {
        let content = format!("film-{at}");
        let (key, _) = cluster.signer().create(cluster.nodes()[1].api, &content).unwrap().bytes().unwrap();
        let target = format!("{}?{}", COMMON, signed_query(cluster.signer(), &content));
        let answer = link.ask(&request("GET", &target, &[], &[]), raw::ANSWER_WITHIN).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        keys.push((format!("film-{at}"), key));
    }
    let needles = needles(&keys);
    pause(IDLE).unwrap();
    let held = look_into(&cluster, node.id, &needles);
    eprintln!("with the connection open: {:?}", held.found);
    let is_last = |needle: &str| needle.starts_with("film-49 ");
    assert!(held.found.keys().all(|(needle, _)| is_last(needle)), "{:?}", held.found);
    assert!(held.total() <= 2, "copies beside the framework's: {:?}", held.found);
    drop(link);
    pause(IDLE).unwrap();
    let left = look_into(&cluster, node.id, &needles).found;
    assert!(left.is_empty(), "answers outlived their connection: {left:?}");
}

#[test]
fn a_node_leaves_no_core_dump_and_keeps_its_master_keys_out_of_swap() {
    let cluster = Cluster::start().unwrap();
    for node in cluster.nodes() {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", node.pid)).unwrap();
        let limits = read("limits");
        let dumps = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        assert!(dumps.split_whitespace().take(2).eq(["0", "0"]), "not the hard limit, too: {dumps}");
        let status = read("status");
        let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        assert_ne!(locked.split_whitespace().next(), Some("0"), "nothing is locked: {}", node.log().unwrap());
        // What is not dumpable is root's, whoever started it.
        let owner = std::fs::metadata(format!("/proc/{}/mem", node.pid)).unwrap().uid();
        assert_eq!(owner, 0, "whoever runs as this user may read the node's memory");
    }
}
