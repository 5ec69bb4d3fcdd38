//! Requests that real clients send, though no tidy client would, are served.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
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
    let marked = ["\u{feff}".as_bytes(), &body].concat();
    let text = URL_SAFE_NO_PAD.encode(&body);
    let (front, back) = text.split_at(76);
    let signature = URL_SAFE_NO_PAD.encode(STANDARD.decode(signer.signature(&body)).unwrap());
    let wrapped = format!("{WIDEVINE}?custom_data={front}%0D%0A{back}&signature={signature}");
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
        ("a byte order mark", post(&signer, &format!("{WIDEVINE}?signature=$"), &marked)),
        ("base64 for URLs, unpadded and wrapped", request("GET", &wrapped, &[], &[])),
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
fn a_number_names_the_content_that_its_digits_name() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let text = signer.custom_data("4711", &[]);
    let number = String::from_utf8(text.clone()).unwrap().replace("\"4711\"", "4711");
    assert_ne!(number.as_bytes(), text);
    let made = key_of("a number", &signer.send(nodes[0], "POST", WIDEVINE, number.as_bytes()).unwrap());
    let read = key_of("a text", &signer.send(nodes[1], "GET", WIDEVINE, &text).unwrap());
    assert_eq!((&made.key, &made.key_id), (&read.key, &read.key_id));
    for wrong in ["4711.0", "4711e0", "18446744073709551616"] {
        let refused =
            signer.send(nodes[2], "POST", WIDEVINE, number.replace("4711", wrong).as_bytes()).unwrap();
        assert_eq!(refused.status, 400, "{wrong}");
        assert!(
            refused.text().contains("content_id must be a string or a whole number"),
            "{}",
            refused.text()
        );
    }
}

#[test]
fn load_balancers_probe_by_options_as_by_get() {
    let mut cluster = Cluster::start().unwrap();
    let ask = |node, method: &str, path: &str| {
        raw::exchange(node, &request(method, path, &[], &[]), raw::ANSWER_WITHIN).unwrap()
    };
    let leader = cluster.leader().unwrap();
    let node = cluster.node(leader).unwrap().api;
    for path in ["/healthz", "/readyz"] {
        let probed = ask(node, "OPTIONS", path);
        assert_eq!((probed.status, probed.body.len()), (200, 0), "{path}");
        assert_eq!(probed.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(ask(node, "GET", path).status, 200, "{path}");
        assert_eq!(ask(node, "POST", path).status, 400, "{path}");
    }
    for other in cluster.others(leader) {
        cluster.kill(other).unwrap();
    }
    let ends = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while ask(node, "OPTIONS", "/readyz").status != 503 {
        assert!(std::time::Instant::now() < ends, "a node without a quorum stays ready to a load balancer");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(ask(node, "OPTIONS", "/healthz").status, 200, "the process lives");
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
