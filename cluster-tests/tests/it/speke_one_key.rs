//! A key id has one key, whoever asks: made by uDRM and then named in documents, or made by a document and then asked for
//! by the other protocols and by players.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::speke::{self, ACCOUNT, Document, DocumentKey, Encryptor, Version, kid_of};
use cluster_tests::{Cluster, KeyAnswer, Signer, license, signed, widevine};

struct Stage {
    cluster: Cluster,
    encryptor: Encryptor,
    scrambler: Signer,
    viewer: Signer,
    _entitlements: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let (options, entitlements) = license::entitling(&[ACCOUNT]).unwrap();
        let cluster = options.start().unwrap();
        let encryptor = speke::add_account(&cluster, &["--allow-unsigned-packagers"]).unwrap();
        let signer = |own: &Signer| Signer::new(ACCOUNT, "OVP", own.signing_key());
        let (scrambler, viewer) = (signer(cluster.signer()), signer(&cluster.license_signer()));
        Self { cluster, encryptor, scrambler, viewer, _entitlements: entitlements }
    }

    /// What each version of documents, each at another node, has for a key id of a content.
    fn by_documents(&self, content: &str, kid: &[u8; 16], track: &str) -> Vec<[u8; 16]> {
        let own = of_one_key(content, kid, track);
        let nodes = self.cluster.addresses();
        let ask = |(version, node): (Version, &SocketAddr)| {
            let answered = self.encryptor.ask(*node, version, &own).unwrap();
            assert_eq!(answered.keys.len(), 1, "{version:?}");
            answered.key(kid).unwrap_or_else(|error| panic!("{version:?}: {error}")).key
        };
        Version::ALL.into_iter().zip(nodes.iter().cycle()).map(ask).collect()
    }

    /// The key that the Widevine API finds for a key id.
    fn by_widevine(&self, kid: &[u8; 16]) -> [u8; 16] {
        let inner = widevine::lookup(&STANDARD.encode(kid)).unwrap();
        let found = widevine::ask(self.cluster.addresses()[2], ACCOUNT, &inner).unwrap();
        found.must_have(1).unwrap();
        assert_eq!(found.tracks[0].kid_bytes().unwrap(), *kid);
        found.tracks[0].key_bytes().unwrap()
    }

    /// Key and key id by uDRM.
    fn by_udrm(&self, method: &str, content: &str, more: &[(&str, &str)]) -> ([u8; 16], [u8; 16]) {
        let data = self.scrambler.custom_data(content, more);
        let answer =
            self.scrambler.send(self.cluster.addresses()[0], method, signed::WIDEVINE, &data).unwrap();
        KeyAnswer::from_answer(&answer).unwrap().bytes().unwrap()
    }

    /// The key in a license, if there is one.
    fn by_license(&self, content: &str, kid: &[u8; 16]) -> Option<[u8; 16]> {
        let challenge = license::clear_key_challenge([kid]);
        let data = self.viewer.custom_data(content, &[]);
        let node = self.cluster.addresses()[1];
        let answer = license::send(node, &self.viewer, license::CLEAR_KEY, &data, &challenge).unwrap();
        (answer.status == 200).then(|| license::keys_of(&answer).unwrap()[kid])
    }
}

fn of_one_key(content: &str, kid: &[u8; 16], track: &str) -> Document {
    let key = DocumentKey { kid: *kid, track: track.to_owned(), period: None };
    Document { keys: vec![key], ..Document::of_tracks(content, &[], None) }
}

#[test]
fn a_key_that_udrm_made_is_the_one_that_every_document_and_license_has_under_its_id() {
    let stage = Stage::set();
    let made = stage.scrambler.create(stage.cluster.addresses()[0], "film").unwrap();
    let (key, kid) = made.bytes().unwrap();
    assert_eq!(stage.by_documents("film", &kid, "ALL"), [key; 4]);
    assert_eq!(stage.by_widevine(&kid), key);
    assert_eq!(stage.by_license("film", &kid), Some(key));
    let again = stage.scrambler.read(stage.cluster.addresses()[1], "film").unwrap();
    assert_eq!(again.bytes().unwrap(), (key, kid), "uDRM has another key now");
}

#[test]
fn a_key_that_a_document_made_is_the_one_that_the_other_protocols_and_licenses_have_and_udrm_goes_on_with() {
    let stage = Stage::set();
    let node = stage.cluster.addresses()[0];
    let own = Document::of_tracks("channel", &["SD", "HD", "AUDIO"], None);
    let answered = stage.encryptor.ask(node, Version::Speke2_0, &own).unwrap();
    let tracks: Vec<&str> = own.keys.iter().map(|wanted| wanted.track.as_str()).collect();
    let inner = widevine::request("channel", &tracks);
    let by_track = widevine::ask(stage.cluster.addresses()[1], ACCOUNT, &inner).unwrap();
    by_track.must_have(own.keys.len()).unwrap();
    for wanted in &own.keys {
        let (kid, track) = (&wanted.kid, wanted.track.as_str());
        let key = answered.key(kid).unwrap().key;
        assert_eq!(stage.by_documents("channel", kid, track), [key; 4], "{track}");
        assert_eq!(stage.by_widevine(kid), key, "{track}");
        assert_eq!(stage.by_license("channel", kid), Some(key), "{track}");
        let of_track = by_track.tracks.iter().find(|found| found.track == *track).unwrap();
        assert_eq!((of_track.key_bytes().unwrap(), of_track.kid_bytes().unwrap()), (key, *kid), "{track}");
        for method in ["GET", "POST"] {
            assert_eq!(
                stage.by_udrm(method, "channel", &[("track", track)]),
                (key, *kid),
                "{method} {track}"
            );
        }
    }
    // A key id is of one content: another one gets no key under it, and no license.
    let kid = &own.keys[0].kid;
    let elsewhere = of_one_key("other", kid, "SD").text(Version::Speke2_0);
    let refused = stage.encryptor.send(node, Version::Speke2_0, &elsewhere).unwrap();
    assert!((400..500).contains(&refused.status), "{}: {}", refused.status, refused.text());
    assert_eq!(stage.by_license("other", kid), None);
    assert_eq!(stage.by_license("never-ingested", kid), None);
    assert_eq!(stage.by_license("channel", &[7; 16]).filter(|key| *key == answered.keys[0].key), None);
}

#[test]
fn udrm_reads_and_posts_the_only_key_of_a_document_without_a_track() {
    let stage = Stage::set();
    let kid = kid_of("the only one");
    let own = of_one_key("single", &kid, "VIDEO");
    let answered = stage.encryptor.ask(stage.cluster.addresses()[2], Version::Speke2_1, &own).unwrap();
    let key = answered.key(&kid).unwrap().key;
    for method in ["GET", "POST"] {
        assert_eq!(stage.by_udrm(method, "single", &[]), (key, kid), "{method}: 2.3.3 returns what exists");
    }
    // PUT gives uDRM a key of its own, and the document goes on with the one that it has.
    let own_key = stage.scrambler.supply(stage.cluster.addresses()[0], "single", &[1; 16], &[2; 16]).unwrap();
    assert_eq!(own_key.bytes().unwrap(), ([1; 16], [2; 16]));
    assert_eq!(stage.by_documents("single", &kid, "VIDEO"), [key; 4]);
    assert_eq!(stage.by_license("single", &kid), Some(key));
    assert_eq!(stage.by_documents("single", &[2; 16], "ALL"), [[1; 16]; 4]);
}
