//! Keys under the key ids of encryptors: the same for the same document at every node, after a restart and in a minority;
//! licensed for their content alone; never another key in silence when something is deleted or rotated.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::license::{self, CLEAR_KEY, clear_key_challenge, clear_keys};
use cluster_tests::raw::{self, Answer};
use cluster_tests::speke::{Answered, guid};
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, KeyAnswer, RigError, Signer, metrics, secret_file, signed, widevine};
use tempfile::TempDir;

const ACCOUNT: &str = "studio";
const PASSWORD: &str = "a password of some length, for tests";
const WIDEVINE_ID: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";
const AES_128_ID: &str = "3ea8778f-7742-4bf9-b18b-e834b2acbd47";

/// Key ids and their keys.
type Keys = BTreeMap<[u8; 16], [u8; 16]>;

/// A cluster with an account that reads locally, and both of its signers.
struct Stage {
    cluster: Cluster,
    scrambler: Signer,
    player: Signer,
    _entitlements: TempDir,
}

impl Stage {
    fn start() -> Self {
        let (options, entitlements) = license::entitling(&[ACCOUNT]).unwrap();
        let cluster = options.env("KEYMOOT__CLUSTER__REQUEST_DEADLINE_MS", "3000").start().unwrap();
        let file = cluster.dir().join("studio.password");
        secret_file::write(&file, PASSWORD).unwrap();
        let credential = format!("pw:encryption:basic:{}", file.display());
        let more = ["--credential", &credential, "--consistency", "local", "--allow-unsigned-packagers"];
        let more = [&more[..], &["--aes128-uri", "https://keys.example.net/hls/key/{kid}"]].concat();
        let (scrambler, player) = license::add_account(&cluster, ACCOUNT, &more).unwrap();
        Self { cluster, scrambler, player, _entitlements: entitlements }
    }

    /// The keys that a license holds, whichever node is asked.
    fn licensed<'k>(&self, content: &str, kids: impl IntoIterator<Item = &'k [u8; 16]>) -> Keys {
        clear_keys(self.cluster.addresses()[1], &self.player, content, kids).unwrap()
    }

    /// That none of these key ids has a license, as soon as a node has applied what was noted: the account reads
    /// locally, and of a key id that is not noted yet a license gets a key that opens nothing.
    fn must_not_license(&self, content: &str, kids: &[[u8; 16]]) {
        let data = self.player.custom_data(content, &[]);
        for node in self.cluster.addresses() {
            wait_until("no license", raw::ANSWER_WITHIN, || {
                let challenge = clear_key_challenge(kids);
                match license::send(node, &self.player, CLEAR_KEY, &data, &challenge)? {
                    answer if answer.status == 404 => Ok(()),
                    answer => Err(RigError::Answer(format!("{content}: {}", answer.text()))),
                }
            })
            .unwrap();
        }
    }

    fn operate(&self, arguments: &[&str]) -> String {
        self.cluster.command(1, arguments).unwrap().succeeded().unwrap()
    }
}

/// A key id, and the tracks that its rule names; without one it has no rule.
type Wanted<'w> = (u8, Option<&'w str>);

/// A CPIX document of a content, for one system.
fn document(content: &str, system: &str, wanted: &[Wanted<'_>]) -> String {
    let scheme = if system == AES_128_ID { "cbc1" } else { "cenc" };
    let each = |of: &dyn Fn(&Wanted<'_>, String) -> String| -> String {
        wanted.iter().map(|wanted| of(wanted, guid(&[wanted.0; 16]))).collect()
    };
    let keys = each(&|_, kid| format!(r#"<cpix:ContentKey kid="{kid}" commonEncryptionScheme="{scheme}"/>"#));
    let systems = each(&|_, kid| format!(r#"<cpix:DRMSystem kid="{kid}" systemId="{system}"/>"#));
    let rules = each(&|(_, track), kid| match track {
        Some(track) => {
            let filter = if track.contains("AUDIO") { "<cpix:AudioFilter/>" } else { "<cpix:VideoFilter/>" };
            format!(
                r#"<cpix:ContentKeyUsageRule kid="{kid}" intendedTrackType="{track}">{filter}</cpix:ContentKeyUsageRule>"#
            )
        }
        None => String::new(),
    });
    let rules = match rules.as_str() {
        "" => String::new(),
        rules => format!("<cpix:ContentKeyUsageRuleList>{rules}</cpix:ContentKeyUsageRuleList>"),
    };
    format!(
        r#"<cpix:CPIX xmlns:cpix="urn:dashif:org:cpix" contentId="{content}" version="2.3"><cpix:ContentKeyList>{keys}</cpix:ContentKeyList><cpix:DRMSystemList>{systems}</cpix:DRMSystemList>{rules}</cpix:CPIX>"#
    )
}

fn ask(node: SocketAddr, document: &str) -> Answer {
    let authorization = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}/pw:{PASSWORD}")));
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/xml")];
    let target = format!("/cpix/{ACCOUNT}");
    raw::exchange(node, &raw::request("POST", &target, &headers, document.as_bytes()), raw::ANSWER_WITHIN)
        .unwrap()
}

/// The keys of an answer, by their key ids.
fn keys_of(answer: &Answer) -> Keys {
    Answered::read(answer).unwrap().keys.into_iter().map(|key| (key.kid, key.key)).collect()
}

/// Asks again until the node answers: after a restart, or an election.
fn await_keys(node: SocketAddr, document: &str) -> Keys {
    let answer = wait_until("an answer", raw::ANSWER_WITHIN, || match ask(node, document) {
        answer if answer.status == 200 => Ok(answer),
        answer => Err(RigError::Answer(answer.text())),
    });
    keys_of(&answer.unwrap())
}

fn pair(key: &KeyAnswer) -> ([u8; 16], [u8; 16]) {
    let (key, kid) = key.bytes().unwrap();
    (kid, key)
}

#[test]
fn every_protocol_and_every_license_has_the_keys_of_a_document() {
    let stage = Stage::start();
    let nodes = stage.cluster.addresses();
    let tracks = document("film", WIDEVINE_ID, &[(1, Some("SD")), (2, Some("HD")), (3, Some("AUDIO"))]);
    let keys = keys_of(&ask(nodes[0], &tracks));
    assert_eq!(keys.len(), 3);
    for node in &nodes[1..] {
        assert_eq!(keys_of(&ask(*node, &tracks)), keys, "{node}");
    }
    assert_eq!(stage.licensed("film", keys.keys()), keys);
    // A key id of another period, that nobody noted.
    let later = keys_of(&ask(nodes[1], &document("film", WIDEVINE_ID, &[(50, Some("SD"))])));
    assert_eq!(keys_of(&ask(nodes[2], &document("film", WIDEVINE_ID, &[(50, Some("SD"))]))), later);
    assert_eq!(stage.licensed("film", later.keys()), later);
    // uDRM and the Widevine API, by track and by key id.
    let of_track = |track: &str, method: &str| {
        let data = stage.scrambler.custom_data("film", &[("track", track)]);
        let answer = stage.scrambler.send(nodes[2], method, signed::WIDEVINE, &data).unwrap();
        pair(&KeyAnswer::from_answer(&answer).unwrap())
    };
    assert_eq!(of_track("HD", "GET"), ([2; 16], keys[&[2; 16]]));
    assert_eq!(of_track("HD", "POST"), ([2; 16], keys[&[2; 16]]), "POST returns what exists");
    let answer = widevine::ask(nodes[1], ACCOUNT, &widevine::request("film", &["SD", "AUDIO"])).unwrap();
    let by_api: Vec<_> =
        answer.tracks.iter().map(|track| (track.kid_bytes().unwrap(), track.key_bytes().unwrap())).collect();
    assert_eq!(by_api, [([1; 16], keys[&[1; 16]]), ([3; 16], keys[&[3; 16]])]);
    // The only key of a content is that of clients that know no tracks.
    let single = keys_of(&ask(nodes[0], &document("single", WIDEVINE_ID, &[(9, None)])));
    let read = wait_until("the key", raw::ANSWER_WITHIN, || stage.scrambler.read(nodes[1], "single"));
    assert_eq!(pair(&read.unwrap()), ([9; 16], single[&[9; 16]]));
    assert_eq!(pair(&stage.scrambler.create(nodes[2], "single").unwrap()).0, [9; 16]);
    // What uDRM made is what a document gets under that key id.
    let supplied = stage.scrambler.supply(nodes[0], "own", &[7; 16], &[8; 16]).unwrap();
    let (kid, key) = pair(&supplied);
    let found = await_keys(nodes[0], &document("own", WIDEVINE_ID, &[(kid[0], None)]));
    assert_eq!(found, Keys::from([(kid, key)]));

    // Nothing opens for another content, or for one that nobody made.
    stage.must_not_license("other", &[[1; 16], [99; 16]]);
    stage.must_not_license("single", &[[1; 16]]);
    let elsewhere = stage.licensed("single", [&[50; 16]]);
    assert_ne!(elsewhere[&[50; 16]], later[&[50; 16]]);
    let foreign = ask(nodes[0], &document("third", WIDEVINE_ID, &[(1, None)]));
    assert!(foreign.status != 200 && foreign.text().contains("film"), "{}", foreign.text());
    let listed = stage.operate(&["content", "list", ACCOUNT, "--content", "film"]);
    assert!(listed.contains(&guid(&[1; 16])) && !listed.contains(&signed::hex(&keys[&[1; 16]])), "{listed}");
}

#[test]
fn clear_keys_are_handed_out_and_no_others() {
    let stage = Stage::start();
    let nodes = stage.cluster.addresses();
    let protected = keys_of(&ask(nodes[0], &document("film", WIDEVINE_ID, &[(1, None)])));
    let clear = keys_of(&ask(nodes[0], &document("film", AES_128_ID, &[(2, None)])));
    let played = |kid: &[u8; 16]| {
        let data = stage.player.custom_data("film", &[]);
        let target = license::target(&stage.player, &format!("/hls/key/{}", guid(kid)), &data);
        raw::exchange(nodes[0], &raw::request("GET", &target, &[], &[]), raw::ANSWER_WITHIN).unwrap()
    };
    assert_eq!(played(&[2; 16]).body, clear[&[2; 16]]);
    assert_eq!(played(&[1; 16]).status, 404);
    // Not noted: another context's key.
    let period = keys_of(&ask(nodes[0], &document("film", WIDEVINE_ID, &[(50, None)])));
    let handed_out = played(&[50; 16]);
    assert!(handed_out.status == 200 && handed_out.body != period[&[50; 16]]);
    for (system, kid) in [(AES_128_ID, 1), (WIDEVINE_ID, 2)] {
        let refused = ask(nodes[0], &document("film", system, &[(kid, None)]));
        assert!(refused.status != 200 && refused.text().contains("other kind"), "{}", refused.text());
    }
    stage.must_not_license("film", &[[2; 16]]);
    assert_eq!(stage.licensed("film", [&[1; 16]]), protected);
}

#[test]
fn what_is_deleted_or_rotated_never_gets_another_key_in_silence() {
    let stage = Stage::start();
    let nodes = stage.cluster.addresses();
    let film = document("film", WIDEVINE_ID, &[(1, None), (2, Some("HD"))]);
    let before = keys_of(&ask(nodes[0], &film));
    // The account's seed: for contents that come.
    assert!(stage.operate(&["account", "rotate-seed", ACCOUNT]).contains("another seed"));
    assert_eq!(keys_of(&ask(nodes[0], &film)), before);
    // The content: new documents have new keys under new key ids, and the old ones stay.
    stage.operate(&["content", "rotate", ACCOUNT, "film"]);
    let rotated =
        wait_until("a rotated content", raw::ANSWER_WITHIN, || match keys_of(&ask(nodes[0], &film)) {
            keys if keys == before => Err(RigError::Answer("the old keys".to_owned())),
            keys => Ok(keys),
        })
        .unwrap();
    assert!(
        rotated.iter().all(|(kid, key)| !before.contains_key(kid) && before.values().all(|old| old != key))
    );
    let both: Keys = before.iter().chain(&rotated).map(|(kid, key)| (*kid, *key)).collect();
    assert_eq!(stage.licensed("film", both.keys()), both);
    for node in &nodes[1..] {
        assert_eq!(await_keys(*node, &film), rotated);
    }
    let none = stage.cluster.command(1, &["content", "rotate", ACCOUNT, "nobody's"]).unwrap();
    assert!(format!("{:?}", none.failed_with(1).unwrap()).contains("no document made"));
    // Deleted: no license, and other keys when it is made anew.
    let data = stage.scrambler.custom_data("film", &[]);
    assert_eq!(stage.scrambler.send(nodes[2], "DELETE", signed::WIDEVINE, &data).unwrap().status, 200);
    wait_until("the delete", raw::ANSWER_WITHIN, || {
        let data = stage.player.custom_data("film", &[]);
        let challenge = clear_key_challenge(both.keys());
        let statuses = nodes.iter().map(|node| {
            license::send(*node, &stage.player, CLEAR_KEY, &data, &challenge).map(|answer| answer.status)
        });
        match statuses.collect::<Result<Vec<_>, _>>()?.iter().all(|status| *status == 404) {
            true => Ok(()),
            false => Err(RigError::Answer("there is a license yet".to_owned())),
        }
    })
    .unwrap();
    let anew = keys_of(&ask(nodes[0], &film));
    assert_eq!(anew.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(anew.iter().all(|(kid, key)| before[kid] != *key));
}

#[test]
fn a_minority_and_every_restart_give_what_was_given() {
    let mut stage = Stage::start();
    let nodes = stage.cluster.addresses();
    let film = document("film", WIDEVINE_ID, &[(1, Some("SD")), (2, Some("HD"))]);
    let later = document("film", WIDEVINE_ID, &[(60, Some("SD"))]);
    let keys = keys_of(&ask(nodes[0], &film));
    let survivor = stage.cluster.others(stage.cluster.leader().unwrap())[0];
    let here = stage.cluster.node(survivor).unwrap().api;
    assert_eq!(await_keys(here, &film), keys);
    for other in stage.cluster.others(survivor) {
        stage.cluster.kill(other).unwrap();
    }
    // Cut off: what is known, another period, and nothing new.
    assert_eq!(await_keys(here, &film), keys);
    let period = await_keys(here, &later);
    let refused = ask(here, &document("new", WIDEVINE_ID, &[(3, None)]));
    assert_eq!(refused.status, 503, "{}", refused.text());
    stage.cluster.kill(survivor).unwrap();
    stage.cluster.restart_all().unwrap();
    for node in stage.cluster.addresses() {
        assert_eq!((await_keys(node, &film), await_keys(node, &later)), (keys.clone(), period.clone()));
    }
    // With the setting a new content is answered, and noted after a crash of the node that answered.
    stage.operate(&["account", "set", ACCOUNT, "--note-documents-later", "true"]);
    let new = document("later", WIDEVINE_ID, &[(4, None)]);
    let survivor = stage.cluster.others(stage.cluster.leader().unwrap())[0];
    stage.cluster.await_caught_up(survivor).unwrap();
    let here = stage.cluster.node(survivor).unwrap().api;
    for other in stage.cluster.others(survivor) {
        stage.cluster.kill(other).unwrap();
    }
    let answered = await_keys(here, &new);
    stage.cluster.kill(survivor).unwrap();
    stage.cluster.restart_all().unwrap();
    let here = stage.cluster.node(survivor).unwrap().api;
    wait_until("the note", raw::ANSWER_WITHIN, || match metrics::sample(here, "keymoot_late_documents")? {
        waiting if waiting < 0.5 => Ok(()),
        waiting => Err(RigError::Answer(format!("{waiting} wait"))),
    })
    .unwrap();
    for node in stage.cluster.addresses() {
        assert_eq!(await_keys(node, &new), answered);
    }
    assert_eq!(stage.licensed("later", answered.keys()), answered);
}
