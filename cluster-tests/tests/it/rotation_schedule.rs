//! Which key holds when: any node says it with start, end, key id and system data, for periods past and coming,
//! and nothing that was asked for makes a stream's keys differ between two nodes.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::{Cluster, KeyAnswer, Signer};
use serde_json::{Map, Value, json};

const SCHEDULE: &str = "/cenc/schedule";

/// Sends one request about a stream's periods, with these members beside the usual ones.
fn ask(signer: &Signer, node: SocketAddr, method: &str, members: &Value) -> (u16, Value) {
    let mut custom_data: Map<String, Value> =
        serde_json::from_slice(&signer.custom_data("live", &[])).unwrap();
    custom_data.extend(members.as_object().unwrap().clone());
    let body = Value::Object(custom_data).to_string().into_bytes();
    let answer = signer.send(node, method, SCHEDULE, &body).unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

fn periods(answer: &(u16, Value)) -> &Vec<Value> {
    assert_eq!(answer.0, 200, "{}", answer.1);
    answer.1["periods"].as_array().unwrap()
}

#[test]
fn every_node_says_which_key_holds_when_and_a_supplied_key_wins() {
    let mut cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer().clone(), cluster.addresses());
    let asked = json!({"crypto_period_seconds": "10", "first_crypto_period_index": "6", "crypto_period_count": "3",
                       "epoch": "2026-11-22T17:00:00+01:00"});
    // GET makes nothing.
    let (status, refusal) = ask(&signer, nodes[0], "GET", &asked);
    assert_eq!(status, 404, "{refusal}");
    assert!(refusal["message"].as_str().unwrap().contains("does not rotate by periods of 10 s"), "{refusal}");

    let made = ask(&signer, nodes[0], "POST", &asked);
    let first = &periods(&made)[0];
    assert_eq!((&first["crypto_period_index"], &first["supplied"]), (&json!("6"), &json!(false)));
    assert_eq!(first["start"], json!("2026-11-22T16:01:00Z"));
    assert_eq!(first["end"], json!("2026-11-22T16:01:10Z"));
    assert_eq!(made.1["next_crypto_period_index"], json!("9"));
    for period in periods(&made) {
        let kid = STANDARD.decode(period["key_id"].as_str().unwrap()).unwrap();
        assert_eq!(STANDARD.decode(period["key"].as_str().unwrap()).unwrap().len(), 16);
        let boxes = period["pssh"].as_array().unwrap();
        assert_eq!(boxes.len(), 3, "Widevine, PlayReady, Common");
        let widevine = STANDARD.decode(boxes[0]["data"].as_str().unwrap()).unwrap();
        assert!(widevine.windows(16).any(|part| part == kid), "the data does not name the key id");
    }

    // The same from everywhere, also with the leader gone, by index and by time.
    let leader = cluster.leader().unwrap();
    for node in &nodes {
        assert_eq!(ask(&signer, *node, "GET", &asked), made);
    }
    cluster.kill(leader).unwrap();
    let survivors: Vec<SocketAddr> =
        cluster.others(leader).into_iter().map(|id| cluster.node(id).unwrap().api).collect();
    let mut by_time = asked.as_object().unwrap().clone();
    by_time.remove("first_crypto_period_index");
    for at in ["2026-11-22T16:01:00Z", "2026-11-22T16:01:09Z", "1795363269"] {
        by_time.insert("time".into(), json!(at));
        assert_eq!(ask(&signer, survivors[0], "GET", &Value::Object(by_time.clone())), made, "{at}");
    }

    // A key of the scrambler's own for period 7.
    let own = json!({"crypto_period_seconds": 10, "first_crypto_period_index": 7,
                     "key": STANDARD.encode([7; 16]), "key_id": STANDARD.encode([8; 16])});
    let supplied = ask(&signer, survivors[0], "PUT", &own);
    assert_eq!(periods(&supplied)[0]["key_id"], own["key_id"]);
    let after = ask(&signer, survivors[1], "GET", &asked);
    let keys = |answer: &(u16, Value)| -> Vec<Value> {
        periods(answer).iter().map(|period| period["key"].clone()).collect()
    };
    assert_eq!(keys(&after), [keys(&made)[0].clone(), own["key"].clone(), keys(&made)[2].clone()]);
    assert_eq!(periods(&after)[1]["supplied"], json!(true));

    // Another seed makes other keys, of all periods but the supplied one.
    let (status, listed) = ask(&signer, survivors[1], "PUT", &json!({"crypto_period_seconds": "10"}));
    assert_eq!(status, 200, "{listed}");
    let schedule = &listed["schedules"].as_array().unwrap()[0];
    assert_eq!(schedule["crypto_period_seconds"], json!("10"));
    assert_eq!(schedule["supplied_crypto_period_indexes"], json!(["7"]));
    let replaced = ask(&signer, survivors[0], "GET", &asked);
    assert_ne!(keys(&replaced)[0], keys(&made)[0]);
    assert_eq!(keys(&replaced)[1], own["key"]);
    assert_eq!(ask(&signer, survivors[0], "GET", &json!({})).1, listed, "the schedule as it is listed");
}

#[test]
fn a_period_that_cannot_be_is_refused_with_what_is_wrong() {
    let cluster = Cluster::start().unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let sixteen = STANDARD.encode([1; 16]);
    for (method, members, word) in [
        ("POST", json!({"crypto_period_seconds": "10"}), "first_crypto_period_index or time"),
        ("POST", json!({"time": "now"}), "crypto_period_seconds"),
        ("POST", json!({"crypto_period_seconds": "0", "time": "now"}), "crypto_period_seconds"),
        ("POST", json!({"crypto_period_seconds": "10", "time": "soon"}), "time"),
        (
            "POST",
            json!({"crypto_period_seconds": "10", "time": "now", "crypto_period_count": "10001"}),
            "crypto_period_count",
        ),
        ("PUT", json!({"crypto_period_seconds": "10", "time": "now", "key_id": sixteen}), "without key"),
        (
            "PUT",
            json!({"crypto_period_seconds": "10", "key": sixteen, "key_id": sixteen}),
            "first_crypto_period_index or time",
        ),
        (
            "POST",
            json!({"crypto_period_seconds": "10", "time": "now", "key": sixteen, "key_id": sixteen}),
            "PUT supplies",
        ),
        ("DELETE", json!({"crypto_period_seconds": "10"}), "DELETE at /cenc/encryption"),
    ] {
        let (status, refusal) = ask(signer, node, method, &members);
        assert_eq!((status, &refusal["status_code"]), (400, &json!("400")), "{members}: {refusal}");
        assert!(refusal["message"].as_str().unwrap().contains(word), "{members}: {refusal}");
    }
    let wrong = signer.with_key("another");
    let (status, _) = ask(&wrong, node, "POST", &json!({"crypto_period_seconds": "10", "time": "now"}));
    assert_eq!(status, 401);
}

#[test]
fn tracks_of_a_content_have_keys_of_their_own_and_go_one_by_one() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let of = |track: &str| signer.custom_data("tracks", &[("track", track)]);
    let key = |method: &str, track: &str| {
        let answer = signer.send(nodes[1], method, "/cenc/widevine/encryption", &of(track)).unwrap();
        (answer.status, KeyAnswer::from_answer(&answer).ok().map(|answer| answer.key_id))
    };
    let shared = signer.create(nodes[0], "tracks").unwrap().key_id;
    let (hd, audio) = (key("POST", "HD").1.unwrap(), key("POST", "AUDIO").1.unwrap());
    assert!(hd != audio && hd != shared && audio != shared);
    assert_eq!(key("GET", ""), (200, Some(shared.clone())), "an empty track is none");
    assert_eq!(signer.send(nodes[2], "DELETE", "/cenc/widevine/encryption", &of("HD")).unwrap().status, 200);
    assert_eq!((key("GET", "HD").0, key("GET", "AUDIO")), (404, (200, Some(audio))));
    assert_eq!(signer.read(nodes[0], "tracks").unwrap().key_id, shared);
    let refused = signer.send(nodes[0], "POST", "/cenc/widevine/encryption", &of("a b")).unwrap();
    assert!(refused.status == 400 && refused.text().contains("track"), "{}", refused.text());
}

#[test]
fn an_old_version_is_read_and_deleted_by_its_key_id() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let old = signer.create(nodes[0], "film").unwrap();
    let body = signer.custom_data("film", &[]);
    assert_eq!(signer.send(nodes[1], "PUT", "/fps/encryption", &body).unwrap().status, 200);
    assert_ne!(signer.read(nodes[2], "film").unwrap(), old);
    let of_old = signer.custom_data("film", &[("key_id", &old.key_id)]);
    let read = || {
        let answer = signer.send(nodes[2], "GET", "/cenc/widevine/encryption", &of_old).unwrap();
        (answer.status, KeyAnswer::from_answer(&answer).ok())
    };
    assert_eq!(read(), (200, Some(old.clone())));
    let foreign = signer.custom_data("another film", &[("key_id", &old.key_id)]);
    assert_eq!(signer.send(nodes[0], "GET", "/cenc/widevine/encryption", &foreign).unwrap().status, 404);
    assert_eq!(signer.send(nodes[0], "POST", "/cenc/widevine/encryption", &of_old).unwrap().status, 400);
    assert_eq!(signer.send(nodes[0], "DELETE", "/cenc/widevine/encryption", &of_old).unwrap().status, 200);
    assert_eq!(read(), (404, None));
    assert_ne!(signer.read(nodes[1], "film").unwrap(), old, "the current version stays");
}
