//! The players' recipes of the documents play as they stand there, on a page of another site, and such a page can read
//! why a viewer gets no key.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cluster_tests::media::{self, Source, Stream};
use cluster_tests::player::{Player, Program, assert_shows_the_source};
use cluster_tests::raw::percent_encode;
use cluster_tests::scrambler::Scrambler;
use cluster_tests::sealing::{self, Track};
use cluster_tests::{Cluster, Options, Signer, license};

use super::recipes::{cook, recipe};

/// What stands around a recipe on a page.
const SHAKA: &str = "const player = new shaka.Player();
    await player.attach(video);
    const told = ({ code, data }) => failed({ code, message: JSON.stringify(data) });
    player.addEventListener('error', ({ detail }) => told(detail));
    RECIPE
    await player.load(manifest).then(() => video.play(), told);";
const DASH_JS: &str = "const player = dashjs.MediaPlayer().create();
    player.initialize(video, null, true);
    player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => failed(error));
    RECIPE
    player.attachSource(manifest);";
const HLS_JS: &str = "RECIPE
    hls.on(Hls.Events.ERROR, (_, { fatal, details, response }) => {
      if (fatal) failed({ code: response?.code, message: details });
    });
    hls.loadSource(manifest);
    hls.attachMedia(video);
    await video.play();";

/// A player with its recipe, for a viewer who shows `signed`, at this node; opened before there is one.
fn page(program: Program, around: &str, name: &str, source: &Source) -> Player {
    let documented = recipe("js", name).replace("http://127.0.0.1:8081", "${node}");
    let start = format!(
        "async function start(manifest, [node, signed]) {{\n{}\n}}",
        around.replace("RECIPE", &documented)
    );
    Player::start_as(program, &start, source.dir()).unwrap()
}

/// Who asks, as the query of a license URL.
fn signed(viewer: &Signer, content: &str) -> String {
    let target = license::target(viewer, "", &viewer.custom_data(content, &[]));
    target.trim_start_matches('?').to_owned()
}

/// Packages the film for DASH and for HLS AES-128, whose keys players shall fetch at `node`.
fn package(cluster: &Cluster, source: &Source, node: SocketAddr) {
    let (signer, encoder) = (cluster.signer(), cluster.addresses()[0]);
    let key = signer.create(encoder, "film").unwrap();
    let tracks = [Stream::Video, Stream::Audio]
        .map(|stream| Track::of(stream, &key, source.dir().join(stream.name())).unwrap());
    sealing::package_dash(source.path(), source.dir(), "cenc", &tracks).unwrap();
    let scrambler = Scrambler::of(cluster).unwrap();
    cook(&scrambler, cluster, "dash");
    let elements = std::fs::read_to_string(scrambler.path("ContentProtection.xml")).unwrap();
    sealing::protect(&source.dir().join("manifest.mpd"), |_| elements.clone()).unwrap();

    let uri = percent_encode(&format!("http://{node}/hls/key/{{kid}}"));
    let key_info = format!("http://{encoder}/hls/keyinfo?{}&key_uri={uri}", signed(signer, "film"));
    media::encrypt_hls(source.path(), source.dir(), &key_info, false).unwrap();
}

#[test]
fn shaka_player_dash_js_and_hls_js_play_from_another_site_as_the_recipes_have_it() {
    let source = Source::of_seconds(6).unwrap();
    let players = [
        (Program::Shaka, SHAKA, "shaka-player", "manifest.mpd"),
        (Program::DashJs, DASH_JS, "dash.js", "manifest.mpd"),
        (Program::HlsJs, HLS_JS, "hls.js", "playlist.m3u8"),
    ]
    .map(|(program, around, name, manifest)| (page(program, around, name, &source), name, manifest));
    let origins: Vec<String> = players.iter().map(|(player, ..)| player.origin()).collect();
    let options = Options::default().env("KEYMOOT__LICENSE__ALLOWED_ORIGINS", &origins.join(","));
    let cluster = options.start().unwrap();
    let (viewer, node) = (cluster.license_signer(), cluster.addresses()[1]);
    package(&cluster, &source, node);

    for (player, name, manifest) in &players {
        let began = Instant::now();
        let node = format!("http://{node}");
        let stranger = signed(&viewer.with_key("another's"), "film");
        player.play(manifest, &[node.clone(), stranger]).unwrap();
        let stopped = player.wait_for("a refusal", Duration::from_secs(60), |seen| seen.error.is_some());
        let stopped = stopped.unwrap();
        // Across origins a page reads a status only where the server says that it may.
        let why = stopped.error.clone().unwrap_or_default();
        assert!(stopped.frames == 0 && why.contains("401"), "{name}: {stopped:?}");

        println!("{name} was refused after {:?}", began.elapsed());
        player.reopen().unwrap();
        player.play(manifest, &[node, signed(&viewer, "film")]).unwrap();
        let three_seconds =
            player.wait_for("half of the film", Duration::from_secs(60), |seen| seen.at_s > 3.0);
        three_seconds.unwrap_or_else(|error| panic!("{name}: {error}"));
        println!("{name} plays after {:?}", began.elapsed());
        assert_shows_the_source(player, source.path(), &format!("playing-{name}.png"));
        player.resume().unwrap();
        let seen = player.wait_for("the film's end", Duration::from_secs(60), |seen| seen.ended).unwrap();
        println!("{name} is through after {:?}", began.elapsed());
        assert!(seen.frames > 75 && seen.error.is_none(), "{name}: {seen:?}");
    }
}
