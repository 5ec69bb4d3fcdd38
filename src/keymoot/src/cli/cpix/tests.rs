//! What a check prints, and how it ends.

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command, FailureKind};

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cpix/goldens").join(name)
}

fn check_args(file: &Path, more: &[&str]) -> CheckArgs {
    let line = ["keymoot", "cpix", "check", file.to_str().unwrap()];
    match Cli::try_parse_from(line.iter().chain(more)).unwrap().command {
        Command::Cpix(CpixCommand::Check(args)) => args,
        other => panic!("{other:?}"),
    }
}

fn wanted_of(name: &str) -> Request {
    let args = check_args(&golden(name), &[]);
    let document = read(&args.file).unwrap();
    Request::parse(&document, likely_protocol(&document).unwrap(), &settings(&args).unwrap()).unwrap()
}

#[test]
fn the_table_shows_keys_periods_and_notes() {
    let text = print::table(wanted_of("speke-2.0-rotation.request.xml").wanted());
    for line in [
        "sent as    speke-2.0",
        "keys go    in the clear",
        "98ee5596-cd3e-a20d-163a-e382420c6eff  channel-7  cbcs    -   SD+HD1                  keyPeriod_1               fairplay, widevine, playready",
        "keyPeriod_1  4294967295  -     -",
    ] {
        assert!(text.lines().any(|found| found.trim_end() == line), "{line}\n{text}");
    }
    let text = print::table(wanted_of("speke-1-fairplay.request.xml").wanted());
    assert!(text.contains("note: PSSH, line 10, column 7: fairplay has none, so it stays empty"), "{text}");
}

#[test]
fn the_json_holds_the_same() {
    let text = print::json(wanted_of("speke-2.1-policy.request.xml").wanted());
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["protocol"], "speke-2.1");
    assert_eq!(value["keys"][0]["systems"][1], "widevine");
    assert_eq!(value["periods"][0]["to"], "2026-01-01T00:00:06Z");
    assert_eq!(value["periods"][1]["from"], "6 s");
}

#[test]
fn a_declarations_settings_hold_for_its_account() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("accounts.toml");
    let text = "[[account]]\nid = \"studio\"\n[account.documents]\nencrypted_only = true\nsystems = [\"fairplay\"]\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let of = |id: &str| {
        settings(&check_args(
            &golden("speke-2.0-cbcs.request.xml"),
            &["--accounts-file", file, "--account", id],
        ))
    };
    let own = of("studio").unwrap();
    assert!(own.demands_encryption && own.systems == [keymoot_cpix::DrmSystem::FairPlay]);
    assert!(of("other").unwrap_err().message().contains("declares no account other"));
}

#[test]
fn what_would_be_refused_is_a_mistake_of_usage_and_what_cannot_be_read_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("request.xml");
    std::fs::write(
        &file,
        "<cpix:CPIX xmlns:cpix=\"urn:dashif:org:cpix\" contentId=\"a\" version=\"2.4\">\n</cpix:CPIX>",
    )
    .unwrap();
    let failure = run(CpixCommand::Check(check_args(&file, &[]))).unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Usage);
    assert_eq!(
        failure.to_string(),
        "keymoot: Missing ContentKeyList (CPIX, line 1, column 1)\nhint: it would be answered with status 422; read as \
         cpix, which --protocol can change"
    );
    let failure = run(CpixCommand::Check(check_args(&file, &["--protocol", "speke-2.0"]))).unwrap_err();
    assert!(failure.to_string().contains("Unsupported CPIX@version: SPEKE 2.0 has version 2.3"), "{failure}");
    let failure = run(CpixCommand::Check(check_args(&dir.path().join("none"), &[]))).unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Runtime);
    std::fs::write(&file, "<a>").unwrap();
    let failure = run(CpixCommand::Check(check_args(&file, &[]))).unwrap_err();
    assert!(failure.to_string().contains("the element a is not closed (a, line 1, column 1)"), "{failure}");
}

#[test]
fn addresses_that_cannot_be_are_refused_on_the_command_line() {
    for (flag, value) in [
        ("--fairplay-uri", "skd://all"),
        ("--aes128-uri", "http://keys.example/{kid}"),
        ("--protocol", "speke-3"),
    ] {
        assert!(
            Cli::try_parse_from(["keymoot", "cpix", "check", "f", flag, value]).is_err(),
            "{flag} {value}"
        );
    }
    let args = check_args(Path::new("f"), &["--playready-la-url", "nowhere"]);
    assert_eq!(settings(&args).unwrap_err().kind(), FailureKind::Usage);
}
