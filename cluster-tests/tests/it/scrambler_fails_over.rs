//! A scrambler gets its keys though service points are dead, silent or cut off, and says so when
//! none is left.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cluster_tests::media::{self, Stream};
use cluster_tests::{Cluster, binary, search, signed};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A scrambler beside a cluster: its signing key in a file, its commands run as a user runs them.
struct Scrambler {
    dir: TempDir,
    account: String,
    servers: Vec<String>,
}

impl Scrambler {
    fn of(cluster: &Cluster) -> Self {
        use std::os::unix::fs::OpenOptionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(dir.path().join("signing.key"))
            .unwrap();
        std::io::Write::write_all(&mut file, cluster.signer().signing_key().as_bytes()).unwrap();
        let servers = cluster.addresses().iter().map(|address| format!("http://{address}")).collect();
        Self { dir, account: cluster.signer().account_id.clone(), servers }
    }

    /// With another service point in front of the cluster's.
    fn with_first(mut self, server: String) -> Self {
        self.servers.insert(0, server);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary::keymoot().unwrap());
        command.args(arguments).args(["--account", &self.account, "--output", "json"]);
        command.arg("--key-file").arg(self.path("signing.key"));
        command.env("KEYMOOT_SERVERS", self.servers.join(","));
        command.args(["--connect-timeout", "1s", "--answer-timeout", "3s"]);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and reads the JSON it prints.
    fn must(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let mut printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        // Without one of the account's own, each node announces itself.
        printed.as_object_mut().unwrap().remove("license_url");
        printed
    }

    /// Runs a command that must fail in this way, and hands back what it says.
    fn must_fail(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
        said
    }
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
    let text = printed["key"].as_str().unwrap();
    std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
}

fn must_be_alike(decrypted: &[String], source: &[String]) {
    assert!(source.len() >= 50, "the source has only {} frames", source.len());
    assert_eq!(decrypted.len(), source.len(), "frames were lost or added");
    let differing = decrypted.iter().zip(source).position(|(a, b)| a != b);
    assert_eq!(differing, None, "the first frame that differs from the source");
}

#[test]
fn keys_come_though_a_node_hangs_another_dies_and_then_none_is_left() {
    let mut cluster = Cluster::start().unwrap();
    let scrambler = Scrambler::of(&cluster);
    let created = scrambler.must(&["key", "create", "film"]);
    assert_eq!(created, scrambler.must(&["key", "get", "film"]));
    let other = scrambler.must(&["key", "create", "own", "--own-key"]);
    assert_ne!(created["key"], other["key"]);
    assert!(scrambler.must_fail(&["key", "get", "nothing"], 1).contains("keymoot key create"));

    // The first service point hangs; its connections are taken by the kernel all the same.
    let first = cluster.nodes()[0].clone();
    let hung = Stopped::stop(first.pid);
    let began = Instant::now();
    assert_eq!(scrambler.must(&["key", "get", "film"]), created);
    assert!(began.elapsed() >= Duration::from_secs(3), "the first service point was not asked");
    let rotated = scrambler.must(&["key", "rotate", "film"]);
    assert_ne!((&rotated["kid"], &rotated["key"]), (&created["kid"], &created["key"]));
    drop(hung);

    cluster.kill(first.id).unwrap();
    assert_eq!(scrambler.must(&["key", "get", "film"]), rotated, "one rotation, and the last one");
    assert_eq!(scrambler.must(&["key", "delete", "own"])["deleted"], 1);

    // One of three is no quorum: it answers 503, and there is nobody else.
    cluster.kill(cluster.nodes()[1].id).unwrap();
    let patience = ["--outage-tolerance", "1s"];
    let said = scrambler.must_fail(&[&["key", "get", "film"], &patience[..]].concat(), 2);
    assert!(said.contains("no service point answered") && said.contains("hint: do the nodes run"), "{said}");
    let key = created["key"].as_str().unwrap();
    assert!(!said.contains(key) && !said.contains("signature"), "{said}");
}

#[test]
fn ffmpeg_encrypts_with_a_key_of_the_cluster_though_the_first_service_point_is_dead() {
    let cluster = Cluster::start().unwrap();
    let scrambler = Scrambler::of(&cluster).with_first(dead());
    let (source, sealed) = (scrambler.path("film.mp4"), scrambler.path("sealed.mp4"));
    media::make_source(&source, 4).unwrap();
    let (input, output) = (source.to_str().unwrap(), sealed.to_str().unwrap());

    let made = scrambler.must(&["scramble", input, output]);
    assert_eq!(made["content_id"], "film.mp4");
    assert_eq!(made["files"][0].as_str(), Some(output));
    let key = scrambler.must(&["key", "get", "film.mp4"]);
    assert_eq!(key["kid"], made["kid"]);
    assert!(!made.to_string().contains(key["key"].as_str().unwrap()));
    opens_only_with(&sealed, &source, &key_bytes(&key));

    let kept = std::fs::read(&sealed).unwrap();
    let said = scrambler.must_fail(&["scramble", input, output], 64);
    assert!(said.contains("hint: --force replaces it"), "{said}");
    assert_eq!(std::fs::read(&sealed).unwrap(), kept);
    scrambler.must(&["scramble", input, output, "--force", "--content", "another"]);
    assert_ne!(std::fs::read(&sealed).unwrap(), kept);

    // A file that is no media fails in FFmpeg, and leaves nothing.
    std::fs::write(scrambler.path("text.mp4"), "no media").unwrap();
    let (bad, nowhere) = (scrambler.path("text.mp4"), scrambler.path("nowhere.mp4"));
    scrambler.must_fail(&["scramble", bad.to_str().unwrap(), nowhere.to_str().unwrap()], 1);
    let mut left = search::files_under(scrambler.dir.path()).unwrap();
    left.retain(|path| ![&source, &sealed, &bad].contains(&path) && !path.ends_with("signing.key"));
    assert!(left.is_empty(), "{left:?}");
}

fn opens_only_with(sealed: &Path, source: &Path, key: &[u8; 16]) {
    for stream in [Stream::Video, Stream::Audio] {
        let clear = media::frames(source, stream, None).unwrap();
        must_be_alike(&media::frames(sealed, stream, Some(key)).unwrap(), &clear);
        for wrong in [None, Some(&[7; 16])] {
            let opened = media::frames(sealed, stream, wrong).unwrap_or_default();
            assert!(!opened.iter().any(|frame| clear.contains(frame)), "{stream:?} opens with {wrong:?}");
        }
    }
}

#[test]
fn shaka_packager_encrypts_each_stream_and_writes_the_clusters_pssh_into_it() {
    let cluster = Cluster::start().unwrap();
    let scrambler = Scrambler::of(&cluster).with_first(dead());
    let (source, sealed) = (scrambler.path("film.mp4"), scrambler.path("sealed"));
    media::make_source(&source, 4).unwrap();
    let program = media::packager().unwrap();
    let arguments = ["--tool", "packager", "--program", program.to_str().unwrap()];
    let job = ["scramble", source.to_str().unwrap(), sealed.to_str().unwrap()];
    scrambler.must(&[&job[..], &arguments[..]].concat());

    let key = scrambler.must(&["key", "get", "film.mp4"]);
    for (stream, name) in [(Stream::Video, "video-0.mp4"), (Stream::Audio, "audio-1.mp4")] {
        let (file, clear) = (sealed.join(name), media::frames(&source, stream, None).unwrap());
        must_be_alike(&media::frames(&file, stream, Some(&key_bytes(&key))).unwrap(), &clear);
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
fn the_content_key_is_on_no_command_line_while_the_tool_runs() {
    let cluster = Cluster::start().unwrap();
    let scrambler = Scrambler::of(&cluster);
    let key = scrambler.must(&["key", "create", "film"])["key"].as_str().unwrap().to_owned();
    let (source, sealed) = (scrambler.path("film.mp4"), scrambler.path("sealed.mp4"));
    media::make_source(&source, 2).unwrap();
    // Stands for FFmpeg: writes down what others can see of it, and what comes through the pipe.
    let spy = scrambler.path("spy");
    let script = "#!/bin/sh\nd=$(dirname \"$0\")\ntr '\\0' ' ' </proc/$$/cmdline >$d/seen\n\
                  tr '\\0' ' ' </proc/$PPID/cmdline >>$d/seen\nenv >>$d/seen\ncat >$d/piped\nexit 9\n";
    std::fs::write(&spy, script).unwrap();
    std::fs::set_permissions(&spy, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let job = ["scramble", source.to_str().unwrap(), sealed.to_str().unwrap(), "--content", "film"];
    scrambler.must_fail(&[&job[..], &["--program", spy.to_str().unwrap()]].concat(), 1);
    let read = |name: &str| std::fs::read_to_string(scrambler.path(name)).unwrap();
    assert!(read("piped").contains(&key));
    assert!(read("seen").contains("/dev/stdin") && read("seen").contains("scramble"), "{}", read("seen"));
    assert!(!read("seen").contains(&key) && !sealed.exists());
}
