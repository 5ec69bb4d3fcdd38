//! Scrambling with a script in place of the real tools: which files are left behind, and which
//! never are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::ContentTrack;
use keymoot_crypto::ContentKey;
use keymoot_model::{ContentId, KeyUri, Kid};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("in.mp4"), "clear").unwrap();
        Self { dir }
    }

    /// A job with a script that gets the tool's arguments.
    fn job(&self, tool: Tool, script: &str) -> ScrambleJob {
        let program = self.dir.path().join("tool");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| self.dir.path().join(name);
        ScrambleJob {
            input: path("in.mp4"),
            output: path("out"),
            tool,
            program,
            scheme: ProtectionScheme::Cenc,
            replace: false,
        }
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn key() -> FetchedKey {
    FetchedKey {
        of: ContentTrack::from(&ContentId::new("film").unwrap()),
        iv: None,
        kid: Kid::from_bytes([1; 16]),
        key: ContentKey::from_bytes(&[2; 16]),
        pssh: Vec::new(),
        license_url: None,
    }
}

fn run(job: &ScrambleJob) -> Result<Vec<PathBuf>, ScrambleError> {
    job.run(&key().into(), &mut |_| {}, &|| false)
}

/// Writes into the last argument, as FFmpeg does.
const WRITES: &str = r#"cat >/dev/null; for last; do :; done; echo sealed >"${last#file:}""#;

/// Lists two streams, or writes the outputs of its descriptors.
const PACKS: &str = r#"
case "$*" in *--dump_stream_info*) echo 'Stream [0] type: Video'; echo 'Stream [1] type: Audio'; exit 0;; esac
cat >/dev/null
for word; do case "$word" in in=*) echo sealed >"${word##*output=}";; esac; done"#;

#[test]
fn the_result_appears_whole_and_nothing_else_stays() {
    let place = Place::new();
    let job = place.job(Tool::Ffmpeg, WRITES);
    assert_eq!(run(&job).unwrap(), std::slice::from_ref(&job.output));
    assert_eq!(fs::read_to_string(&job.output).unwrap(), "sealed\n");
    assert_eq!(place.files(), ["in.mp4", "out", "tool"]);
}

#[test]
fn a_failure_leaves_nothing_behind() {
    for tool in [Tool::Ffmpeg, Tool::Packager, Tool::Hls(KeyUri::new("k").unwrap())] {
        let place = Place::new();
        let script = format!("{}\nexit 7", if tool == Tool::Packager { PACKS } else { WRITES });
        let error = run(&place.job(tool.clone(), &script)).unwrap_err();
        assert!(matches!(error, ScrambleError::Failed { .. }), "{error}");
        assert_eq!(place.files(), ["in.mp4", "tool"], "{tool:?}");
    }
}

#[test]
fn an_existing_output_is_kept_unless_it_may_be_replaced() {
    let place = Place::new();
    let mut job = place.job(Tool::Ffmpeg, WRITES);
    fs::write(&job.output, "precious").unwrap();
    assert!(matches!(run(&job), Err(ScrambleError::Exists(_))));
    assert_eq!(fs::read_to_string(&job.output).unwrap(), "precious");
    job.replace = true;
    run(&job).unwrap();
    assert_eq!(fs::read_to_string(&job.output).unwrap(), "sealed\n");
}

#[test]
fn an_output_that_appears_meanwhile_is_kept_too() {
    let place = Place::new();
    let job = place.job(Tool::Ffmpeg, &format!("{WRITES}; echo other >\"$(dirname \"$0\")/out\""));
    assert!(matches!(run(&job), Err(ScrambleError::Exists(_))));
    assert_eq!(fs::read_to_string(&job.output).unwrap(), "other\n");
    assert_eq!(place.files(), ["in.mp4", "out", "tool"]);
}

#[test]
fn a_packagers_directory_is_filled_and_its_other_files_are_never_lost() {
    let place = Place::new();
    let mut job = place.job(Tool::Packager, PACKS);
    let made = run(&job).unwrap();
    assert_eq!(made, ["audio-1.mp4", "video-0.mp4"].map(|name| job.output.join(name)));
    fs::write(job.output.join("notes"), "precious").unwrap();
    assert!(matches!(run(&job), Err(ScrambleError::Exists(_))));
    job.replace = true;
    run(&job).unwrap();
    assert_eq!(fs::read_to_string(job.output.join("notes")).unwrap(), "precious");
    assert_eq!(place.files(), ["in.mp4", "out", "tool"]);
}

#[test]
fn a_file_is_not_encrypted_into_itself_and_a_missing_one_is_named() {
    let place = Place::new();
    let mut job = place.job(Tool::Ffmpeg, WRITES);
    job.replace = true;
    job.output = place.dir.path().join("./in.mp4");
    assert!(matches!(job.check(), Err(ScrambleError::Same(_))));
    job.input = Path::new("/no/such/film.mp4").to_owned();
    assert!(job.check().unwrap_err().to_string().contains("/no/such/film.mp4"));
}

#[test]
fn progress_counts_the_bytes_written() {
    let place = Place::new();
    let job = place.job(Tool::Ffmpeg, &format!("{WRITES}; sleep 0.5"));
    let mut seen = Vec::new();
    job.run(&key().into(), &mut |progress| seen.push(progress), &|| false).unwrap();
    assert_eq!(seen.last(), Some(&Progress { written: 7, input: 5 }));
}

#[test]
fn what_a_tool_cannot_do_is_said_before_anything_is_made() {
    let place = Place::new();
    let mut job = place.job(Tool::Ffmpeg, WRITES);
    let keys = StreamKeys { video: key(), audio: Some(key()) };
    assert!(matches!(job.run(&keys, &mut |_| {}, &|| false), Err(ScrambleError::OneKey("ffmpeg"))));
    job.scheme = ProtectionScheme::Cbcs;
    assert!(matches!(job.check(), Err(ScrambleError::Scheme(ProtectionScheme::Cbcs))));
    assert_eq!(place.files(), ["in.mp4", "tool"]);
}
