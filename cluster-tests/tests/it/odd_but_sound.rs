//! Requests that real clients send, though no tidy client would, are served.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::raw::{self, Answer, percent_encode, request};
use cluster_tests::signed::{COMMON, WIDEVINE};
use cluster_tests::{Cluster, KeyAnswer, Signer};

const CONTENT: &str = "odd café.ism";

/// A POST of `body` to `target`, where `$` stands for the encoded signature.
fn post(signer: &Signer, target: &str, body: &[u8]) -> Vec<u8> {
    let signature = percent_encode(&signer.signature(body));
    request("POST", &target.replace('$', &signature), &[], body)
}

fn chunked(signer: &Signer, body: &[u8]) -> Vec<u8> {
    let signature = percent_encode(&signer.signature(body));
    let (front, back) = body.split_at(body.len() / 2);
    let mut bytes = format!(
        "POST {WIDEVINE}?signature={signature} HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for chunk in [front, back, b""] {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[test]
fn requests_as_real_clients_write_them_get_the_one_key() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer().clone(), cluster.addresses());
    let first = signer.create(nodes[0], CONTENT).unwrap();
    let body = signer.custom_data(CONTENT, &[]);
    let account = &signer.account_id;
    let ca_system = &signer.ca_system;
    let spaced = format!(
        "{{ \"content_id\" : \"odd caf\\u00e9.ism\", \"ca_system\":\"{}\", \"x\":{{\"y\":[1]}},\n\"files\":\"\", \
         \"account_id\":\"{account}\" }}",
        ca_system.to_lowercase()
    );
    // A content whose signature holds a plus sign, which some clients send as it is.
    let with_plus = (0..)
        .map(|serial| format!("{{\"ca_system\":\"{ca_system}\",\"account_id\":\"{account}\",\"content_id\":\"{CONTENT}\",\"n\":{serial}}}"))
        .find(|body| signer.signature(body.as_bytes()).contains('+'))
        .unwrap();
    let raw_plus = format!("{WIDEVINE}?signature={}", signer.signature(with_plus.as_bytes()));
    let lower = |text: &str| {
        ["%2B", "%2F", "%3D"]
            .iter()
            .fold(percent_encode(text), |text, escape| text.replace(escape, &escape.to_lowercase()))
    };
    let query = format!(
        "signature={}&custom_data={}",
        lower(&signer.signature(&body)),
        lower(&STANDARD.encode(&body))
    );
    let get = request("GET", &format!("{WIDEVINE}?{query}"), &[], &[]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a trailing ampersand", post(&signer, &format!("{WIDEVINE}?signature=$&"), &body)),
        ("doubled slashes", post(&signer, "//cenc//widevine/encryption?signature=$", &body)),
        ("a trailing slash", post(&signer, "/cenc/widevine/encryption/?signature=$", &body)),
        ("another case", post(&signer, "/CENC/Widevine/ENCRYPTION?SIGNATURE=$", &body)),
        ("an unknown parameter", post(&signer, &format!("{WIDEVINE}?x=1&signature=$"), &body)),
        (
            "JSON with spaces, escapes and unknown members",
            post(&signer, &format!("{WIDEVINE}?signature=$"), spaced.as_bytes()),
        ),
        ("a plus sign that was not encoded", request("POST", &raw_plus, &[], with_plus.as_bytes())),
        ("lower-case escapes", get),
        ("a chunked body", chunked(&signer, &body)),
        (
            "headers of a viewer",
            request(
                "POST",
                &format!("{WIDEVINE}?signature={}", percent_encode(&signer.signature(&body))),
                &[("Cookie", "a=b"), ("Authorization", "Basic eDp5"), ("Range", "bytes=0-")],
                &body,
            ),
        ),
    ];
    for (serial, (what, bytes)) in cases.iter().enumerate() {
        let node = nodes[serial % nodes.len()];
        let key = key_of(what, &raw::exchange(node, bytes, raw::ANSWER_WITHIN).unwrap());
        assert_eq!((&key.key, &key.key_id), (&first.key, &first.key_id), "{what}");
    }
}

fn key_of(what: &str, answer: &Answer) -> KeyAnswer {
    KeyAnswer::from_answer(answer).unwrap_or_else(|error| panic!("{what}: {error}"))
}

#[test]
fn answers_have_the_shape_that_packagers_read() {
    let cluster = Cluster::start().unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let body = signer.custom_data("shape.mp4", &[]);
    for (path, is_array) in [
        (WIDEVINE, false),
        ("/cenc/playready/encryption", false),
        ("/playready/encryption", false),
        ("/widevine/encryption", false),
        (COMMON, true),
    ] {
        let answer = signer.send(node, "POST", path, &body).unwrap();
        key_of(path, &answer);
        assert_eq!(answer.body.first() == Some(&b'['), is_array, "{path}");
        assert!(answer.body.len() < 4096, "{path}: {} bytes", answer.body.len());
        let text = answer.text();
        assert!(!text.contains("\"pssh\":[]") && !text.contains("\\/") && !text.contains(": "), "{path}");
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "{path}: {kind}");
    }
}

#[test]
fn put_overrides_delete_removes_and_get_makes_nothing() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let body = signer.custom_data("life.mp4", &[]);
    let status =
        |node: usize, method: &str| signer.send(nodes[node], method, WIDEVINE, &body).unwrap().status;
    assert_eq!(status(0, "GET"), 404);
    let made = signer.create(nodes[0], "life.mp4").unwrap();
    let put = signer.supply(nodes[1], "life.mp4", &[7; 16], &[9; 16]).unwrap();
    assert_eq!(put.bytes().unwrap(), ([7; 16], [9; 16]));
    assert_ne!(put.key_id, made.key_id);
    assert_eq!(signer.create(nodes[2], "life.mp4").unwrap(), put, "POST answers the key that is there");
    let again = KeyAnswer::from_answer(&signer.send(nodes[2], "PUT", WIDEVINE, &body).unwrap()).unwrap();
    assert!(again.key_id != put.key_id && again.key != put.key, "PUT without a key makes a new one");
    assert_eq!(status(0, "DELETE"), 200);
    assert_eq!(status(1, "GET"), 404);
}
