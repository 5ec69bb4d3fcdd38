//! A real player plays what a real packager encrypted, with licenses of the cluster, and only as long
//! as its viewer is entitled; a node that dies does not stop it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster_tests::license::{CLEAR_KEY, target};
use cluster_tests::media::{self, KeyServer};
use cluster_tests::player::{Playback, Player, assert_shows_the_source};
use cluster_tests::web::{Served, WebServer};
use cluster_tests::widevine::{self, ACCOUNT, AES_IV, AES_KEY};
use cluster_tests::{Cluster, Options, RigError, Signer, metrics, search, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

const TOKEN: &str = "the-viewers-own-token";
/// The packager lets a player know the keys of ten periods at once, so that only short periods make
/// it ask again while it plays.
const PERIOD_S: u32 = 1;

/// A CAS that says yes until it is told not to.
struct Cas {
    server: WebServer,
    allows: Arc<AtomicBool>,
    /// How often it said yes.
    allowed: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Cas {
    fn start() -> Self {
        let (allows, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(Vec::new())));
        let allowed = Arc::new(AtomicUsize::new(0));
        let (says, counts, hears) = (allows.clone(), allowed.clone(), asked.clone());
        let server = WebServer::start(move |question| {
            hears.lock().unwrap().push(serde_json::from_slice(&question.body).unwrap());
            let allow = says.load(Ordering::SeqCst);
            counts.fetch_add(usize::from(allow), Ordering::SeqCst);
            Served::ok("application/json", json!({"allow": allow}).to_string())
        });
        Self { server: server.unwrap(), allows, allowed, asked }
    }

    fn revoke(&self) {
        self.allows.store(false, Ordering::SeqCst);
    }
}

/// A cluster whose entitlements are the CAS's to decide, and a film encrypted with its keys.
struct Stage {
    cluster: Cluster,
    cas: Cas,
    dir: TempDir,
}

impl Stage {
    fn set(content: &str, seconds: u32, period_s: Option<u32>) -> Self {
        let (dir, cas) = (tempfile::tempdir().unwrap(), Cas::start());
        let entitlements = dir.path().join("entitlements.toml");
        let entry = format!(
            "[[entitlement]]\naccount = \"{ACCOUNT}\"\nadapter = \"http\"\nurl = \"{}\"\ncache_s = 0\n",
            cas.server.url("/cas")
        );
        std::fs::write(&entitlements, entry).unwrap();
        let cluster = Options::default()
            .env("KEYMOOT__LICENSE__ENTITLEMENTS_FILE", &entitlements.display().to_string())
            .env("KEYMOOT__LICENSE__CLEAR_KEY_ACCOUNTS", ACCOUNT)
            .start()
            .unwrap();
        widevine::add_account(&cluster).unwrap();
        media::make_source(&dir.path().join("source.mp4"), seconds).unwrap();
        let url = format!("http://{}{}", cluster.addresses()[0], widevine::path(ACCOUNT));
        let server =
            KeyServer { url: &url, signer: [ACCOUNT, AES_KEY, AES_IV], content, scheme: "cenc", period_s };
        media::package_dash(&dir.path().join("source.mp4"), dir.path(), server).unwrap();
        Self { cluster, cas, dir }
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source.mp4")
    }

    /// Where the viewer asks for licenses, each node in turn.
    fn license_urls(&self, content: &str) -> Vec<String> {
        let license = self.cluster.license_signer();
        let signer = Signer::new(ACCOUNT, "OVP", license.signing_key());
        let data = signer.custom_data(content, &[("user_token", TOKEN), ("udid", "device-1")]);
        let of = |node: SocketAddr| format!("http://{node}{}", target(&signer, CLEAR_KEY, &data));
        self.cluster.addresses().into_iter().map(of).collect()
    }

    fn play(&self, content: &str) -> Player {
        let player = Player::start(self.dir.path()).unwrap();
        player.play("manifest.mpd", &self.license_urls(content)).unwrap();
        player
    }

    fn must_not_have_logged_the_token(&self) {
        for file in self.cluster.log_files().unwrap() {
            let bytes = std::fs::read(&file).unwrap();
            assert!(
                !search::contains(&bytes, TOKEN.as_bytes()),
                "{} holds the viewer's token",
                file.display()
            );
        }
    }
}

#[test]
fn a_film_with_a_key_per_track_plays_and_shows_the_sources_own_picture() {
    let stage = Stage::set("film", 8, None);
    let player = stage.play("film");
    player.wait_for("three seconds of film", Duration::from_secs(60), |seen| seen.at_s > 3.0).unwrap();
    assert_shows_the_source(&player, &stage.source(), "playing-frame.png");

    player.resume().unwrap();
    let seen = player.wait_for("the film's end", Duration::from_secs(60), |seen| seen.ended).unwrap();
    assert!(seen.frames > 100 && seen.error.is_none(), "{seen:?}");
    let asked = stage.cas.asked.lock().unwrap().clone();
    assert!(!asked.is_empty() && asked.iter().all(|question| question["user_token"] == TOKEN), "{asked:?}");
    stage.must_not_have_logged_the_token();
}

#[test]
fn a_rotating_stream_plays_on_though_the_node_that_gave_the_licenses_dies() {
    let mut stage = Stage::set("live", 15, Some(PERIOD_S));
    let player = stage.play("live");
    let seen = player.wait_for("two seconds", Duration::from_secs(60), |seen| seen.at_s > 2.0).unwrap();
    let first = stage.cluster.nodes()[0].clone();
    assert!(!seen.licensed_by.is_empty(), "{seen:?}");
    assert!(seen.licensed_by.iter().all(|host| *host == first.api.to_string()), "{seen:?}");

    let before = seen.licensed_by.len();
    stage.cluster.kill(first.id).unwrap();
    let seen = player.wait_for("the stream's end", Duration::from_secs(120), |seen| seen.ended).unwrap();
    assert!(seen.error.is_none(), "{seen:?}");
    let later = &seen.licensed_by[before..];
    let second = stage.cluster.nodes()[1].api.to_string();
    assert!(!later.is_empty() && later.iter().all(|host| *host == second), "{seen:?}");
    stage.must_not_have_logged_the_token();
}

#[test]
fn a_viewer_whose_entitlement_is_revoked_sees_no_further_crypto_period() {
    let stage = Stage::set("live", 20, Some(PERIOD_S));
    let player = stage.play("live");
    player.wait_for("the first frames", Duration::from_secs(60), |seen| seen.at_s > 0.5).unwrap();
    stage.cas.revoke();
    // The player was told the keys of ten periods; some players go on asking, some give up.
    let over = |seen: &Playback| seen.at_s > 9.5 || seen.error.is_some();
    player.wait_for("the last licensed period", Duration::from_secs(60), over).unwrap();
    let seen = player.wait_for_standstill(2 * Duration::from_secs(PERIOD_S.into())).unwrap();
    assert!(!seen.ended && seen.at_s < 11.0, "it played on: {seen:?}");
    // It may have said yes to one that was under way when it was revoked, and to none since.
    let allowed = stage.cas.allowed.load(Ordering::SeqCst);
    assert!(seen.licensed_by.len() <= allowed, "more licenses than were allowed: {seen:?}");
    assert!(refusals(&stage.cluster) > 0.0, "nobody was refused");
    drop(player);

    let refused = refusals(&stage.cluster);
    let newcomer = stage.play("live");
    wait::wait_until("a refusal", Duration::from_secs(60), || {
        newcomer.playback()?;
        if refusals(&stage.cluster) > refused { Ok(()) } else { Err(RigError::Answer("none yet".to_owned())) }
    })
    .unwrap();
    let gives_up = |seen: &Playback| seen.error.is_some();
    let seen = newcomer.wait_for("the player to give up", Duration::from_secs(60), gives_up).unwrap();
    assert!(seen.frames == 0 && seen.licensed_by.is_empty(), "{seen:?}");
}

/// How many viewers all nodes have refused.
fn refusals(cluster: &Cluster) -> f64 {
    let sample = "keymoot_entitlements_total{adapter=\"http\",outcome=\"refused\"}";
    cluster.addresses().into_iter().map(|node| metrics::sample(node, sample).unwrap_or(0.0)).sum()
}
