//! Real packagers encrypt with the keys and the signalling of a document that a node answered: per track and across
//! crypto periods, though the leader dies in between; and a browser plays one of them with licenses of the cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_tests::media::{Source, Stream};
use cluster_tests::player::{Player, assert_shows_the_source};
use cluster_tests::sealing::{self, Track};
use cluster_tests::speke::{
    self, ACCOUNT, Answered, COMMON, Document, Encryptor, FAIRPLAY, PLAYREADY, Version, WIDEVINE, guid,
};
use cluster_tests::{Cluster, Signer, frames, license, search};

/// The streams, and what encryptors call them.
const STREAMS: [(Stream, &str); 2] = [(Stream::Video, "VIDEO"), (Stream::Audio, "AUDIO")];

struct Stage {
    cluster: Cluster,
    encryptor: Encryptor,
    /// The player's side of the same account.
    viewer: Signer,
    source: Source,
    _entitlements: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let (options, entitlements) = license::entitling(&[ACCOUNT]).unwrap();
        let cluster = options.start().unwrap();
        let encryptor = speke::add_account(&cluster, &[]).unwrap();
        let viewer = Signer::new(ACCOUNT, "OVP", cluster.license_signer().signing_key());
        Self {
            cluster,
            encryptor,
            viewer,
            source: Source::of_seconds(5).unwrap(),
            _entitlements: entitlements,
        }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.source.dir().join(name)
    }

    /// Each stream with the key of its track, and the boxes of these systems.
    fn tracks(&self, document: &Document, answered: &Answered, systems: &[&str], name: &str) -> Vec<Track> {
        let track = |(stream, _): (Stream, &str), kid: &[u8; 16]| Track {
            stream,
            kid: *kid,
            key: answered.key(kid).unwrap().key,
            boxes: answered.boxes(kid, systems).unwrap(),
            output: self.out(&format!("{name}-{}.mp4", stream.name())),
        };
        STREAMS.into_iter().zip(&document.keys).map(|(stream, key)| track(stream, &key.kid)).collect()
    }

    /// The key in a license for a key id.
    fn licensed(&self, node: u64, content: &str, kid: &[u8; 16]) -> [u8; 16] {
        let node = self.cluster.node(node).unwrap().api;
        let mut keys = license::clear_keys(node, &self.viewer, content, [kid]).unwrap();
        keys.remove(kid).unwrap_or_else(|| panic!("there is no license for {kid:?}"))
    }
}

fn document(content: &str, period: Option<u32>) -> Document {
    Document::of_tracks(content, &STREAMS.map(|(_, track)| track), period)
}

fn must_carry(file: &Path, boxes: &[Vec<u8>]) {
    let bytes = std::fs::read(file).unwrap();
    assert!(boxes.iter().all(|system| search::contains(&bytes, system)), "{} lacks a box", file.display());
}

#[test]
fn shaka_packager_and_ffmpeg_encrypt_a_key_per_track_and_licenses_of_another_node_open_them_without_the_leader()
 {
    let mut stage = Stage::set();
    let leader = stage.cluster.leader().unwrap();
    let survivors = stage.cluster.others(leader);
    let own = document("film", None).for_systems("cenc", &[WIDEVINE, PLAYREADY, COMMON]);
    let node = stage.cluster.node(leader).unwrap().api;
    let before = stage.encryptor.ask(node, Version::Speke2_0, &own).unwrap();
    stage.cluster.kill(leader).unwrap();
    let node = stage.cluster.node(survivors[0]).unwrap().api;
    let after = stage.encryptor.ask(node, Version::Speke2_0, &own).unwrap();
    assert_eq!(after, before, "the same document has another answer");

    let tracks = stage.tracks(&own, &after, &own.systems, "shaka");
    sealing::encrypt(stage.source.path(), "cenc", &tracks).unwrap();
    let [video, audio] = &tracks[..] else { panic!("two tracks") };
    for (track, other) in [(video, audio), (audio, video)] {
        must_carry(&track.output, &track.boxes);
        let key = stage.licensed(survivors[1], "film", &track.kid);
        frames::assert_opens_only_with(&track.output, track.stream, stage.source.path(), &key, &other.key);
        let by_ffmpeg =
            Track { output: stage.out(&format!("ffmpeg-{}.mp4", track.stream.name())), ..track.clone() };
        sealing::encrypt_by_ffmpeg(stage.source.path(), &by_ffmpeg).unwrap();
        frames::assert_opens_only_with(
            &by_ffmpeg.output,
            track.stream,
            stage.source.path(),
            &key,
            &other.key,
        );
    }

    // In the other scheme, for the systems that play it, under other key ids.
    let own = document("film-cbcs", None).for_systems("cbcs", &[WIDEVINE, PLAYREADY, FAIRPLAY]);
    let answered = stage.encryptor.ask(node, Version::Speke2_1, &own).unwrap();
    let tracks = stage.tracks(&own, &answered, &[WIDEVINE, PLAYREADY], "cbcs");
    sealing::encrypt(stage.source.path(), "cbcs", &tracks).unwrap();
    for (track, wrong) in tracks.iter().zip(tracks.iter().rev()) {
        must_carry(&track.output, &track.boxes);
        let key = stage.licensed(survivors[1], "film-cbcs", &track.kid);
        frames::assert_cbcs_opens_only_with(
            &track.output,
            track.stream,
            stage.source.path(),
            &key,
            &wrong.key,
        );
        let fairplay = answered.systems.iter().find(|data| data.kid == track.kid && data.system == FAIRPLAY);
        let tag = fairplay.unwrap().hls_media.as_deref().unwrap_or_default();
        assert!(tag.starts_with("#EXT-X-KEY:METHOD=SAMPLE-AES,") && tag.contains("skd://"), "{tag}");
        assert!(answered.key(&track.kid).unwrap().iv.is_some(), "FairPlay's licenses announce an IV");
    }
}

#[test]
fn each_crypto_period_has_keys_of_its_own_though_the_leader_dies_between_two_of_them() {
    let mut stage = Stage::set();
    let leader = stage.cluster.leader().unwrap();
    let survivors = stage.cluster.others(leader);
    let mut sealed: Vec<Track> = Vec::new();
    for (index, node) in [leader, leader, survivors[0], survivors[1]].into_iter().enumerate() {
        if index == 2 {
            stage.cluster.kill(leader).unwrap();
        }
        let own = document("live", Some(7_000 + index as u32));
        let node = stage.cluster.node(node).unwrap().api;
        let version = if index % 2 == 0 { Version::Speke2_0 } else { Version::Speke1 };
        let answered = stage.encryptor.ask(node, version, &own).unwrap();
        for track in stage.tracks(&own, &answered, &[WIDEVINE], &format!("period-{index}")) {
            sealing::encrypt_by_ffmpeg(stage.source.path(), &track).unwrap();
            sealed.push(track);
        }
    }
    for (number, track) in sealed.iter().enumerate() {
        // The same stream's key of the period before, or of the last one.
        let other = &sealed[(number + sealed.len() - STREAMS.len()) % sealed.len()];
        let key = stage.licensed(survivors[number % 2], "live", &track.kid);
        frames::assert_opens_only_with(&track.output, track.stream, stage.source.path(), &key, &other.key);
    }
}

#[test]
fn a_browser_plays_what_shaka_packager_encrypted_with_a_documents_keys() {
    let stage = Stage::set();
    let own = document("film", None).for_systems("cenc", &[WIDEVINE, COMMON]);
    let node = stage.cluster.addresses()[0];
    let answered = stage.encryptor.ask(node, Version::Speke2_0, &own).unwrap();
    let mut tracks = stage.tracks(&own, &answered, &[], "film");
    tracks.iter_mut().for_each(|track| track.output = stage.out(track.stream.name()));
    sealing::package_dash(stage.source.path(), stage.source.dir(), "cenc", &tracks).unwrap();
    // The signalling is the answer's own, as an encryptor puts it into its manifest.
    let elements = |stream: Stream| {
        let kid = tracks.iter().find(|track| track.stream == stream).unwrap().kid;
        let own = answered.systems.iter().filter(|data| data.kid == kid).map(|data| {
            let inner = String::from_utf8(data.content_protection.clone().unwrap()).unwrap();
            format!(
                "<ContentProtection schemeIdUri=\"urn:uuid:{}\">{inner}</ContentProtection>\n",
                data.system
            )
        });
        let whole: String = own.collect();
        format!(
            "<ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"cenc\" \
             cenc:default_KID=\"{}\"/>\n{whole}",
            guid(&kid)
        )
    };
    sealing::protect(&stage.out("manifest.mpd"), elements).unwrap();

    let data = stage.viewer.custom_data("film", &[]);
    let target = license::target(&stage.viewer, license::CLEAR_KEY, &data);
    let urls: Vec<String> =
        stage.cluster.addresses()[1..].iter().map(|node| format!("http://{node}{target}")).collect();
    let player = Player::start(stage.source.dir()).unwrap();
    player.play("manifest.mpd", &urls).unwrap();
    player.wait_for("two seconds of film", Duration::from_secs(60), |seen| seen.at_s > 2.0).unwrap();
    assert_shows_the_source(&player, stage.source.path(), "playing-spekes-frame.png");
    player.resume().unwrap();
    let seen = player.wait_for("the film's end", Duration::from_secs(60), |seen| seen.ended).unwrap();
    assert!(seen.frames > 60 && seen.error.is_none() && !seen.licensed_by.is_empty(), "{seen:?}");
}
