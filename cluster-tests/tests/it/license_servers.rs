//! Licenses of the DRM systems whose servers are others': every byte that they are sent is as their
//! protocols have it, and one of them that fails, hangs or lies is passed over.
//!
//! The servers are stand-ins: see `license_server`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::license;
use cluster_tests::license_server::{Behaviour, Protocol, StandIn, fairplay, playready, widevine};
use cluster_tests::raw::Answer;
use cluster_tests::wait::pause;
use cluster_tests::{Cluster, KeyAnswer, Options, metrics, search, secret_file, signed};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a server that failed is left alone.
const REST: Duration = Duration::from_secs(1);

/// Two servers of each system, and a cluster that asks them.
struct Stage {
    cluster: Cluster,
    servers: [StandIn; 2],
    _secrets: TempDir,
}

fn secret(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    secret_file::write(&path, text).unwrap();
    path.display().to_string()
}

fn stage(system: &str, protocol: Protocol) -> Stage {
    let servers = [StandIn::start(protocol).unwrap(), StandIn::start(protocol).unwrap()];
    let secrets = TempDir::new().unwrap();
    let aes = format!("{}:{}", signed::hex(&widevine::KEY), signed::hex(&widevine::IV));
    let urls = servers.each_ref().map(StandIn::url).join(",");
    let key = |name: &str| format!("KEYMOOT__LICENSE_SERVERS__{name}");
    let options = Options::default()
        .env(&key(&format!("{}_URLS", system.to_uppercase())), &urls)
        .env(&key("WIDEVINE_PROVIDER"), widevine::PROVIDER)
        .env(&key("WIDEVINE_SIGNER"), widevine::SIGNER)
        .env(&key("WIDEVINE_SIGNING_KEY_FILE"), &secret(&secrets, "widevine", &aes))
        .env(&key("PLAYREADY_SIGNING_KEY_FILE"), &secret(&secrets, "playready", playready::SIGNING_KEY))
        .env(&key("FAIRPLAY_SIGNING_KEY_FILE"), &secret(&secrets, "fairplay", fairplay::SIGNING_KEY))
        .env(&key("TIMEOUT_MS"), "500")
        .env(&key("FAILURES_MAX"), "3")
        .env(&key("REST_MS"), &REST.as_millis().to_string());
    Stage { cluster: options.start().unwrap(), servers, _secrets: secrets }
}

impl Stage {
    /// A key of a track of the content, made now if there is none.
    fn key(&self, content: &str, track: &str) -> KeyAnswer {
        let signer = self.cluster.signer();
        let data = signer.custom_data(content, &[("track", track)]);
        let node = self.cluster.addresses()[0];
        KeyAnswer::from_answer(&signer.send(node, "POST", signed::WIDEVINE, &data).unwrap()).unwrap()
    }

    fn ask(&self, path: &str, content: &str, challenge: &[u8]) -> Answer {
        let player = self.cluster.license_signer();
        let data = player.custom_data(content, &[("user_token", "a viewer's token")]);
        license::send(self.cluster.addresses()[1], &player, path, &data, challenge).unwrap()
    }

    /// One server of a list after the other fails in each way; then both do.
    fn fails_over(&self, path: &str, challenge: &[u8], license: &[u8]) {
        let [first, second] = &self.servers;
        for behaviour in [Behaviour::Fail, Behaviour::Hang, Behaviour::Lie] {
            first.behave(behaviour);
            let answer = self.ask(path, "film", challenge);
            assert_eq!((answer.status, answer.body.as_slice()), (200, license), "{behaviour:?}");
        }
        assert_eq!((first.seen().len(), second.seen().len()), (3, 3));
        let answer = self.ask(path, "film", challenge);
        assert_eq!((answer.status, first.seen().len()), (200, 0), "it rests after three failures");
        let resting = "keymoot_license_servers_resting";
        let sample = metrics::sample(self.cluster.addresses()[1], resting);
        assert!(sample.is_ok_and(|value| value > 0.5));
        second.behave(Behaviour::Fail);
        let answer = self.ask(path, "film", challenge);
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
        // Its rest must pass: whoever asks meanwhile drives the other server into one.
        pause(REST).unwrap();
        first.behave(Behaviour::Serve);
        assert_eq!(self.ask(path, "film", challenge).status, 200, "it is tried again");
        first.behave(Behaviour::Refuse);
        second.behave(Behaviour::Serve);
        second.seen();
        let answer = self.ask(path, "film", challenge);
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(second.seen().is_empty(), "a refusal is not overruled");
    }

    /// Neither key nor token is in any log.
    fn keeps_secrets(&self, keys: &[&KeyAnswer]) {
        let hexes = keys.iter().map(|key| signed::hex(&key.bytes().unwrap().0));
        let secrets: Vec<String> = keys
            .iter()
            .map(|key| key.key.clone())
            .chain(hexes)
            .chain(["a viewer's token".to_owned(), signed::hex(&widevine::KEY)])
            .collect();
        for file in self.cluster.log_files().unwrap() {
            let log = std::fs::read(&file).unwrap();
            for secret in &secrets {
                assert!(!search::contains(&log, secret.as_bytes()), "{}", file.display());
            }
        }
    }
}

fn refused(answer: &Answer, status: u16, word: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().contains(word), "{}", answer.text());
}

#[test]
fn widevine_is_asked_with_our_keys_in_a_signed_envelope() {
    let stage = stage("widevine", widevine::PROTOCOL);
    let (uhd, other) = (stage.key("film", "UHD1"), stage.key("other film", "SD"));
    let own = stage.key("film", "DEFAULT");
    let kid = |key: &KeyAnswer| key.bytes().unwrap().1;
    let challenge = widevine::challenge(&[kid(&uhd), kid(&own), kid(&other)]);
    let answer = stage.ask(widevine::PATH, "film", &challenge);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.body, widevine::license_of(&challenge));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    let spec = |track: &str, key: &KeyAnswer| {
        json!({"track_type": track, "key_id": key.key_id, "key": key.key, "required_output_protection":
            {"hdcp": "HDCP_NONE", "cgms_flags": "CGMS_NONE", "disable_analog_output": false}})
    };
    let expected = json!({
        "payload": STANDARD.encode(&challenge), "provider": widevine::PROVIDER, "content_id": STANDARD.encode("film"),
        "content_key_specs": [spec("UHD1", &uhd), spec("SD", &own)],
        "use_policy_overrides_exclusively": true,
        "policy_overrides":
            {"can_play": true, "can_persist": false, "can_renew": false, "renew_with_usage": false},
    });
    assert_eq!(stage.servers[0].seen(), [expected]);

    let certificate = stage.ask(widevine::PATH, "film", &widevine::CERTIFICATE_CHALLENGE);
    assert_eq!(certificate.body, widevine::license_of(&widevine::CERTIFICATE_CHALLENGE));
    assert_eq!(stage.servers[0].seen(), [json!({"payload": "CAQ=", "provider": widevine::PROVIDER})]);

    refused(
        &stage.ask(widevine::PATH, "film", &widevine::challenge(&[kid(&other)])),
        404,
        "none of the keys",
    );
    refused(&stage.ask(widevine::PATH, "film", b"{}"), 400, "Widevine challenge");
    assert!(stage.servers[0].seen().is_empty(), "nobody is asked in vain");
    stage.fails_over(widevine::PATH, &challenge, &widevine::license_of(&challenge));
    stage.keeps_secrets(&[&uhd, &own, &other]);
}

#[test]
fn a_playready_challenge_passes_as_it_came_with_keys_and_terms_beside_it() {
    let stage = stage("playready", playready::PROTOCOL);
    let (own, other) = (stage.key("film", "HD"), stage.key("other film", "HD"));
    let challenge = playready::challenge(&own.bytes().unwrap().1);
    for path in [playready::PATH, "/playReady/license"] {
        let answer = stage.ask(path, "film", challenge.as_bytes());
        assert_eq!(answer.text(), playready::LICENSE.chars().take(300).collect::<String>());
        assert_eq!(answer.header("content-type"), Some("text/xml; charset=utf-8"));
        let seen = stage.servers[0].seen();
        let guid = {
            let hex = signed::hex(&own.bytes().unwrap().1);
            format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
        };
        let key = json!({"key_id": guid, "key": own.key, "track": "HD",
                         "protection": {"output_protection_levels": {}}});
        let expected = json!({"version": 1, "account_id": "demo", "content_id": "film", "keys": [key],
                              "terms": {"is_persistent": false}, "challenge": challenge});
        assert_eq!(seen, [expected]);
    }
    let foreign = playready::challenge(&other.bytes().unwrap().1);
    refused(&stage.ask(playready::PATH, "film", foreign.as_bytes()), 404, "none of the keys");
    refused(&stage.ask(playready::PATH, "film", b"<a/>"), 400, "PlayReady");
    stage.fails_over(playready::PATH, challenge.as_bytes(), playready::LICENSE.as_bytes());
    stage.keeps_secrets(&[&own]);
}

#[test]
fn a_ksm_gets_context_key_and_iv_and_its_ckc_reaches_the_player() {
    let stage = stage("fairplay", fairplay::PROTOCOL);
    let own = stage.key("film", "DEFAULT");
    let signer = stage.cluster.signer();
    let node = stage.cluster.addresses()[2];
    let fps = signer.send(node, "GET", "/fps/encryption", &signer.custom_data("film", &[])).unwrap();
    let iv = serde_json::from_slice::<Value>(&fps.body).unwrap()["iv"].as_str().unwrap().to_owned();
    let hex = |text: &str| signed::hex(&STANDARD.decode(text).unwrap());
    let license = json!({"ckc": STANDARD.encode(fairplay::CKC), "persistence_duration": 0});
    let base64 = STANDARD.encode(fairplay::spc());
    for body in [fairplay::spc(), base64.clone().into_bytes(), format!("{base64}\n").into_bytes()] {
        let answer = stage.ask(fairplay::PATH, "film", &body);
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), license, "{}", answer.text());
        let seen = stage.servers[0].seen();
        let asset = json!({"content-key": hex(&own.key), "content-iv": hex(&iv), "can-persist": false});
        let operation = json!({"id": 1, "spc": base64, "asset-info": [asset]});
        let expected = json!({"fairplay-streaming-request": {"version": 1, "create-ckc": [operation]}});
        assert_eq!(seen, [expected]);
    }
    refused(&stage.ask(fairplay::PATH, "no such film", &fairplay::spc()), 404, "none of the keys");
    refused(&stage.ask(fairplay::PATH, "film", b"AAAA"), 400, "SPC");
    stage.fails_over(fairplay::PATH, &fairplay::spc(), license.to_string().as_bytes());
    stage.keeps_secrets(&[&own]);
}
