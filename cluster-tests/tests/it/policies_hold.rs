//! What a policy says holds for the next license, on whatever node: the content's own policy, else the
//! account's default, with words of its own for single tracks.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cluster_tests::license::{self, CLEAR_KEY, entitling};
use cluster_tests::policy::{self, Account};
use cluster_tests::{KeyAnswer, signed};
use serde_json::{Value, json};

struct Studio {
    account: Account,
    nodes: Vec<SocketAddr>,
}

impl Studio {
    /// The key id of a track of the film, made now if there is none.
    fn kid(&self, track: &str) -> [u8; 16] {
        let data = self.account.scrambler.custom_data("film", &[("track", track)]);
        let answer = self.account.scrambler.send(self.nodes[0], "POST", signed::WIDEVINE, &data).unwrap();
        KeyAnswer::from_answer(&answer).unwrap().bytes().unwrap().1
    }

    /// Stores a policy, on one node.
    fn put(&self, policy: &Value) {
        let path = format!("/policy/{}", policy["name"].as_str().unwrap());
        self.change(("PUT", &path), &json!({ "policy": policy }));
    }

    fn change(&self, what: (&str, &str), members: &Value) {
        let answer = policy::send(self.nodes[1], &self.account.keeper, what, members, &[]).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Asks every node for a license, which must give one answer: nothing or why not.
    fn ask(&self, kid: [u8; 16], session: &str) -> Option<String> {
        let challenge = json!({ "kids": [URL_SAFE_NO_PAD.encode(kid)], "type": session }).to_string();
        let player = &self.account.player;
        let data = player.custom_data("film", &[]);
        let mut answers: Vec<Option<String>> = Vec::new();
        for node in &self.nodes {
            let answer = license::send(*node, player, CLEAR_KEY, &data, challenge.as_bytes()).unwrap();
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            answers.push(match answer.status {
                200 => None,
                status => {
                    assert_eq!(status, 401, "{body}");
                    Some(body["message"].as_str().unwrap().to_owned())
                }
            });
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }
}

#[test]
fn every_license_keeps_to_the_policy_as_it_is_now() {
    let (options, _entitled) = entitling(&["studio"]).unwrap();
    let cluster = options.start().unwrap();
    let account = policy::add_account(&cluster, "studio", &[]).unwrap();
    let studio = Studio { account, nodes: cluster.addresses() };
    let (sd, uhd) = (studio.kid("SD"), studio.kid("UHD1"));
    assert_eq!(studio.ask(sd, "temporary"), None, "no policy: plain streaming");
    assert!(studio.ask(sd, "persistent-license").unwrap().contains("policy"));

    // The default, with a word of its own for one track.
    studio.put(&json!({ "name": "common", "can_persist": true,
                        "tracks": { "UHD1": { "widevine": { "hdcp": "v2.2" } } } }));
    studio.change(("PUT", "/policy/common/default"), &json!({ "policy": "common" }));
    assert_eq!(studio.ask(sd, "temporary"), None);
    assert_eq!(studio.ask(sd, "persistent-license"), None);
    assert!(studio.ask(uhd, "temporary").unwrap().contains("UHD1"));

    // The content's own, changed while it is attached.
    studio.put(&json!({ "name": "own", "protection": { "clear_key": { "allow": false } } }));
    studio.change(("PUT", "/policy/own/content"), &json!({ "policy": "own", "content_id": "film" }));
    assert!(studio.ask(sd, "temporary").unwrap().contains("policy own allows no Clear Key"));
    studio.put(&json!({ "name": "own", "protection": {
        "playready": { "uncompressed_digital_video": 270 }, "clear_key": { "allow": true } } }));
    assert_eq!(studio.ask(uhd, "temporary"), None);
    assert!(studio.ask(sd, "persistent-license").unwrap().contains("temporary"));
    studio.change(("DELETE", "/policy/own/content"), &json!({ "policy": "own", "content_id": "film" }));
    assert!(studio.ask(uhd, "temporary").unwrap().contains("UHD1"), "the default holds again");
}
