//! The order of faults: it depends on the seed only.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;

use crate::nemesis::faults::{Draw, Fault, Kind};

/// Faults that are active at the same time, and for how long.
pub struct Step {
    /// The faults with their names.
    pub faults: Vec<(&'static str, Box<dyn Fault>)>,
    /// The time from the last injection to the first healing.
    pub hold: Duration,
    /// The time from the cluster's recovery to the next step.
    pub calm: Duration,
}

/// The endless steps of a seed.
pub struct Schedule {
    numbers: Xoshiro256PlusPlus,
    kinds: Vec<Kind>,
    nodes: usize,
    /// The rest of the round: each kind occurs once before any occurs twice.
    round: Vec<Kind>,
    pairs_percent: u32,
}

/// How many per cent of the steps have two faults.
const PAIRS_PERCENT: u32 = 35;

impl Schedule {
    /// The schedule of this seed for these kinds and this number of nodes.
    pub fn new(seed: u64, kinds: &[Kind], nodes: usize) -> Self {
        Self {
            numbers: Xoshiro256PlusPlus::seed_from_u64(seed),
            kinds: kinds.to_vec(),
            nodes,
            round: vec![],
            pairs_percent: PAIRS_PERCENT,
        }
    }

    /// The same schedule, but never with two faults at a time.
    #[must_use]
    pub fn one_at_a_time(self) -> Self {
        Self { pairs_percent: 0, ..self }
    }

    fn kind(&mut self) -> Option<Kind> {
        if self.round.is_empty() {
            let mut draw = Draw { numbers: &mut self.numbers, nodes: self.kinds.len() };
            let order = draw.order();
            self.round = order.into_iter().filter_map(|at| self.kinds.get(at).copied()).collect();
        }
        self.round.pop()
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let mut kinds = vec![self.kind()?];
        let mut draw = Draw { numbers: &mut self.numbers, nodes: self.nodes };
        let (pair, hold, calm) =
            (draw.between(1, 100) <= self.pairs_percent, draw.between(2000, 7000), draw.between(500, 2500));
        if pair {
            kinds.extend(self.kind());
        }
        let mut draw = Draw { numbers: &mut self.numbers, nodes: self.nodes };
        let faults = kinds.iter().map(|kind| (kind.name, kind.draw(&mut draw))).collect();
        let [hold, calm] = [hold, calm].map(|ms| Duration::from_millis(ms.into()));
        Some(Step { faults, hold, calm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis::faults::KINDS;

    fn first(seed: u64, count: usize) -> Vec<(Vec<&'static str>, Duration, Duration)> {
        let steps = Schedule::new(seed, KINDS, 5).take(count);
        steps.map(|s| (s.faults.iter().map(|(name, _)| *name).collect(), s.hold, s.calm)).collect()
    }

    #[test]
    fn a_seed_always_gives_the_same_schedule_and_another_seed_another() {
        assert_eq!(first(7, 200), first(7, 200));
        assert_ne!(first(7, 20), first(8, 20));
    }

    #[test]
    fn every_kind_comes_once_before_any_comes_twice() {
        let steps = first(3, KINDS.len());
        let mut names: Vec<&str> =
            steps.iter().flat_map(|(names, ..)| names.clone()).take(KINDS.len()).collect();
        names.sort_unstable();
        let mut all: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        all.sort_unstable();
        assert_eq!(names, all);
    }
}
