//! Randomness from a seed. Each party uses a fork, so that its draws do not depend on how often the
//! others draw.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// A source of random draws.
pub(crate) struct Fate(StdRng);

impl Fate {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Another source, which depends on this one's draws so far.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.number())
    }

    /// A random number.
    pub(crate) fn number(&mut self) -> u64 {
        self.0.random()
    }

    /// A number from `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0.random_range(least..=most)
    }

    /// True in `per_mille` of a thousand cases.
    pub(crate) fn happens(&mut self, per_mille: u64) -> bool {
        self.0.random_range(0..1000) < per_mille
    }

    /// One of these; there must be one.
    pub(crate) fn one_of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.0.random_range(0..all.len())]
    }
}
