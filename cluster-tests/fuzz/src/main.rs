//! All fuzz targets in one program, because linking the product once is what a build costs.
//!
//! The environment variable `KEYMOOT_FUZZ_TARGET` chooses the target; libFuzzer owns the arguments.
//! What the product keeps allocated is counted: a target that keeps more and more of what it is sent fails.
#![no_main]

mod targets;

use std::alloc::System;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use cap::Cap;
use libfuzzer_sys::fuzz_target;

/// Counts what is allocated. libFuzzer's own corpus is C++'s, and not in it.
#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, usize::MAX);

/// The inputs after which caches and tables have the size that they keep.
const WARM_AFTER: u64 = 20_000;
/// How often it is looked at the memory from then on, in inputs.
const LOOK_EVERY: u64 = 5_000;
/// How much more may be allocated later: the write buffer of the store has 64 MiB, and fills slowly. A hundred bytes kept of
/// each of 10^7 inputs is a gigabyte.
const GROWTH_BYTES_MAX: usize = 160 * 1024 * 1024;

static INPUTS: AtomicU64 = AtomicU64::new(0);
static WARM_BYTES: AtomicUsize = AtomicUsize::new(0);

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

/// Looks at the memory now and then.
fn must_not_grow() {
    let inputs = INPUTS.fetch_add(1, Ordering::Relaxed) + 1;
    if inputs < WARM_AFTER || inputs % LOOK_EVERY != 0 {
        return;
    }
    let now = ALLOCATED.allocated();
    if inputs == WARM_AFTER {
        WARM_BYTES.store(now, Ordering::Relaxed);
    }
    let warm = WARM_BYTES.load(Ordering::Relaxed);
    if inputs % (20 * LOOK_EVERY) == 0 || inputs == WARM_AFTER {
        eprintln!("memory: {} KiB after {inputs} inputs", now / 1024);
    }
    assert!(now < warm + GROWTH_BYTES_MAX, "memory grows: from {warm} to {now} bytes after {inputs} inputs");
}

fuzz_target!(
    init: {
        // A node takes its time to start, which is not the first input's.
        TARGET(&[0]);
    },
    |input: &[u8]| {
        TARGET(input);
        must_not_grow();
    }
);
