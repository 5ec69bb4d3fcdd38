//! Keys of many contents in one request: authenticated whole, answered line by line, safe to repeat.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::raw::{self, percent_encode};
use cluster_tests::{Cluster, Options, Signer, audit, metrics};
use serde_json::{Value, json};

fn head(signer: &Signer, keys: bool) -> String {
    json!({
        "bulk": 1, "ca_system": signer.ca_system, "account_id": signer.account_id, "keys": keys, "method": "POST",
    })
    .to_string()
}

fn post(node: SocketAddr, signature: &str, body: &[u8]) -> raw::Answer {
    let target = format!("/bulk?signature={}", percent_encode(signature));
    let request = raw::request("POST", &target, &[("Connection", "close")], body);
    raw::exchange_streamed(node, &request, raw::ANSWER_WITHIN).unwrap()
}

/// Sends these lines behind a head, and hands back a result for each and the summary.
fn must(signer: &Signer, node: SocketAddr, lines: &[String]) -> (Vec<Value>, Value) {
    let body = format!("{}\n{}\n", head(signer, true), lines.join("\n"));
    let answer = post(node, &signer.signature(body.as_bytes()), body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let mut read: Vec<Value> = String::from_utf8(answer.body)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = read.pop().unwrap()["summary"].clone();
    assert_eq!(read.len(), lines.len());
    (read, summary)
}

fn item(content: &str) -> String {
    json!({"content_id": content}).to_string()
}

fn own(content: &str, number: u8, more: &Value) -> String {
    let mut line = json!({
        "content_id": content, "key": STANDARD.encode([number; 16]), "key_id": STANDARD.encode([number | 0x80; 16]),
    });
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line.to_string()
}

#[test]
fn a_thousand_contents_get_their_keys_in_order_and_the_same_ones_from_another_node() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let lines: Vec<String> = (0..1000).map(|number| item(&format!("film-{number}"))).collect();
    let log_index = || metrics::sample(nodes[0], metrics::LAST_LOG_INDEX).unwrap();
    let before = log_index();
    let (first, summary) = must(signer, nodes[1], &lines);
    assert_eq!(summary, json!({"items": 1000, "ok": 1000, "errors": 0}));
    for (at, result) in first.iter().enumerate() {
        assert_eq!(result["line"], at + 2);
        assert_eq!(result["content_id"], format!("film-{at}"));
        assert_eq!(result["status"], "ok");
    }
    assert!(log_index() - before < 200.0, "many items share a log entry");
    let (again, _) = must(signer, nodes[2], &lines);
    assert_eq!(again, first);
    let known = signer.create(nodes[0], "film-7").unwrap();
    assert_eq!((&first[7]["key"], &first[7]["key_id"]), (&json!(known.key), &json!(known.key_id)));
    let counted = metrics::sample(nodes[1], "keymoot_bulk_items_total{outcome=\"ok\"}").unwrap();
    assert!((counted - 1000.0).abs() < 0.5, "{counted}");
    // The audit names each key, of those that were made and of those that were there.
    for (action, node) in [("key.create", 2), ("key.read", 3)] {
        let told =
            audit::search(&cluster.nodes()[0].config(), &["--action", action, "--outcome", "done"]).unwrap();
        let named: BTreeSet<&str> =
            told.iter().filter(|told| told.node == node).flat_map(|told| told.kids()).collect();
        assert!(
            first.iter().all(|result| named.contains(result["key_id"].as_str().unwrap())),
            "{}",
            named.len()
        );
    }
}

#[test]
fn a_bad_line_is_its_own_trouble_and_a_key_is_replaced_only_when_that_is_said() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let lines = [
        own("own", 1, &json!({})),
        "no JSON".to_owned(),
        own("own", 2, &json!({})),
        own("own", 3, &json!({"replace": true})),
        own("other", 1, &json!({})),
        own("track", 4, &json!({"track": "HD"})),
        own("live", 5, &json!({"period": {"length_s": 10, "index": 7}})),
        json!({"content_id": "aux", "aux": {"super_cas_id": 7}}).to_string(),
    ];
    let (results, summary) = must(signer, nodes[0], &lines);
    assert_eq!(summary, json!({"items": 8, "ok": 4, "errors": 4}));
    let status: Vec<&str> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["ok", "error", "error", "error", "error", "ok", "ok", "ok"]);
    let said = |at: usize| results[at]["message"].as_str().unwrap();
    assert!(said(1).contains("strict JSON") && results[1]["content_id"].is_null(), "{}", results[1]);
    assert!(said(2).contains("\"replace\":true"), "{}", said(2));
    assert!(said(3).contains("an item before failed for the same track"), "{}", said(3));
    assert!(said(4).contains("already names another key"), "{}", said(4));
    assert_eq!(results[5]["track"], "HD");

    let replaced = [own("own", 3, &json!({"replace": true}))];
    assert_eq!(must(signer, nodes[1], &replaced).0[0]["version"], 2);
    // What was brought along before stays known, and changes nothing.
    let (again, _) = must(signer, nodes[2], &[own("own", 1, &json!({}))]);
    assert_eq!((&again[0]["status"], &again[0]["version"]), (&json!("ok"), &json!(1)), "{}", again[0]);
    assert_eq!(signer.create(nodes[0], "own").unwrap().key, STANDARD.encode([3; 16]));
}

#[test]
fn nothing_is_done_before_the_whole_body_is_authenticated() {
    let cluster = Options::default().env("KEYMOOT__HTTP__MAX_BULK_BODY_BYTES", "4096").start().unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let body = format!("{}\n{}\n", head(signer, true), item("victim"));
    let signature = signer.signature(body.as_bytes());
    let refusals = [
        ("a wrong signature", 401, signer.with_key("wrong").signature(body.as_bytes()), body.clone()),
        ("a license key", 401, cluster.license_signer().signature(body.as_bytes()), body.clone()),
        ("one line more", 401, signature.clone(), format!("{body}{}\n", item("more"))),
        ("another head", 401, signature.clone(), body.replace("true", "false")),
        ("no head", 400, signer.signature(item("victim").as_bytes()), item("victim")),
        ("too long", 400, signature.clone(), format!("{body}{}", " ".repeat(4096))),
        ("no text", 400, signature, format!("{body}\u{0}\n")),
    ];
    for (what, status, signature, body) in refusals {
        let answer = post(node, &signature, body.as_bytes());
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    }
    let long = format!("{body}{}", " ".repeat(4096));
    assert!(post(node, &signer.signature(long.as_bytes()), long.as_bytes()).text().contains("split it"));
    // A signed request for one content does not open this endpoint, nor the reverse.
    let one = signer.custom_data("victim", &[]);
    assert_eq!(post(node, &signer.signature(&one), &one).status, 400);
    let answer = signer.send(node, "POST", "/cenc/encryption", body.as_bytes()).unwrap();
    assert_eq!(answer.status, 400);
    let read = signer.send(node, "GET", "/cenc/encryption", &one).unwrap();
    assert_eq!(read.status, 404, "nothing was made: {}", read.text());
    // Without keys asked for, none is in the answer.
    let quiet = format!("{}\n{}\n", head(signer, false), item("victim"));
    let answer = post(node, &signer.signature(quiet.as_bytes()), quiet.as_bytes()).text();
    assert!(answer.contains("key_id") && !answer.contains("\"key\""), "{answer}");
}

#[test]
fn without_a_quorum_every_item_is_marked_to_be_sent_again_and_none_waits_behind_the_others() {
    let deadline = ("KEYMOOT__CLUSTER__REQUEST_DEADLINE_MS", "2000");
    let mut cluster = Options::default().env(deadline.0, deadline.1).start().unwrap();
    let [first, second, third] = [0, 1, 2].map(|at| cluster.nodes()[at].clone());
    let signer = cluster.signer().clone();
    cluster.kill(second.id).unwrap();
    cluster.kill(third.id).unwrap();
    let lines: Vec<String> = (0..600).map(|number| item(&format!("film-{number}"))).collect();
    let began = Instant::now();
    let (results, summary) = must(&signer, first.api, &lines);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(summary, json!({"items": 600, "ok": 0, "errors": 600}));
    assert!(results.iter().all(|result| result["retry"] == true && result["key"].is_null()));
    assert!(results[0]["message"].as_str().unwrap().contains("no quorum"), "{}", results[0]);
    assert!(results[599]["message"].as_str().unwrap().contains("not tried"), "{}", results[599]);

    cluster.restart(second.id).unwrap();
    cluster.leader().unwrap();
    let (_, summary) = must(&signer, first.api, &lines);
    assert_eq!(summary["ok"], 600);
}
