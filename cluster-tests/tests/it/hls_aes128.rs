//! FFmpeg encrypts HLS AES-128 with keys of the cluster, another FFmpeg fetches them and plays, and
//! nobody gets a key by HLS who may not have it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::audit::{Follower, Told};
use cluster_tests::media::{self, Stream};
use cluster_tests::raw::{self, Answer, percent_encode, request};
use cluster_tests::{Cluster, Options, Signer, binary, search, secret_file, signed as hexed};

/// Custom data and signature as a query.
fn signed(signer: &Signer, content: &str) -> String {
    let data = signer.custom_data(content, &[]);
    let (text, signature) = (STANDARD.encode(&data), signer.signature(&data));
    format!("custom_data={}&signature={}", percent_encode(&text), percent_encode(&signature))
}

fn get(node: SocketAddr, target: &str) -> Answer {
    let ranged = [("Range", "bytes=0-")];
    raw::exchange(node, &request("GET", target, &ranged, &[]), raw::ANSWER_WITHIN).unwrap()
}

fn key_info_target(signer: &Signer, content: &str, more: &str) -> String {
    format!("/hls/keyinfo?{}{more}", signed(signer, content))
}

/// The three lines of key-info.
fn key_info(node: SocketAddr, signer: &Signer, content: &str, more: &str) -> [String; 3] {
    let answer = get(node, &key_info_target(signer, content, more));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = String::from_utf8(answer.body).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.try_into().unwrap()
}

/// The target of a URL on some node.
fn target_of(url: &str) -> String {
    let behind = url.strip_prefix("http://").unwrap();
    behind[behind.find('/').unwrap()..].to_owned()
}

struct Stage {
    dir: tempfile::TempDir,
    source: PathBuf,
}

impl Stage {
    fn new(seconds: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source.mp4");
        media::make_source(&source, seconds).unwrap();
        Self { dir, source }
    }

    /// Encrypts with keys of `encoder`'s node for players that ask at `player`'s.
    fn encrypt(&self, cluster: &Cluster, encoder: u64, player: u64, period_s: Option<u32>) -> PathBuf {
        let [encoder, player] = [encoder, player].map(|id| cluster.node(id).unwrap().api);
        let name = if period_s.is_some() { "live" } else { "film" };
        let uri = format!("http://{player}/hls/key/{{kid}}?{}", signed(&cluster.license_signer(), name));
        let mut more = format!("&key_uri={}", percent_encode(&uri));
        if let Some(seconds) = period_s {
            more.push_str(&format!("&crypto_period_seconds={seconds}"));
        }
        let url = format!("http://{encoder}{}", key_info_target(cluster.signer(), name, &more));
        let dir = self.dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        media::encrypt_hls(&self.source, &dir, &url, period_s.is_some()).unwrap();
        dir.join("playlist.m3u8")
    }

    fn must_play(&self, playlist: &Path) {
        let shown = media::decoded(&self.source, Stream::Video, None).unwrap();
        assert!(shown.len() >= 100, "the source has only {} pictures", shown.len());
        assert_eq!(media::played(playlist).unwrap(), shown, "{}", playlist.display());
    }
}

/// The values of an attribute of EXT-X-KEY in a playlist.
fn attributes(playlist: &Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(playlist).unwrap();
    let keys = text.lines().filter(|line| line.starts_with("#EXT-X-KEY:METHOD=AES-128,"));
    let value = |line: &str| {
        let behind = line.split_once(&format!("{name}=")).unwrap().1;
        behind.trim_start_matches('"').split(['"', ',']).next().unwrap().to_owned()
    };
    keys.map(value).collect()
}

/// The same playlist with another text in place of one.
fn altered(playlist: &Path, from: &str, to: &str) -> PathBuf {
    let text = std::fs::read_to_string(playlist).unwrap();
    assert!(text.contains(from));
    let path = playlist.with_file_name("altered.m3u8");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    path
}

#[test]
fn one_key_and_rotating_keys_play_from_another_node_though_the_leader_dies_in_between() {
    let stage = Stage::new(6);
    let mut cluster = Cluster::start().unwrap();
    let leader = cluster.leader().unwrap();
    let survivors = cluster.others(leader);
    let film = stage.encrypt(&cluster, leader, survivors[0], None);
    let live = stage.encrypt(&cluster, survivors[1], survivors[0], Some(2));
    cluster.kill(leader).unwrap();

    stage.must_play(&film);
    stage.must_play(&live);
    let distinct = |values: Vec<String>| values.into_iter().collect::<BTreeSet<_>>().len();
    assert_eq!(distinct(attributes(&film, "URI")), 1);
    assert!(distinct(attributes(&live, "URI")) >= 3, "{:?}", attributes(&live, "URI"));
    assert!(distinct(attributes(&live, "IV")) >= 5, "each segment has an IV of its own");

    for playlist in [&film, &live] {
        assert!(media::played(&altered(playlist, "custom_data=", "custom=")).is_err(), "unsigned");
        assert!(media::played(&altered(playlist, "METHOD=AES-128", "METHOD=NONE")).is_err(), "not encrypted");
    }
}

#[test]
fn nobody_gets_a_key_by_hls_without_a_token_or_a_signature_for_it() {
    let cluster = Cluster::start().unwrap();
    let (signer, players, nodes) = (cluster.signer(), cluster.license_signer(), cluster.addresses());
    let [uri, source, iv] = key_info(nodes[0], signer, "film", "");
    assert_eq!(iv.len(), 32);
    let (token_target, kid_target) = (target_of(&source), target_of(&uri));
    assert!(source.starts_with("http://keymoot/hls/key/"), "{source}");

    let key = get(nodes[1], &token_target);
    assert_eq!((key.status, key.body.len()), (200, 16), "a token is good on any node: {}", key.text());
    assert_eq!(key.header("cache-control"), Some("no-store"));
    let played = get(nodes[2], &format!("{kid_target}?{}", signed(&players, "film")));
    assert_eq!((played.status, &played.body), (200, &key.body));
    let again = key_info(nodes[1], signer, "film", "");
    assert_eq!((&target_of(&again[0]), again[2] == iv), (&kid_target, false), "one key, and a new iv");
    let udrm = signer.send(nodes[1], "GET", "/hls/encryption", &signer.custom_data("film", &[])).unwrap();
    let udrm = cluster_tests::KeyAnswer::from_answer(&udrm).unwrap().bytes().unwrap();
    assert_eq!(udrm.0.as_slice(), key.body.as_slice(), "uDRM's provider hls hands out the same key");

    // What a DRM system protects is another key, and no player gets it here.
    let protected = signer.create(nodes[0], "film").unwrap().bytes().unwrap();
    assert_ne!(protected.0.as_slice(), key.body.as_slice());
    let protected = format!("/hls/key/{}", hexed::hex(&protected.1));

    // Nor can a DRM system's side reach the track whose keys players get.
    let data = signer.custom_data("film", &[("track", "HLS-AES-128")]);
    for path in ["/cenc/widevine/encryption", "/cenc/widevine/schedule"] {
        assert_eq!(signer.send(nodes[0], "POST", path, &data).unwrap().status, 400, "{path}");
    }

    let other = target_of(&key_info(nodes[0], signer, "other", "")[1]);
    let token = |target: &str| target.split_once('?').unwrap().1.to_owned();
    let license = |content: &str| signed(&players, content);
    let minute = "&crypto_period_seconds=60";
    for (what, target, status) in [
        ("key-info unsigned", "/hls/keyinfo?x=1".to_owned(), 400),
        ("key-info with a player's signature", format!("/hls/keyinfo?{}", license("film")), 401),
        ("key-info with another's signature", key_info_target(&signer.with_key("wrong"), "film", ""), 401),
        ("key-info of no period", key_info_target(signer, "film", "&crypto_period_seconds=0"), 400),
        ("one URI for many keys", key_info_target(signer, "film", &format!("{minute}&key_uri=a")), 400),
        ("a URI that ends its line", key_info_target(signer, "film", "&key_uri=a%0Ab"), 400),
        ("a key unsigned", kid_target.clone(), 401),
        ("a key with a scrambler's signature", format!("{kid_target}?{}", signed(signer, "film")), 401),
        (
            "a key with a wrong signature",
            format!("{kid_target}?{}", signed(&players.with_key("x"), "film")),
            401,
        ),
        ("another content's key", format!("{kid_target}?{}", license("other")), 404),
        ("a key that is not there", format!("/hls/key/{}?{}", "0".repeat(32), license("film")), 404),
        ("a DRM system's key", format!("{protected}?{}", license("film")), 404),
        ("another key's token", format!("{kid_target}?{}", token(&other)), 401),
        ("a token that was cut", token_target[..token_target.len() - 2].to_owned(), 401),
        ("a token for a DRM system's key", format!("{protected}?{}", token(&token_target)), 401),
        ("no key id", format!("/hls/key/film?{}", license("film")), 400),
    ] {
        let refused = get(nodes[1], &target);
        assert_eq!(refused.status, status, "{what}: {}", refused.text());
        assert!(refused.text().contains("\"reference\":"), "{what}: {}", refused.text());
    }
}

/// What is answered to HEAD, with all that is sent behind its headers.
fn head(node: SocketAddr, target: &str) -> Answer {
    let closing = [("Connection", "close")];
    raw::exchange_streamed(node, &request("HEAD", target, &closing, &[]), raw::ANSWER_WITHIN).unwrap()
}

#[test]
fn the_head_of_a_key_is_judged_and_audited_like_the_key_and_holds_none() {
    let cluster = Cluster::start().unwrap();
    let (signer, players, node) = (cluster.signer(), cluster.license_signer(), cluster.addresses()[1]);
    let [uri, source, _] = key_info(node, signer, "film", "");
    key_info(node, signer, "other", "");
    let (kid_target, token_target) = (target_of(&uri), target_of(&source));
    let kid = kid_target.rsplit('/').next().unwrap().replace('-', "");
    let kid = STANDARD.encode(base16ct::lower::decode_vec(&kid).unwrap());
    let data = players.custom_data("film", &[("method", "GET")]);
    let (text, signature) = (STANDARD.encode(&data), players.signature(&data));
    let bound = format!("custom_data={}&signature={}", percent_encode(&text), percent_encode(&signature));
    let by = |query: &str| format!("{kid_target}?{query}");
    let mut follower = Follower::new(cluster.nodes()[1].config()).unwrap();
    for (what, target, action) in [
        ("a token", token_target, "key.read"),
        ("a signature", by(&signed(&players, "film")), "key.play"),
        ("a signature for GET", by(&bound), "key.play"),
    ] {
        let (head, get) = (head(node, &target), get(node, &target));
        assert_eq!((head.status, get.status), (200, 200), "{what}");
        assert!(head.body.is_empty(), "{what}: {} bytes came behind the head", head.body.len());
        for name in ["content-length", "content-type", "cache-control", "access-control-allow-origin"] {
            assert_eq!(head.header(name), get.header(name), "{what}: {name}");
        }
        let told = follower.fresh().unwrap();
        let done = told.iter().filter(|told| told.text("outcome") == "done" && told.text("action") == action);
        assert_eq!(done.filter(|told| told.kids() == [kid.as_str()]).count(), 2, "{what}: {told:?}");
    }
    for (what, target, status) in [
        ("unsigned", kid_target.clone(), 401),
        ("a scrambler's signature", by(&signed(signer, "film")), 401),
        ("another content's signature", by(&signed(&players, "other")), 404),
        ("key-info, which makes keys", key_info_target(signer, "film", ""), 400),
    ] {
        assert_eq!(head(node, &target).status, status, "{what}");
    }
    let refused = |told: &&Told| told.text("outcome") == "refused" && told.text("action") == "key.play";
    assert_eq!(
        follower.fresh().unwrap().iter().filter(refused).count(),
        2,
        "the refused heads are told, too"
    );
}

#[test]
fn a_page_of_another_site_asks_first_fetches_a_key_and_reads_why_it_gets_none() {
    let cluster =
        Options::default().env("KEYMOOT__LICENSE__ALLOWED_ORIGINS", "https://own.example").start().unwrap();
    let (players, node) = (cluster.license_signer(), cluster.addresses()[1]);
    let [uri, ..] = key_info(node, cluster.signer(), "film", "");
    let target = target_of(&uri);
    let ask = |method: &str, target: &str, origin: &str| {
        let headers = [("Origin", origin), ("Access-Control-Request-Headers", "range")];
        raw::exchange(node, &request(method, target, &headers, &[]), raw::ANSWER_WITHIN).unwrap()
    };
    let signed = format!("{target}?{}", signed(&players, "film"));
    for (method, target, status) in [("OPTIONS", &target, 200), ("GET", &signed, 200), ("GET", &target, 401)]
    {
        let answer = ask(method, target, "https://own.example");
        assert_eq!(answer.status, status, "{method}: {}", answer.text());
        let header = |name| answer.header(name);
        assert_eq!(header("access-control-allow-origin"), Some("https://own.example"), "{method} {status}");
        assert_eq!(header("access-control-allow-credentials"), Some("true"), "{method} {status}");
        assert_eq!(header("www-authenticate"), None, "a browser would ask the viewer for a password");
        let foreign = ask(method, target, "https://other.example");
        assert_eq!(foreign.header("access-control-allow-origin"), None, "{method} {status}");
    }
    let preflight = ask("OPTIONS", &target, "https://own.example");
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("range"));
    assert_eq!(ask("OPTIONS", "/hls/keyinfo", "https://own.example").status, 400, "encoders ask no leave");
}

#[test]
fn a_player_that_nobody_entitles_gets_no_key() {
    let cluster = Options::default().env("KEYMOOT__LICENSE__ENTITLEMENTS_FILE", "").start().unwrap();
    let nodes = cluster.addresses();
    let [uri, source, _] = key_info(nodes[0], cluster.signer(), "film", "");
    assert_eq!(get(nodes[1], &target_of(&source)).status, 200, "an encoder needs no entitlement");
    let refused =
        get(nodes[1], &format!("{}?{}", target_of(&uri), signed(&cluster.license_signer(), "film")));
    assert_eq!(refused.status, 401, "{}", refused.text());
}

#[test]
fn keymoot_scramble_makes_a_playlist_that_plays_and_leaves_the_key_nowhere() {
    let stage = Stage::new(8);
    let cluster = Cluster::start().unwrap();
    let key_file = stage.dir.path().join("signing.key");
    secret_file::write(&key_file, cluster.signer().signing_key()).unwrap();
    let nodes = cluster.addresses();
    let uri = format!("http://{}/hls/key/{{kid}}?{}", nodes[1], signed(&cluster.license_signer(), "film"));
    let run = |out: &Path, more: &[&str]| {
        let mut command = std::process::Command::new(binary::keymoot().unwrap());
        command.arg("scramble").arg(&stage.source).arg(out).args(["--content", "film"]).args(more);
        command.args([
            "--server",
            &format!("http://{}", nodes[0]),
            "--account",
            &cluster.signer().account_id,
        ]);
        command.arg("--key-file").arg(&key_file);
        command.output().unwrap()
    };
    // FFmpeg would take the name for a pattern.
    let out = stage.dir.path().join("50 %d");
    let made = run(&out, &["--tool", "hls", "--key-uri", &uri]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let playlist = out.join("playlist.m3u8");
    stage.must_play(&playlist);
    let kid =
        attributes(&playlist, "URI")[0].split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    let printed = String::from_utf8(made.stdout).unwrap();
    assert!(printed.contains(&kid) && printed.contains("playlist.m3u8"), "{printed}");

    let key = get(nodes[2], &target_of(&attributes(&playlist, "URI")[0])).body;
    assert_eq!(key.len(), 16);
    let texts = [key.clone(), hexed::hex(&key).into_bytes(), STANDARD.encode(&key).into_bytes()];
    for path in search::files_under(stage.dir.path()).unwrap() {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!texts.iter().any(|text| search::contains(&bytes, text)), "{} holds the key", path.display());
    }

    for (what, more, says) in [
        ("no URI", &["--tool", "hls"][..], "--key-uri"),
        ("a URI for another tool", &["--key-uri", &uri], "--key-uri goes with --tool hls"),
        ("a URI that is none", &["--tool", "hls", "--key-uri", "a b"], "visible ASCII"),
    ] {
        let refused = run(&stage.dir.path().join("none"), more);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(64), "{what}: {said}");
        assert!(said.contains(says), "{what}: {said}");
    }
}
