//! A scrambler gets its keys though service points are dead, silent or cut off, and says so when
//! none is left.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use cluster_tests::media::{self, Stream};
use cluster_tests::scrambler::Scrambler;
use cluster_tests::{Cluster, frames, search, signed};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A scrambler that gives a service point up soon, and prints JSON.
fn hasty(cluster: &Cluster) -> Scrambler {
    let more = ["--output", "json", "--connect-timeout", "1s", "--answer-timeout", "3s"];
    Scrambler::of(cluster).unwrap().with_arguments(&more)
}

/// Runs a command that must succeed, and reads the JSON it prints.
fn must(scrambler: &Scrambler, arguments: &[&str]) -> Value {
    let printed = scrambler.run(arguments).unwrap().succeeded().unwrap();
    let mut printed: Value = serde_json::from_str(&printed).unwrap();
    // Without one of the account's own, each node announces itself.
    printed.as_object_mut().unwrap().remove("license_url");
    printed
}

/// Runs a command that must fail in this way, and hands back what it says.
fn must_fail(scrambler: &Scrambler, arguments: &[&str], code: i32) -> String {
    let said = scrambler.run(arguments).unwrap().failed_with(code).unwrap();
    assert!(said.out.is_empty());
    said.err
}

/// A process that is stopped, as a hung machine is: it takes connections and says nothing.
struct Stopped(Pid);

impl Stopped {
    fn stop(pid: u32) -> Self {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // Else the cluster could not end it in an orderly way.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// An address at which nobody listens.
fn dead() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

fn key_bytes(printed: &Value) -> [u8; 16] {
    base16ct::lower::decode_vec(printed["key"].as_str().unwrap()).unwrap().try_into().unwrap()
}

#[test]
fn keys_come_though_a_node_hangs_another_dies_and_then_none_is_left() {
    let mut cluster = Cluster::start().unwrap();
    let scrambler = hasty(&cluster);
    let created = must(&scrambler, &["key", "create", "film"]);
    assert_eq!(created, must(&scrambler, &["key", "get", "film"]));
    let other = must(&scrambler, &["key", "create", "own", "--own-key"]);
    assert_ne!(created["key"], other["key"]);
    assert!(must_fail(&scrambler, &["key", "get", "nothing"], 1).contains("keymoot key create"));

    // The first service point hangs; its connections are taken by the kernel all the same.
    let first = cluster.nodes()[0].clone();
    let hung = Stopped::stop(first.pid);
    let began = Instant::now();
    assert_eq!(must(&scrambler, &["key", "get", "film"]), created);
    assert!(began.elapsed() >= Duration::from_secs(3), "the first service point was not asked");
    let rotated = must(&scrambler, &["key", "rotate", "film"]);
    assert_ne!((&rotated["kid"], &rotated["key"]), (&created["kid"], &created["key"]));
    drop(hung);

    cluster.kill(first.id).unwrap();
    assert_eq!(must(&scrambler, &["key", "get", "film"]), rotated, "one rotation, and the last one");
    assert_eq!(must(&scrambler, &["key", "delete", "own"])["deleted"], 1);

    // One of three is no quorum: it answers 503, and there is nobody else.
    cluster.kill(cluster.nodes()[1].id).unwrap();
    let patience = ["--outage-tolerance", "1s"];
    let said = must_fail(&scrambler, &[&["key", "get", "film"], &patience[..]].concat(), 2);
    assert!(said.contains("no service point answered") && said.contains("hint: do the nodes run"), "{said}");
    let key = created["key"].as_str().unwrap();
    assert!(!said.contains(key) && !said.contains("signature"), "{said}");
}

#[test]
fn ffmpeg_encrypts_with_a_key_of_the_cluster_though_the_first_service_point_is_dead() {
    let cluster = Cluster::start().unwrap();
    let scrambler = hasty(&cluster).with_first(dead());
    let (source, sealed) = (scrambler.path("film.mp4"), scrambler.path("sealed.mp4"));
    media::make_source(&source, 4).unwrap();
    let (input, output) = (source.to_str().unwrap(), sealed.to_str().unwrap());

    let made = must(&scrambler, &["scramble", input, output]);
    assert_eq!(made["content_id"], "film.mp4");
    assert_eq!(made["files"][0].as_str(), Some(output));
    let key = must(&scrambler, &["key", "get", "film.mp4"]);
    assert_eq!(key["kid"], made["kid"]);
    assert!(!made.to_string().contains(key["key"].as_str().unwrap()));
    for stream in [Stream::Video, Stream::Audio] {
        frames::assert_opens_only_with(&sealed, stream, &source, &key_bytes(&key), &[7; 16]);
    }

    let kept = std::fs::read(&sealed).unwrap();
    let said = must_fail(&scrambler, &["scramble", input, output], 64);
    assert!(said.contains("hint: --force replaces it"), "{said}");
    assert_eq!(std::fs::read(&sealed).unwrap(), kept);
    must(&scrambler, &["scramble", input, output, "--force", "--content", "another"]);
    assert_ne!(std::fs::read(&sealed).unwrap(), kept);

    // A file that is no media fails in FFmpeg, and leaves nothing.
    std::fs::write(scrambler.path("text.mp4"), "no media").unwrap();
    let (bad, nowhere) = (scrambler.path("text.mp4"), scrambler.path("nowhere.mp4"));
    must_fail(&scrambler, &["scramble", bad.to_str().unwrap(), nowhere.to_str().unwrap()], 1);
    let mut left = search::files_under(scrambler.dir()).unwrap();
    left.retain(|path| ![&source, &sealed, &bad].contains(&path) && !path.ends_with("signing.key"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn shaka_packager_encrypts_each_stream_and_writes_the_clusters_pssh_into_it() {
    let cluster = Cluster::start().unwrap();
    let scrambler = hasty(&cluster).with_first(dead());
    let (source, sealed) = (scrambler.path("film.mp4"), scrambler.path("sealed"));
    media::make_source(&source, 4).unwrap();
    let program = media::packager().unwrap();
    let arguments = ["--tool", "packager", "--program", program.to_str().unwrap()];
    let job = ["scramble", source.to_str().unwrap(), sealed.to_str().unwrap()];
    must(&scrambler, &[&job[..], &arguments[..]].concat());

    let key = must(&scrambler, &["key", "get", "film.mp4"]);
    for (stream, name) in [(Stream::Video, "video-0.mp4"), (Stream::Audio, "audio-1.mp4")] {
        let (file, clear) = (sealed.join(name), media::frames(&source, stream, None).unwrap());
        frames::assert_alike(&media::frames(&file, stream, Some(&key_bytes(&key))).unwrap(), &clear);
        let bytes = std::fs::read(&file).unwrap();
        for system in key["pssh"].as_array().unwrap() {
            let boxed = signed::decode_base64(system["box"].as_str().unwrap()).unwrap();
            assert!(search::contains(&bytes, &boxed), "{name} lacks the pssh of {}", system["uuid"]);
        }
    }
    let manifest = std::fs::read_to_string(sealed.join("manifest.mpd")).unwrap();
    assert!(
        manifest.contains("video-0.mp4") && manifest.contains(key["kid"].as_str().unwrap()),
        "{manifest}"
    );
}

#[test]
fn shaka_packager_encrypts_in_cbcs_with_a_key_for_each_kind_of_stream_and_its_licenses_iv() {
    let cluster = Cluster::start().unwrap();
    let scrambler = hasty(&cluster);
    let (source, sealed) = (scrambler.path("film.mp4"), scrambler.path("sealed"));
    media::make_source(&source, 4).unwrap();
    let program = media::packager().unwrap();
    let tracks = ["--track", "video=HD", "--track", "audio=AUDIO", "--scheme", "cbcs"];
    let arguments = ["--tool", "packager", "--program", program.to_str().unwrap()];
    let job = ["scramble", source.to_str().unwrap(), sealed.to_str().unwrap()];
    let made = must(&scrambler, &[&job[..], &arguments, &tracks].concat());

    let key = |track| must(&scrambler, &["key", "get", "film.mp4", "--track", track, "--scheme", "cbcs"]);
    let (video, audio) = (key("HD"), key("AUDIO"));
    assert_eq!((&made["kid"], &made["audio_kid"]), (&video["kid"], &audio["kid"]));
    assert_ne!(video["key"], audio["key"]);
    for (stream, name, own, other) in
        [(Stream::Video, "video-0.mp4", &video, &audio), (Stream::Audio, "audio-1.mp4", &audio, &video)]
    {
        let file = sealed.join(name);
        frames::assert_cbcs_opens_only_with(&file, stream, &source, &key_bytes(own), &key_bytes(other));
        let bytes = std::fs::read(&file).unwrap();
        let iv = base16ct::lower::decode_vec(own["iv"].as_str().unwrap()).unwrap();
        assert!(search::contains(&bytes, &iv), "{name} is not encrypted under the IV of its licenses");
        assert!(search::contains(&bytes, b"cbcs"), "{name} does not say its scheme");
    }
    let cenc = must(&scrambler, &["key", "get", "film.mp4", "--track", "HD"]);
    assert_eq!((&cenc["key"], &cenc["kid"], cenc.get("iv")), (&video["key"], &video["kid"], None));

    let none = must_fail(&scrambler, &["key", "get", "film.mp4"], 1);
    assert!(none.contains("has no key"), "only tracks have keys: {none}");
    for (what, more, says) in [
        ("FFmpeg knows one scheme", &["--scheme", "cbcs", "--content", "x"][..], "--tool packager"),
        ("FFmpeg knows one key", &["--track", "audio=AUDIO", "--content", "x"], "one key"),
        ("a scheme that is none", &["--scheme", "aes"], "cenc, cens, cbc1 or cbcs"),
        ("a scheme that not all players know", &["--scheme", "cens"], "goes with cenc or cbcs"),
    ] {
        let out = scrambler.path("none.mp4");
        let job = ["scramble", source.to_str().unwrap(), out.to_str().unwrap()];
        let said = scrambler.run(&[&job[..], more].concat()).unwrap();
        assert!(said.err.contains(says), "{what}: {}", said.err);
        assert!(!out.exists(), "{what}");
    }
}

#[test]
fn a_key_is_printed_as_manifests_name_it_with_a_license_url_for_each_node() {
    let cluster = Cluster::start().unwrap();
    let scrambler = Scrambler::of(&cluster).unwrap();
    let run = |arguments: &[&str]| scrambler.run(arguments).unwrap().succeeded().unwrap();
    run(&["key", "create", "film"]);
    let key: Value = serde_json::from_str(&run(&["key", "get", "film", "--output", "json"])).unwrap();
    let dash = run(&["key", "get", "film", "--output", "dash", "--laurl", "Laurl", "--clear-key"]);
    for node in cluster.addresses() {
        for system in ["widevine", "playready", "clearkey"] {
            let url = format!(">http://{node}/cenc/{system}/license</dashif:Laurl>");
            assert!(dash.contains(&url), "{url} is not in {dash}");
        }
    }
    let hls = run(&["key", "get", "film", "--output", "hls", "--scheme", "cbcs"]);
    assert_eq!(hls.lines().filter(|line| line.starts_with("#EXT-X-KEY:METHOD=SAMPLE-AES,")).count(), 3);
    for printed in [&dash, &hls] {
        assert!(printed.contains(key["kid"].as_str().unwrap()), "{printed}");
        assert!(!printed.contains(key["key"].as_str().unwrap()), "a manifest holds the key");
    }
}

#[test]
fn the_content_key_is_on_no_command_line_while_the_tool_runs() {
    let cluster = Cluster::start().unwrap();
    let scrambler = hasty(&cluster);
    let key = must(&scrambler, &["key", "create", "film"])["key"].as_str().unwrap().to_owned();
    let (source, sealed) = (scrambler.path("film.mp4"), scrambler.path("sealed.mp4"));
    media::make_source(&source, 2).unwrap();
    // Stands for FFmpeg: writes down what others can see of it, and what comes through the pipe.
    let spy = scrambler.path("spy");
    let script = "#!/bin/sh\nd=$(dirname \"$0\")\ntr '\\0' ' ' </proc/$$/cmdline >$d/seen\n\
                  tr '\\0' ' ' </proc/$PPID/cmdline >>$d/seen\nenv >>$d/seen\ncat >$d/piped\nexit 9\n";
    std::fs::write(&spy, script).unwrap();
    std::fs::set_permissions(&spy, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let job = ["scramble", source.to_str().unwrap(), sealed.to_str().unwrap(), "--content", "film"];
    must_fail(&scrambler, &[&job[..], &["--program", spy.to_str().unwrap()]].concat(), 1);
    let read = |name: &str| std::fs::read_to_string(scrambler.path(name)).unwrap();
    assert!(read("piped").contains(&key));
    assert!(read("seen").contains("/dev/stdin") && read("seen").contains("scramble"), "{}", read("seen"));
    assert!(!read("seen").contains(&key) && !sealed.exists());
}
