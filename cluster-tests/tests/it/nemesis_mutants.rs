//! The nemesis notices what it is there for: programs that lack a safeguard do not come through.
//!
//! One mutant is tried in every run of all tests; `cargo nextest run -p cluster-tests -E
//! 'test(nemesis_mutants::)' --run-ignored all` tries all, as `scripts/nemesis --mutants` does.

use std::path::{Path, PathBuf};
use std::process::Command;

use cluster_tests::nemesis::check;
use cluster_tests::nemesis::directed::{DIRECTED, Directed};
use cluster_tests::nemesis::requirement;
use cluster_tests::nemesis::run::{Run, Settings};
use cluster_tests::nemesis::site::Blueprint;
use cluster_tests::{binary, search};

fn directed(mutant: &str) -> &'static Directed {
    DIRECTED.iter().find(|directed| directed.mutant == mutant).unwrap()
}

/// Carries out the schedule that is aimed at this weakness; which checkers found something.
fn carry_out(mutant: &str, blueprint: Blueprint, what: &str) -> Vec<&'static str> {
    let schedule = directed(mutant);
    let name = format!("{what}-{mutant}");
    let mut run = Run::begin(Settings { blueprint, seed: 1, load: schedule.load(), name }).unwrap();
    schedule.act(&mut run).unwrap();
    let report = run.finish().unwrap();
    println!("{}", report.text());
    report.caught_by()
}

/// The program with weaknesses, built beside the one under test.
fn mutant_program() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--features", "cluster-tests/mutants"])
        .args(["--bin", "keymoot-mutant", "--target-dir"])
        .arg(binary::target_dir())
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .status()
        .unwrap();
    assert!(status.success(), "the mutants could not be built");
    binary::target_dir().join("debug/keymoot-mutant")
}

fn is_caught_or_says_why_not(mutant: &str, expected: &[&str]) {
    if let Some(why) = requirement::missing() {
        println!("NOT RUN: {why}");
        return;
    }
    let mut blueprint = Blueprint { program: mutant_program(), ..Blueprint::standard().unwrap() };
    blueprint.env.push(("KEYMOOT_MUTANT".to_owned(), mutant.to_owned()));
    let caught_by = carry_out(mutant, blueprint, "mutant");
    assert!(!caught_by.is_empty(), "{mutant} was not caught");
    assert!(caught_by.iter().any(|checker| expected.contains(checker)), "{mutant}: {caught_by:?}");
}

fn the_real_program_comes_through(mutant: &str) {
    if let Some(why) = requirement::missing() {
        println!("NOT RUN: {why}");
        return;
    }
    assert_eq!(carry_out(mutant, Blueprint::standard().unwrap(), "real"), Vec::<&str>::new());
}

#[test]
fn a_program_that_reads_without_asking_the_quorum_is_caught_or_the_machine_cannot_try() {
    is_caught_or_says_why_not("local-read", &[check::LINEARIZABILITY]);
}

#[test]
#[ignore = "takes half a minute; scripts/nemesis --mutants runs it"]
fn a_program_that_does_not_sync_is_caught_or_the_machine_cannot_try() {
    is_caught_or_says_why_not("no-fsync", &[check::LOST, check::LINEARIZABILITY, check::LIVENESS]);
}

#[test]
#[ignore = "takes half a minute; scripts/nemesis --mutants runs it"]
fn a_program_that_forgets_its_votes_is_caught_or_the_machine_cannot_try() {
    is_caught_or_says_why_not("no-vote", &[check::LINEARIZABILITY, check::ENDS, check::LOST, check::DIGESTS]);
}

#[test]
#[ignore = "takes half a minute; scripts/nemesis --mutants runs it"]
fn a_program_that_applies_retries_again_is_caught_or_the_machine_cannot_try() {
    is_caught_or_says_why_not("no-dedup", &[check::ANSWERS]);
}

#[test]
#[ignore = "takes half a minute; scripts/nemesis --mutants runs it"]
fn a_program_that_lets_an_emptied_voter_back_in_is_caught_or_the_machine_cannot_try() {
    let expected = [check::LINEARIZABILITY, check::LOST, check::LIVENESS, check::ENDS, check::DIGESTS];
    is_caught_or_says_why_not("no-incarnation", &expected);
}

#[test]
#[ignore = "takes two minutes; scripts/nemesis --directed runs it"]
fn the_real_program_comes_through_every_directed_schedule_or_the_machine_cannot_try() {
    DIRECTED.iter().for_each(|directed| the_real_program_comes_through(directed.mutant));
}

#[test]
fn the_program_under_test_has_no_weakness_to_choose() {
    let bytes = std::fs::read(binary::keymoot().unwrap()).unwrap();
    let needle = b"KEYMOOT_MUTANT";
    assert!(!bytes.windows(needle.len()).any(|part| part == needle), "it was built with the feature mutants");
}

#[test]
fn every_weakness_is_behind_the_feature_and_has_a_schedule() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut found = Vec::new();
    for path in search::files_under(&src).unwrap() {
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("mutant::is(")) {
            assert_eq!(lines[number - 1], r#"#[cfg(feature = "mutants")]"#, "{}:{number}", path.display());
            found.push(line.split('"').nth(1).unwrap().to_owned());
        }
    }
    found.sort_unstable();
    // A weakness may leave out more than one safeguard.
    found.dedup();
    let mut known: Vec<&str> = DIRECTED.iter().map(|directed| directed.mutant).collect();
    known.sort_unstable();
    assert_eq!(found, known);
}
