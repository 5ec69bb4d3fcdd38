//! Bad input gets the specification's error: its status, its body, and a reference that the log knows.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::raw::{self, Answer, percent_encode, request};
use cluster_tests::signed::{WIDEVINE, hex};
use cluster_tests::{Cluster, Options, Signer};
use serde_json::Value;

/// A request and the status it must get.
struct Case {
    what: &'static str,
    bytes: Vec<u8>,
    status: u16,
}

fn case(what: &'static str, status: u16, bytes: Vec<u8>) -> Case {
    Case { what, bytes, status }
}

/// A POST whose body is signed, whatever it holds.
fn signed(signer: &Signer, body: &[u8]) -> Vec<u8> {
    signer.request("POST", WIDEVINE, body)
}

fn with_query(query: &str, body: &[u8]) -> Vec<u8> {
    request("POST", &format!("{WIDEVINE}?{query}"), &[], body)
}

/// What is wrong with the JSON, though rightly signed.
fn bad_bodies(signer: &Signer) -> Vec<Case> {
    let whole = String::from_utf8(signer.custom_data("bad.mp4", &[])).unwrap();
    let bad = |what, text: &str| case(what, 400, signed(signer, text.as_bytes()));
    let key = STANDARD.encode([1; 16]);
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    vec![
        bad("no JSON", "this is no JSON"),
        bad("half of the JSON", &whole[..whole.len() / 2]),
        bad("bytes behind the JSON", &format!("{whole}x")),
        bad("a second document", &format!("{whole}{whole}")),
        bad("a list", &format!("[{whole}]")),
        bad("a member twice", &whole.replace("{", r#"{"content_id":"other.mp4","#)),
        bad("an unknown member twice", &whole.replace("{", r#"{"x":1,"x":1,"#)),
        bad("no content_id", &whole.replace("content_id", "content")),
        bad("an empty content_id", &whole.replace("bad.mp4", "")),
        bad("a NUL in content_id", &whole.replace("bad.mp4", "a\\u0000b")),
        bad("a content_id that is too long", &whole.replace("bad.mp4", &"x".repeat(2000))),
        bad("no account_id", &whole.replace("account_id", "account")),
        bad(
            "an account_id of the wrong type",
            &whole.replace("{", r#"{"y":0,"#).replace(&format!("\"{}\"", signer.account_id), "[]"),
        ),
        bad("no ca_system", &whole.replace("ca_system", "ca")),
        bad("deep nesting", &whole.replace("{", &format!("{{\"x\":{deep},"))),
        bad(
            "nesting just too deep",
            &whole.replace("{", &format!("{{\"x\":{}1{},", "[".repeat(64), "]".repeat(64))),
        ),
        bad(
            "a key of 15 bytes",
            &String::from_utf8(
                signer.custom_data("bad.mp4", &[("key", &STANDARD.encode([1; 15])), ("key_id", &key)]),
            )
            .unwrap(),
        ),
        bad(
            "a key that is no base64",
            &String::from_utf8(signer.custom_data("bad.mp4", &[("key", "CsjUtytiiiiee"), ("key_id", &key)]))
                .unwrap(),
        ),
        bad(
            "a key id in base64url",
            &String::from_utf8(
                signer.custom_data("bad.mp4", &[("key", &key), ("key_id", "_____________________w==")]),
            )
            .unwrap(),
        ),
        bad(
            "a key without a key id",
            &String::from_utf8(signer.custom_data("bad.mp4", &[("key", &key)])).unwrap(),
        ),
        case("bytes that are no UTF-8", 400, signed(signer, b"{\"content_id\":\"\xff\xfe\"}")),
        case("no body", 400, signed(signer, b"")),
    ]
}

/// What is wrong with the query.
fn bad_queries(signer: &Signer) -> Vec<Case> {
    let body = signer.custom_data("bad.mp4", &[]);
    let signature = percent_encode(&signer.signature(&body));
    let data = percent_encode(&STANDARD.encode(&body));
    let get = |query: String| request("GET", &format!("{WIDEVINE}?{query}"), &[], &[]);
    let hexadecimal = hex(&STANDARD.decode(signer.signature(&body)).unwrap());
    vec![
        case(
            "the signature twice",
            400,
            with_query(&format!("signature={signature}&signature={signature}"), &body),
        ),
        case(
            "the signature twice in two cases",
            400,
            with_query(&format!("signature={signature}&SIGNATURE={signature}"), &body),
        ),
        case(
            "custom data twice",
            400,
            get(format!("custom_data={data}&custom_data={data}&signature={signature}")),
        ),
        case("no custom data", 400, get(format!("signature={signature}"))),
        case("custom data that is no base64", 400, get(format!("custom_data=%21%21&signature={signature}"))),
        case("a signature in hexadecimal", 401, with_query(&format!("signature={hexadecimal}"), &body)),
        case("a signature that is no base64", 401, with_query("signature=%2A%2A%2A", &body)),
        case("an empty signature", 401, with_query("signature=", &body)),
        case("no signature", 401, with_query("", &body)),
    ]
}

/// Who may not.
fn strangers(cluster: &Cluster) -> Vec<Case> {
    let signer = cluster.signer();
    let body = signer.custom_data("bad.mp4", &[]);
    let stranger = Signer::new("no-such-account", &signer.ca_system, signer.signing_key());
    let elsewhere = Signer::new(&signer.account_id, "no-such-system", signer.signing_key());
    let mut longer = body.clone();
    longer.push(b' ');
    let signature = percent_encode(&signer.signature(&body));
    let target = format!("{WIDEVINE}?signature={signature}");
    let from_afar = request("POST", &target, &[("X-Forwarded-For", "203.0.113.9")], &body);
    vec![
        case("another signing key", 401, signed(&signer.with_key("guessed"), &body)),
        case("the license signing key", 401, signed(&cluster.license_signer(), &body)),
        case("an unknown account", 401, signed(&stranger, &stranger.custom_data("bad.mp4", &[]))),
        case("another ca_system", 401, signed(&elsewhere, &elsewhere.custom_data("bad.mp4", &[]))),
        case("a body that is not the signed one", 401, request("POST", &target, &[], &longer)),
        case("an address that is not on the allow-list", 401, from_afar),
    ]
}

/// What is asked in the wrong place or the wrong way.
fn bad_targets(signer: &Signer) -> Vec<Case> {
    let body = signer.custom_data("bad.mp4", &[]);
    let to = |path: &str| signer.request("POST", path, &body);
    let by = |method: &str| signer.request(method, WIDEVINE, &body);
    let oversize = vec![b'x'; 300_000];
    vec![
        case("an unknown provider", 404, to("/cenc/betamax/encryption")),
        case("no provider", 404, to("/encryption")),
        case("an unknown module", 404, to("/cenc/widevine/decryption")),
        case("the root", 404, to("/")),
        case("a path that climbs", 404, to("/../../etc/passwd")),
        case("PATCH", 400, by("PATCH")),
        case("an invented method", 400, by("BREW")),
        case("a body that is too large", 400, signed(signer, &oversize)),
    ]
}

/// Sends a case, checks its status and body, and hands back message and reference.
fn refused(node: SocketAddr, case: &Case) -> (String, u64) {
    let what = case.what;
    let answer = raw::exchange(node, &case.bytes, raw::ANSWER_WITHIN)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(answer.status, case.status, "{what}: {}", answer.text());
    let body = error_body(what, &answer);
    let message = body["message"].as_str().unwrap_or_else(|| panic!("{what}: no message: {body}"));
    assert!(!message.is_empty(), "{what}");
    assert_eq!(body["status_code"], Value::String(case.status.to_string()), "{what}");
    let reference = body["reference"].as_u64().unwrap_or_else(|| panic!("{what}: no reference: {body}"));
    (message.to_owned(), reference)
}

fn error_body(what: &str, answer: &Answer) -> Value {
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/json"), "{what}: {kind}");
    let body: Value = serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{what}: {error}: {}", answer.text()));
    let members: Vec<&String> = body.as_object().unwrap_or_else(|| panic!("{what}: {body}")).keys().collect();
    assert_eq!(members, ["message", "reference", "status_code"], "{what}");
    body
}

/// All words of all logs that are numbers, alone or behind an equals sign.
fn numbers_in_logs(cluster: &Cluster) -> std::collections::HashSet<u64> {
    let text: String = cluster
        .log_files()
        .unwrap()
        .iter()
        .map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned())
        .collect();
    assert!(!text.contains("panicked"), "a node panicked");
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn every_bad_request_gets_its_error_and_a_reference_that_is_in_the_log() {
    // Behind a trusted proxy, the address that counts is the one that the proxy names.
    let cluster = Options::default().env("KEYMOOT__HTTP__TRUSTED_PROXIES", "127.0.0.1/32").start().unwrap();
    let (signer, nodes) = (cluster.signer().clone(), cluster.addresses());
    let mut cases = bad_bodies(&signer);
    cases.extend(bad_queries(&signer));
    cases.extend(strangers(&cluster));
    cases.extend(bad_targets(&signer));
    let mut references: Vec<(&str, u64)> = Vec::new();
    let mut failures: Vec<String> = Vec::new();
    for (case, node) in cases.iter().zip(nodes.iter().cycle()) {
        match std::panic::catch_unwind(|| refused(*node, case)) {
            Ok((_, reference)) => references.push((case.what, reference)),
            Err(_) => failures.push(case.what.to_owned()),
        }
    }
    assert!(failures.is_empty(), "each is reported above: {failures:#?}");
    let logged = numbers_in_logs(&cluster);
    for (what, reference) in &references {
        assert!(logged.contains(reference), "{what}: reference {reference} is in no log");
    }
    let mut distinct: Vec<u64> = references.iter().map(|(_, reference)| *reference).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), references.len(), "two requests share a reference");
    for node in nodes {
        signer.create(node, "good.mp4").unwrap();
    }
}

#[test]
fn an_unknown_account_and_a_wrong_signature_are_told_the_same() {
    let cluster = Cluster::start().unwrap();
    let node = cluster.addresses()[0];
    let cases = strangers(&cluster);
    let message = |what: &str| refused(node, cases.iter().find(|case| case.what == what).unwrap()).0;
    assert_eq!(message("an unknown account"), message("another signing key"));
}
