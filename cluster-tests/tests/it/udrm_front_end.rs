//! The uDRM front end, whole: every provider, both shapes, auxiliary data, and packagers that cannot sign.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::raw::{self, Answer, percent_encode, request};
use cluster_tests::signed::WIDEVINE;
use cluster_tests::{Cluster, KeyAnswer, Options, Signer, license, search};
use serde_json::{Value, json};

const WIDEVINE_ID: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";
const PLAYREADY_ID: &str = "9a04f079-9840-4286-ab92-e65be0885f95";
const COMMON_ID: &str = "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b";
const PRIMETIME_ID: &str = "f239e769-efa3-4850-9c16-a903c6932efb";

/// Every provider of uDRM 2.2, the systems its answer must name, and whether it is an array.
const PROVIDERS: [(&str, &[&str], bool); 7] = [
    ("cenc/widevine", &[WIDEVINE_ID], false),
    ("cenc/playready", &[PLAYREADY_ID], false),
    ("cenc", &[WIDEVINE_ID, PLAYREADY_ID, COMMON_ID], true),
    ("playready", &[PLAYREADY_ID], false),
    ("widevine", &[], false),
    ("fps", &[], false),
    ("cenc/primetime", &[PRIMETIME_ID], false),
];

fn answered(what: &str, answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    assert!(answer.body.len() < 4096, "{what}: {} bytes", answer.body.len());
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// The object of an answer, whichever shape it has.
fn object(value: &Value) -> &Value {
    value.as_array().map_or(value, |array| &array[0])
}

#[test]
fn every_provider_hands_out_the_one_key_with_the_data_of_its_systems() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let first = signer.create(nodes[0], "providers.mp4").unwrap();
    let body = signer.custom_data("providers.mp4", &[]);
    for ((path, systems, is_array), node) in PROVIDERS.iter().zip(nodes.iter().cycle()) {
        let target = format!("/{path}/encryption");
        for method in ["GET", "POST"] {
            let got = answered(path, &signer.send(*node, method, &target, &body).unwrap());
            assert_eq!(got.is_array(), *is_array, "{path}");
            let got = object(&got);
            assert_eq!((&got["key"], &got["key_id"]), (&json!(first.key), &json!(first.key_id)), "{path}");
            let pssh = got["pssh"].as_array().cloned().unwrap_or_default();
            let named: Vec<&str> = pssh.iter().map(|entry| entry["uuid"].as_str().unwrap()).collect();
            assert_eq!(named, *systems, "{path}");
            assert_eq!(got.get("pssh").is_none(), systems.is_empty(), "{path}: an empty pssh is left out");
            assert_eq!(got.get("iv").is_some(), *path == "fps", "{path}");
        }
    }
}

#[test]
fn a_scheme_changes_what_players_are_told_and_never_the_key_and_is_never_overlooked() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let plain = signer.custom_data("scheme.mp4", &[]);
    let ask = |path: &str, scheme: &str, data: &[u8], more: &str| {
        let query = if scheme.is_empty() { String::new() } else { format!("&scheme={scheme}") };
        let signature = percent_encode(&signer.signature(data));
        let target = format!("/{path}?signature={signature}{query}{more}");
        raw::exchange(nodes[1], &request("POST", &target, &[], data), raw::ANSWER_WITHIN).unwrap()
    };
    let first = object(&answered("cenc", &ask("cenc/encryption", "", &plain, ""))).clone();
    assert!(first.get("iv").is_none());
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let said_in_data = signer.custom_data("scheme.mp4", &[("scheme", "cbcs")]);
    for (what, answer) in [
        ("by the query", ask("cenc/encryption", "CBCS", &plain, "")),
        ("by the custom data", ask("cenc/encryption", "", &said_in_data, "")),
        ("by both", ask("cenc/encryption", "cbcs", &said_in_data, "")),
    ] {
        let got = object(&answered(what, &answer)).clone();
        assert_eq!((&got["key"], &got["key_id"]), (&first["key"], &first["key_id"]), "{what}");
        let fairplay = answered("fps", &ask("fps/encryption", "", &plain, ""));
        assert_eq!(got["iv"], fairplay["iv"], "{what}: media in cbcs is licensed by FairPlay, too");
        let data = |uuid: &str| {
            let entry = got["pssh"].as_array().unwrap().iter().find(|entry| entry["uuid"] == uuid).unwrap();
            STANDARD.decode(entry["data"].as_str().unwrap()).unwrap()
        };
        assert!(search::contains(&data(PLAYREADY_ID), &utf16("ALGID=\"AESCBC\"")), "{what}");
        // Field 9 of Widevine's message is the four characters as a number.
        let widevine = data(WIDEVINE_ID);
        assert!(
            search::contains(&widevine, &[0x48, 0xf3, 0xc6, 0x89, 0x9b, 0x06]),
            "{what}: {widevine:02x?}"
        );
    }
    let rotating = signer.custom_data(
        "scheme-live",
        &[("crypto_period_seconds", "10"), ("first_crypto_period_index", "5"), ("scheme", "cbcs")],
    );
    let periods = answered("schedule", &ask("cenc/playready/schedule", "", &rotating, ""));
    let period = &periods["periods"][0];
    assert!(period["iv"].is_string(), "{periods}");
    let header = STANDARD.decode(period["pssh"][0]["data"].as_str().unwrap()).unwrap();
    assert!(search::contains(&header, &utf16("ALGID=\"AESCBC\"")));
    let cens = answered("cens", &ask("cenc/widevine/encryption", "cens", &plain, ""));
    assert_eq!(cens["key_id"], first["key_id"]);
    for (what, path, scheme, data, says) in [
        ("an unknown one", "cenc/encryption", "aes", &plain, "cenc, cens, cbc1 or cbcs"),
        (
            "an unknown one in the data",
            "cenc/encryption",
            "",
            &signer.custom_data("a", &[("scheme", "x")]),
            "scheme must be",
        ),
        ("two that disagree", "cenc/encryption", "cenc", &said_in_data, "name one"),
        ("one that PlayReady does not know", "cenc/encryption", "cens", &plain, "cenc or cbcs"),
        ("one that FairPlay does not know", "fps/encryption", "cenc", &plain, "cbcs only"),
        ("one where there is none", "hls/encryption", "cenc", &plain, "leave scheme out"),
        ("an unfit one of periods", "playready/schedule", "", &rotating, "cenc only"),
    ] {
        let refused = ask(path, scheme, data, "");
        assert_eq!(refused.status, 400, "{what}: {}", refused.text());
        assert!(refused.text().contains(says), "{what}: {}", refused.text());
    }
    let twice = ask("cenc/encryption", "cbcs", &plain, "&Scheme=cbcs");
    assert_eq!(twice.status, 400, "{}", twice.text());
    let a = signer.custom_data("a", &[]);
    assert_eq!(signer.send(nodes[0], "GET", WIDEVINE, &a).unwrap().status, 404, "a refusal made a key");
}

#[test]
fn a_fairplay_iv_is_sixteen_bytes_and_the_same_on_every_node_until_the_key_changes() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let body = signer.custom_data("fairplay.mp4", &[]);
    let iv = |node: SocketAddr, method: &str| {
        let got = answered(method, &signer.send(node, method, "/fps/encryption", &body).unwrap());
        got["iv"].as_str().unwrap().to_owned()
    };
    let first = iv(nodes[0], "POST");
    assert_eq!(STANDARD.decode(&first).unwrap().len(), 16);
    for node in &nodes {
        assert_eq!(iv(*node, "GET"), first);
    }
    assert_ne!(iv(nodes[1], "PUT"), first, "another key has another iv");
}

#[test]
fn an_account_decides_the_shape_of_its_answers_and_what_playready_headers_name() {
    let cluster = Cluster::start().unwrap();
    let node = cluster.addresses()[1];
    let url = "https://license.example/rights?account=arrays&mode=test";
    let shaped = |name: &str, more: &[&str]| license::add_account(&cluster, name, more).unwrap().0;
    let arrays = shaped("arrays", &["--response-shape", "array", "--playready-la-url", url]);
    let objects = shaped("objects", &["--response-shape", "object"]);
    for (signer, is_array) in [(&arrays, true), (&objects, false)] {
        let body = signer.custom_data("shape.mp4", &[]);
        for path in ["/cenc/encryption", WIDEVINE, "/playready/encryption"] {
            let got = answered(path, &signer.send(node, "POST", path, &body).unwrap());
            assert_eq!(got.is_array(), is_array, "{} {path}", signer.account_id);
            let pssh = object(&got)["pssh"].as_array().unwrap().clone();
            for entry in pssh.iter().filter(|entry| entry["uuid"] == PLAYREADY_ID) {
                let data = STANDARD.decode(entry["data"].as_str().unwrap()).unwrap();
                let element = "<LA_URL>https://license.example/rights?account=arrays&amp;mode=test</LA_URL>";
                let element: Vec<u8> = element.encode_utf16().flat_map(u16::to_le_bytes).collect();
                assert_eq!(search::contains(&data, &element), is_array, "{path}");
            }
        }
    }
}

#[test]
fn the_license_url_is_one_that_players_can_ask() {
    // Also an entry of the list that is one address alone.
    let mut cluster = Options::default().env("KEYMOOT__HTTP__TRUSTED_PROXIES", "127.0.0.1").start().unwrap();
    let (signer, id) = (cluster.signer().clone(), 2);
    let body = signer.custom_data("where.mp4", &[]);
    let target = format!("{WIDEVINE}?signature={}", percent_encode(&signer.signature(&body)));
    let named = |node: SocketAddr, target: &str, headers: &[(&str, &str)]| {
        let mut bytes = format!("POST {target} HTTP/1.1\r\nContent-Length: {}\r\n", body.len()).into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        let got = answered("POST", &raw::exchange(node, &bytes, raw::ANSWER_WITHIN).unwrap());
        let url = STANDARD.decode(got["license_url"].as_str().unwrap()).unwrap();
        String::from_utf8(url).unwrap().strip_suffix("/cenc/widevine/license").unwrap().to_owned()
    };
    let node = cluster.node(id).unwrap().api;
    let own = node.to_string();
    let absolute = format!("http://localhost:9{target}");
    for (what, target, headers, expected) in [
        ("its own address", &target, &[("Host", own.as_str())][..], format!("http://{own}")),
        ("the target goes first", &absolute, &[("Host", own.as_str())], "http://localhost:9".to_owned()),
        ("no address of anybody", &target, &[("Host", "0.0.0.0:8081")], "http://localhost".to_owned()),
        ("a name that is not its own", &target, &[("Host", "evil.example")], "http://localhost".to_owned()),
        (
            "a trusted proxy's word",
            &target,
            &[("Host", "a"), ("X-Forwarded-Host", "localhost:444"), ("X-Forwarded-Proto", "https")],
            "https://localhost:444".to_owned(),
        ),
        (
            "the same in the form of RFC 7239",
            &target,
            &[("Host", own.as_str()), ("Forwarded", "host=localhost;proto=https")],
            "https://localhost".to_owned(),
        ),
        (
            "a proxy that was lied to",
            &target,
            &[("Host", own.as_str()), ("X-Forwarded-Host", "evil.example")],
            "http://localhost".to_owned(),
        ),
    ] {
        assert_eq!(named(node, target, headers), expected, "{what}");
    }
    cluster.kill(id).unwrap();
    cluster.start_with_env(id, &[("KEYMOOT__LICENSE__URL", "https://keys.example/drm/")]).unwrap();
    cluster.await_ready().unwrap();
    let node = cluster.node(id).unwrap().api;
    assert_eq!(named(node, &target, &[("Host", own.as_str())]), "https://keys.example/drm");
}

/// A GET or DELETE with the custom data in the query and `more` behind it, or a POST or PUT.
fn with_query(signer: &Signer, method: &str, data: &[u8], more: &str) -> Vec<u8> {
    let signature = percent_encode(&signer.signature(data));
    if method == "GET" {
        let text = percent_encode(&STANDARD.encode(data));
        let target = format!("{WIDEVINE}?custom_data={text}&signature={signature}{more}");
        return request(method, &target, &[], &[]);
    }
    request(method, &format!("{WIDEVINE}?signature={signature}{more}"), &[], data)
}

fn with_aux(signer: &Signer, aux: &Value) -> Vec<u8> {
    let mut members: Value = serde_json::from_slice(&signer.custom_data("aux.mp4", &[])).unwrap();
    members["aux"] = aux.clone();
    members["unknown"] = json!({ "passes": [1, 2] });
    members.to_string().into_bytes()
}

#[test]
fn auxiliary_data_is_stored_with_the_content_and_given_back_by_every_node_when_asked_for() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let ask = |node: usize, method: &str, data: &[u8], more: &str| {
        let bytes = with_query(signer, method, data, more);
        raw::exchange(nodes[node], &bytes, raw::ANSWER_WITHIN).unwrap()
    };
    let first = json!({
        "ratings": [{ "scheme": "urn:mpaa", "value": "PG-13" }],
        "output_protection": { "hdcp": "2.2", "uncompressed_digital_video": "300" },
        "super_cas_id": "0x4ad40001",
        "system_headers": [{ "data": "AQIDBA==", "uuid": PRIMETIME_ID }],
    });
    let made = answered("POST", &ask(0, "POST", &with_aux(signer, &first), "&aux=1"));
    assert_eq!(made["aux"], first);
    let plain = signer.custom_data("aux.mp4", &[]);
    for node in 0..nodes.len() {
        assert_eq!(answered("GET", &ask(node, "GET", &plain, "&aux=1"))["aux"], first);
        assert!(answered("GET", &ask(node, "GET", &plain, "")).get("aux").is_none(), "nobody asked for it");
    }

    let second = json!({ "super_cas_id": "0x00000007" });
    let kept = answered("POST", &ask(1, "POST", &with_aux(signer, &second), "&aux=1"));
    assert_eq!(kept["aux"], first, "POST changes nothing that is there");
    let put = answered("PUT", &ask(2, "PUT", &with_aux(signer, &second), "&aux=1"));
    assert_eq!(put["aux"], second);
    let put = answered("PUT", &ask(0, "PUT", &plain, "&aux=1"));
    assert_eq!(put["aux"], second, "PUT without aux changes the key alone");

    let refused = ask(1, "POST", &with_aux(signer, &json!({ "rating": "PG" })), "");
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(ask(1, "DELETE", &plain, "").status, 200);
    assert_eq!(answered("POST", &ask(0, "POST", &plain, "&aux=1"))["aux"], Value::Null);
}

#[test]
fn an_operator_chooses_the_packagers_prefix_and_systems() {
    let cluster = Options::default()
        .env("KEYMOOT__PACKAGER__LISTEN", "127.0.0.1:0")
        .env("KEYMOOT__PACKAGER__ALLOW_LIST", "127.0.0.1")
        .env("KEYMOOT__PACKAGER__ACCOUNTS", "[\"437=demo\"]")
        .env("KEYMOOT__PACKAGER__PREFIX", "/drm/keys")
        .env("KEYMOOT__PACKAGER__SYSTEMS", "all=common, word:edash=none, account:other=widevine")
        .start()
        .unwrap();
    let listener = cluster.nodes()[1].packager_listener().unwrap();
    let get =
        |path: &str| raw::exchange(listener, &request("GET", path, &[], &[]), raw::ANSWER_WITHIN).unwrap();
    for (word, systems) in [("edash", &[][..]), ("cenchls", &[COMMON_ID])] {
        let path = format!("/DRM//keys/system/ovp/{word}/p/437/entryId/film/");
        let got = answered(word, &get(&path));
        let pssh = got[0].get("pssh").and_then(Value::as_array).cloned().unwrap_or_default();
        assert_eq!(pssh.len(), systems.len(), "{got}");
        assert!(pssh.iter().zip(systems).all(|(entry, uuid)| entry["uuid"] == *uuid), "{got}");
        assert_eq!(got[0].get("pssh").is_none(), systems.is_empty(), "an empty list makes packagers fail");
    }
    for path in ["/system/ovp/edash/p/437/entryId/film/", "/drm/system/ovp/edash/p/437/entryId/film/"] {
        assert_eq!(get(path).status, 404, "{path}");
    }
}

#[test]
fn a_packager_that_cannot_sign_is_served_on_a_listener_of_its_own_only() {
    let cluster = Options::default()
        .env("KEYMOOT__PACKAGER__LISTEN", "127.0.0.1:0")
        .env("KEYMOOT__PACKAGER__ALLOW_LIST", "127.0.0.1/32")
        .env("KEYMOOT__PACKAGER__ACCOUNTS", "437=demo, 438=nobody")
        .start()
        .unwrap();
    let (signer, api) = (cluster.signer(), cluster.addresses()[0]);
    let listener = cluster.nodes()[0].packager_listener().unwrap();
    let path = |ca: &str, pid: &str, flavour: &str| {
        format!("//system/{ca}/edash/p/{pid}/sp/{pid}00/entryId/1_Entry/flavorId/{flavour}/name/a.mp4")
    };
    let send = |to: SocketAddr, bytes: &[u8]| raw::exchange(to, bytes, raw::ANSWER_WITHIN).unwrap();
    let get = |to: SocketAddr, path: &str| send(to, &request("GET", path, &[], &[]));

    let made = get(listener, &path("ovp", "437", "1_a"));
    let array = answered("packager", &made);
    assert_eq!(array.as_array().map(Vec::len), Some(1));
    assert_eq!(made.header("connection").map(str::to_lowercase).as_deref(), Some("close"));
    let key = KeyAnswer::from_answer(&made).unwrap();

    let old = format!(
        "GET {} HTTP/1.0\r\nCookie: a=b\r\nAuthorization: Basic eDp5\r\n\r\n",
        path("OVP", "437", "1_b")
    );
    let again = KeyAnswer::from_answer(&send(listener, old.as_bytes())).unwrap();
    assert_eq!((&again.key, &again.key_id), (&key.key, &key.key_id), "flavours share the entry's key");
    let object = array[0].clone();
    let iv = answered(
        "fps",
        &signer.send(api, "POST", "/fps/encryption", &signer.custom_data("1_Entry", &[])).unwrap(),
    );
    assert_eq!(object["iv"], iv["iv"], "FairPlay HLS is encrypted with the IV of its licenses");
    let named = |answer: &Answer| {
        let array = answered("packager", answer);
        let pssh = array[0]["pssh"].as_array().cloned().unwrap_or_default();
        pssh.iter().map(|entry| entry["uuid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = [WIDEVINE_ID, PLAYREADY_ID, COMMON_ID];
    for (what, path, systems) in [
        ("FairPlay", "/system/ovp/fpshls/p/437/sp/43700/entryId/1_Entry/flavorId/1", &all[..]),
        ("another word of the operator's", "/system/ovp/own-word/p/437/entryId/1_Entry/v/2/flavorId/1", &all),
        ("no sub-partner", "//system/ovp//edash/p/437/serveFlavor/entryId/1_Entry", &all),
        ("HLS by Common Encryption", "/system/ovp/cenchls/p/437/sp/1/entryId/1_Entry/name/a.mp4", &all[..2]),
    ] {
        let answer = get(listener, path);
        assert_eq!(named(&answer), systems, "{what}");
        let own = KeyAnswer::from_answer(&answer).unwrap();
        assert_eq!((&own.key, &own.key_id), (&key.key, &key.key_id), "{what}");
    }
    let signed = signer.create(api, "1_Entry").unwrap();
    assert_eq!((&signed.key, &signed.key_id), (&key.key, &key.key_id), "signed or not, it is one content");

    for (what, bytes, status) in [
        (
            "a name with slashes",
            request("GET", "/system/ovp/edash/p/437/sp/43700/entryId/folder/film.mp4/flavorId/1", &[], &[]),
            400,
        ),
        ("a partner without an account", request("GET", &path("ovp", "439", "1_a"), &[], &[]), 401),
        ("an account that does not exist", request("GET", &path("ovp", "438", "1_a"), &[], &[]), 401),
        ("another ca_system", request("GET", &path("other", "437", "1_a"), &[], &[]), 401),
        ("another method", request("POST", &path("ovp", "437", "1_a"), &[], b"x"), 400),
        ("a route of the API", signer.request("GET", WIDEVINE, &signer.custom_data("x", &[])), 404),
        ("metrics", request("GET", "/metrics", &[], &[]), 404),
    ] {
        assert_eq!(send(listener, &bytes).status, status, "{what}");
    }
    assert_eq!(get(api, &path("ovp", "437", "1_a")).status, 404, "the API has no unsigned route");
}
