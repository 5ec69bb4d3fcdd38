//! Every fuzz target holds on its seeds, on damaged seeds and on arbitrary input.
//!
//! This runs with the product's tests on any machine; scripts/fuzz searches much further.

#[path = "../src/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;
use targets::TARGETS;

fn seeds_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(seeds_dir().join(target)).unwrap();
    entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn each_target_has_seeds_and_each_directory_of_seeds_a_target() {
    let named: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let seeded = std::fs::read_dir(seeds_dir()).unwrap();
    let seeded: BTreeSet<String> =
        seeded.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(named, seeded);
    for name in named {
        assert!(!seeds(&name).is_empty(), "{name} has no seeds");
    }
}

#[test]
fn each_target_holds_on_its_seeds() {
    for (name, target) in TARGETS {
        seeds(name).iter().for_each(|seed| target(seed));
    }
}

/// The fuzzer finds little behind a door that no seed opens.
#[test]
fn what_seeds_ask_for_that_are_to_be_granted_is_granted() {
    let mut tried = 0;
    for entry in std::fs::read_dir(seeds_dir().join("http")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("granted-") {
            continue;
        }
        let seed = std::fs::read(path).unwrap();
        let requests = seed.iter().filter(|byte| **byte == 0xff).count();
        let answers = targets::http::answers_to(&seed);
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), requests, "{name}: {answers}");
        // The Widevine API says in its answer what came of it: `{"status":"OK"`, in base64.
        let is_of_widevine = name == "granted-getcontentkey";
        assert!(!is_of_widevine || answers.matches("eyJzdGF0dXMiOiJPSy").count() == requests, "{answers}");
        tried += 1;
    }
    assert!(tried >= 8, "{tried} seeds");
}

/// A seed with a stretch of it replaced.
fn damaged(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let patch = prop::collection::vec(any::<u8>(), 0..6);
    (prop::sample::select(seeds), any::<prop::sample::Index>(), 0_usize..6, patch).prop_map(
        |(mut seed, at, length, patch)| {
            let start = at.index(seed.len() + 1);
            let end = seed.len().min(start + length);
            seed.splice(start..end, patch);
            seed
        },
    )
}

/// Targets that drive a whole node wait for it: of these, few inputs are tried here.
const OF_A_NODE: [&str; 3] = ["http", "peer", "join_door"];
const CASES_OF_A_NODE: u32 = 12;

fn holds(name: &str, input: impl Strategy<Value = Vec<u8>>) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if OF_A_NODE.contains(&name) {
        config.cases = CASES_OF_A_NODE;
    }
    let outcome = proptest::test_runner::TestRunner::new(config).run(&input, |input| {
        target(&input);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{name}: {failure}"));
}

#[test]
fn each_target_holds_on_damaged_seeds() {
    for (name, _) in TARGETS {
        holds(name, damaged(seeds(name)));
    }
}

#[test]
fn each_target_holds_on_any_bytes_and_any_text() {
    for (name, _) in TARGETS {
        holds(name, prop::collection::vec(any::<u8>(), 0..300));
        holds(name, "([%&=,./{}\":\\[\\]0-9a-f]|\\PC){0,80}".prop_map(String::into_bytes));
    }
}
