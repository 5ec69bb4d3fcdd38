//! What an account was granted can be taken back: at once, on every node, also on open connections, and for good,
//! whatever an older accounts file, a paused node or a restored backup says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cluster_tests::operator::{self, CommandOutput};
use cluster_tests::signed::WIDEVINE;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, Options, RigError, Signer, metrics, raw, secret_file};

/// Within this time of its answer, a change holds on every node that reaches the quorum.
const EFFECTIVE_WITHIN: Duration = Duration::from_secs(1);

const LEAKED: &str = "a signing key that leaked";
const KEPT: &str = "a signing key that did not";

/// Runs `keymoot` with the configuration of a node.
fn keymoot(cluster: &Cluster, at: u64, arguments: &[&str]) -> CommandOutput {
    let config = cluster.node(at).unwrap().config();
    operator::keymoot(&[arguments, &["--config", &config]].concat()).unwrap()
}

fn must(cluster: &Cluster, at: u64, arguments: &[&str]) -> String {
    keymoot(cluster, at, arguments).succeeded().unwrap()
}

/// The keys in files of their own.
fn key_files(cluster: &Cluster) -> [PathBuf; 2] {
    [("leaked.key", LEAKED), ("kept.key", KEPT)].map(|(name, text)| {
        let path = cluster.dir().join(name);
        secret_file::write(&path, text).unwrap();
        path
    })
}

/// Adds an account with both keys as credentials `leaked` and `kept`.
fn add(cluster: &Cluster, account: &str, more: &[&str]) -> [Signer; 2] {
    let [leaked, kept] = key_files(cluster).map(|path| path.display().to_string());
    let credentials = [("leaked", leaked), ("kept", kept)];
    let credentials = credentials.map(|(name, file)| format!("{name}:encryption:udrm-sha1:{file}"));
    let credentials: Vec<&str> = credentials.iter().flat_map(|one| ["--credential", one.as_str()]).collect();
    cluster.add_account(account, &[&credentials[..], more].concat()).unwrap();
    [LEAKED, KEPT].map(|key| Signer::new(account, "OVP", key))
}

fn read(signer: &Signer) -> Vec<u8> {
    signer.request("GET", WIDEVINE, &signer.custom_data("film", &[]))
}

fn status(node: SocketAddr, signer: &Signer) -> u16 {
    raw::exchange(node, &read(signer), raw::ANSWER_WITHIN).unwrap().status
}

/// Open connections to all nodes, each of which was just used.
struct Open(Vec<raw::Link>);

impl Open {
    fn to(cluster: &Cluster, signer: &Signer) -> Self {
        let mut open = Self(Vec::new());
        for address in cluster.addresses() {
            open.0.push(raw::Link::open(address, raw::ANSWER_WITHIN).unwrap());
        }
        assert_eq!(open.statuses(signer), [200; 3]);
        open
    }

    fn statuses(&mut self, signer: &Signer) -> Vec<u16> {
        let ask = |link: &mut raw::Link| link.ask(&read(signer), raw::ANSWER_WITHIN).unwrap().status;
        self.0.iter_mut().map(ask).collect()
    }

    /// Waits until every node answers with this status, which must not take longer than it may.
    fn await_status(&mut self, signer: &Signer, status: u16) {
        let since = Instant::now();
        loop {
            let asked = since.elapsed();
            if self.statuses(signer) == [status; 3] {
                return;
            }
            assert!(asked < EFFECTIVE_WITHIN, "after {asked:?} not all nodes answer {status}");
        }
    }
}

#[test]
fn what_is_taken_away_is_refused_within_a_second_by_every_node_on_open_connections() {
    let cluster = Cluster::start().unwrap();
    for (account, consistency) in [("fresh", "linearizable"), ("near", "local")] {
        let [leaked, kept] = add(&cluster, account, &["--consistency", consistency]);
        leaked.create(cluster.nodes()[0].api, "film").unwrap();
        for node in cluster.addresses() {
            wait_until("a node to have the key", raw::ANSWER_WITHIN, || leaked.read(node, "film")).unwrap();
        }
        let mut open = Open::to(&cluster, &leaked);
        must(&cluster, 2, &["account", "credential", "revoke", account, "leaked"]);
        open.await_status(&leaked, 401);
        open.await_status(&kept, 200);
        must(&cluster, 3, &["account", "suspend", account]);
        open.await_status(&kept, 401);
        must(&cluster, 1, &["account", "resume", account]);
        open.await_status(&kept, 200);
        must(&cluster, 2, &["account", "credential", "expire", account, "kept", "--expires-in", "1s"]);
        std::thread::sleep(Duration::from_secs(1));
        open.await_status(&kept, 401);
        must(&cluster, 2, &["account", "credential", "expire", account, "kept", "--never"]);
        open.await_status(&kept, 200);
        let listed = must(&cluster, 1, &["account", "credential", "list", account, "--output", "json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        assert_eq!((listed[0]["name"].as_str(), listed[1]["name"].as_str()), (Some("kept"), Some("leaked")));
        assert!(listed[0]["last_used_at_ms"].is_u64() && listed[1]["revoked_at_ms"].is_u64(), "{listed:#}");
        // Its name is not used again: that is told, and another one is taken.
        let file = cluster.dir().join("leaked.key").display().to_string();
        let again = |name: &str| {
            let credential = format!("{name}:encryption:udrm-sha1:{file}");
            keymoot(&cluster, 1, &["account", "credential", "add", account, &credential])
        };
        let refused = again("leaked").failed_with(1).unwrap();
        assert!(
            refused.err.contains("was revoked") && refused.err.contains("choose another name"),
            "{refused:?}"
        );
        again("found-again").succeeded().unwrap();
        open.await_status(&leaked, 200);
        // What becomes of its keys is said before it is removed.
        let asked = keymoot(&cluster, 3, &["account", "remove", account]).failed_with(64).unwrap();
        assert!(asked.out.contains("1 contents with 1 keys") && asked.err.contains("--yes"), "{asked:?}");
        must(&cluster, 3, &["account", "remove", account, "--yes"]);
        open.await_status(&kept, 401);
    }
    let admin = format!("x:admin:basic:{}", cluster.dir().join("kept.key").display());
    let more = ["account", "add", "admin", "--credential", &admin];
    let refused = keymoot(&cluster, 1, &more).failed_with(64).unwrap();
    assert!(refused.err.contains("encryption, license or policy"), "{refused:?}");
}

/// Writes the accounts file of a revision, with these credentials.
fn declare(cluster: &Cluster, revision: u64, credentials: &[&str]) -> String {
    let mut text = format!(
        "revision = {revision}\n[[account]]\nid = \"declared\"\nca_systems = [\"OVP\"]\nallow_list = [\"127.0.0.0/8\"]\n"
    );
    for name in credentials {
        text += &format!(
            "[[account.credential]]\nname = \"{name}\"\nscope = \"encryption\"\nkey_file = \"{name}.key\"\n"
        );
    }
    let path = cluster.dir().join(format!("accounts-{revision}.toml"));
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_node_that_restarts_with_an_older_accounts_file_revives_nothing() {
    let mut cluster = Cluster::start().unwrap();
    key_files(&cluster);
    let (old, new) = (declare(&cluster, 1, &["leaked", "kept"]), declare(&cluster, 2, &["kept"]));
    let shown = must(&cluster, 1, &["account", "apply", &old, "--dry-run"]);
    assert!(shown.contains("+ account declared, credential leaked") && !shown.contains(LEAKED), "{shown}");
    let asked = keymoot(&cluster, 1, &["account", "apply", &old]).failed_with(64).unwrap();
    assert!(asked.err.contains("--yes"), "{asked:?}");
    must(&cluster, 1, &["account", "apply", &old, "--yes"]);
    let [leaked, kept] = [LEAKED, KEPT].map(|key| Signer::new("declared", "OVP", key));
    leaked.create(cluster.nodes()[0].api, "film").unwrap();
    let shown = must(&cluster, 2, &["account", "apply", &new, "--yes"]);
    assert!(shown.contains("- account declared, credential leaked: is revoked"), "{shown}");
    assert_eq!(status(cluster.nodes()[2].api, &leaked), 401);

    // The attack: a node that was off, or was forgotten, comes back with the file of before.
    cluster.stop(3).unwrap();
    cluster.start_with_env(3, &[("KEYMOOT__ACCOUNTS__FILE", &old)]).unwrap();
    let api = cluster.nodes()[2].api;
    wait_until("the node to look at its file", Duration::from_secs(30), || {
        let said = cluster.said(3)?;
        match said.contains("keymoot account apply") {
            true => Ok(()),
            false => Err(RigError::Answer(said)),
        }
    })
    .unwrap();
    wait_until("the node to serve", Duration::from_secs(30), || kept.read(api, "film").map(drop)).unwrap();
    for node in cluster.addresses() {
        assert_eq!(status(node, &leaked), 401, "the leaked key is good again at {node}");
    }
    let refused = keymoot(&cluster, 3, &["account", "apply", &old, "--yes"]).failed_with(1).unwrap();
    assert!(refused.err.contains("it is older") && refused.err.contains("revision above 2"), "{refused:?}");

    // What is left out is left alone, unless it is pruned.
    let third = declare(&cluster, 3, &["kept"]);
    let shown = must(&cluster, 1, &["account", "apply", &third, "--dry-run"]);
    assert!(shown.contains("account demo: is not in the file, and is left alone"), "{shown}");
    must(&cluster, 1, &["account", "apply", &third, "--prune", "suspend", "--yes"]);
    let said = must(&cluster, 1, &["account", "show", "demo"]);
    assert!(said.contains("suspended"), "{said}");
    must(&cluster, 1, &["account", "resume", "demo"]);
    cluster.signer().create(cluster.nodes()[1].api, "film").unwrap();
}

#[test]
fn a_node_that_was_paused_grants_nothing_that_was_taken_away_meanwhile() {
    let cluster = Cluster::start().unwrap();
    let [leaked, kept] = add(&cluster, "near", &["--consistency", "local"]);
    leaked.create(cluster.nodes()[0].api, "film").unwrap();
    for node in cluster.addresses() {
        wait_until("a node to have the key", raw::ANSWER_WITHIN, || leaked.read(node, "film")).unwrap();
    }
    let leader = cluster.leader().unwrap();
    let paused = cluster.others(leader)[0];
    let mut links: Vec<raw::Link> = (0..8)
        .map(|_| raw::Link::open(cluster.node(paused).unwrap().api, raw::ANSWER_WITHIN).unwrap())
        .collect();
    for link in &mut links {
        assert_eq!(link.ask(&read(&leaked), raw::ANSWER_WITHIN).unwrap().status, 200);
    }
    cluster.pause(paused).unwrap();
    must(&cluster, leader, &["account", "credential", "revoke", "near", "leaked"]);
    std::thread::sleep(EFFECTIVE_WITHIN);
    // They wait in the node's sockets, and are the first that it sees.
    let asked = links.into_iter().map(|mut link| {
        let request = read(&leaked);
        std::thread::spawn(move || link.ask(&request, raw::ANSWER_WITHIN).unwrap().status)
    });
    let asked: Vec<_> = asked.collect();
    std::thread::sleep(Duration::from_millis(300));
    cluster.resume(paused).unwrap();
    for answer in asked {
        assert_eq!(answer.join().unwrap(), 401);
    }
    assert_eq!(status(cluster.node(paused).unwrap().api, &kept), 200);
}

#[test]
fn a_node_that_is_cut_off_serves_local_accounts_for_as_long_as_it_may_and_again_when_it_is_back() {
    let mut cluster = Options::default()
        .env("KEYMOOT__AUTH__CUT_OFF_GRANTS_S", "6")
        .env("KEYMOOT__CLUSTER__REQUEST_DEADLINE_MS", "4000")
        .start()
        .unwrap();
    let [_, kept] = add(&cluster, "near", &["--consistency", "local"]);
    kept.create(cluster.nodes()[0].api, "film").unwrap();
    let alone = cluster.nodes()[2].api;
    wait_until("the node to have the key", raw::ANSWER_WITHIN, || kept.read(alone, "film")).unwrap();
    cluster.kill(1).unwrap();
    cluster.kill(2).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(status(alone, &kept), 200);
    assert!(metrics::sample(alone, "keymoot_cut_off_grants_total").unwrap() > 0.5);
    std::thread::sleep(Duration::from_secs(5));
    let answer = raw::exchange(alone, &read(&kept), raw::ANSWER_WITHIN).unwrap();
    assert!(answer.status == 503 && answer.text().contains("cut off"), "{}", answer.text());
    assert!(metrics::sample(alone, "keymoot_quorum_contact_age_seconds").unwrap() > 5.0);
    cluster.restart(1).unwrap();
    wait_until("the node to serve again", Duration::from_secs(30), || kept.read(alone, "film")).unwrap();
}

#[test]
fn what_an_account_has_is_listed_by_page_without_a_key() {
    let cluster = Cluster::start().unwrap();
    let signer = cluster.signer();
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(signer.create(cluster.nodes()[0].api, &format!("film-{number}")).unwrap());
    }
    let list = |more: &[&str]| {
        let arguments = [&["content", "list", &signer.account_id, "--output", "json"], more].concat();
        let said = must(&cluster, 2, &arguments);
        for key in &ids {
            let bytes = key.bytes().unwrap().0;
            assert!(!said.contains(&key.key) && !said.contains(&cluster_tests::signed::hex(&bytes)));
        }
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    for _ in 0..5 {
        let mark: Vec<&str> = after.iter().flat_map(|mark| ["--after", mark.as_str()]).collect();
        let page = list(&[&["--limit", "2"], &mark[..]].concat());
        let versions = page["versions"].as_array().unwrap();
        assert!(versions.len() <= 2);
        seen.extend(versions.iter().map(|version| version["content"].as_str().unwrap().to_owned()));
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    // What the development cluster tried itself with.
    seen.retain(|content| content != "keymoot-dev-check");
    assert_eq!(seen, (0..5).map(|number| format!("film-{number}")).collect::<Vec<_>>());
    let one = list(&["--content", "film-3"]);
    assert_eq!(one["versions"].as_array().unwrap().len(), 1);
    assert!(one["versions"][0]["key_id"].is_string() && one["versions"][0]["is_current"] == true);

    let policy = cluster.dir().join("policy.json");
    std::fs::write(&policy, r#"{"name": "hd"}"#).unwrap();
    must(&cluster, 1, &["policy", "put", &signer.account_id, &policy.display().to_string()]);
    for content in ["film-1", "film-4"] {
        must(&cluster, 1, &["policy", "attach", &signer.account_id, "hd", content]);
    }
    let first = must(&cluster, 3, &["policy", "uses", &signer.account_id, "hd", "--limit", "1"]);
    assert!(first.starts_with("film-1\n") && first.contains("--after film-1"), "{first}");
    let rest = must(&cluster, 3, &["policy", "uses", &signer.account_id, "hd", "--after", "film-1"]);
    assert_eq!(rest, "film-4\n");
}
