//! Policies: stored once for all nodes, changed by those who know what they change, held to the
//! specification's values, and never taken from under a content.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::policy::{self, Account};
use cluster_tests::raw::Answer;
use cluster_tests::{Cluster, Options, Signer, widevine};
use serde_json::{Value, json};

/// What was answered: status, body, tag.
type Answered = (u16, Value, Option<String>);

fn answered(answer: Answer) -> Answered {
    let body = serde_json::from_slice(&answer.body).unwrap();
    (answer.status, body, answer.header("etag").map(str::to_owned))
}

fn ask(node: SocketAddr, signer: &Signer, what: (&str, &str), members: &Value) -> Answered {
    answered(policy::send(node, signer, what, members, &[]).unwrap())
}

fn ask_if(node: SocketAddr, signer: &Signer, what: (&str, &str), members: &Value, tag: &str) -> Answered {
    answered(policy::send(node, signer, what, members, &[("If-Match", tag)]).unwrap())
}

/// The message of a refusal in the specification's format.
fn refused((status, body, _): &Answered, expected: u16) -> String {
    assert_eq!(*status, expected, "{body}");
    assert_eq!(body["status_code"], json!(expected.to_string()));
    assert!(body["reference"].as_u64().is_some_and(|reference| reference > 0));
    body["message"].as_str().unwrap().to_owned()
}

fn start() -> (Cluster, Account, Vec<SocketAddr>) {
    // So many wrong credentials as these tests show would be held up.
    let cluster = Options::default().env("KEYMOOT__AUTH__WRONG_CREDENTIALS_MAX", "0").start().unwrap();
    let account = policy::add_account(&cluster, "studio", &["--allow-unsigned-packagers"]).unwrap();
    let nodes = cluster.addresses();
    (cluster, account, nodes)
}

fn hd(license_s: u32) -> Value {
    json!({ "name": "HD", "license_duration_seconds": license_s,
            "protection": { "playready": { "analog_television": 150 } } })
}

#[test]
fn a_policy_is_the_same_on_every_node_and_changed_only_by_who_knows_its_version() {
    let (mut cluster, Account { keeper, .. }, nodes) = start();
    let first = ask(nodes[0], &keeper, ("POST", "/policy"), &json!({ "policy": hd(60) }));
    assert_eq!((first.0, first.2.as_deref()), (200, Some("\"1\"")), "{}", first.1);
    assert_eq!(first.1["policy"]["protection"], hd(60)["protection"]);
    let again = ask(nodes[1], &keeper, ("POST", "/Policy/HD"), &json!({ "policy": hd(60) }));
    assert_eq!(again, first, "a request that is repeated gets the same answer");
    for node in &nodes {
        assert_eq!(ask(*node, &keeper, ("GET", "/policy/HD"), &json!({})), first, "{node}");
    }
    let other = ask(nodes[2], &keeper, ("POST", "/policy"), &json!({ "policy": hd(61) }));
    assert!(refused(&other, 400).contains("there already, as version 1"));

    let put = ("PUT", "/policy/HD");
    let second = ask_if(nodes[1], &keeper, put, &json!({ "policy": hd(90) }), "\"1\"");
    assert_eq!((second.0, second.2.as_deref()), (200, Some("\"2\"")), "{}", second.1);
    let late = ask_if(nodes[2], &keeper, put, &json!({ "policy": hd(120) }), "\"1\"");
    assert!(refused(&late, 400).contains("is version 2 by now, not 1"));
    let wrong = ask_if(nodes[2], &keeper, put, &json!({ "policy": hd(120) }), "2");
    assert!(refused(&wrong, 400).contains("If-Match"));

    let leader = cluster.leader().unwrap();
    cluster.kill(leader).unwrap();
    for id in cluster.others(leader) {
        let node = cluster.node(id).unwrap().api;
        assert_eq!(ask(node, &keeper, ("GET", "/policy/HD"), &json!({})), second);
        let (status, listed, _) = ask(node, &keeper, ("GET", "/policy"), &json!({}));
        assert_eq!((status, &listed["policies"]), (200, &json!([second.1])), "{listed}");
    }
    let node = cluster.node(cluster.others(leader)[0]).unwrap().api;
    let delete = ("DELETE", "/policy/HD");
    let stale = ask_if(node, &keeper, delete, &json!({ "policy": "HD" }), "\"1\"");
    assert!(refused(&stale, 400).contains("version 2"));
    assert_eq!(ask_if(node, &keeper, delete, &json!({ "policy": "HD" }), "\"2\"").0, 200);
    assert!(refused(&ask(node, &keeper, ("GET", "/policy/HD"), &json!({})), 404).contains("no policy HD"));
    let third = ask(node, &keeper, put, &json!({ "policy": hd(60) }));
    assert_eq!(third.2.as_deref(), Some("\"3\""), "no tag ever means two policies");
}

#[test]
fn a_policy_that_cannot_be_is_refused_by_member_and_allowed_values() {
    let (_cluster, Account { keeper, .. }, nodes) = start();
    let playready = |member: &str, value: u32| json!({ "playready": { member: value } });
    let levels = [
        ("compressed_digital_audio", 350, "100, 150, 200, 250, 300"),
        ("uncompressed_digital_audio", 101, "100, 150, 200, 250, 300"),
        ("compressed_digital_video", 300, "400, 500"),
        ("uncompressed_digital_video", 400, "100, 250, 270, 300"),
        ("analog_television", 250, "100, 150, 200"),
    ];
    for (member, value, allowed) in levels {
        let policy = json!({ "name": "p", "protection": playready(member, value) });
        let message =
            refused(&ask(nodes[0], &keeper, ("POST", "/policy"), &json!({ "policy": policy })), 400);
        assert!(message.contains(&format!("protection.playready.{member}")), "{message}");
        assert!(message.contains(allowed), "{message}");
        let policy = json!({ "name": "p", "tracks": { "UHD1": playready(member, value) } });
        let message =
            refused(&ask(nodes[0], &keeper, ("POST", "/policy"), &json!({ "policy": policy })), 400);
        assert!(message.contains(&format!("tracks.UHD1.playready.{member}")), "{message}");
    }
    for (what, members, word) in [
        (("POST", "/policy"), json!({}), "Missing custom data policy"),
        (("POST", "/policy"), json!({ "policy": {} }), "policy name: is missing"),
        (("POST", "/policy"), json!({ "policy": { "name": "p", "lisence": 1 } }), "unknown field `lisence`"),
        (("PUT", "/policy/q"), json!({ "policy": { "name": "p" } }), "must name q"),
        (("PUT", "/policy/q"), json!({ "policy": "q" }), "Missing custom data policy"),
        (("DELETE", "/policy/q"), json!({}), "Missing custom data policy"),
        (("DELETE", "/policy/q"), json!({ "policy": "p" }), "must name q"),
        (("PUT", "/policy/q/content"), json!({ "policy": "q" }), "content_id"),
        (("PATCH", "/policy/q"), json!({}), "GET, POST, PUT and DELETE"),
        (("POST", "/policy/q/default"), json!({}), "PUT and DELETE"),
    ] {
        let message = refused(&ask(nodes[0], &keeper, what, &members), 400);
        assert!(message.contains(word), "{what:?} {members}: {message}");
    }
    let (_, listed, _) = ask(nodes[0], &keeper, ("GET", "/policy"), &json!({}));
    assert_eq!(listed, json!({ "default": null, "policies": [] }));
}

#[test]
fn only_a_policy_credential_opens_policies_and_it_opens_nothing_else() {
    let (_cluster, account, nodes) = start();
    let policy = json!({ "policy": hd(60), "content_id": "film" });
    for signer in [&account.scrambler, &account.player, &account.keeper.with_key("nobody's")] {
        for what in [("POST", "/policy"), ("GET", "/policy"), ("PUT", "/policy/HD")] {
            refused(&ask(nodes[0], signer, what, &policy), 401);
        }
    }
    assert_eq!(ask(nodes[0], &account.keeper, ("POST", "/policy"), &policy).0, 200);
    let data = account.keeper.custom_data("film", &[]);
    let answer = account.keeper.send(nodes[0], "POST", "/cenc/widevine/encryption", &data).unwrap();
    assert_eq!(answer.status, 401);
}

#[test]
fn a_policy_is_attached_on_ingestion_or_later_and_stays_while_it_is_used() {
    let (cluster, Account { scrambler, keeper, .. }, nodes) = start();
    let ingest = |content: &str, policy: &str| {
        let data = scrambler.custom_data(content, &[("policy", policy)]);
        answered(scrambler.send(nodes[1], "POST", "/cenc/widevine/encryption", &data).unwrap())
    };
    assert!(refused(&ingest("film", "HD"), 404).contains("no policy HD"));
    assert!(scrambler.read(nodes[0], "film").is_err(), "a key was made for a policy that is not there");
    for policy in ["HD", "SD", "UHD"] {
        let made = ask(nodes[0], &keeper, ("POST", "/policy"), &json!({ "policy": { "name": policy } }));
        assert_eq!(made.0, 200, "{}", made.1);
    }
    let holds = |content: &str| {
        let (_, listed, _) = ask(nodes[2], &keeper, ("GET", "/policy"), &json!({ "content_id": content }));
        (listed["content"]["attached"].clone(), listed["content"]["holds"].clone())
    };
    assert_eq!(ingest("film", "HD").0, 200);
    assert_eq!(holds("film"), (json!("HD"), json!("HD")));
    assert_eq!(ingest("film", "SD").0, 200);
    assert_eq!(holds("film").0, json!("HD"), "asking for the key again changes nothing");
    assert_eq!(holds("other"), (Value::Null, Value::Null));
    let name = |policy: &str, content: &str| json!({ "policy": policy, "content_id": content });
    assert_eq!(ask(nodes[0], &keeper, ("PUT", "/policy/SD/default"), &name("SD", "")).0, 200);
    assert_eq!(holds("other"), (Value::Null, json!("SD")));
    assert_eq!(ask(nodes[0], &keeper, ("PUT", "/policy/UHD/content"), &name("UHD", "other")).0, 200);
    assert_eq!(holds("other"), (json!("UHD"), json!("UHD")));

    // Widevine's API names a policy as well.
    let mut asked = widevine::request("stream", &["SD"]);
    asked["policy"] = json!("nothing");
    assert_eq!(widevine::ask(nodes[1], "studio", &asked).unwrap().status, "POLICY_UNKNOWN");
    asked["policy"] = json!("HD");
    assert_eq!(widevine::ask(nodes[1], "studio", &asked).unwrap().status, "OK");
    assert_eq!(holds("stream").0, json!("HD"));

    let delete =
        |policy: &str| ask(nodes[1], &keeper, ("DELETE", &format!("/policy/{policy}")), &name(policy, ""));
    assert!(refused(&delete("HD"), 400).contains("attached to 2 contents"));
    assert!(refused(&delete("SD"), 400).contains("the account's default"));
    let detach = |policy: &str, content: &str| {
        let path = format!("/policy/{policy}/content");
        ask(nodes[2], &keeper, ("DELETE", &path), &name(policy, content))
    };
    assert!(refused(&detach("SD", "film"), 400).contains("has policy HD attached"));
    for content in ["film", "stream", "film"] {
        assert_eq!(detach("HD", content).0, 200);
    }
    assert_eq!(delete("HD").0, 200);
    assert_eq!(holds("film"), (Value::Null, json!("SD")));
    assert_eq!(ask(nodes[0], &keeper, ("DELETE", "/policy/SD/default"), &name("SD", "")).0, 200);
    assert_eq!(delete("SD").0, 200);
    drop(cluster);
}

#[test]
fn of_an_ingestion_that_is_refused_nothing_is_changed() {
    let (cluster, Account { scrambler, keeper, .. }, nodes) = start();
    let made = ask(nodes[0], &keeper, ("POST", "/policy"), &json!({ "policy": { "name": "HD" } }));
    assert_eq!(made.0, 200, "{}", made.1);
    let kid = STANDARD.encode([7; 16]);
    let supply = |method, content, key: [u8; 16], path: &str| {
        let key = STANDARD.encode(key);
        let own = [("policy", "HD"), ("key_id", &*kid), ("key", &*key)];
        let period = [("crypto_period_seconds", "60"), ("first_crypto_period_index", "0")];
        let of_period: &[(&str, &str)] = if path.ends_with("/schedule") { &period } else { &[] };
        let data = scrambler.custom_data(content, &[&own[..], of_period].concat());
        answered(scrambler.send(nodes[1], method, path, &data).unwrap())
    };
    assert_eq!(supply("POST", "film", [1; 16], "/cenc/widevine/encryption").0, 200);
    for (method, path) in [
        ("POST", "/cenc/widevine/encryption"),
        ("PUT", "/cenc/widevine/encryption"),
        ("PUT", "/cenc/widevine/schedule"),
    ] {
        let answer = supply(method, "other", [2; 16], path);
        assert!(refused(&answer, 400).contains("already names another key"), "{method} {path}");
        let listed = ask(nodes[2], &keeper, ("GET", "/policy"), &json!({ "content_id": "other" })).1;
        assert_eq!(listed["content"]["attached"], Value::Null, "{method} {path}");
    }
    assert!(scrambler.read(nodes[0], "other").is_err());
    drop(cluster);
}

#[test]
fn an_operator_keeps_policies_by_command() {
    let (cluster, Account { keeper, .. }, nodes) = start();
    let file = cluster.dir().join("hd.json");
    let run = |arguments: &[&str]| {
        let output = policy::command(&cluster, arguments).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let path = file.to_str().unwrap();
    std::fs::write(&file, r#"{"name":"HD","protection":{"widevine":{"hdcp":"v9"}}}"#).unwrap();
    let (code, _, complaint) = run(&["put", "studio", path]);
    assert_eq!(code, 64);
    assert!(complaint.contains("protection.widevine.hdcp") && complaint.contains("`v2.2`"), "{complaint}");

    std::fs::write(&file, hd(60).to_string()).unwrap();
    assert_eq!(run(&["put", "studio", path, "--if-absent"]).1, "policy HD is stored, as version 1\n");
    std::fs::write(&file, hd(90).to_string()).unwrap();
    let (code, _, complaint) = run(&["put", "studio", path, "--if-absent"]);
    assert!(code == 1 && complaint.contains("there already, as version 1"), "{complaint}");
    assert_eq!(run(&["put", "studio", path, "--if-version", "1"]).1, "policy HD is stored, as version 2\n");
    assert_eq!(run(&["attach", "studio", "HD", "film"]).0, 0);
    assert_eq!(run(&["default", "studio", "HD"]).0, 0);
    let listed: Value = serde_json::from_str(&run(&["list", "studio", "--output", "json"]).1).unwrap();
    assert_eq!((&listed[0]["contents"], &listed[0]["is_default"]), (&json!(1), &json!(true)), "{listed}");
    let (_, table, _) = run(&["list", "studio"]);
    assert!(table.contains("HD") && table.contains("yes"), "{table}");
    let shown: Value = serde_json::from_str(&run(&["show", "studio", "HD"]).1).unwrap();
    let read = ask(nodes[0], &keeper, ("GET", "/policy/HD"), &json!({}));
    assert_eq!(shown, read.1["policy"], "what is shown is what the API says, and what put takes");

    let (code, _, complaint) = run(&["delete", "studio", "HD"]);
    assert!(code == 1 && complaint.contains("attached to 1 content;"), "{complaint}");
    assert_eq!(run(&["detach", "studio", "film"]).0, 0);
    assert_eq!(run(&["default", "studio", "--none"]).0, 0);
    assert_eq!(run(&["delete", "studio", "HD", "--if-version", "2"]).1, "policy HD is deleted\n");
    assert!(run(&["show", "studio", "HD"]).2.contains("there is no policy HD"));
}
