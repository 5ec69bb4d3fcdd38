//! No plaintext key leaves a node's memory but in an answer: not to its disk, not to its peers.

use cluster_tests::capture::{Capture, Flow, listening_ports};
use cluster_tests::search::{Needle, contains, files_under, forms_of, found_in};
use cluster_tests::signed::hex;
use cluster_tests::{Cluster, Options};

/// Drawn once, at random, and found nowhere else.
const KEY: [u8; 16] = *b"\x9f\x1c\x44\xe7\x02\xbd\x6a\x30\xc5\xf8\x71\x0e\x93\xaa\x5d\x26";
const KID: [u8; 16] = *b"\x3e\x85\x19\xd2\x7b\xf0\x4c\xa6\x58\x0d\xe1\x92\x6f\xb3\x24\xca";
const CONTENT: &str = "a-content-that-must-be-found-at-rest.mp4";

/// The account's signing keys lie in files of their own, mode 0600, which is where the
/// specification wants them: these files, and only these, may hold one.
fn may_hold_a_signing_key(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "key")
}

#[test]
fn a_known_key_is_found_in_no_file_and_in_no_message_between_nodes() {
    // Small limits, so that snapshots and a purged log are among the files searched.
    let mut cluster = Options::default()
        .env("KEYMOOT__RAFT__SNAPSHOT_LOG_ENTRIES", "40")
        .env("KEYMOOT__RAFT__LOG_KEEP_ENTRIES", "10")
        .start()
        .unwrap();
    let ports: Vec<u16> =
        cluster.nodes().iter().flat_map(|node| listening_ports(node.pid).unwrap()).collect();
    let apis: Vec<u16> = cluster.addresses().iter().map(|address| address.port()).collect();
    assert!(ports.len() > apis.len(), "the nodes listen for no peer: {ports:?}");
    let capture_dir = tempfile::tempdir().unwrap();
    let capture = Capture::start(&ports, capture_dir.path()).unwrap();

    drive(&cluster);
    let flows = capture.finish().unwrap();
    let mut needles = forms_of("the content key", &KEY);
    let signing_key = forms_of("the signing key", cluster.signer().signing_key().as_bytes());
    for id in [1, 2, 3] {
        cluster.stop(id).unwrap();
    }
    files_must_not_hold(&cluster, &needles, &signing_key);
    needles.extend(signing_key);
    peers_must_not_say(&flows, &apis, &needles);
}

/// Writes the known key at one node, reads it at all, and makes enough entries for a snapshot.
fn drive(cluster: &Cluster) {
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    signer.supply(nodes[0], CONTENT, &KEY, &KID).unwrap();
    for (serial, node) in (0..150).zip(nodes.iter().cycle()) {
        signer.create(*node, &format!("filler-{serial}.mp4")).unwrap();
    }
    for node in &nodes {
        assert_eq!(signer.read(*node, CONTENT).unwrap().bytes().unwrap(), (KEY, KID));
    }
}

fn files_must_not_hold(cluster: &Cluster, key: &[Needle], signing_key: &[Needle]) {
    for node in cluster.nodes() {
        let files = files_under(&node.dir).unwrap();
        let mut found_content = false;
        for path in &files {
            let bytes = std::fs::read(path).unwrap();
            found_content |= contains(&bytes, CONTENT.as_bytes()) && contains(&bytes, &KID);
            assert_eq!(found_in(&bytes, key), [""; 0], "in {}", path.display());
            if !may_hold_a_signing_key(path) {
                assert_eq!(found_in(&bytes, signing_key), [""; 0], "in {}", path.display());
            }
        }
        // The same search finds what must be there; otherwise it proves nothing.
        assert!(found_content, "no file of node {} holds the content and its key id: {files:#?}", node.id);
    }
    for path in cluster.log_files().unwrap() {
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(found_in(&bytes, key), [""; 0], "in the log {}", path.display());
    }
}

fn peers_must_not_say(flows: &[Flow], apis: &[u16], needles: &[Needle]) {
    let is_api = |flow: &&Flow| apis.contains(&flow.from_port) || apis.contains(&flow.to_port);
    let (api, peer): (Vec<&Flow>, Vec<&Flow>) = flows.iter().partition(is_api);
    // What the API answered was recorded and is found, so the same search of the rest counts.
    let answered = api.iter().any(|flow| !found_in(&flow.bytes, needles).is_empty());
    assert!(answered, "the capture lacks the API's own answers");
    let said: usize = peer.iter().map(|flow| flow.bytes.len()).sum();
    assert!(said > 20_000, "the nodes said only {said} bytes to each other");
    for flow in peer {
        let ports = (flow.from_port, flow.to_port);
        assert_eq!(found_in(&flow.bytes, needles), [""; 0], "from and to port {ports:?}");
        assert!(!contains(&flow.bytes, CONTENT.as_bytes()), "{ports:?} is not encrypted at all");
        assert!(!contains(&flow.bytes, hex(&KID).as_bytes()), "{ports:?} is not encrypted at all");
    }
}
