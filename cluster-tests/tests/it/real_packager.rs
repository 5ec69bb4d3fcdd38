//! A real packager encrypts a real video with keys from the cluster, across the loss of the leader.

use std::path::PathBuf;

use cluster_tests::media::{self, Stream};
use cluster_tests::sealing::{self, Track};
use cluster_tests::signed::{KeyAnswer, SystemData};
use cluster_tests::{Cluster, frames, search};
use tempfile::TempDir;

/// A source and the places of its encrypted streams.
struct Film {
    _dir: TempDir,
    source: PathBuf,
    video: PathBuf,
    audio: PathBuf,
}

fn film() -> Film {
    let dir = tempfile::tempdir().unwrap();
    let [source, video, audio] = ["source.mp4", "video.mp4", "audio.mp4"].map(|name| dir.path().join(name));
    media::make_source(&source, 4).unwrap();
    Film { _dir: dir, source, video, audio }
}

impl Film {
    fn encrypt(&self, video: &KeyAnswer, audio: &KeyAnswer) {
        let tracks = [
            Track::of(Stream::Video, video, self.video.clone()).unwrap(),
            Track::of(Stream::Audio, audio, self.audio.clone()).unwrap(),
        ];
        sealing::encrypt(&self.source, "cenc", &tracks).unwrap();
    }

    /// Each stream decrypts to the source with its own key, frame by frame, and with no other.
    fn must_open_only_with(&self, video: &KeyAnswer, audio: &KeyAnswer) {
        let (video_key, audio_key) = (video.bytes().unwrap().0, audio.bytes().unwrap().0);
        for (stream, path, right, wrong) in [
            (Stream::Video, &self.video, &video_key, &audio_key),
            (Stream::Audio, &self.audio, &audio_key, &video_key),
        ] {
            frames::assert_opens_only_with(path, stream, &self.source, right, wrong);
        }
        let shown = media::decoded(&self.video, Stream::Video, Some(&video_key)).unwrap();
        frames::assert_alike(&shown, &media::decoded(&self.source, Stream::Video, None).unwrap());
    }

    fn must_carry(&self, key: &KeyAnswer) {
        let boxes = key.pssh_boxes().unwrap();
        assert!(!boxes.is_empty(), "the answer holds no pssh");
        for path in [&self.video, &self.audio] {
            let bytes = std::fs::read(path).unwrap();
            for system in &boxes {
                assert!(search::contains(&bytes, system), "{} lacks a pssh box", path.display());
            }
        }
    }
}

#[test]
fn what_the_packager_encrypts_opens_with_its_own_key_only() {
    let system =
        |data: &str| SystemData { uuid: "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed".into(), data: data.into() };
    let key = |key: &str, key_id: &str, data: &str| KeyAnswer {
        key: key.into(),
        key_id: key_id.into(),
        content_id: "made-up".into(),
        pssh: vec![system(data)],
    };
    let video = key("AAECAwQFBgcICQoLDA0ODw==", "EREREREREREREREREREREQ==", "dmlkZW8=");
    let audio = key("oKGio6SlpqeoqaqrrK2urw==", "IiIiIiIiIiIiIiIiIiIiIg==", "YXVkaW8=");
    let film = film();
    film.encrypt(&video, &audio);
    film.must_open_only_with(&video, &audio);
    film.must_carry(&video);
    film.must_carry(&audio);
}

#[test]
fn keys_from_different_nodes_encrypt_a_film_though_the_leader_dies_in_between() {
    let film = film();
    let mut cluster = Cluster::start().unwrap();
    let signer = cluster.signer().clone();
    let leader = cluster.leader().unwrap();
    let api = |cluster: &Cluster, id: u64| cluster.node(id).unwrap().api;

    let video = signer.create(api(&cluster, leader), "film-video.mp4").unwrap();
    cluster.kill(leader).unwrap();
    let survivors = cluster.others(leader);
    let audio = signer.create(api(&cluster, survivors[0]), "film-audio.mp4").unwrap();
    let video_again = signer.create(api(&cluster, survivors[1]), "film-video.mp4").unwrap();

    assert_eq!(video_again, video, "the key given before the kill is the key given after it");
    assert_ne!(video.key, audio.key);
    film.encrypt(&video, &audio);
    film.must_open_only_with(&video, &audio);
    film.must_carry(&video);
    film.must_carry(&audio);
}
