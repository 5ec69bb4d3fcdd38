//! Operators are people with roles: the admin API opens for whom the cluster knows, as far as the roles go, and
//! shuts on every node as soon as somebody is revoked.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster_tests::audit;
use cluster_tests::operator::CommandOutput;
use cluster_tests::wait::{pause, wait_until};
use cluster_tests::{Grown, RigError};
use keymoot_model::{ClusterName, OperatorName};
use keymoot_tls::{ClusterCa, OperatorCredential};
use serde_json::{Value, json};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, http};

const ROLES: [&str; 5] = ["viewer", "operator", "key-admin", "security", "auditor"];
/// How long a revoked operator may still be heard.
pub(super) const REFUSED_WITHIN: Duration = Duration::from_secs(1);

/// Any name is at this address.
#[derive(Debug)]
struct At(SocketAddr);

impl Resolver for At {
    fn resolve(
        &self,
        _: &http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        found.push(self.0);
        Ok(found)
    }
}

/// A client of the admin API at this address, with the key and the first certificate of these PEM files.
pub(super) fn client(admin: SocketAddr, ca: &Path, shown: &[&Path]) -> Agent {
    let mut key: Option<PrivateKey<'static>> = None;
    let mut own: Option<Certificate<'static>> = None;
    for item in shown.iter().flat_map(|file| parse_pem(&std::fs::read(file).unwrap()).collect::<Vec<_>>()) {
        match item.unwrap() {
            PemItem::PrivateKey(found) => key = Some(found),
            PemItem::Certificate(found) if own.is_none() => own = Some(found),
            _ => {}
        }
    }
    let client = key.zip(own).map(|(key, own)| ClientCert::new_with_certs(&[own], key));
    let ca = Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::new_with_certs(&[ca]))
        .client_cert(client);
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(10)))
        .tls_config(tls.build())
        .build();
    Agent::with_parts(config, DefaultConnector::default(), At(admin))
}

pub(super) fn url(id: u64, path: &str) -> String {
    format!("https://node-{id}.grown.keymoot.internal{path}")
}

/// Sends a request, and returns status and answer.
pub(super) fn send(
    agent: &Agent,
    id: u64,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<(u16, Value), ureq::Error> {
    let mut answer = match method {
        "get" => {
            let members = body.as_object().into_iter().flatten();
            let pairs = members.map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
            agent.get(url(id, path)).query_pairs(pairs).call()?
        }
        _ => agent
            .post(url(id, path))
            .header("content-type", "application/json")
            .send(body.to_string().as_bytes())?,
    };
    let text = answer.body_mut().read_to_string()?;
    Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
}

fn whoami(agent: &Agent, id: u64) -> Result<u16, ureq::Error> {
    send(agent, id, "get", "/v1/operators/self", &json!({})).map(|(status, _)| status)
}

/// Runs `keymoot operator` as the operator of this credential, or by the keyring.
pub(super) fn operator(
    cluster: &Grown,
    at: &str,
    who: Option<&str>,
    args: &[&str],
) -> Result<CommandOutput, RigError> {
    let config = cluster.config(at);
    let who = who.map(|name| cluster.path(&format!("{name}.pem")).display().to_string());
    let mut all = vec!["operator"];
    all.extend(args);
    all.extend(["--config", &config]);
    if let Some(file) = &who {
        all.extend(["--operator", file]);
    }
    cluster.run(&all)
}

pub(super) fn add(cluster: &Grown, name: &str, role: &str, more: &[&str], who: Option<&str>) {
    let out = cluster.path(&format!("{name}.pem")).display().to_string();
    let args = [&["add", name, "--role", role, "--out", &out][..], more].concat();
    operator(cluster, "a", who, &args).unwrap().succeeded().unwrap();
}

/// A cluster with an operator of the role security, added by the keyring.
fn with_root() -> Grown {
    let cluster = Grown::begin("").unwrap();
    add(&cluster, "root", "security", &["--by-keyring"], None);
    wait_until("the first operator to be known", Duration::from_secs(10), || {
        operator(&cluster, "a", None, &["whoami"])?.succeeded()
    })
    .unwrap();
    cluster
}

/// Waits until the cluster knows its first operator, whose credential is `admin.pem` from then on.
pub(super) fn await_admin(cluster: &Grown) {
    wait_until("the first operator to be registered", Duration::from_secs(10), || {
        operator(cluster, "a", None, &["whoami"])?.succeeded()
    })
    .unwrap();
    std::fs::copy(cluster.dir("a").join("operator.pem"), pem(cluster, "admin")).unwrap();
}

/// Adds an operator as the first one.
fn add_operator(cluster: &Grown, name: &str, role: &str) {
    add(cluster, name, role, &[], None);
}

pub(super) fn pem(cluster: &Grown, name: &str) -> std::path::PathBuf {
    cluster.path(&format!("{name}.pem"))
}

#[test]
fn each_operation_is_refused_without_a_credential_and_with_each_role_that_must_not() {
    let cluster = with_root();
    let (admin, ca) = (cluster.node("a").admin, cluster.dir("a").join("ca.pem"));
    let connect = |shown: &[&Path]| client(admin, &ca, shown);
    for role in ROLES {
        add(&cluster, role, role, &[], Some("root"));
    }
    let agents = ROLES.map(|role| (role, connect(&[&pem(&cluster, role)])));
    let nobody = connect(&[]);
    let node = connect(&[&cluster.dir("a").join("node-key.pem"), &cluster.dir("a").join("node.pem")]);
    let (status, document) = send(&agents[0].1, 1, "get", "/openapi.json", &json!({})).unwrap();
    assert_eq!(status, 200, "{document}");
    // Metrics are for all of them, and for nobody else.
    for (role, agent) in &agents {
        let text = agent.get(url(1, "/metrics")).call().unwrap().body_mut().read_to_string().unwrap();
        assert!(text.contains("keymoot_raft_term"), "{role}: {text}");
    }
    assert_eq!(nobody.get(url(1, "/metrics")).call().unwrap().status(), 401);

    let (mut seen, mut open) = (0, 0);
    let mut answered: Vec<(String, &str, bool)> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            let body = match path.as_str() {
                // What is scheduled would be taken, and the authority replaced.
                "/v1/backups/schedule" | "/v1/authority/step" => Value::Null,
                _ => parameters(operation),
            };
            let (status, answer) = send(&nobody, 1, method, path, &body).unwrap();
            assert_eq!(status, 401, "{what} without a credential: {answer}");
            // Where credentials come from is open, and opens for none of these.
            if operation["security"].as_array().is_some_and(Vec::is_empty) {
                assert_eq!(path, "/v1/session");
                open += 1;
                continue;
            }
            let sent = agents[0].1.post(url(1, path)).header("authorization", "Bearer nobodys").send_empty();
            assert_eq!(sent.unwrap().status(), 401, "{what} with a token of no session");
            assert_eq!(
                send(&node, 1, method, path, &body).unwrap().0,
                401,
                "{what} with a node's certificate"
            );
            let roles: Vec<&str> =
                operation["x-roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap()).collect();
            let action = format!("admin.{}", operation["operationId"].as_str().unwrap());
            for (role, agent) in &agents {
                let (status, answer) = send(agent, 1, method, path, &body).unwrap();
                answered.push((action.clone(), role, roles.contains(role)));
                match roles.contains(role) {
                    true => assert!(![401, 403].contains(&status), "{what} as {role}: {status} {answer}"),
                    false => {
                        assert_eq!(status, 403, "{what} as {role}: {answer}");
                        let detail = answer["detail"].as_str().unwrap();
                        assert!(detail.contains(role) && detail.contains(roles[0]), "{detail}");
                    }
                }
            }
            seen += 1;
        }
    }
    assert!(seen >= 58 && open == 1, "{seen} operations, {open} open ones");
    // The account API answers nothing of it, nor this listener anything of that.
    assert_eq!(send(&agents[3].1, 1, "get", "/healthz", &json!({})).unwrap().0, 404);
    let there = ureq::agent().get(format!("http://{}/v1/status", cluster.node("a").api)).call();
    assert!(matches!(there, Err(ureq::Error::StatusCode(404))), "{there:?}");
    must_be_audited(&cluster, &answered);
}

/// Each of them has its event, who was refused as well as who was not: what is new among the operations, too.
fn must_be_audited(cluster: &Grown, answered: &[(String, &str, bool)]) {
    let told = audit::search_settled(&cluster.config("a"), &[]).unwrap();
    let of = |action: &str, operator: &str| {
        let theirs = told.iter().filter(|event| event.text("action") == action && event.actor() == operator);
        theirs.map(|event| event.event.clone()).collect::<Vec<_>>()
    };
    for (action, operator, may) in answered {
        let events = of(action, operator);
        let is_refused = |event: &Value| event["outcome"] == "refused" && event["status"] == 403;
        assert_eq!(events.iter().any(is_refused), !may, "{action} as {operator}: {events:?}");
        assert!(!events.is_empty(), "{action} as {operator}");
        for event in &events {
            assert_eq!(event["actor"]["kind"], "operator", "{event}");
            let credential = event["actor"]["credential"].as_str().unwrap_or_default();
            assert!(credential.starts_with("certificate "), "{event}");
            assert_eq!(event["address"], "127.0.0.1", "{event}");
        }
        let intended = events.iter().filter(|event| event["outcome"] == "intended").count();
        let outcomes = events.iter().filter(|event| event["intent"].is_number()).count();
        assert_eq!(intended, outcomes, "{action} as {operator}: {events:?}");
    }
    let strangers = told.iter().filter(|event| event.event["actor"]["kind"] == "stranger").count();
    assert!(strangers >= 60, "{strangers}");
}

/// The example of an operation, as the document has it.
fn parameters(operation: &Value) -> Value {
    match operation["parameters"].as_array() {
        Some(parameters) => parameters
            .iter()
            .map(|parameter| (parameter["name"].as_str().unwrap().to_owned(), parameter["example"].clone()))
            .collect(),
        None => operation["requestBody"]["content"]["application/json"]["example"].clone(),
    }
}

#[test]
fn a_certificate_that_the_authority_signed_and_nobody_registered_opens_nothing() {
    let mut cluster = Grown::bare(&[]).unwrap();
    // Whoever has the authority's key signs what they like: the name and the cluster are right.
    let kept = cluster.path("safe.pem");
    cluster.init_with("a", &["--plain-http", "--keep-ca-key", &kept.display().to_string()]).unwrap();
    cluster.serve("a").unwrap();
    cluster.await_status("the node to lead", |status| status.contains("leader")).unwrap();
    add(&cluster, "root", "security", &["--by-keyring"], None);
    let (admin, dir) = (cluster.node("a").admin, cluster.dir("a"));
    let ca = ClusterCa::load(&dir.join("ca.pem"), &kept).unwrap();
    assert_eq!(ca.cluster(), &ClusterName::new("grown").unwrap());
    let name = OperatorName::new("root").unwrap();
    let forged = ca.issue_operator_credential(&name, Duration::from_secs(3600)).unwrap();
    std::fs::write(pem(&cluster, "forged"), forged.as_bytes()).unwrap();
    let forger = client(admin, &dir.join("ca.pem"), &[&pem(&cluster, "forged")]);
    let (status, answer) = send(&forger, 1, "get", "/v1/status", &json!({})).unwrap();
    assert_eq!(status, 401, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("registered to no operator"), "{answer}");
    let root = client(admin, &dir.join("ca.pem"), &[&pem(&cluster, "root")]);
    assert_eq!(whoami(&root, 1).unwrap(), 200);
}

#[test]
fn who_is_revoked_is_refused_by_every_node_within_a_second_on_open_connections_and_resumed_sessions() {
    let mut cluster = Grown::begin_three(["", "", ""], &[]).unwrap();
    add(&cluster, "root", "security", &["--by-keyring"], None);
    add(&cluster, "alice", "viewer", &[], Some("root"));
    let ca = cluster.dir("a").join("ca.pem");
    let ids: Vec<(u64, SocketAddr)> =
        ["a", "b", "c"].map(|name| (cluster.id(name).unwrap(), cluster.node(name).admin)).to_vec();
    let agents: Vec<(u64, Agent)> =
        ids.iter().map(|(id, admin)| (*id, client(*admin, &ca, &[&pem(&cluster, "alice")]))).collect();
    for (id, agent) in &agents {
        wait_until("the node to know alice", Duration::from_secs(10), || match whoami(agent, *id) {
            Ok(200) => Ok(()),
            other => Err(RigError::Answer(format!("{other:?}"))),
        })
        .unwrap();
    }
    operator(&cluster, "b", Some("root"), &["revoke", "alice"]).unwrap().succeeded().unwrap();
    let since = Instant::now();
    for (id, agent) in &agents {
        // The connection is open still, and what was agreed on it would be resumed.
        assert_eq!(whoami(agent, *id).unwrap(), 401, "node {id}");
    }
    assert!(since.elapsed() < REFUSED_WITHIN, "{:?}", since.elapsed());
    // Nor after a restart, on a new connection.
    cluster.stop("c").unwrap();
    cluster.serve("c").unwrap();
    let (id, agent) = &agents[2];
    assert_eq!(whoami(agent, *id).unwrap(), 401);
    let said = operator(&cluster, "a", Some("alice"), &["whoami"]).unwrap();
    assert!(said.code == Some(1) && said.err.contains("operator alice was revoked"), "{said:?}");
}

#[test]
fn one_certificate_ends_or_is_revoked_and_the_operator_goes_on_with_another() {
    let cluster = with_root();
    let (admin, ca) = (cluster.node("a").admin, cluster.dir("a").join("ca.pem"));
    add(&cluster, "alice", "viewer", &[], Some("root"));
    let old = client(admin, &ca, &[&pem(&cluster, "alice")]);
    let before = OperatorCredential::load(&pem(&cluster, "alice")).unwrap();
    operator(&cluster, "a", Some("alice"), &["renew"]).unwrap().succeeded().unwrap();
    let after = OperatorCredential::load(&pem(&cluster, "alice")).unwrap();
    assert_ne!(before.fingerprint, after.fingerprint);
    assert_eq!(whoami(&old, 1).unwrap(), 200, "the one before stays good");
    let revoke = ["revoke", "alice", "--certificate", &before.fingerprint.to_string()];
    operator(&cluster, "a", Some("root"), &revoke).unwrap().succeeded().unwrap();
    assert_eq!(whoami(&old, 1).unwrap(), 401);
    let said = operator(&cluster, "a", Some("alice"), &["whoami"]).unwrap().succeeded().unwrap();
    assert!(said.contains("alice") && said.contains("viewer"), "{said}");

    // One that ends soon is refused on the open connection, too.
    let short = cluster.path("short.pem").display().to_string();
    let args = ["certificate", "alice", "--life", "3s", "--out", &short];
    operator(&cluster, "a", Some("root"), &args).unwrap().succeeded().unwrap();
    let short = client(admin, &ca, &[&pem(&cluster, "short")]);
    assert_eq!(whoami(&short, 1).unwrap(), 200);
    // Its life must pass.
    pause(Duration::from_secs(4)).unwrap();
    assert!(whoami(&short, 1).is_ok_and(|status| status == 401), "an expired certificate");
}

#[test]
fn an_operator_by_the_keyring_stands_in_the_status_until_one_acknowledges_it() {
    let cluster = with_root();
    let said = cluster.cluster("a", &["status"]).unwrap();
    let remedy = "keymoot operator acknowledge root";
    assert!(said.code == Some(2) && said.out.contains(remedy), "{said:?}");
    cluster.await_log("a", "an operator was added by proof of a master key").unwrap();
    operator(&cluster, "a", Some("root"), &["acknowledge", "root"]).unwrap().succeeded().unwrap();
    let said = cluster.cluster("a", &["status"]).unwrap();
    assert!(!said.out.contains(remedy) && said.out.contains("leader"), "{said:?}");
    let list = operator(&cluster, "a", Some("root"), &["list"]).unwrap().succeeded().unwrap();
    assert!(list.contains("keyring at node 1, known to root"), "{list}");
    // Without the keyring nobody is added: with a node's certificate alone the peer port refuses.
    let other = cluster.path("other.toml");
    cluster.must(&["keyring", "generate", &other.display().to_string()]).unwrap();
    let config = std::fs::read_to_string(cluster.config("a")).unwrap();
    let stolen = cluster.dir("a").join("stolen.toml");
    std::fs::write(
        &stolen,
        config.replace("\"keyring.toml\"", &format!("{:?}", other.display().to_string())),
    )
    .unwrap();
    let out = cluster.path("eve.pem").display().to_string();
    let stolen = stolen.display().to_string();
    let args =
        ["operator", "add", "eve", "--role", "security", "--by-keyring", "--out", &out, "--config", &stolen];
    let said = cluster.run(&args).unwrap();
    assert!(said.code == Some(1) && !Path::new(&out).exists(), "{said:?}");
}

#[test]
fn who_replaces_the_authority_stays_an_operator_and_what_the_old_one_signed_opens_nothing() {
    let cluster = Grown::begin("").unwrap();
    let (admin, dir) = (cluster.node("a").admin, cluster.dir("a"));
    wait_until("the first operator to be registered", Duration::from_secs(10), || {
        operator(&cluster, "a", None, &["whoami"])?.succeeded()
    })
    .unwrap();
    add(&cluster, "alice", "viewer", &[], None);
    let (old_ca, old) = (cluster.path("old-ca.pem"), dir.join("operator.pem"));
    std::fs::copy(dir.join("ca.pem"), &old_ca).unwrap();
    let before = OperatorCredential::load(&old).unwrap();
    // From afar, where no keyring makes up for a credential that opens nothing.
    let (at, file) = (format!("1={admin}"), old.display().to_string());
    let args = [
        "cluster",
        "authority",
        "replace",
        "--yes",
        "--wait",
        "60s",
        "--pause",
        "0s",
        "--admin",
        &at,
        "--operator",
        &file,
    ];
    let said = cluster.run(&args).unwrap();
    assert!(said.code == Some(0) && said.out.contains("is of the new CA now"), "{said:?}");
    assert_ne!(OperatorCredential::load(&old).unwrap().fingerprint, before.fingerprint);
    let whoami_of = |credential: &str| {
        cluster.run(&["operator", "whoami", "--admin", &at, "--operator", credential]).unwrap()
    };
    assert_eq!(whoami_of(&file).code, Some(0), "{}", cluster.log("a"));
    let alice = pem(&cluster, "alice");
    wait_until("the old CA to be retired", Duration::from_secs(20), || {
        let agent = client(admin, &dir.join("ca.pem"), &[&alice]);
        match whoami(&agent, 1) {
            Err(_) => Ok(()),
            Ok(status) => Err(RigError::Answer(format!("status {status}"))),
        }
    })
    .unwrap();
    // What it says.
    std::fs::remove_file(&alice).unwrap();
    let out = alice.display().to_string();
    operator(&cluster, "a", None, &["certificate", "alice", "--out", &out]).unwrap().succeeded().unwrap();
    // The listener follows the node's certificate, which may be a moment old.
    wait_until("the listener to show a certificate of the new CA", Duration::from_secs(30), || {
        whoami_of(&out).succeeded()
    })
    .unwrap();
}

#[test]
fn no_operator_comes_back_with_a_backup() {
    let mut cluster = with_root();
    let (config, backup) = (cluster.config("a"), cluster.path("a.backup").display().to_string());
    cluster.must(&["backup", "create", "--config", &config, "--output", &backup]).unwrap();
    operator(&cluster, "a", None, &["revoke", "root"]).unwrap().succeeded().unwrap();
    cluster.stop("a").unwrap();
    let data = cluster.dir("a").join("data");
    std::fs::rename(&data, cluster.dir("a").join("data-of-before")).unwrap();
    let member = format!("1={}", cluster.node("a").peer);
    let said =
        cluster.must(&["backup", "restore", &backup, "--config", &config, "--member", &member]).unwrap();
    let remedy = "keymoot operator add NAME --role security --by-keyring";
    assert!(said.out.contains(remedy), "{said:?}");
    cluster.serve("a").unwrap();
    cluster.await_status("the node to lead", |status| status.contains("leader")).unwrap();
    let ca = cluster.dir("a").join("ca.pem");
    let root = client(cluster.node("a").admin, &ca, &[&pem(&cluster, "root")]);
    assert_eq!(whoami(&root, 1).unwrap(), 401, "the backup has root, who was revoked since");
    // The same name, with another certificate.
    std::fs::remove_file(pem(&cluster, "root")).unwrap();
    add(&cluster, "root", "security", &["--by-keyring"], None);
    let root = client(cluster.node("a").admin, &ca, &[&pem(&cluster, "root")]);
    assert_eq!(whoami(&root, 1).unwrap(), 200);
}

#[test]
fn once_there_is_an_operator_the_keyring_lets_nodes_come_and_go_and_grants_nothing() {
    let cluster = with_root();
    let (config, key) = (cluster.config("a"), cluster.path("signing.key").display().to_string());
    std::fs::rename(cluster.dir("a").join("operator.pem"), cluster.path("admin.pem")).unwrap();
    let account = ["account", "add", "other", "--ca-system", "OVP", "--encryption-key-file", &key];
    let account = [&account[..], &["--config", &config]].concat();
    let refused = cluster.run(&account).unwrap();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("--operator FILE"), "{refused:?}");
    cluster.token("a", &[]).unwrap();
    // The only voter survives no failure, which is a warning.
    cluster.run(&["cluster", "status", "--config", &config]).unwrap().failed_with(2).unwrap();
    cluster.must(&["account", "list", "--config", &config]).unwrap();
    // As advised.
    let file = cluster.path("here.pem").display().to_string();
    let here = ["add", "here", "--role", "key-admin", "--by-keyring", "--out", &file];
    operator(&cluster, "a", None, &here).unwrap().succeeded().unwrap();
    cluster.must(&[&account[..], &["--operator", &file]].concat()).unwrap();
}

#[test]
fn a_mistake_is_named_with_what_to_do() {
    let cluster = with_root();
    let root = client(cluster.node("a").admin, &cluster.dir("a").join("ca.pem"), &[&pem(&cluster, "root")]);
    let refused = |path: &str, body: &Value| send(&root, 1, "post", path, body).unwrap();
    let (status, answer) = refused("/v1/operators/add", &json!({ "name": "x", "rôles": [] }));
    assert!(status == 400 && answer["detail"].as_str().unwrap().contains("rôles"), "{answer}");
    let (status, answer) = refused("/v1/operators/roles", &json!({ "name": "x", "roles": ["root"] }));
    assert!(status == 400 && answer["detail"].as_str().unwrap().contains("key-admin"), "{answer}");
    let (status, answer) = refused("/v1/operators/revoke", &json!({ "name": "nobody" }));
    assert!(
        status == 409 && answer["detail"].as_str().unwrap().contains("keymoot operator list"),
        "{answer}"
    );
    let (status, answer) = refused("/v1/nothing", &json!({}));
    assert!(status == 404 && answer["remedy"].as_str().unwrap().contains("/openapi.json"), "{answer}");
    let long = json!({ "name": "x".repeat(100_000) });
    assert_eq!(refused("/v1/operators/revoke", &long).0, 413);
    // A form that another page sends with the operator's browser is not read.
    let form = root.post(url(1, "/v1/operators/revoke")).header("content-type", "text/plain");
    let form = form.send(br#"{"name":"root"}"#.as_slice()).unwrap();
    assert_eq!(form.status(), 400);
    assert_eq!(whoami(&root, 1).unwrap(), 200);
    // A name is given once.
    let out = cluster.path("again.pem").display().to_string();
    let said =
        operator(&cluster, "a", Some("root"), &["add", "root", "--role", "viewer", "--out", &out]).unwrap();
    assert!(said.code == Some(1) && said.err.contains("names are given once"), "{said:?}");
    // Without a credential the command says how to get one.
    let config = std::fs::read_to_string(cluster.config("a")).unwrap();
    let bare = cluster.dir("a").join("bare.toml");
    std::fs::write(&bare, config.replace("credential_file = \"operator.pem\"\n", "")).unwrap();
    let said = cluster.run(&["operator", "list", "--config", &bare.display().to_string()]).unwrap();
    assert!(said.code == Some(64) && said.err.contains("--by-keyring"), "{said:?}");
}

#[test]
fn commands_on_a_node_are_the_first_operators_and_from_afar_they_are_whoever_shows_a_credential() {
    let cluster = Grown::begin_three(["", "", ""], &[]).unwrap();
    let said = operator(&cluster, "a", None, &["whoami"]).unwrap().succeeded().unwrap();
    for word in ["admin", "founder", "viewer,operator,key-admin,security,auditor"] {
        assert!(said.contains(word), "{said}");
    }
    cluster.must(&["account", "list", "--config", &cluster.config("a")]).unwrap();
    let told = audit::search_settled(&cluster.config("a"), &["--action", "admin.AccountDetails"]).unwrap();
    let by_admin = |told: &audit::Told| told.actor() == "admin" && told.event["actor"]["role"] == "viewer";
    assert!(told.iter().any(by_admin), "{told:?}");

    // From a machine without configuration, certificate and keyring.
    let admin = cluster.dir("a").join("operator.pem").display().to_string();
    let at = format!("2={}", cluster.node("b").admin);
    let afar = |args: &[&str], credential: &str| {
        cluster.run(&[args, &["--admin", &at, "--operator", credential]].concat()).unwrap()
    };
    wait_until("node b to be told of the operator", Duration::from_secs(10), || {
        match afar(&["cluster", "status"], &admin) {
            said if said.code == Some(0) => Ok(()),
            said => Err(RigError::Answer(format!("{said:?}"))),
        }
    })
    .unwrap();
    let status = afar(&["cluster", "status", "--output", "json"], &admin).succeeded().unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["members"].as_array().map(Vec::len), Some(3), "{status}");
    let key = cluster.path("acme.key");
    cluster_tests::secret_file::write(&key, "a signing key of acme").unwrap();
    let key = key.display().to_string();
    let add = ["account", "add", "acme", "--allow", "127.0.0.0/8", "--encryption-key-file", &key];
    afar(&add, &admin).succeeded().unwrap();
    let said = afar(&add, &admin);
    assert!(said.code == Some(1) && said.err.contains("pass --if-absent"), "{said:?}");
    assert!(afar(&["account", "list"], &admin).succeeded().unwrap().contains("acme"));
    // What carries keys is wrapped by the node, which also says what differs from a declaration.
    let more = format!("second:license:udrm-sha1:{key}2");
    cluster_tests::secret_file::write(&cluster.path("acme.key2"), "another signing key").unwrap();
    let add_key = ["account", "credential", "add", "acme", &more];
    afar(&add_key, &admin).succeeded().unwrap();
    let keys = afar(&["account", "credential", "list", "acme"], &admin).succeeded().unwrap();
    assert!(keys.contains("second") && keys.contains("encryption"), "{keys}");
    afar(&["account", "set", "acme", "--license-url", "https://drm.example.net/"], &admin)
        .succeeded()
        .unwrap();
    let shown = afar(&["account", "show", "acme"], &admin).succeeded().unwrap();
    assert!(shown.contains("https://drm.example.net/"), "{shown}");
    afar(&["account", "set", "acme", "--license-url", ""], &admin).succeeded().unwrap();
    let shown = afar(&["account", "show", "acme"], &admin).succeeded().unwrap();
    assert!(!shown.contains("drm.example.net"), "{shown}");
    let file = cluster.path("accounts.toml");
    let text = "revision = 1\n[[account]]\nid = \"acme\"\nallow_list = [\"127.0.0.0/8\"]\n[[account.credential]]\n\
                name = \"encryption\"\nscope = \"encryption\"\nkey_file = \"acme.key\"\n";
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let said = afar(&["account", "apply", &file, "--yes"], &admin).succeeded().unwrap();
    assert!(said.contains("- account acme, credential second: is revoked"), "{said}");
    assert!(!said.contains("credential encryption"), "the same key is no difference: {said}");
    let said = afar(&["account", "apply", &file, "--dry-run"], &admin).succeeded().unwrap();
    assert!(!said.contains("acme"), "{said}");
    afar(&["content", "list", "acme"], &admin).succeeded().unwrap();
    let keys = afar(&["cluster", "certificate", "list"], &admin).succeeded().unwrap();
    assert_eq!(keys.matches("registered").count(), 3, "{keys}");
    afar(&["cluster", "certificate", "renew"], &admin).succeeded().unwrap();
    let said = afar(&["cluster", "authority", "show"], &admin).succeeded().unwrap();
    assert!(said.contains("one authority"), "{said}");
    let token = afar(&["cluster", "token", "create"], &admin);
    assert!(token.code == Some(0) && token.err.contains(&cluster.node("b").peer.to_string()), "{token:?}");
    let said = afar(&["backup", "create", "--output", "-"], &admin);
    assert!(said.code == Some(1) && said.err.contains("with its --config"), "{said:?}");

    // A credential that opens too little is refused, and the keyring of the node does not make up for it.
    add_operator(&cluster, "alice", "viewer");
    let alice = pem(&cluster, "alice").display().to_string();
    let said = afar(&add, &alice);
    assert!(said.code == Some(1) && said.err.contains("it takes the role key-admin"), "{said:?}");
    let config = cluster.config("a");
    let said = cluster.run(&[&add[..], &["--config", &config, "--operator", &alice]].concat()).unwrap();
    assert!(said.code == Some(1) && said.err.contains("it takes the role key-admin"), "{said:?}");
}
