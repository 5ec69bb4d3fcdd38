//! A release's files are signed, say what the program is made of, and are not made where a known vulnerability is in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use cluster_tests::binary;
use cluster_tests::operator::{CommandOutput, run};
use serde_json::Value;

/// A key that signs releases, and a list of advisories.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new(stated: &str) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let mut made = Command::new("ssh-keygen");
        made.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(bench.path("key"));
        assert!(made.status().unwrap().success());
        std::fs::create_dir_all(bench.path("advisories/crates")).unwrap();
        std::fs::write(bench.path("advisories/README.md"), format!("state of {stated}\n")).unwrap();
        bench.advise("a-crate-that-is-not-used", "RUSTSEC-2026-9998");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Adds an advisory for all versions of a crate.
    fn advise(&self, package: &str, id: &str) {
        let dir = self.path("advisories/crates").join(package);
        std::fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "```toml\n[advisory]\nid = \"{id}\"\npackage = \"{package}\"\ndate = \"2026-01-01\"\n\n\
             [versions]\npatched = []\n```\n\n# Something is wrong\n\nIn every version.\n"
        );
        std::fs::write(dir.join(format!("{id}.md")), text).unwrap();
    }

    fn release(&self) -> CommandOutput {
        let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/release"));
        let (key, out) = (self.path("key").display().to_string(), self.path("out").display().to_string());
        let program = binary::keymoot().unwrap().display().to_string();
        let copy = format!("ADVISORIES_COPY={}", self.path("advisories").display());
        let target = format!("CARGO_TARGET_DIR={}", self.path("target").display());
        let script = script.display().to_string();
        let args = [&copy, &target, &script, "--key", &key, "--out", &out, "--binary", &program];
        run(Path::new("/usr/bin/env"), &args).unwrap()
    }
}

fn today() -> String {
    let said = Command::new("date").args(["-u", "+%F"]).output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_release_is_signed_and_lists_its_parts_and_one_that_was_changed_is_noticed() {
    let bench = Bench::new(&today());
    bench.release().succeeded().unwrap();
    let out = bench.path("out");
    let verified = || {
        // As docs/hardening.md has it.
        let check = "ssh-keygen -Y verify -f allowed_signers -I releases@keymoot -n keymoot-release \
                     -s SHA256SUMS.sig < SHA256SUMS && sha256sum --check SHA256SUMS";
        Command::new("bash").args(["-c", check]).current_dir(&out).output().unwrap().status.success()
    };
    assert!(verified());
    let files: Vec<_> = std::fs::read_dir(&out).unwrap().map(|file| file.unwrap().path()).collect();
    let parts = files.iter().find(|file| file.to_string_lossy().ends_with(".cdx.json")).unwrap();
    let document: Value = serde_json::from_slice(&std::fs::read(parts).unwrap()).unwrap();
    let names: Vec<_> =
        document["components"].as_array().unwrap().iter().filter_map(|part| part["name"].as_str()).collect();
    for part in ["openraft", "rustls", "keymoot-state", "aws-lc-sys"] {
        assert!(names.contains(&part), "{part} is not in {names:?}");
    }
    assert!(!names.contains(&"proptest"), "only tests need it");
    let sums = std::fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    std::fs::write(out.join("SHA256SUMS"), sums.replacen(['0', '1', '2', '3'], "f", 1)).unwrap();
    assert!(!verified(), "other checksums");
    std::fs::write(out.join("SHA256SUMS"), sums).unwrap();
    assert!(verified());
    std::fs::write(parts, "{}").unwrap();
    assert!(!verified(), "another list of parts");
}

#[test]
fn no_release_is_made_with_a_known_vulnerability_or_by_an_old_list() {
    let bench = Bench::new(&today());
    bench.advise("openraft", "RUSTSEC-2026-9999");
    let said = bench.release();
    assert!(said.code != Some(0) && said.err.contains("RUSTSEC-2026-9999"), "{said:?}");
    let said = Bench::new("2026-01-01").release();
    assert!(said.code == Some(1) && said.err.contains("ADVISORIES_COPY"), "{said:?}");
}
