//! Slots and rentals against a model that forgets nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;

use keymoot_model::{KeyPath, ViewerPlace};

use super::apply::{Memory, place};
use crate::*;

fn viewer(viewer: u8) -> ViewerPlace {
    let KeyPath { account, content, .. } = place(1);
    ViewerPlace { account, content, viewer: [viewer; 16] }
}

/// A history of single commands, each at its own time.
#[derive(Default)]
struct History {
    memory: Memory,
    serial: u64,
}

impl History {
    fn run(&mut self, command: Command, now_ms: u64) -> Response {
        self.serial += 1;
        self.memory.run_one(self.serial, now_ms, command)
    }

    fn claim(&mut self, of: u8, device: u8, slots: u16, now_ms: u64) -> Response {
        let device = [device; 16];
        self.run(Command::ClaimLease { place: viewer(of), device, duration_s: 10, slots }, now_ms)
    }

    fn rows(&self) -> usize {
        self.memory.prefix(Table::Leases, b"").unwrap().len()
    }
}

#[test]
fn a_device_too_many_waits_until_another_has_ended() {
    let mut history = History::default();
    assert_eq!(history.claim(1, 1, 2, 1_000), Response::Leased { until_ms: 11_000 });
    assert_eq!(history.claim(1, 2, 2, 2_000), Response::Leased { until_ms: 12_000 });
    assert_eq!(history.claim(1, 3, 2, 3_000), Response::LeasesTaken { frees_at_ms: 11_000 });
    assert_eq!(history.claim(2, 3, 2, 3_000), Response::Leased { until_ms: 13_000 }, "another viewer");
    assert_eq!(history.claim(1, 1, 2, 5_000), Response::Leased { until_ms: 15_000 }, "renewed");
    assert_eq!(history.claim(1, 3, 2, 11_999), Response::LeasesTaken { frees_at_ms: 12_000 });
    assert_eq!(history.claim(1, 3, 2, 12_000), Response::Leased { until_ms: 22_000 });
    assert_eq!(history.claim(1, 2, 2, 12_000), Response::LeasesTaken { frees_at_ms: 15_000 });
}

#[test]
fn a_slot_that_is_given_back_is_free_at_once() {
    let mut history = History::default();
    history.claim(1, 1, 1, 1_000);
    let release = |device| Command::ReleaseLease { place: viewer(1), device: [device; 16] };
    assert_eq!(history.run(release(2), 1_000), Response::Unchanged);
    assert_eq!(history.run(release(1), 1_000), Response::Done);
    assert_eq!(history.rows(), 0);
    assert_eq!(history.claim(1, 2, 1, 1_000), Response::Leased { until_ms: 11_000 });
}

#[test]
fn a_renewal_never_shortens_a_slot_and_a_slow_clock_frees_none() {
    let mut history = History::default();
    history.claim(1, 1, 1, 20_000);
    assert_eq!(history.claim(1, 1, 1, 5_000), Response::Leased { until_ms: 30_000 });
    assert_eq!(history.claim(1, 2, 1, 5_000), Response::LeasesTaken { frees_at_ms: 30_000 });
}

#[test]
fn what_has_ended_is_forgotten() {
    let mut history = History::default();
    for of in 1..=20 {
        history.claim(of, 1, 1, 1_000 * u64::from(of));
    }
    assert!(history.rows() > 20);
    history.claim(99, 1, 1, 40_000);
    history.claim(99, 1, 1, 80_000);
    history.claim(99, 1, 1, 81_000);
    assert_eq!(history.rows(), 2, "the last viewer's slots and where they end");
}

#[test]
fn a_rental_begins_once_until_it_is_ended() {
    let mut history = History::default();
    let begin = || Command::BeginRental { place: viewer(1) };
    assert_eq!(history.run(begin(), 5), Response::Rental { began_at_ms: 5 });
    assert_eq!(history.run(begin(), 9), Response::Rental { began_at_ms: 5 });
    assert_eq!(rental_began_at_ms(&history.memory, &viewer(1)).unwrap(), Some(5));
    assert_eq!(history.run(Command::EndRental { place: viewer(1) }, 9), Response::Done);
    assert_eq!(history.run(Command::EndRental { place: viewer(1) }, 9), Response::Unchanged);
    assert_eq!(history.run(begin(), 11), Response::Rental { began_at_ms: 11 });
}

proptest! {
    #[test]
    fn there_are_never_more_devices_than_slots(
        steps in prop::collection::vec((0_u8..3, 0_u8..5, 0_u64..6_000, prop::bool::weighted(0.15)), 1..80),
        slots in 1_u16..4,
    ) {
        let mut history = History::default();
        let mut model: BTreeMap<(u8, u8), u64> = BTreeMap::new();
        let mut now_ms = 1_000;
        for (of, device, later_ms, release) in steps {
            now_ms += later_ms;
            model.retain(|_, until_ms| *until_ms > now_ms);
            if release {
                let expected =
                    if model.remove(&(of, device)).is_some() { Response::Done } else { Response::Unchanged };
                let given = history.run(Command::ReleaseLease { place: viewer(of), device: [device; 16] }, now_ms);
                // An ended slot may or may not have been deleted; freeing it changes nothing.
                prop_assert!(given == expected || given == Response::Done);
                continue;
            }
            let held = model.range((of, 0)..=(of, u8::MAX)).count();
            let fits = model.contains_key(&(of, device)) || held < usize::from(slots);
            match history.claim(of, device, slots, now_ms) {
                Response::Leased { until_ms } => {
                    prop_assert!(fits);
                    prop_assert_eq!(until_ms, now_ms + 10_000);
                    model.insert((of, device), until_ms);
                }
                Response::LeasesTaken { frees_at_ms } => {
                    prop_assert!(!fits);
                    let first = model.range((of, 0)..=(of, u8::MAX)).map(|(_, until_ms)| *until_ms).min();
                    prop_assert_eq!(Some(frees_at_ms), first);
                }
                answer => prop_assert!(false, "{:?}", answer),
            }
        }
    }
}
