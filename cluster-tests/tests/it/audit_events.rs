//! Whatever is asked for has its event in the audit, granted or refused: who asked, from where, by which credential, for
//! what, and what came of it; and no event shows a secret or a viewer's name.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use cluster_tests::audit::{self, Follower, Told};
use cluster_tests::cluster::Options;
use cluster_tests::grown::Grown;
use cluster_tests::license::{self, CLEAR_KEY, clear_key_challenge};
use cluster_tests::loop_disk::{self, FileSystem, LoopDisk};
use cluster_tests::raw::{self, request};
use cluster_tests::signed::COMMON;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, RigError, Signer, metrics, operator, secret_file, widevine};
use serde_json::Value;

use super::published_api::{Document, OPEN, hls_key_id};

fn outcome<'t>(told: &'t [Told], outcome: &str) -> Vec<&'t Told> {
    told.iter().filter(|told| told.text("outcome") == outcome).collect()
}

#[test]
fn every_operation_has_its_event_refused_or_not() {
    let cluster = Cluster::start().unwrap();
    widevine::add_account(&cluster).unwrap();
    let nodes = cluster.addresses();
    let document = Document::of(nodes[0]);
    let (signer, players) = (cluster.signer(), cluster.license_signer());
    let kid = hls_key_id(nodes[0], signer);
    let keeper = add_policy_credential(&cluster);
    let mut follower = Follower::new(cluster.nodes()[0].config()).unwrap();
    let (mut open, mut held_elsewhere) = (Vec::new(), 0);
    for (example, (at, node)) in document.examples().iter().zip(nodes.iter().enumerate().cycle()) {
        let name = example.name();
        if OPEN.contains(&example.path) {
            open.push(example.path);
            example.send(*node, None, &kid);
            let told = follower.fresh().unwrap();
            assert!(told.iter().all(|told| told.text("address").is_empty()), "{name}: {told:?}");
            continue;
        }
        if example.is_secured() {
            let wrong = signer.with_key("wrong").signature(&example.signed_bytes());
            example.send(*node, Some(&wrong), &kid);
            let told = follower.fresh().unwrap();
            let refused = outcome(&told, "refused");
            assert_eq!(refused.len(), 1, "{name}: {told:?}");
            let event = &refused[0].event;
            assert_eq!((refused[0].node, event["status"].as_u64()), (at as u64 + 1, Some(401)), "{name}");
            assert_eq!(event["actor"]["kind"], "stranger", "{name}: {event}");
            assert_eq!(event["address"], "127.0.0.1", "{name}: {event}");
            assert!(event["reference"].is_string() && event["reason"].is_string(), "{name}: {event}");
        }
        let signer = match () {
            () if example.is_for_players() => &players,
            () if example.path.starts_with("/policy") => &keeper,
            () => signer,
        };
        let signature = example.is_secured().then(|| signer.signature(&example.signed_bytes()));
        let answered = example.send(*node, signature.as_deref(), &kid);
        let told = follower.fresh().unwrap();
        // A policy that an example attached may keep the film's key from players.
        let may_be_refused = example.is_held_elsewhere() || example.path.starts_with("/hls/key/");
        if may_be_refused && answered.status != 200 {
            // What it needs is not here, or is so already. That it was asked for by whom is told all the same.
            // What proves an example of a document names no account: it is a stranger's.
            let kind = if example.path.ends_with("/copyProtection") { "stranger" } else { "account" };
            let is_theirs = |told: &&Told| told.event["actor"]["kind"] == kind && told.node == at as u64 + 1;
            let told_of: Vec<_> = told.iter().filter(is_theirs).collect();
            assert!(!told_of.is_empty(), "{name}: {} {told:?}", answered.status);
            held_elsewhere += 1;
            continue;
        }
        assert_eq!(answered.status, 200, "{name}");
        let done = outcome(&told, "done");
        assert!(!done.is_empty(), "{name}: {told:?}");
        for told in &done {
            let event = &told.event;
            assert_eq!(told.node, at as u64 + 1, "{name}: {event}");
            assert_eq!(event["actor"]["kind"], "account", "{name}: {event}");
            assert!(event["account"].is_string() && event["address"] == "127.0.0.1", "{name}: {event}");
        }
        // Each intent has its outcome, which says where it was applied.
        let intended = outcome(&told, "intended");
        let ended = |intent: &&Told| told.iter().any(|told| told.event["intent"] == intent.place.1);
        assert!(intended.iter().all(ended), "{name}: {told:?}");
        let is_change =
            |told: &&&Told| told.text("action") != "license.issue" && told.event["intent"].is_number();
        assert!(
            done.iter().filter(is_change).all(|told| told.event["log_index"].is_number()),
            "{name}: {told:?}"
        );
    }
    assert!(held_elsewhere >= 4, "licenses need license servers: {held_elsewhere}");
    open.sort_unstable();
    open.dedup();
    assert!(open.len() >= 5, "{open:?}");
}

/// Gives the account a credential for policies, and the signer that has it.
fn add_policy_credential(cluster: &Cluster) -> Signer {
    let key = "policy key of demo";
    let file = cluster.dir().join("demo-policy.key");
    secret_file::write(&file, key).unwrap();
    let credential = format!("policy:policy:udrm-sha1:{}", file.display());
    let config = cluster.nodes()[0].config();
    let add = ["account", "credential", "add", "demo", &credential, "--config", &config];
    operator::keymoot(&add).unwrap().succeeded().unwrap();
    cluster.signer().with_key(key)
}

#[test]
fn a_packager_that_cannot_sign_has_its_events_too() {
    let cluster = Options::default()
        .nodes(1)
        .env("KEYMOOT__PACKAGER__LISTEN", "127.0.0.1:0")
        .env("KEYMOOT__PACKAGER__ALLOW_LIST", "127.0.0.1/32")
        .env("KEYMOOT__PACKAGER__ACCOUNTS", "437=demo")
        .start()
        .unwrap();
    let listener = cluster.nodes()[0].packager_listener().unwrap();
    let mut follower = Follower::new(cluster.nodes()[0].config()).unwrap();
    let get = |pid: &str| {
        let path = format!("/system/OVP/edash/p/{pid}/sp/1/entryId/1_Entry/flavorId/1");
        raw::exchange(listener, &request("GET", &path, &[], &[]), raw::ANSWER_WITHIN).unwrap().status
    };
    assert_eq!(get("999"), 401);
    let told = follower.fresh().unwrap();
    assert_eq!(outcome(&told, "refused").len(), 1, "{told:?}");
    assert_eq!(get("437"), 200);
    let told = follower.fresh().unwrap();
    let [intended, done] = &told[..] else { panic!("{told:?}") };
    assert_eq!((intended.text("outcome"), done.text("outcome")), ("intended", "done"));
    for told in [intended, done] {
        assert_eq!((told.text("action"), told.text("account")), ("key.create", "demo"), "{told:?}");
        assert_eq!((told.text("content"), told.kids().len()), ("1_Entry", 1), "{told:?}");
    }
    assert_eq!(get("437"), 200);
    let told = follower.fresh().unwrap();
    assert_eq!((told.len(), told[0].text("action")), (1, "key.read"), "{told:?}");
}

#[test]
fn a_license_names_its_keys_and_its_viewer_by_a_digest_alone() {
    let (options, _entitlements) = license::entitling(&["viewers"]).unwrap();
    let cluster = options.start().unwrap();
    let (scrambler, player) = license::add_account(&cluster, "viewers", &[]).unwrap();
    let nodes = cluster.addresses();
    let (_, kid) = scrambler.create(nodes[0], "film").unwrap().bytes().unwrap();
    let mut follower = Follower::new(cluster.nodes()[0].config()).unwrap();
    let ask = |node, user: &str| {
        let data = player.custom_data("film", &[("user_token", user), ("udid", "tv-of-ann")]);
        license::send(node, &player, CLEAR_KEY, &data, &clear_key_challenge([&kid])).unwrap().status
    };
    let mut digests = Vec::new();
    for (node, user) in [(nodes[0], "ann@example.net"), (nodes[1], "ann@example.net"), (nodes[2], "bob")] {
        assert_eq!(ask(node, user), 200);
        let told = follower.fresh().unwrap();
        let done = outcome(&told, "done");
        assert_eq!(done.len(), 1, "{told:?}");
        assert_eq!((done[0].text("action"), done[0].kids().len()), ("license.issue", 1), "{done:?}");
        assert!(outcome(&told, "intended").iter().any(|told| told.text("action") == "license.issue"));
        let drm = &done[0].event["drm"];
        assert!(drm["viewer"].is_string() && drm["device"].is_string(), "{drm}");
        assert!(told.iter().all(|told| !told.event.to_string().contains("ann")), "{told:?}");
        digests.push(drm["viewer"].as_str().unwrap().to_owned());
    }
    assert!(digests[0] == digests[1] && digests[1] != digests[2], "{digests:?}");
    let config = cluster.nodes()[1].config();
    let asked =
        ["audit", "digest", "--account", "viewers", "--viewer", "ann@example.net", "--config", &config];
    assert_eq!(operator::keymoot(&asked).unwrap().succeeded().unwrap().trim(), digests[0]);
    let told = audit::search(&config, &["--action", "admin.AuditDigest"]).unwrap();
    assert_eq!((told.len(), told[0].text("object")), (1, "account=viewers"), "{told:?}");
    assert!(!told[0].event.to_string().contains("ann@"), "{told:?}");
    let found = audit::search(&cluster.nodes()[2].config(), &["--viewer", &digests[0]]).unwrap();
    assert_eq!(found.iter().filter(|told| told.text("outcome") == "done").count(), 2);
}

#[test]
fn what_no_request_of_an_account_is_about_is_told_too() {
    let mut cluster = Grown::begin("").unwrap();
    let config = cluster.config("a");
    let has = |filter: &[&str]| -> Result<Vec<Value>, RigError> {
        Ok(audit::search_settled(&config, filter)?.into_iter().map(|told| told.event).collect())
    };
    wait_until("a leader to be told", Duration::from_secs(10), || {
        let told = has(&["--action", "leader.elected"])?;
        told.first().cloned().ok_or_else(|| RigError::Program("none".into()))
    })
    .unwrap();
    let started = has(&["--action", "node.start"]).unwrap();
    assert!(started[0]["object"].as_str().unwrap().contains("active="), "{started:?}");
    cluster.join("b", "a", "", &[]).unwrap();
    let joined = has(&["--action", "node.join", "--outcome", "done"]).unwrap();
    assert_eq!(joined.len(), 1, "{joined:?}");
    assert!(joined[0]["log_index"].is_number(), "{joined:?}");
    let members = has(&["--action", "members.change", "--outcome", "done"]).unwrap();
    assert!(!members.is_empty());
    // Whoever is no peer: garbage in place of a handshake.
    let peer = cluster.node("a").peer;
    for _ in 0..5 {
        let mut stream = TcpStream::connect(peer).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    }
    let handshakes = || {
        let refused = has(&["--action", "peer.connect", "--outcome", "refused"])?;
        Ok::<_, RigError>(
            refused.into_iter().filter(|told| told["object"] == "what=handshake").collect::<Vec<_>>(),
        )
    };
    let refused = wait_until("a refusal to be told", Duration::from_secs(10), || {
        handshakes()?.first().cloned().ok_or_else(|| RigError::Program("none".into()))
    })
    .unwrap();
    assert_eq!((&refused["address"], &refused["actor"]["kind"]), (&"127.0.0.1".into(), &"stranger".into()));
    let all = handshakes().unwrap();
    assert_eq!(all.len(), 1, "five in a minute are one: {all:?}");
    // What the keyring opens is an operator's as well.
    cluster.run(&["account", "list", "--config", &config]).unwrap().succeeded().unwrap();
    let listed = has(&["--action", "admin.Accounts"]).unwrap();
    let details = has(&["--action", "admin.AccountDetails"]).unwrap();
    assert!(!listed.is_empty() || !details.is_empty());
}

/// How long a node may take to notice what became of its disk, and others to take its place.
const WITHIN: Duration = Duration::from_secs(60);

fn await_unwritable(cluster: &Cluster, node: u64, wanted: bool) {
    let api = cluster.node(node).unwrap().api;
    let noticed = wait_until("the node to notice its audit", WITHIN, || {
        // Only what is to be written shows that it cannot be.
        drop(cluster.signer().create(api, "noticed"));
        match metrics::sample(api, "keymoot_audit_unwritable")? > 0.5 {
            found if found == wanted => Ok(()),
            found => Err(RigError::Answer(format!("unwritable: {found}"))),
        }
    });
    noticed.unwrap_or_else(|error| panic!("{error}\n{}", cluster.said(node).unwrap()));
}

#[test]
fn if_disks_can_be_mounted_a_node_that_cannot_write_its_audit_grants_nothing_and_recovers_by_itself() {
    if let Err(not_run) = loop_disk::available() {
        return eprintln!("{not_run}");
    }
    // Little is held back for events, so that it is soon used up.
    let mut cluster = Options::default().env("KEYMOOT__AUDIT__HELD_BACK_BYTES", "65536").start().unwrap();
    cluster.do_without_dev().unwrap();
    let mute = cluster.leader().unwrap();
    let api = cluster.node(mute).unwrap().api;
    cluster.kill(mute).unwrap();
    let audit = cluster.node(mute).unwrap().dir.join("data/audit");
    let disk = LoopDisk::over(&audit, FileSystem::Ext4, 64 * 1024 * 1024).unwrap();
    cluster.restart(mute).unwrap();
    cluster.await_ready().unwrap();
    // It shall be the leader.
    for other in cluster.others(mute).into_iter().cycle().take(20) {
        if cluster.leader().unwrap() == mute {
            break;
        }
        cluster.stop(other).unwrap();
        cluster.restart(other).unwrap();
        cluster.await_ready().unwrap();
    }
    cluster.signer().create(api, "before").unwrap();

    disk.fill().unwrap();
    await_unwritable(&cluster, mute, true);
    // It hands over, and neither reads nor makes a key; whoever asks is told to ask another node, or later.
    wait_until("another leader", WITHIN, || match cluster.leader()? {
        leader if leader != mute => Ok(()),
        leader => Err(RigError::Answer(format!("node {leader} leads"))),
    })
    .unwrap();
    let signer = cluster.signer();
    for (method, content) in [("GET", "before"), ("POST", "after")] {
        let answer = signer.send(api, method, COMMON, &signer.custom_data(content, &[])).unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
        assert!(answer.text().contains("cannot write its audit"), "{}", answer.text());
    }
    let packager = widevine::ask(api, "demo", &widevine::request("before", &["SD"])).unwrap();
    assert_eq!(packager.status, "INTERNAL_ERROR", "packagers of Widevine try again only then");
    let soap = request("POST", "/playready/acquirepackagingdata/demo", &[], b"<x/>");
    let soap = raw::exchange(api, &soap, raw::ANSWER_WITHIN).unwrap();
    assert_eq!(soap.status, 503, "{}", soap.text());
    assert!(soap.text().contains("Fault"), "{}", soap.text());
    let ready = raw::exchange(api, &request("GET", "/readyz", &[], &[]), raw::ANSWER_WITHIN).unwrap();
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("audit log cannot be written"), "{}", ready.text());
    let status = cluster.operate(cluster.others(mute)[0], &["status"]).unwrap();
    assert_eq!(status.code, Some(2), "{}{}", status.out, status.err);
    assert!(
        format!("{}{}", status.out, status.err).contains("grants nothing until it can be"),
        "{}",
        status.out
    );
    // The others go on, and have it vote and apply.
    for other in cluster.others(mute) {
        let there = cluster.node(other).unwrap().api;
        signer.create(there, &format!("beside-{other}")).unwrap();
        signer.read(there, "before").unwrap();
    }
    cluster.await_caught_up(mute).unwrap();

    disk.free().unwrap();
    await_unwritable(&cluster, mute, false);
    cluster.await_ready().unwrap();
    cluster.signer().read(api, "before").unwrap();
    cluster.signer().read(api, &format!("beside-{}", cluster.others(mute)[0])).unwrap();
    assert!(cluster.said(mute).unwrap().contains("the node grants again"));
    drop(cluster);
}
