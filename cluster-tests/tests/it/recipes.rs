//! The recipes of the documents do what they say, as they stand there.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::media::{self, Stream};
use cluster_tests::scrambler::Scrambler;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, KeyAnswer, Options, RigError, binary, frames, raw, sealing, search, tool};
use serde_json::Value;

const RECIPES: &str = include_str!("../../../docs/recipes.md");
const MEDIACONVERT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/recipes_mediaconvert.py");
const WIDEVINE: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";

/// The lines of the block of this name.
pub(super) fn recipe(language: &str, name: &str) -> String {
    let begin = format!("```{language} recipe={name}\n");
    let (_, behind) = RECIPES.split_once(&begin).unwrap_or_else(|| panic!("there is no recipe {name}"));
    behind.split_once("\n```").unwrap().0.to_owned()
}

/// Runs a recipe in the scrambler's directory, which has the programs that it names in the search path.
pub(super) fn cook(scrambler: &Scrambler, cluster: &Cluster, name: &str) {
    let dir = scrambler.dir();
    let bin = dir.join("bin");
    if !bin.exists() {
        std::fs::create_dir(&bin).unwrap();
        symlink(binary::keymoot().unwrap(), bin.join("keymoot")).unwrap();
        symlink(media::packager().unwrap(), bin.join("packager")).unwrap();
        for program in sealing::bento4() {
            symlink(&program, bin.join(program.file_name().unwrap())).unwrap();
        }
        if let Some(program) = mp4box() {
            symlink(program, bin.join("MP4Box")).unwrap();
        }
        // It cannot be had: what it would be told is kept.
        let mp4split = bin.join("mp4split");
        std::fs::write(&mp4split, "#!/bin/sh\nprintf '%s\\n' \"$@\" > mp4split.arguments\n").unwrap();
        std::fs::set_permissions(&mp4split, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let servers: Vec<String> = cluster.addresses().iter().map(|node| format!("http://{node}")).collect();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &recipe("sh", name)]).current_dir(dir).env("PATH", path);
    command.env("KEYMOOT_SERVERS", servers.join(",")).env("KEYMOOT_ACCOUNT", &scrambler.account);
    let made = command.env("KEYMOOT_SIGNING_KEY_FILE", dir.join("signing.key")).output().unwrap();
    assert!(made.status.success(), "{name}: {}", String::from_utf8_lossy(&made.stderr));
}

fn key(scrambler: &Scrambler, more: &[&str]) -> Value {
    let arguments = [&["key", "get", "film", "--output", "json"], more].concat();
    serde_json::from_str(&scrambler.run(&arguments).unwrap().succeeded().unwrap()).unwrap()
}

/// GPAC's program, if there is one.
fn mp4box() -> Option<PathBuf> {
    std::env::var_os("MP4BOX").map(PathBuf::from)
}

fn key_bytes(key: &Value) -> [u8; 16] {
    base16ct::lower::decode_vec(key["key"].as_str().unwrap()).unwrap().try_into().unwrap()
}

#[test]
fn ffmpeg_and_shaka_packager_encrypt_as_the_recipes_have_it() {
    let cluster = Cluster::start().unwrap();
    let scrambler = Scrambler::of(&cluster).unwrap();
    let source = scrambler.path("film.mp4");
    media::make_source(&source, 4).unwrap();
    let read = |name: &str| std::fs::read_to_string(scrambler.path(name)).unwrap();
    for (name, sealed) in [("ffmpeg", "sealed.mp4"), ("ffmpeg-alone", "sealed.mp4")] {
        cook(&scrambler, &cluster, name);
        let (own, file) = (key(&scrambler, &[]), scrambler.path(sealed));
        for stream in [Stream::Video, Stream::Audio] {
            frames::assert_opens_only_with(&file, stream, &source, &key_bytes(&own), &[7; 16]);
        }
        assert!(read("ContentProtection.xml").contains(own["kid"].as_str().unwrap()), "{name}");
        std::fs::remove_file(file).unwrap();
    }

    cook(&scrambler, &cluster, "shaka");
    for (stream, track, name, playlist) in [
        (Stream::Video, "HD", "out/video-0.mp4", "video-keys.m3u8"),
        (Stream::Audio, "AUDIO", "out/audio-1.mp4", "audio-keys.m3u8"),
    ] {
        let own = key(&scrambler, &["--track", track, "--scheme", "cbcs"]);
        frames::assert_cbcs_opens_only_with(
            &scrambler.path(name),
            stream,
            &source,
            &key_bytes(&own),
            &[7; 16],
        );
        assert!(read(playlist).contains(&format!("skd://{}", own["kid"].as_str().unwrap())), "{track}");
    }
}

#[test]
fn bento4_encrypts_as_the_recipe_has_it_and_another_program_decrypts() {
    if sealing::bento4().is_empty() {
        println!("NOT RUN: there are no programs of Bento4 for this machine");
        return;
    }
    let cluster = Cluster::start().unwrap();
    let scrambler = Scrambler::of(&cluster).unwrap();
    let (source, sealed) = (scrambler.path("film.mp4"), scrambler.path("sealed.mp4"));
    media::make_source(&source, 4).unwrap();
    cook(&scrambler, &cluster, "bento4");
    let own = key(&scrambler, &[]);
    let kid = own["kid"].as_str().unwrap().replace('-', "");
    let data = |system: &Value| STANDARD.decode(system["data"].as_str().unwrap()).unwrap();
    let file = std::fs::read(&sealed).unwrap();
    assert!(
        own["pssh"].as_array().unwrap().iter().all(|system| search::contains(&file, &data(system))),
        "pssh"
    );

    let opened = |key: &[u8; 16]| {
        sealing::decrypt(&sealed, scrambler.dir(), &kid, key).unwrap();
        [Stream::Video, Stream::Audio].map(|stream| {
            let path = scrambler.path(&format!("opened-{}.mp4", stream.name()));
            media::frames(&path, stream, None).unwrap_or_default()
        })
    };
    let clear = [Stream::Video, Stream::Audio].map(|stream| media::frames(&source, stream, None).unwrap());
    for (opened, clear) in opened(&key_bytes(&own)).iter().zip(&clear) {
        frames::assert_alike(opened, clear);
    }
    for (opened, clear) in opened(&[7; 16]).iter().zip(&clear) {
        assert!(!opened.iter().any(|frame| clear.contains(frame)), "it opens with any key");
    }
}

#[test]
fn what_gpac_mp4split_and_mediaconvert_are_told_holds_the_key() {
    let cluster = Cluster::start().unwrap();
    let scrambler = Scrambler::of(&cluster).unwrap();
    let read = |name: &str| std::fs::read_to_string(scrambler.path(name)).unwrap();

    cook(&scrambler, &cluster, "gpac");
    let drm = read("drm.xml");
    let own = key(&scrambler, &["--scheme", "cbcs"]);
    for member in ["key", "iv"] {
        assert!(drm.contains(&format!("0x{}", own[member].as_str().unwrap())), "{member}: {drm}");
    }
    if mp4box().is_some() {
        let (source, sealed) = (scrambler.path("film.mp4"), scrambler.path("sealed.mp4"));
        media::make_source(&source, 4).unwrap();
        cook(&scrambler, &cluster, "mp4box");
        frames::assert_cbcs_opens_only_with(&sealed, Stream::Video, &source, &key_bytes(&own), &[7; 16]);
    } else {
        println!("NOT RUN: GPAC's program, because MP4BOX names none");
    }

    cook(&scrambler, &cluster, "unified");
    let own = key(&scrambler, &[]);
    let pair = format!("{}:{}", own["kid"].as_str().unwrap().replace('-', ""), own["key"].as_str().unwrap());
    let widevine = own["pssh"].as_array().unwrap().iter().find(|system| system["uuid"] == WIDEVINE).unwrap();
    let told = read("mp4split.arguments");
    for argument in [
        format!("--iss.key={pair}"),
        format!("--widevine.key={pair}"),
        format!("--widevine.drm_specific_data={}", widevine["data"].as_str().unwrap()),
    ] {
        assert!(told.lines().any(|line| line == argument), "{argument} is not in {told}");
    }

    cook(&scrambler, &cluster, "mediaconvert");
    let settings: Value = serde_json::from_str(&read("HlsEncryptionSettings.json")).unwrap();
    let own = key(&scrambler, &["--provider", "hls"]);
    assert_eq!(settings["StaticKeyProvider"]["StaticKeyValue"], own["key"]);
    let url = settings["StaticKeyProvider"]["Url"].as_str().unwrap();
    assert!(url.contains("/hls/key/") && url.ends_with(own["kid"].as_str().unwrap()), "{url}");
    let file = scrambler.path("HlsEncryptionSettings.json");
    let path = file.to_str().unwrap();
    let arguments = [MEDIACONVERT, "HlsEncryptionSettings", path];
    tool::python(&arguments).unwrap();
    std::fs::write(&file, recipe("json", "mediaconvert-speke")).unwrap();
    tool::python(&[MEDIACONVERT, "CmafEncryptionSettings", path]).unwrap();
    std::fs::write(&file, settings.to_string().replace("AES128", "AES256")).unwrap();
    assert!(tool::python(&arguments).is_err(), "the description refuses nothing");
}

/// nginx with the recipe, in a directory of its own; ended on drop.
struct Nginx {
    process: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Nginx {
    fn start(upstream: &[SocketAddr]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        let mut text = recipe("nginx", "nginx").replace("127.0.0.1:8090", &address.to_string());
        for (documented, own) in ["127.0.0.1:8181", "127.0.0.1:8182", "127.0.0.1:8183"].iter().zip(upstream) {
            assert!(text.contains(documented), "the recipe has another address");
            text = text.replace(documented, &own.to_string());
        }
        let file = dir.path().join("nginx.conf");
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};"))
            .concat();
        let whole = format!(
            "daemon off;\nworker_processes 1;\nerror_log stderr;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n\
             {paths}\n{text}\n}}\n"
        );
        std::fs::write(&file, whole).unwrap();
        drop(free);
        let mut command = Command::new(program());
        command.arg("-p").arg(dir.path()).arg("-c").arg(&file).arg("-e").arg("stderr");
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let process = command.stderr(log).spawn().expect("nginx; scripts/test installs it");
        let started = Self { process, address, _dir: dir };
        wait_until("nginx to listen", Duration::from_secs(20), || {
            TcpStream::connect(address).map_err(RigError::io("cannot connect to nginx"))
        })
        .unwrap();
        started
    }

    /// Asks for a key, and says how long that took.
    fn key(&self, content: &str) -> (KeyAnswer, Duration) {
        let path = format!("/keys/system/ovp/edash/p/437/entryId/{content}/flavorId/1");
        let headers = [("Cookie", "viewer=1"), ("Authorization", "Basic eDp5")];
        let began = Instant::now();
        let answer =
            raw::exchange(self.address, &raw::request("GET", &path, &headers, &[]), Duration::from_secs(60));
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        (KeyAnswer::from_answer(&answer).unwrap(), began.elapsed())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It ends its workers itself when it is asked to.
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}

fn program() -> PathBuf {
    let sbin = Path::new("/usr/sbin/nginx");
    if sbin.exists() { sbin.to_owned() } else { "nginx".into() }
}

#[test]
fn nginx_with_all_nodes_as_upstream_costs_what_the_recipe_says_when_one_is_dead_or_frozen() {
    let mut cluster = Options::default()
        .env("KEYMOOT__PACKAGER__LISTEN", "127.0.0.1:0")
        .env("KEYMOOT__PACKAGER__ALLOW_LIST", "127.0.0.1")
        .env("KEYMOOT__PACKAGER__ACCOUNTS", "437=demo")
        .start()
        .unwrap();
    let listeners: Vec<SocketAddr> =
        cluster.nodes().iter().map(|node| node.packager_listener().unwrap()).collect();
    let nginx = Nginx::start(&listeners);
    let (first, _) = nginx.key("film");
    for _ in 0..6 {
        let (again, _) = nginx.key("film");
        assert_eq!(
            (&again.key, &again.key_id),
            (&first.key, &first.key_id),
            "one key, whichever node is asked"
        );
    }

    let leader = cluster.leader().unwrap();
    let frozen = cluster.others(leader)[0];
    cluster.pause(frozen).unwrap();
    let read_timeout = Duration::from_secs(12);
    // nginx asks one after another, and waits for the frozen one once.
    let waited: Vec<Duration> = (0..6).map(|_| nginx.key("film").1).collect();
    let slow: Vec<&Duration> = waited.iter().filter(|waited| **waited >= read_timeout).collect();
    assert_eq!(slow.len(), 1, "{waited:?}");
    assert!(*slow[0] < read_timeout + Duration::from_secs(8), "{waited:?}");
    cluster.resume(frozen).unwrap();

    cluster.kill(frozen).unwrap();
    std::thread::sleep(Duration::from_secs(11)); // fail_timeout, after which nginx tries it again.
    for _ in 0..6 {
        let (again, waited) = nginx.key("film");
        assert_eq!(again.key_id, first.key_id);
        assert!(waited < Duration::from_secs(6), "a dead node cost {waited:?}");
    }
}
