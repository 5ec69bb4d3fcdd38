//! `init` and `join` leave nodes that serve their clients by TLS, with certificates that nobody has to make.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::raw::{self, percent_encode};
use cluster_tests::signed::COMMON;
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError, Signer, secret_file};
use keymoot_crypto::JoinToken;
use serde_json::Value;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const WITHIN: Duration = Duration::from_secs(30);
const SIGNING_KEY: &str = "a signing key that crosses the network by TLS";

/// A client that trusts the CA in a node's directory.
fn client(cluster: &Grown, name: &str) -> ureq::Agent {
    let ca = std::fs::read(cluster.dir(name).join("ca.pem")).unwrap();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[Certificate::from_pem(&ca).unwrap()]))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let config = ureq::Agent::config_builder().tls_config(tls).proxy(None).http_status_as_error(false);
    config.timeout_global(Some(Duration::from_secs(10))).build().new_agent()
}

fn await_tls(cluster: &Grown, name: &str) {
    let (client, url) = (client(cluster, name), format!("https://{}/healthz", cluster.node(name).api));
    wait_until("a node to serve by TLS", WITHIN, || match client.get(&url).call() {
        Ok(answer) if answer.status() == 200 => Ok(()),
        Ok(answer) => Err(RigError::Answer(answer.status().to_string())),
        Err(error) => Err(RigError::Answer(format!("{error}\n{}", cluster.log(name)))),
    })
    .unwrap();
}

/// A node as `init` makes it, with an account, and a client of it.
pub(super) fn serving() -> (Grown, ureq::Agent) {
    let mut cluster = Grown::bare(&[]).unwrap();
    cluster.init_with("a", &["--http-name", "drm.example.net"]).unwrap();
    cluster.serve_with("a", &[]).unwrap();
    await_tls(&cluster, "a");
    let key = cluster.path("signing.key");
    secret_file::write(&key, SIGNING_KEY).unwrap();
    let (key, config) = (key.display().to_string(), cluster.config("a"));
    let account = ["account", "add", "demo", "--config", &config, "--if-absent", "--ca-system", "OVP"];
    let rights = ["--allow", "127.0.0.0/8", "--encryption-key-file", &key];
    wait_until("the account to be stored", WITHIN, || cluster.must(&[&account[..], &rights].concat()))
        .unwrap();
    let client = client(&cluster, "a");
    (cluster, client)
}

/// The key id and the key that a node creates, or has, for a content.
pub(super) fn create(client: &ureq::Agent, node: SocketAddr, content: &str) -> (Value, Value) {
    let body = Signer::new("demo", "OVP", SIGNING_KEY).custom_data(content, &[]);
    served(client.post(&signed_url(node, &body)).send(&body[..]).unwrap())
}

/// Has a node take a client's own key for a content.
pub(super) fn supply(client: &ureq::Agent, node: SocketAddr, content: &str, key: &[u8], kid: &[u8]) {
    let [key, kid] = [key, kid].map(|bytes| STANDARD.encode(bytes));
    let more = [("key", key.as_str()), ("key_id", kid.as_str())];
    let body = Signer::new("demo", "OVP", SIGNING_KEY).custom_data(content, &more);
    let answer = client.put(&signed_url(node, &body)).send(&body[..]).unwrap();
    assert_eq!(served(answer), (kid.into(), key.into()));
}

fn signed_url(node: SocketAddr, body: &[u8]) -> String {
    let signature = Signer::new("demo", "OVP", SIGNING_KEY).signature(body);
    format!("https://{node}{COMMON}?signature={}", percent_encode(&signature))
}

fn served(mut answer: ureq::http::Response<ureq::Body>) -> (Value, Value) {
    let text = answer.body_mut().read_to_string().unwrap();
    assert_eq!(answer.status(), 200, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    let found = (answer[0]["key_id"].clone(), answer[0]["key"].clone());
    assert!(found.0.is_string() && found.1.is_string(), "{text}");
    found
}

#[test]
fn a_cluster_as_init_and_join_make_it_serves_by_tls_and_goes_on_without_a_quorum() {
    let (mut cluster, at_a) = serving();

    // A node that joins has no state yet, and so no authority's key: it waits for it.
    cluster.add_node("b").unwrap();
    let token = cluster.token("a", &[]).unwrap();
    let joined =
        cluster.try_join("b", &token, cluster.node("a").peer, &["--http-name", "b.example.net"]).unwrap();
    assert_eq!(joined.code, Some(0), "{joined:?}");
    cluster.serve_with("b", &[]).unwrap();
    await_tls(&cluster, "b");
    cluster.await_voters("a", 2).unwrap();
    let at_b = client(&cluster, "b");
    let [a, b] = ["a", "b"].map(|name| cluster.node(name).api);
    let made = create(&at_a, a, "film");
    assert_eq!(create(&at_b, b, "film"), made, "one key for one content");

    // Nobody is answered in the clear.
    let plain = raw::exchange(a, &raw::request("GET", "/healthz", &[], &[]), Duration::from_secs(5));
    assert!(plain.is_err(), "{plain:?}");
    let status = cluster.status("a").unwrap();
    assert!(!status["advice"].to_string().contains("plain HTTP"), "{status:#}");

    // The certificate is in its directory: a node that reaches nobody has it, too.
    cluster.kill("a").unwrap();
    cluster.kill("b").unwrap();
    cluster.serve_with("a", &[]).unwrap();
    await_tls(&cluster, "a");
}

#[test]
fn a_certificate_by_hand_and_a_listener_for_all_need_a_word_about_the_api() {
    let mut cluster = Grown::bare(&[]).unwrap();
    cluster.init("a", "").unwrap();
    let file = |name: &str| cluster.dir("a").join(name).display().to_string();
    let (ca, cert, key, ring) =
        (file("ca.pem"), file("node.pem"), file("node-key.pem"), file("keyring.toml"));
    let dir = cluster.path("far").display().to_string();
    // Nobody is asked whether it is good.
    let token = JoinToken::generate("grown".parse().unwrap(), [0; 32]).unwrap().expose();
    let join = [
        "cluster",
        "join",
        "--token",
        token.as_str(),
        "--member",
        "127.0.0.1:1",
        "--dir",
        &dir,
        "--keyring",
        &ring,
    ];
    let by_hand = ["--cert", &cert, "--key", &key, "--ca", &ca, "--listen", "127.0.0.1:1"];
    let far = ["--http-listen", "192.0.2.1:8081"];
    let refused = cluster.run(&[&join[..], &by_hand, &far].concat()).unwrap();
    assert_eq!(refused.code, Some(64), "{refused:?}");
    assert!(refused.err.contains("--http-cert FILE --http-key FILE, or --plain-http"), "{refused:?}");
}
