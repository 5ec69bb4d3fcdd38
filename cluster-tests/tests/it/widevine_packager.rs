//! Shaka Packager gets its keys from the cluster by the Widevine common encryption API, and what it
//! encrypts opens with the keys that the cluster gives for each key id, and with no other.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::media::{self, KeyServer, Source, Stream};
use cluster_tests::widevine::{self, ACCOUNT, AES_IV, AES_KEY, TrackKey};
use cluster_tests::{Cluster, raw, search};
use serde_json::{Value, json};

const PERIOD_S: u32 = 4;

fn server<'a>(url: &'a str, content: &'a str, scheme: &'a str, period_s: Option<u32>) -> KeyServer<'a> {
    KeyServer { url, signer: [ACCOUNT, AES_KEY, AES_IV], content, scheme, period_s }
}

fn url(cluster: &Cluster, id: u64) -> String {
    format!("http://{}{}", cluster.node(id).unwrap().api, widevine::path(ACCOUNT))
}

fn key_of<'a>(keys: &'a [TrackKey], track: &str) -> &'a TrackKey {
    keys.iter().find(|key| key.track == track).unwrap()
}

/// The file opens to the source's frames with the right key, and to none of them with another.
fn must_open_only_with(path: &Path, stream: Stream, source: &[String], right: &TrackKey, wrong: &TrackKey) {
    let opened = media::frames(path, stream, Some(&right.key_bytes().unwrap())).unwrap();
    assert!(!opened.is_empty() && opened.iter().all(|frame| source.contains(frame)), "{}", path.display());
    for key in [Some(wrong.key_bytes().unwrap()), None] {
        let opened = media::frames(path, stream, key.as_ref()).unwrap_or_default();
        assert!(!opened.iter().any(|frame| source.contains(frame)), "a wrong key opened {}", path.display());
    }
}

#[test]
fn films_in_cenc_and_cbcs_open_with_the_clusters_keys_though_the_leader_dies_in_between() {
    let film = Source::of_seconds(4).unwrap();
    let (source, dir) = (film.path(), film.dir());
    let mut cluster = Cluster::start().unwrap();
    widevine::add_account(&cluster).unwrap();
    let leader = cluster.leader().unwrap();
    let survivor = cluster.others(leader)[0];

    for scheme in ["cenc", "cbcs"] {
        let out = dir.join(scheme);
        std::fs::create_dir(&out).unwrap();
        media::encrypt_by_server(source, &out, server(&url(&cluster, survivor), scheme, scheme, None))
            .unwrap();
        let node = cluster.node(survivor).unwrap().api;
        let keys = widevine::ask(node, ACCOUNT, &widevine::request(scheme, &["SD", "AUDIO"])).unwrap().tracks;
        let (video, audio) = (key_of(&keys, "SD"), key_of(&keys, "AUDIO"));
        let frames = |stream| media::frames(source, stream, None).unwrap();
        // FFmpeg 5 decrypts `cenc` only; the packager's own key ids tell that `cbcs` got these keys.
        if scheme == "cenc" {
            must_open_only_with(&out.join("video.mp4"), Stream::Video, &frames(Stream::Video), video, audio);
            must_open_only_with(&out.join("audio.mp4"), Stream::Audio, &frames(Stream::Audio), audio, video);
            cluster.kill(leader).unwrap();
        }
        for (name, key) in [("video.mp4", video), ("audio.mp4", audio)] {
            let bytes = std::fs::read(out.join(name)).unwrap();
            assert!(search::contains(&bytes, &key.kid_bytes().unwrap()), "{scheme} {name} lacks its key id");
        }
    }
}

#[test]
fn a_rotating_stream_is_encrypted_while_the_leader_dies_and_every_period_opens_with_its_own_key() {
    let film = Source::of_seconds(24).unwrap();
    let (source, dir) = (film.path(), film.dir());
    let mut cluster = Cluster::start().unwrap();
    widevine::add_account(&cluster).unwrap();
    let leader = cluster.leader().unwrap();
    let survivor = cluster.others(leader)[0];
    let url = url(&cluster, survivor);
    std::thread::scope(|scope| {
        let packager = scope
            .spawn(|| media::encrypt_by_server(source, dir, server(&url, "live", "cenc", Some(PERIOD_S))));
        // The packager asks while the others elect a leader.
        cluster.kill(leader).unwrap();
        packager.join().unwrap().unwrap();
    });

    let node = cluster.node(survivor).unwrap().api;
    let inner = widevine::rotating("live", &["SD"], PERIOD_S, 0, 7);
    let keys = widevine::ask(node, ACCOUNT, &inner).unwrap().tracks;
    let frames = media::frames(source, Stream::Video, None).unwrap();
    let mut periods_seen = std::collections::BTreeSet::new();
    for (n, segment) in segments(dir, "video").iter().enumerate() {
        let bytes = std::fs::read(segment).unwrap();
        // The packager's own Common box lists every key id it knows; what a segment is encrypted with
        // stands first, in the sample group before it.
        let place = |key: &&TrackKey| {
            let kid = key.kid_bytes().unwrap();
            bytes.windows(kid.len()).position(|window| window == kid).unwrap_or(usize::MAX)
        };
        let right = keys.iter().min_by_key(place).unwrap();
        assert_ne!(place(&right), usize::MAX, "segment {} names no key of the cluster", n + 1);
        let found = widevine::ask(node, ACCOUNT, &widevine::lookup(&right.key_id).unwrap()).unwrap().tracks;
        assert_eq!(found, std::slice::from_ref(right), "the key id alone finds key and period");
        let wrong = keys.iter().find(|key| key.key_id != right.key_id).unwrap();
        let whole = dir.join("whole.mp4");
        let init = std::fs::read(dir.join("video-init.mp4")).unwrap();
        std::fs::write(&whole, [init, bytes].concat()).unwrap();
        must_open_only_with(&whole, Stream::Video, &frames, right, wrong);
        periods_seen.insert(right.crypto_period_index);
    }
    assert!(periods_seen.len() >= 5, "only {periods_seen:?} of six periods were seen");
}

/// The segments of a stream in their order.
fn segments(dir: &Path, stream: &str) -> Vec<PathBuf> {
    (1..).map(|n| dir.join(format!("{stream}-{n}.m4s"))).take_while(|path| path.is_file()).collect()
}

#[test]
fn other_systems_and_a_clients_own_keys_are_answered_or_refused_and_never_replaced_in_silence() {
    let cluster = Cluster::start().unwrap();
    widevine::add_account(&cluster).unwrap();
    let nodes = cluster.addresses();
    let ask = |node: usize, inner: &Value| {
        let body = json!({"request": STANDARD.encode(inner.to_string())}).to_string();
        let request = raw::request("POST", &widevine::path(widevine::ACCOUNT), &[], body.as_bytes());
        let answer = raw::exchange(nodes[node], &request, raw::ANSWER_WITHIN).unwrap();
        let outer: Value = serde_json::from_slice(&answer.body).unwrap();
        let inner = STANDARD.decode(outer["response"].as_str().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&inner).unwrap()
    };
    let inner = |content: &str, systems: &[&str], scheme: &str| {
        let mut inner = widevine::request(content, &["HD", "AUDIO"]);
        inner["drm_types"] = json!(systems);
        inner["protection_scheme"] = json!(scheme);
        inner
    };
    let all = ask(0, &inner("systems", &["WIDEVINE", "PLAYREADY", "FAIRPLAY"], "CBCS"));
    assert_eq!(all["status"], "OK", "{all}");
    let named: Vec<&str> =
        all["drm"].as_array().unwrap().iter().map(|drm| drm["type"].as_str().unwrap()).collect();
    assert_eq!(named, ["WIDEVINE", "PLAYREADY", "FAIRPLAY"]);
    let widevine_only = ask(1, &inner("systems", &["WIDEVINE"], "CENC"));
    for (track, alone) in
        all["tracks"].as_array().unwrap().iter().zip(widevine_only["tracks"].as_array().unwrap())
    {
        assert_eq!(
            (&track["key"], &track["key_id"]),
            (&alone["key"], &alone["key_id"]),
            "one key for all systems"
        );
        assert_eq!(alone["pssh"].as_array().unwrap().len(), 1, "packagers refuse more");
        assert!(
            alone.get("iv").is_none() && STANDARD.decode(track["iv"].as_str().unwrap()).unwrap().len() == 16
        );
        let pssh = track["pssh"].as_array().unwrap();
        assert_eq!((&pssh[0]["drm_type"], &pssh[1]["drm_type"]), (&json!("WIDEVINE"), &json!("PLAYREADY")));
        let object = STANDARD.decode(pssh[1]["data"].as_str().unwrap()).unwrap();
        let cbc: Vec<u8> = "ALGID=\"AESCBC\"".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(search::contains(&object, &cbc));
    }
    let refused = ask(2, &inner("systems", &["FAIRPLAY"], "CENC"));
    assert_eq!(refused["status"], "MALFORMED_REQUEST");

    let with_key = |key: u8| {
        let mut inner = widevine::request("own", &["HD"]);
        let [kid, key] = [[7; 16], [key; 16]].map(|bytes| STANDARD.encode(bytes));
        inner["tracks"] = json!([{"type": "HD", "key_id": kid, "key": key}]);
        inner
    };
    for node in 0..nodes.len() {
        let own = ask(node, &with_key(8));
        assert_eq!(own["status"], "OK", "{own}");
        assert_eq!(own["tracks"][0]["key"], STANDARD.encode([8; 16]));
        assert_eq!(own["tracks"][0]["key_id"], STANDARD.encode([7; 16]));
    }
    let other = ask(1, &with_key(9));
    assert_eq!(other["status"], "MALFORMED_REQUEST", "{other}");
    let mut named = widevine::request("systems", &["HD"]);
    named["tracks"] =
        json!([{"type": "HD", "key_id": STANDARD.encode([5; 16]), "key": STANDARD.encode([6; 16])}]);
    let other = ask(1, &named);
    assert_eq!(other["status"], "MALFORMED_REQUEST", "the track had a key: {other}");
    assert!(other["status_message"].as_str().unwrap().contains("has another key"), "{other}");
    let texts =
        json!({"first_crypto_period_index": "3", "crypto_period_count": "2", "crypto_period_seconds": "10"});
    let mut rotating = widevine::rotating("live", &["HD"], 10, 3, 2);
    let numbers = ask(0, &rotating);
    rotating.as_object_mut().unwrap().extend(texts.as_object().unwrap().clone());
    assert_eq!(ask(1, &rotating)["tracks"], numbers["tracks"], "numbers may be strings");
}
