//! A request signed by RFC 9421 is good once, on whatever node it is shown; an account that demands
//! it takes nothing weaker; and the servers sign their answers for those who ask.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac, signature};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::raw::{self, Answer};
use cluster_tests::signed::{COMMON, WIDEVINE, announced_key, decode_base64};
use cluster_tests::{Cluster, KeyAnswer, Options, Signer, metrics, secret_file};

const SECRET: &str = "a shared secret of some length";

/// Adds an account that must sign by RFC 9421.
fn add_account(cluster: &Cluster) {
    let file = cluster.dir().join("http.key");
    secret_file::write(&file, SECRET).unwrap();
    let credential = |name: &str, scheme: &str| format!("{name}:encryption:{scheme}:{}", file.display());
    let [strong, weak] = [credential("packager", "http-hmac-sha256"), credential("old", "udrm-sha1")];
    let credentials = ["--credential", &strong, "--credential", &weak];
    let more = [&credentials[..], &["--minimum-scheme", "http-hmac-sha256"]].concat();
    cluster.add_account("strict", &more).unwrap();
}

/// A cluster whose nodes know the name that the requests below are for.
/// A cluster that is called `keymoot`, and the token of its metrics: why it refuses is told to no stranger.
fn start() -> (Cluster, tempfile::NamedTempFile) {
    let token = metrics::token_file().unwrap();
    let options = Options::default()
        .env("KEYMOOT__AUTH__AUTHORITIES", "keymoot")
        .env("KEYMOOT__HTTP__METRICS", "token")
        .env("KEYMOOT__HTTP__METRICS_TOKEN_FILE", token.path().to_str().unwrap());
    (options.start().unwrap(), token)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A signed request, written from the RFC and not with Keymoot's code.
fn signed(method: &str, target: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    signed_for("keymoot", (method, target), nonce, &format!(";created={}", now_s()), body)
}

/// The same for this authority, with these parameters beside nonce and name of the key.
fn signed_for(
    authority: &str,
    (method, target): (&str, &str),
    nonce: &str,
    parameters: &str,
    body: &[u8],
) -> Vec<u8> {
    let content_digest = format!("sha-256=:{}:", STANDARD.encode(digest::digest(&digest::SHA256, body)));
    let parameters = format!(
        r#"("@method" "@target-uri" "content-digest"){parameters};keyid="strict/packager";nonce="{nonce}""#
    );
    let base = format!(
        "\"@method\": {method}\n\"@target-uri\": http://{authority}{target}\n\"content-digest\": {content_digest}\n\
         \"@signature-params\": {parameters}"
    );
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), base.as_bytes());
    let headers = [
        ("Content-Digest", content_digest.as_str()),
        ("Signature-Input", &format!("sig={parameters}")),
        ("Signature", &format!("sig=:{}:", STANDARD.encode(tag))),
        ("Accept-Signature", &format!("answer=(\"@status\");created;nonce=\"{nonce}\"")),
    ];
    let request = raw::request(method, target, &headers, body);
    let (line, rest) = request.split_at(request.windows(6).position(|bytes| bytes == b"Host: ").unwrap());
    [line, b"Host: ", authority.as_bytes(), rest.strip_prefix(b"Host: keymoot").unwrap()].concat()
}

fn ask(node: SocketAddr, request: &[u8]) -> Answer {
    raw::exchange(node, request, raw::ANSWER_WITHIN).unwrap()
}

fn refusals(nodes: &[SocketAddr], reason: &str) -> u64 {
    nodes.iter().map(|node| metrics::refusals(*node, reason).unwrap()).sum()
}

/// Checks the answer's signature.
fn check_answer(answer: &Answer, public_key: &[u8], method: &str, target: &str, nonce: &str) {
    let header = |name| answer.header(name).unwrap();
    let stated = format!("sha-256=:{}:", STANDARD.encode(digest::digest(&digest::SHA256, &answer.body)));
    assert_eq!(header("content-digest"), stated);
    let parameters = header("signature-input").strip_prefix("answer=").unwrap();
    assert!(parameters.ends_with(&format!(";nonce=\"{nonce}\"")), "{parameters}");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let base = format!(
        "\"@status\": {}\n\"content-digest\": {stated}\n\"@method\";req: {method}\n\"@path\";req: {path}\n\
         \"@query\";req: ?{query}\n\"@signature-params\": {parameters}",
        answer.status
    );
    let text = header("signature").strip_prefix("answer=:").unwrap().strip_suffix(':').unwrap();
    signature::UnparsedPublicKey::new(&signature::ED25519, public_key)
        .verify(base.as_bytes(), &STANDARD.decode(text).unwrap())
        .unwrap();
}

#[test]
fn a_signed_request_is_good_once_in_the_whole_cluster_and_nothing_weaker_is_taken() {
    let (cluster, _token) = start();
    add_account(&cluster);
    let nodes = cluster.addresses();
    let announced = |node: &SocketAddr| decode_base64(&announced_key(*node).unwrap()).unwrap();
    let keys: Vec<Vec<u8>> = nodes.iter().map(announced).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "one key for the whole cluster");
    let body = br#"{"ca_system":"OVP","account_id":"strict","content_id":"film"}"#;

    let post = signed("POST", WIDEVINE, "the first nonce of all", body);
    let answer = ask(nodes[0], &post);
    let key = KeyAnswer::from_answer(&answer).unwrap();
    check_answer(&answer, &keys[0], "POST", WIDEVINE, "the first nonce of all");
    for node in &nodes {
        let replayed = ask(*node, &post);
        assert_eq!(replayed.status, 401, "{}", replayed.text());
        check_answer(&replayed, &keys[0], "POST", WIDEVINE, "the first nonce of all");
        let challenges = replayed.headers.iter().filter(|(name, _)| name == "www-authenticate").count();
        assert_eq!(challenges, 6, "all but mutual TLS, on a loopback connection without TLS");
    }
    assert_eq!(refusals(&nodes, "replay"), 3);

    let target = format!("{WIDEVINE}?custom_data={}", raw::percent_encode(&STANDARD.encode(body)));
    let get = signed("GET", &target, "the second nonce of all", &[]);
    assert_eq!(KeyAnswer::from_answer(&ask(nodes[2], &get)).unwrap(), key);
    assert_eq!(ask(nodes[1], &get).status, 401);

    let weak = Signer::new("strict", "OVP", SECRET);
    let refused = weak.send(nodes[0], "POST", WIDEVINE, body).unwrap();
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert_eq!(refusals(&nodes, "downgrade"), 1);
}

#[test]
fn a_request_that_was_signed_for_another_server_and_is_relayed_is_refused() {
    let (cluster, _token) = start();
    add_account(&cluster);
    let nodes = cluster.addresses();
    let body = br#"{"ca_system":"OVP","account_id":"strict","content_id":"film"}"#;
    let created = format!(";created={}", now_s());
    let ask_for = |authority: &str, nonce: &str| {
        ask(nodes[0], &signed_for(authority, ("POST", WIDEVINE), nonce, &created, body))
    };
    for (number, foreign) in
        ["keys.example.org", "keymoot.example.org", "keymoot.", "10.9.8.7:8081"].into_iter().enumerate()
    {
        let refused = ask_for(foreign, &format!("the relayed nonce {number}"));
        assert!(refused.status == 401 && refused.text().contains("auth.authorities"), "{}", refused.text());
    }
    let here = nodes[0].to_string();
    for (number, own) in ["keymoot", "keymoot:8081", "localhost", &here].into_iter().enumerate() {
        let served = ask_for(own, &format!("the nonce number {number}"));
        assert_eq!(served.status, 200, "{own}: {}", served.text());
    }
}

#[test]
fn a_signature_with_another_tag_is_no_proof_here() {
    let (cluster, _token) = start();
    add_account(&cluster);
    let node = cluster.addresses()[0];
    let body = br#"{"ca_system":"OVP","account_id":"strict","content_id":"film"}"#;
    let tagged = |tag: &str, nonce: &str| {
        let parameters = format!(";created={};tag=\"{tag}\"", now_s());
        ask(node, &signed_for("keymoot", ("POST", WIDEVINE), nonce, &parameters, body)).status
    };
    assert_eq!(tagged("gateway", "a nonce of the gateway's"), 401);
    assert_eq!(tagged("keymoot", "a nonce of our own"), 200);
}

#[test]
fn a_nonce_with_a_new_time_is_no_new_nonce() {
    let (cluster, _token) = start();
    add_account(&cluster);
    let nodes = cluster.addresses();
    let body = br#"{"ca_system":"OVP","account_id":"strict","content_id":"film"}"#;
    let made = now_s();
    let ask_at = |node: SocketAddr, created: u64| {
        let parameters = format!(";created={created}");
        ask(node, &signed_for("keymoot", ("POST", WIDEVINE), "the only nonce of all", &parameters, body))
            .status
    };
    assert_eq!(ask_at(nodes[0], made - 100), 200);
    for (node, created) in nodes.iter().zip([made - 99, made, made - 250]) {
        assert_eq!(ask_at(*node, created), 401, "{created}");
    }
    assert_eq!(refusals(&nodes, "replay"), 3);
}

/// The request with what was signed in its query, as every method but POST and PUT takes it.
fn in_query(signer: &Signer, method: &str, path: &str, data: &[u8]) -> Vec<u8> {
    let (text, signature) = (STANDARD.encode(data), signer.signature(data));
    let [text, signature] = [text, signature].map(|value| raw::percent_encode(&value));
    raw::request(method, &format!("{path}?custom_data={text}&signature={signature}"), &[], &[])
}

#[test]
fn what_was_signed_for_an_export_or_a_bulk_request_opens_nothing_else() {
    let cluster = Cluster::start().unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let key = signer.create(node, "film").unwrap();
    let data = |more: serde_json::Value| {
        let mut data = serde_json::json!({"ca_system": signer.ca_system, "account_id": signer.account_id});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data.to_string().into_bytes()
    };
    let recipient = STANDARD.encode([9; 32]);
    let export = data(
        serde_json::json!({"export": 1, "content_id": "film", "recipient": recipient, "method": "POST"}),
    );
    let bulk = data(serde_json::json!({"bulk": 1, "method": "POST"}));
    let both = data(serde_json::json!({"content_id": "film", "policy": "any", "bulk": null}));
    let providers =
        ["cenc/widevine", "cenc/playready", "cenc/primetime", "cenc", "playready", "widevine", "fps", "hls"];
    let mut paths: Vec<String> = providers
        .iter()
        .flat_map(|provider| ["encryption", "schedule"].map(|end| format!("/{provider}/{end}")))
        .collect();
    for more in ["/hls/keyinfo", "/policy", "/policy/any", "/policy/any/content", "/policy/any/default"] {
        paths.push(more.to_owned());
    }
    for license in ["clearkey", "widevine", "playready"] {
        paths.push(format!("/cenc/{license}/license"));
    }
    let player = cluster.license_signer();
    let mut opened = Vec::new();
    for (what, signed) in [("export", &export), ("bulk", &bulk), ("a member", &both)] {
        for path in &paths {
            for method in ["GET", "POST", "PUT", "DELETE"] {
                let requests = [
                    signer.request(method, path, signed),
                    in_query(signer, method, path, signed),
                    in_query(&player, method, path, signed),
                ];
                for request in requests {
                    let answer = ask(node, &request);
                    let reveals = answer.text().contains(&key.key);
                    if ![400, 401].contains(&answer.status) || reveals {
                        opened.push(format!("{what}: {method} {path}: {}", answer.status));
                    }
                }
            }
        }
    }
    opened.sort();
    opened.dedup();
    assert!(opened.is_empty(), "{opened:#?}");
    assert_eq!(signer.read(node, "film").unwrap(), key, "and nothing was deleted or replaced");
    let exported = signer.send(node, "POST", "/export", &export).unwrap();
    assert_eq!(exported.status, 200, "{}", exported.text());
    let refused = signer.send(node, "POST", COMMON, &export).unwrap();
    assert!(refused.text().contains("/export only"), "{}", refused.text());
}
