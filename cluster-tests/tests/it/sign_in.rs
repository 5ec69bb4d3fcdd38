//! Operators sign in with name, password and one-time code, for a session that opens what their certificate would, and that
//! ends on every node as soon as it is ended.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cluster_tests::wait::{pause, wait_until};
use cluster_tests::{Grown, RigError};
use keymoot_crypto::{CODE_STEP_S, CodeSecret, SecretBytes};
use serde_json::{Value, json};
use ureq::Agent;

use super::operators::{REFUSED_WITHIN, add, await_admin, client, operator, pem, send, url};

const PASSWORD: &str = "correct horse battery";

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// An authenticator app that was shown the URI that a command printed.
struct App {
    secret: CodeSecret,
    last_step: u64,
}

impl App {
    fn new(printed: &str) -> Self {
        let secret = printed.split("secret=").nth(1).unwrap().split('&').next().unwrap();
        let mut bits = secret.bytes().flat_map(|letter| {
            let digit = match letter {
                b'A'..=b'Z' => letter - b'A',
                _ => letter - b'2' + 26,
            };
            (0..5).rev().map(move |bit| digit >> bit & 1)
        });
        let mut bytes = Vec::new();
        while let Some(byte) = (0..8).try_fold(0, |byte, _| bits.next().map(|bit| byte << 1 | bit)) {
            bytes.push(byte);
        }
        assert_eq!(bytes.len(), 20, "{printed}");
        Self { secret: CodeSecret::from_secret(SecretBytes::new(bytes)), last_step: 0 }
    }

    /// A code that no session began with yet. The next one is shown in time: a node takes it early.
    fn code(&mut self) -> String {
        let step = loop {
            let now = now_s() / CODE_STEP_S;
            match [now - 1, now, now + 1].into_iter().find(|step| *step > self.last_step) {
                Some(step) => break step,
                None => pause(Duration::from_secs(1)).unwrap(),
            }
        };
        self.last_step = step;
        format!("{:06}", self.secret.code(step))
    }
}

/// A client without a certificate.
fn browser(cluster: &Grown, at: &str) -> Agent {
    client(cluster.node(at).admin, &cluster.dir("a").join("ca.pem"), &[])
}

fn attempt(agent: &Agent, id: u64, name: &str, password: &str, code: &str) -> (u16, Value) {
    send(agent, id, "post", "/v1/session", &json!({ "name": name, "password": password, "code": code }))
        .unwrap()
}

fn sign_in(agent: &Agent, id: u64, name: &str, password: &str, app: &mut App) -> Value {
    let (status, answer) = attempt(agent, id, name, password, &app.code());
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Asks with a token, and returns status and answer.
fn with_token(agent: &Agent, id: u64, token: &Value, path: &str, body: Option<&Value>) -> (u16, Value) {
    let token = format!("Bearer {}", token.as_str().unwrap());
    let answer = match body {
        None => agent.get(url(id, path)).header("authorization", &token).call(),
        Some(body) => {
            let asked = agent.post(url(id, path)).header("authorization", &token);
            asked.header("content-type", "application/json").send(body.to_string().as_bytes())
        }
    };
    let mut answer = answer.unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Sets a password by the command, and returns the app that was shown the URI.
fn set_password(cluster: &Grown, name: &str, who: Option<&str>, password: &str) -> App {
    let file = cluster.path(&format!("{name}.password"));
    let _ = std::fs::remove_file(&file);
    cluster_tests::secret_file::write(&file, password).unwrap();
    let file = file.display().to_string();
    let args = ["password", name, "--password-file", &file, "--new-codes"];
    let said = operator(cluster, "a", who, &args).unwrap().succeeded().unwrap();
    assert!(said.contains("otpauth://totp/keymoot%20grown:"), "{said}");
    App::new(&said)
}

#[test]
fn a_session_opens_what_the_certificate_would_at_every_node_and_a_code_is_good_once_in_all() {
    let cluster = Grown::begin_three(["", "", ""], &[]).unwrap();
    await_admin(&cluster);
    add(&cluster, "alice", "viewer", &[], None);
    let nodes: Vec<(u64, Agent)> =
        ["a", "b", "c"].map(|name| (cluster.id(name).unwrap(), browser(&cluster, name))).into();
    let mut app = set_password(&cluster, "alice", Some("alice"), PASSWORD);
    // Nothing without a credential, and the same refusal for whatever is wrong.
    let (id, agent) = &nodes[0];
    assert_eq!(send(agent, *id, "get", "/v1/status", &json!({})).unwrap().0, 401);
    let wrong = attempt(agent, *id, "alice", "another password", &app.code());
    assert_eq!(wrong.0, 401, "{wrong:?}");
    assert_eq!(attempt(agent, *id, "nobody", PASSWORD, "123456"), wrong);
    assert_eq!(attempt(agent, *id, "admin", PASSWORD, "123456"), wrong, "who has no password");
    assert_eq!(attempt(agent, *id, "alice", PASSWORD, "12345"), wrong);

    let code = app.code();
    let (status, session) = attempt(agent, *id, "alice", PASSWORD, &code);
    assert_eq!(
        (status, &session["operator"], &session["must_change_password"]),
        (200, &json!("alice"), &json!(false))
    );
    for (id, agent) in &nodes {
        assert_eq!(attempt(agent, *id, "alice", PASSWORD, &code), wrong, "the same code at node {id}");
        let token = &session["token"];
        assert_eq!(with_token(agent, *id, token, "/v1/operators/self", None).1["name"], "alice");
        let body = json!({ "name": "alice", "roles": ["security"] });
        let (status, answer) = with_token(agent, *id, token, "/v1/operators/roles", Some(&body));
        assert!(status == 403 && answer["detail"].as_str().unwrap().contains("security"), "{answer}");
    }
    let list = operator(&cluster, "b", Some("admin"), &["sessions"]).unwrap().succeeded().unwrap();
    assert!(list.contains("alice") && list.contains("127.0.0.1"), "{list}");
    // Neither the password nor the code nor the token is in a log.
    for name in ["a", "b", "c"] {
        let log = cluster.log(name);
        for secret in [PASSWORD, session["token"].as_str().unwrap()] {
            assert!(!log.contains(secret), "{secret} at {name}");
        }
    }
    // A certificate that is no operator's opens nothing, and a session's token nothing at the API of the accounts.
    let dir = cluster.dir("a");
    let node = client(
        cluster.node("a").admin,
        &dir.join("ca.pem"),
        &[&dir.join("node-key.pem"), &dir.join("node.pem")],
    );
    assert_eq!(send(&node, nodes[0].0, "get", "/v1/status", &json!({})).unwrap().0, 401);

    // Ended by hand, and ended with the operator: at once, everywhere.
    let second = sign_in(&nodes[1].1, nodes[1].0, "alice", PASSWORD, &mut app);
    operator(&cluster, "c", Some("admin"), &["end-session", "alice", "--session", &digest(&list)])
        .unwrap()
        .succeeded()
        .unwrap();
    let since = Instant::now();
    for (id, agent) in &nodes {
        assert_eq!(with_token(agent, *id, &session["token"], "/v1/operators/self", None).0, 401, "node {id}");
        assert_eq!(with_token(agent, *id, &second["token"], "/v1/operators/self", None).0, 200, "node {id}");
    }
    operator(&cluster, "a", None, &["revoke", "alice"]).unwrap().succeeded().unwrap();
    let revoked = Instant::now();
    for (id, agent) in &nodes {
        assert_eq!(with_token(agent, *id, &second["token"], "/v1/operators/self", None).0, 401, "node {id}");
    }
    assert!(revoked.elapsed() < REFUSED_WITHIN && since.elapsed() < 10 * REFUSED_WITHIN);
}

/// The one session in a list.
fn digest(list: &str) -> String {
    list.lines().find(|line| line.starts_with("alice")).unwrap().split_whitespace().last().unwrap().to_owned()
}

#[test]
fn a_first_password_opens_nothing_but_its_change_and_guesses_are_slowed_where_they_are_made() {
    let cluster = Grown::begin("").unwrap();
    await_admin(&cluster);
    add(&cluster, "alice", "security", &[], None);
    let agent = browser(&cluster, "a");
    let mut app = set_password(&cluster, "alice", None, PASSWORD);
    let first = sign_in(&agent, 1, "alice", PASSWORD, &mut app);
    assert_eq!(first["must_change_password"], true);
    let token = &first["token"];
    let (status, answer) = with_token(&agent, 1, token, "/v1/status", None);
    assert!(
        status == 403 && answer["remedy"].as_str().unwrap().contains("/v1/operators/self/password"),
        "{answer}"
    );
    assert_eq!(with_token(&agent, 1, token, "/v1/operators/self", None).0, 200);
    let change = |new: &str, current: Option<&str>| {
        let body = json!({ "password": new, "current": current });
        with_token(&agent, 1, token, "/v1/operators/self/password", Some(&body))
    };
    let (status, answer) = change("short", Some(PASSWORD));
    assert!(status == 400 && answer["detail"].as_str().unwrap().contains("12 to 128"), "{answer}");
    assert_eq!(change("another long one", None).0, 400);
    assert_eq!(change("another long one", Some("not the password")).0, 401);
    let (status, answer) = change("another long one", Some(PASSWORD));
    assert_eq!(status, 200, "{answer}");
    // Whoever set the first one has seen the secret that came with it.
    let mut own = App::new(answer["otpauth"].as_str().unwrap());
    assert_eq!(
        with_token(&agent, 1, token, "/v1/operators/self", None).0,
        401,
        "sessions from before have ended"
    );
    own.last_step = app.last_step;
    let session = sign_in(&agent, 1, "alice", "another long one", &mut own);
    assert_eq!(with_token(&agent, 1, &session["token"], "/v1/status", None).0, 200);
    assert_eq!(with_token(&agent, 1, &session["token"], "/v1/session/end", Some(&json!({}))).0, 200);
    assert_eq!(with_token(&agent, 1, &session["token"], "/v1/status", None).0, 401);

    // Both secrets stand under a master key, and move to the next one.
    let ring = cluster.keyring();
    let config = cluster.config("a");
    cluster.must(&["keyring", "add", &ring]).unwrap();
    cluster.must(&["keyring", "activate", &ring, "mk2", "--config", &config]).unwrap();
    wait_until("the node to wrap under the next master key", Duration::from_secs(10), || {
        match cluster.must(&["keyring", "rewrap", "--config", &config])?.out.contains("put under mk2") {
            true => Ok(()),
            false => Err(RigError::Answer("under mk1".into())),
        }
    })
    .unwrap();
    cluster.must(&["keyring", "remove", &ring, "mk1", "--config", &config]).unwrap();
    wait_until("the node to follow its keyring", Duration::from_secs(10), || {
        match cluster.must(&["keyring", "status", "--config", &config])?.out.contains("mk1") {
            true => Err(RigError::Answer("mk1 is there".into())),
            false => Ok(()),
        }
    })
    .unwrap();
    sign_in(&agent, 1, "alice", "another long one", &mut own);

    let code = own.code();
    wait_until("guesses to wait for some seconds", Duration::from_secs(60), || {
        let (status, answer) = attempt(&agent, 1, "alice", "a guess of many", "000000");
        let digits: String = answer["detail"].as_str().unwrap().matches(char::is_numeric).collect();
        match (status, digits.parse::<u64>()) {
            (429, Ok(wait_s)) if wait_s >= 4 => Ok(()),
            _ => Err(RigError::Answer(format!("{status} {answer}"))),
        }
    })
    .unwrap();
    let asked = agent.post(url(1, "/v1/session")).header("content-type", "application/json");
    let body = json!({ "name": "alice", "password": "another long one", "code": code }).to_string();
    let slowed = asked.send(body.as_bytes()).unwrap();
    assert!(slowed.status() == 429 && slowed.headers().contains_key("retry-after"), "{slowed:?}");
    assert_eq!(attempt(&agent, 1, "bob", "a guess of many", "000000").0, 401, "another name is not slowed");
    // Who has a certificate goes on.
    let certificate =
        client(admin_of(&cluster), Path::new(&cluster.dir("a").join("ca.pem")), &[&pem(&cluster, "alice")]);
    assert_eq!(send(&certificate, 1, "get", "/v1/operators/self", &json!({})).unwrap().0, 200);
}

fn admin_of(cluster: &Grown) -> SocketAddr {
    cluster.node("a").admin
}

#[test]
fn neither_password_nor_session_comes_back_with_a_backup() {
    let mut cluster = Grown::begin("").unwrap();
    await_admin(&cluster);
    let mut app = set_password(&cluster, "admin", None, PASSWORD);
    let agent = browser(&cluster, "a");
    let session = sign_in(&agent, 1, "admin", PASSWORD, &mut app);
    let (config, backup) = (cluster.config("a"), cluster.path("a.backup").display().to_string());
    cluster.must(&["backup", "create", "--config", &config, "--output", &backup]).unwrap();
    cluster.stop("a").unwrap();
    let data = cluster.dir("a").join("data");
    std::fs::rename(&data, cluster.dir("a").join("data-of-before")).unwrap();
    let member = format!("1={}", cluster.node("a").peer);
    cluster.must(&["backup", "restore", &backup, "--config", &config, "--member", &member]).unwrap();
    cluster.serve("a").unwrap();
    cluster.await_status("the node to lead", |status| status.contains("leader")).unwrap();
    let agent = browser(&cluster, "a");
    assert_eq!(with_token(&agent, 1, &session["token"], "/v1/operators/self", None).0, 401);
    // The same name, on the word of the keyring: the password is gone.
    std::fs::remove_file(pem(&cluster, "admin")).unwrap();
    add(&cluster, "admin", "security", &["--by-keyring"], None);
    assert_eq!(attempt(&agent, 1, "admin", PASSWORD, &app.code()).0, 401);
}
