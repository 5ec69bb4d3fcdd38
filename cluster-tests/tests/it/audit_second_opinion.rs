//! Programs that share nothing with Keymoot find the same in its audit logs: one that was written from the text of RFC 6962
//! alone, and aics-tlog, from PyPI.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cluster_tests::Cluster;
use cluster_tests::operator::keymoot;

use super::audit_log::with_cosigned_events;

/// Where `scripts/real-clients` installs it.
const AICS_TLOG: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../target/real-clients/aics-tlog/bin/aics-tlog");

/// A program of this repository that shares nothing with the one that is tested: Python, and the text of the RFCs.
const RFC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/rfc6962.py");

fn rfc(arguments: &[&str]) -> bool {
    let output = Command::new("python3").arg(RFC).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("Traceback"), "{said}");
    output.status.success()
}

/// Runs `aics-tlog`, and gives what it printed.
fn aics_tlog(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(AICS_TLOG).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn programs_of_others_find_that_the_log_only_grew_and_has_the_event() {
    let cluster = Cluster::start().unwrap();
    let log = with_cosigned_events(&cluster);
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    let (files, tiles, proof, key) =
        (log.display().to_string(), path("tiles"), path("42.tlog-proof"), path("key"));
    keymoot(&["audit", "prove", "42", "--files", &files, "--out", &proof]).unwrap().succeeded().unwrap();
    let early = path("early");
    fs::copy(log.join("checkpoint"), &early).unwrap();
    for serial in 0..40 {
        cluster.signer().create(cluster.node(1).unwrap().api, &format!("later-{serial}.mp4")).unwrap();
    }
    std::thread::sleep(Duration::from_secs(3));
    keymoot(&["audit", "tiles", "--files", &files, "--out", &tiles]).unwrap().succeeded().unwrap();
    fs::copy(log.join("public-key"), &key).unwrap();
    let exported = path("exported");
    keymoot(&["audit", "export", "--config", &cluster.nodes()[0].config(), "--out", &exported])
        .unwrap()
        .succeeded()
        .unwrap();
    drop(cluster);

    // By the text of the RFCs.
    let event = format!("{proof}.event");
    assert!(rfc(&["included", &event, &proof]));
    let folders = fs::read_dir(&exported).unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<_> = folders.filter(|path| path.is_dir()).collect();
    assert_eq!(logs.len(), 3, "{logs:?}");
    let in_log = |log: &Path, name: &str| log.join(name).display().to_string();
    for log in &logs {
        assert!(rfc(&["agrees", &in_log(log, "events.jsonl"), &in_log(log, "checkpoints")]), "{log:?}");
    }
    let copied = in_log(&logs[0], "events.jsonl");
    let forged = fs::read_to_string(&copied).unwrap().replacen("\"node\":", "\"nodes\":", 1);
    fs::write(&copied, forged).unwrap();
    assert!(!rfc(&["agrees", &copied, &in_log(&logs[0], "checkpoints")]));
    // By a program of others, signatures and all.
    let included =
        ["verify-inclusion", "--tiles", &tiles, "--vkey-file", &key, "--leaf", &event, "--index", "42"];
    let is_installed = Path::new(AICS_TLOG).exists();
    if is_installed {
        let (holds, said) = aics_tlog(&included);
        assert!(holds, "{said}");
        by_aics_tlog((&tiles, &key, &early), (&proof, &event), &exported);
    } else {
        eprintln!("NOT RUN by aics-tlog, because there is no {AICS_TLOG}: run scripts/real-clients");
    }
    // They find what was changed, too: so they did look.
    let text = fs::read_to_string(&event).unwrap();
    fs::write(&event, text.replace("key.", "yek.").replace("admin.", "nimda.").replace("node.", "edon."))
        .unwrap();
    assert!(!rfc(&["included", &event, &proof]));
    if is_installed {
        let (holds, said) = aics_tlog(&included);
        assert!(!holds, "{said}");
    }
}

/// The log grew from its early checkpoint on, and the proof is as we made it, under a checkpoint that another node has
/// cosigned.
fn by_aics_tlog((tiles, key, early): (&str, &str, &str), (proof, event): (&str, &str), exported: &str) {
    let grew = ["verify-consistency", "--tiles", tiles, "--vkey-file", key, "--old-checkpoint", early];
    let (holds, said) = aics_tlog(&grew);
    assert!(holds, "{said}");
    let text = fs::read_to_string(proof).unwrap();
    let (head, note) = text.split_once("\n\n").unwrap();
    let [hashes, signed] = [format!("{proof}.hashes"), format!("{proof}.note")];
    fs::write(&hashes, head.lines().skip(2).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    fs::write(&signed, note).unwrap();
    let lines: Vec<_> = note.lines().collect();
    let ours = ["verify-inclusion", "--leaf", event, "--index", "42", "--proof", &hashes];
    let (holds, said) = aics_tlog(&[&ours[..], &["--size", lines[1], "--root", lines[2]]].concat());
    assert!(holds, "{said}");
    let cosigners = fs::read_to_string(format!("{exported}/cosigners.txt")).unwrap();
    let cosigner = cosigners.lines().find(|line| line.contains(".keymoot.audit/2/")).unwrap();
    let checked = ["verify-checkpoint", "--note", &signed, "--vkey-file", key, "--witness-key", cosigner];
    let (holds, said) = aics_tlog(&[&checked[..], &["--quorum", "1"]].concat());
    assert!(holds, "{said}");
}
