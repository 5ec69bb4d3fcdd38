//! All fuzz targets in one program, because linking the product once is what a build costs.
//!
//! The environment variable `KEYMOOT_FUZZ_TARGET` chooses the target; libFuzzer owns the arguments.
#![no_main]

mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// The chosen target. Without a valid choice there is nothing to run, so the program ends.
static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("KEYMOOT_FUZZ_TARGET").unwrap_or_default();
    match targets::TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => *target,
        None => {
            let known: Vec<&str> = targets::TARGETS.iter().map(|(known, _)| *known).collect();
            eprintln!("KEYMOOT_FUZZ_TARGET is {name:?}; it must be one of {}", known.join(", "));
            std::process::exit(64);
        }
    }
});

fuzz_target!(|input: &[u8]| TARGET(input));
