//! A key id is its account's own: nobody takes one from another account, or learns of it there.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::signed::{WIDEVINE, hex};
use cluster_tests::{Cluster, KeyAnswer, Signer, license, raw, widevine};
use serde_json::json;

/// Supplies a key of its own for a content, under the key id.
fn supply(signer: &Signer, node: SocketAddr, content: &str, key: [u8; 16], kid: &str) -> raw::Answer {
    let key = STANDARD.encode(key);
    let data = signer.custom_data(content, &[("key", &key), ("key_id", kid)]);
    signer.send(node, "PUT", WIDEVINE, &data).unwrap()
}

#[test]
fn a_key_id_is_neither_squatted_nor_told_of_by_another_account() {
    let (options, _entitled) = license::entitling(&["owner", "squatter"]).unwrap();
    let cluster: Cluster = options.start().unwrap();
    let unsigned = ["--allow-unsigned-packagers"];
    let (owner, player) = license::add_account(&cluster, "owner", &unsigned).unwrap();
    let (squatter, other_player) = license::add_account(&cluster, "squatter", &unsigned).unwrap();
    let nodes = cluster.addresses();

    // A key id that the owner is going to use, and one that it uses: both stand in the clear in its media.
    let coming = STANDARD.encode([0x11; 16]);
    let there = owner.create(nodes[0], "film").unwrap();
    let made = supply(&squatter, nodes[1], "a", [1; 16], &coming);
    assert_eq!(made.status, 200, "{}", made.text());
    let fresh = STANDARD.encode([0x22; 16]);
    let answers = [&there.key_id, &fresh].map(|kid| {
        let answer = supply(&squatter, nodes[1], &format!("c-{}", &kid[..4]), [2; 16], kid);
        (answer.status, answer.text().contains("names another key"))
    });
    assert_eq!(answers[0], answers[1], "a key id that another account has is like one that nobody has");
    assert_eq!(answers[0], (200, false));

    let own = supply(&owner, nodes[2], "coming", [3; 16], &coming);
    let own = KeyAnswer::from_answer(&own).unwrap();
    assert_eq!((own.bytes().unwrap().0, &own.key_id), ([3; 16], &coming), "the owner was not kept from it");
    let twice = supply(&owner, nodes[2], "another", [4; 16], &coming);
    assert!(twice.status == 400 && twice.text().contains("names another key"), "{}", twice.text());

    // By the pssh data each account gets its own key, and nothing of the other's.
    let film = widevine::ask(nodes[0], "owner", &widevine::request("live", &["SD"])).unwrap();
    let by_kid = |account: &str, kid: &str| {
        let mut asked = widevine::lookup(kid).unwrap();
        asked["tracks"] = json!([{ "type": "SD" }]);
        asked["drm_types"] = json!(["WIDEVINE"]);
        let answer = widevine::ask(nodes[1], account, &asked).unwrap();
        (answer.status, answer.tracks.into_iter().map(|track| track.key).collect::<Vec<_>>())
    };
    let found = |key: [u8; 16]| ("OK".to_owned(), vec![STANDARD.encode(key)]);
    assert_eq!((by_kid("owner", &coming), by_kid("squatter", &coming)), (found([3; 16]), found([1; 16])));
    let of_owner = &film.tracks[0].key_id;
    assert_eq!(by_kid("owner", of_owner).0, "OK");
    assert_eq!(by_kid("squatter", of_owner), by_kid("squatter", &STANDARD.encode([0x33; 16])));

    // By HLS's URL of a key, too: the owner's opens nothing of another account's content of the same name.
    let kids = [&owner, &squatter].map(|signer| {
        let info = signer.send(nodes[0], "GET", "/hls/keyinfo", &signer.custom_data("stream", &[])).unwrap();
        assert_eq!(info.status, 200, "{}", info.text());
        let text = String::from_utf8(info.body).unwrap();
        let behind = text.split_once("/hls/key/").unwrap().1;
        behind.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').collect::<String>()
    });
    let by_url = |signer: &Signer, kid: &str| {
        let path = format!("/hls/key/{kid}");
        signer.send(nodes[1], "GET", &path, &signer.custom_data("stream", &[])).unwrap().status
    };
    assert_eq!((by_url(&player, &kids[0]), by_url(&other_player, &kids[1])), (200, 200));
    let nobodys = hex(&[0x55; 16]);
    assert_eq!((by_url(&other_player, &kids[0]), by_url(&other_player, &nobodys)), (404, 404));

    // A player is licensed the key of its own account.
    let licensed = license::clear_keys(nodes[2], &player, "coming", &[[0x11; 16]]).unwrap();
    assert_eq!(licensed[&[0x11; 16]], [3; 16]);
    // Deleting what one has takes nothing from the other.
    let gone = squatter.send(nodes[0], "DELETE", WIDEVINE, &squatter.custom_data("a", &[])).unwrap();
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!(
        (by_kid("owner", &coming).0, by_kid("squatter", &coming).0),
        ("OK".into(), "ASSET_NOT_FOUND".into())
    );
}
