//! Clear Key licenses: every key of the content that was signed for, and no other, from any node,
//! also with the quorum lost.

use std::collections::BTreeMap;

use cluster_tests::license::{self, CLEAR_KEY, Keys, clear_key_challenge, clear_keys, keys_of};
use cluster_tests::raw::{self, Answer};
use cluster_tests::{Cluster, KeyAnswer, RigError, widevine};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A cluster in which two accounts want Clear Key.
fn start() -> (Cluster, TempDir) {
    let (options, entitlements) = license::entitling(&["demo", "viewers"]).unwrap();
    (options.start().unwrap(), entitlements)
}

fn pair(key: &KeyAnswer) -> ([u8; 16], [u8; 16]) {
    let (key, kid) = key.bytes().unwrap();
    (kid, key)
}

fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["status_code"], json!(status.to_string()));
    assert!(body["reference"].as_u64().is_some_and(|reference| reference > 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "a page can read why");
    body["message"].as_str().unwrap().to_owned()
}

#[test]
fn every_node_licenses_current_old_per_track_and_derived_keys_alike() {
    let (mut cluster, _entitlements) = start();
    let (scrambler, player) =
        license::add_account(&cluster, "viewers", &["--allow-unsigned-packagers"]).unwrap();
    let nodes = cluster.addresses();
    let old = pair(&scrambler.create(nodes[0], "film").unwrap());
    let new = scrambler.supply(nodes[1], "film", &[7; 16], &[8; 16]).unwrap();
    let mut keys = Keys::from([old, pair(&new)]);
    for inner in
        [widevine::request("film", &["SD", "AUDIO"]), widevine::rotating("film", &["HD"], 10, 100, 3)]
    {
        let answer = widevine::ask(nodes[2], "viewers", &inner).unwrap();
        assert_eq!(answer.status, "OK");
        keys.extend(answer.tracks.iter().map(|t| (t.kid_bytes().unwrap(), t.key_bytes().unwrap())));
    }
    assert_eq!(keys.len(), 7);
    for node in &nodes {
        assert_eq!(clear_keys(*node, &player, "film", keys.keys()).unwrap(), keys, "{node}");
    }
    let leader = cluster.leader().unwrap();
    cluster.kill(leader).unwrap();
    for id in cluster.others(leader) {
        let node = cluster.node(id).unwrap().api;
        assert_eq!(clear_keys(node, &player, "film", keys.keys()).unwrap(), keys);
    }
}

#[test]
fn a_license_holds_keys_of_the_signed_account_and_content_only() {
    let (cluster, _entitlements) = start();
    let (scrambler, player) = license::add_account(&cluster, "viewers", &[]).unwrap();
    let node = cluster.addresses()[1];
    let own = pair(&scrambler.create(node, "film").unwrap());
    let other = pair(&scrambler.create(node, "other film").unwrap());
    let foreign = pair(&cluster.signer().create(node, "film").unwrap());
    let asked = [own.0, other.0, foreign.0, [9; 16]];
    assert_eq!(clear_keys(node, &player, "film", &asked).unwrap(), BTreeMap::from([own]));
    let data = player.custom_data("film", &[]);
    let answer = license::send(node, &player, CLEAR_KEY, &data, &clear_key_challenge(&asked[1..])).unwrap();
    assert!(refused(&answer, 404).contains("none of the keys"));
}

#[test]
fn nothing_but_a_license_signature_over_the_custom_data_opens_the_door() {
    let (cluster, _entitlements) = start();
    let node = cluster.addresses()[2];
    let own = pair(&cluster.signer().create(node, "film").unwrap());
    let (player, challenge) = (cluster.license_signer(), clear_key_challenge([&own.0]));
    let data = player.custom_data("film", &[("user_token", "t"), ("udid", "d")]);
    let send = |target: &str, body: &[u8]| {
        raw::exchange(node, &raw::request("POST", target, &[], body), raw::ANSWER_WITHIN).unwrap()
    };
    let good = license::target(&player, CLEAR_KEY, &data);
    assert_eq!(keys_of(&send(&good, &challenge)).unwrap(), BTreeMap::from([own]));
    for spelt in [
        format!("/{}&", good.replacen("/license?custom_data", "//LICENSE/?Custom_Data", 1)),
        format!("{good}&sessionId=1&clientTag=html5:v1&referrer=aHR0cA==&uiConfId=1&files="),
    ] {
        assert_eq!(keys_of(&send(&spelt, &challenge)).unwrap(), BTreeMap::from([own]), "{spelt}");
    }

    let of_scrambler = license::target(cluster.signer(), CLEAR_KEY, &data);
    let unsigned = good.split("&signature").next().unwrap().to_owned();
    let other_data = license::target(&player, CLEAR_KEY, &player.custom_data("other", &[]));
    let signature = other_data.split("&signature").nth(1).unwrap();
    let swapped = format!("{unsigned}&signature{signature}");
    for target in [of_scrambler, unsigned, swapped] {
        let answer = send(&target, &challenge);
        refused(&answer, 401);
        // A browser would ask the viewer for a password.
        assert_eq!(answer.header("www-authenticate"), None);
    }
    let twice = format!("{good}&custom_data=e30=");
    assert!(refused(&send(&twice, &challenge), 400).contains("more than once"));
    assert!(refused(&send(CLEAR_KEY, &challenge), 400).contains("custom data"));
    assert!(refused(&send(&good, b"CAES"), 400).contains("kids"));
    let replayed = cluster.license_signer().send(node, "POST", "/cenc/widevine/encryption", &data).unwrap();
    assert_eq!(replayed.status, 401, "a license signature opens no encryption endpoint");
}

#[test]
fn files_in_the_query_keep_to_the_signed_ones() {
    let (cluster, _entitlements) = start();
    let node = cluster.addresses()[0];
    let own = pair(&cluster.signer().create(node, "film").unwrap());
    let player = cluster.license_signer();
    let data = player.custom_data("film", &[("files", "1_a,1_b")]);
    let send = |more: &str| {
        let target = format!("{}{more}", license::target(&player, CLEAR_KEY, &data));
        let request = raw::request("POST", &target, &[], &clear_key_challenge([&own.0]));
        raw::exchange(node, &request, raw::ANSWER_WITHIN).unwrap()
    };
    for more in ["", "&files=1_b", "&files=1_b%2C1_a"] {
        assert_eq!(keys_of(&send(more)).unwrap(), BTreeMap::from([own]), "{more}");
    }
    for more in ["&files=1_c", "&files=1_a&FILES=1_a,1_c"] {
        assert!(refused(&send(more), 400).contains("files"), "{more}");
    }
}

#[test]
fn a_page_of_any_site_may_ask_and_an_account_without_clear_key_gets_none() {
    let (cluster, _entitlements) = start();
    let node = cluster.addresses()[0];
    let (scrambler, player) = license::add_account(&cluster, "premium", &[]).unwrap();
    let own = pair(&scrambler.create(node, "film").unwrap());
    let data = player.custom_data("film", &[]);
    let answer = license::send(node, &player, CLEAR_KEY, &data, &clear_key_challenge([&own.0])).unwrap();
    assert!(refused(&answer, 404).contains("license.clear_key_accounts"));
    let headers = [("Origin", "https://site.example"), ("Access-Control-Request-Headers", "content-type")];
    let preflight = raw::request("OPTIONS", CLEAR_KEY, &headers, &[]);
    let answer = raw::exchange(node, &preflight, raw::ANSWER_WITHIN).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("content-type"));
    let system = license::target(&player, "/cenc/widevine/license", &data);
    let answer = raw::exchange(node, &raw::request("POST", &system, &[], b"CAES"), raw::ANSWER_WITHIN);
    assert!(refused(&answer.unwrap(), 404).contains("widevine"));
}

#[test]
fn a_local_account_plays_on_without_a_quorum_and_finds_young_keys_with_one() {
    let (options, _entitlements) = license::entitling(&["viewers"]).unwrap();
    // Nobody waits long for an answer that does not come.
    let mut cluster = options.env("KEYMOOT__CLUSTER__REQUEST_DEADLINE_MS", "2000").start().unwrap();
    let (scrambler, player) = license::add_account(&cluster, "viewers", &["--consistency", "local"]).unwrap();
    let leader = cluster.leader().unwrap();
    let made_at = cluster.node(leader).unwrap().api;
    let asked_at = cluster.node(cluster.others(leader)[0]).unwrap().clone();
    let mut known = Keys::new();
    for index in 0..20 {
        let content = format!("young {index}");
        let own = pair(&scrambler.create(made_at, &content).unwrap());
        // The follower may not have applied it yet.
        assert_eq!(clear_keys(asked_at.api, &player, &content, [&own.0]).unwrap(), Keys::from([own]));
        known.insert(own.0, own.1);
    }
    let last = known.iter().next_back().map(|(kid, key)| (*kid, *key)).unwrap();
    let content = (0..20)
        .map(|index| format!("young {index}"))
        .find(|content| clear_keys(asked_at.api, &player, content, [&last.0]).is_ok())
        .unwrap();
    for id in cluster.others(asked_at.id) {
        cluster.kill(id).unwrap();
    }
    assert_eq!(clear_keys(asked_at.api, &player, &content, [&last.0]).unwrap(), Keys::from([last]));
    let unknown: Result<Keys, RigError> = clear_keys(asked_at.api, &player, &content, [&[1; 16]]);
    assert!(unknown.unwrap_err().to_string().contains("503"), "nobody can say that there is none");
}
