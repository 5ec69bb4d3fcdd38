//! From feature level 3 on the work for one entry has a bound; below it nothing changes, so the rules of
//! level 2 are the model.

use proptest::prelude::*;

use keymoot_model::{KeyPath, Kid, Period, ViewerPlace};

use super::apply::{Memory, new_key, place};
use super::rotation::new_seed;
use crate::join_tokens::CHECKED_MAX;
use crate::leases::ENDED_MAX;
use crate::*;

const DAY_MS: u64 = 24 * 3_600_000;

/// A cluster of this level, and the commands that were applied to it one by one.
struct History {
    memory: Memory,
    serial: u64,
}

impl History {
    fn new(feature_level: u32) -> Self {
        let mut history = Self { memory: Memory::default(), serial: 0 };
        let keyring_check = new_key(1, 1, 1).key;
        history.run(
            Command::Found(ClusterIdentity { cluster: "c".into(), keyring_check, feature_level }),
            DAY_MS,
        );
        history
    }

    fn run(&mut self, command: Command, now_ms: u64) -> Response {
        self.serial += 1;
        self.memory.run_one(self.serial, now_ms, command)
    }

    fn rows(&self, table: Table) -> usize {
        self.memory.prefix(table, b"").unwrap().len()
    }

    /// All records of keys.
    fn keys(&self) -> Vec<Vec<Pair>> {
        use Table::{Kids, OldKeys, Periods, Schedules, Seeds, Tracks};
        let tables = [Tracks, OldKeys, Kids, Seeds, Schedules, Periods];
        tables.map(|table| self.memory.prefix(table, b"").unwrap()).to_vec()
    }

    /// Deletes as a proposer does. Returns the number of commands and of deleted versions.
    fn delete(&mut self, place: &KeyPath, through: u32) -> (usize, u32) {
        let mut sum = 0;
        for commands in 1.. {
            let command = Command::DeleteKey { place: place.clone(), through, kid: None };
            let Response::Deleted { versions } = self.run(command, DAY_MS) else { panic!("not deleted") };
            sum += versions;
            if versions < DELETED_VERSIONS_MAX {
                return (commands, sum);
            }
        }
        unreachable!()
    }
}

fn kid(number: u32) -> Kid {
    let mut bytes = [9; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Kid::from_bytes(bytes)
}

fn versions(history: &mut History, count: u32) {
    for version in 1..=count {
        let key = NewKey { kid: kid(version), ..new_key(1, version, 1) };
        assert_eq!(history.run(Command::ReplaceKey(key), DAY_MS), Response::Stored);
    }
}

#[test]
fn many_versions_go_in_bounded_steps_and_in_the_end_as_below_the_level() {
    for count in [1, DELETED_VERSIONS_MAX - 1, DELETED_VERSIONS_MAX, 2 * DELETED_VERSIONS_MAX + 9] {
        let (mut model, mut history) = (History::new(2), History::new(3));
        for history in [&mut model, &mut history] {
            versions(history, count);
            let seed = Command::CreateSeed(new_seed(1, count + 1, 10));
            assert!(matches!(history.run(seed, DAY_MS), Response::Seed(_)));
        }
        assert_eq!(model.delete(&place(1), u32::MAX).1, count + 1);
        let (commands, deleted) = history.delete(&place(1), u32::MAX);
        assert_eq!(deleted, count + 1);
        assert!(commands >= (count / DELETED_VERSIONS_MAX) as usize, "{commands} commands for {count}");
        assert!(history.keys() == model.keys(), "{count} versions leave other records");
    }
}

#[test]
fn one_command_deletes_the_oldest_and_the_current_key_stays_until_the_last() {
    let mut history = History::new(3);
    versions(&mut history, 2 * DELETED_VERSIONS_MAX);
    let command = Command::DeleteKey { place: place(1), through: u32::MAX, kid: None };
    let before = history.rows(Table::OldKeys);
    assert_eq!(history.run(command, DAY_MS), Response::Deleted { versions: DELETED_VERSIONS_MAX });
    assert_eq!(before - history.rows(Table::OldKeys), DELETED_VERSIONS_MAX as usize);
    assert!(key_by_kid(&history.memory, &place(1).account, &kid(1)).unwrap().is_none());
    assert!(current_key(&history.memory, &place(1)).unwrap().is_some());
}

fn changes() -> impl Strategy<Value = Vec<(u8, u32, u8)>> {
    prop::collection::vec((0..6_u8, 1..12_u32, 1..9_u8), 1..60)
}

proptest! {
    #[test]
    fn fewer_versions_than_a_step_are_deleted_as_below_the_level(changes in changes()) {
        let (mut model, mut history) = (History::new(2), History::new(3));
        for (kind, number, other) in changes {
            let next = next_version(&model.memory, &place(other % 2)).unwrap();
            let key = new_key(other % 2, next, number as u8);
            let command = match kind {
                0 => Command::CreateKey(key),
                1 => Command::ReplaceKey(key),
                2 => Command::SupplyPeriodKey { key, period: Period { length_s: 10, index: u32::from(other) } },
                3 => Command::ReplaceSeed(new_seed(other % 2, next, 10)),
                4 => Command::DeleteKey { place: place(other % 2), through: number, kid: None },
                _ => {
                    let kid = Some(Kid::from_bytes([number as u8; 16]));
                    Command::DeleteKey { place: place(other % 2), through: u32::from(other) + 2, kid }
                }
            };
            prop_assert_eq!(history.run(command.clone(), DAY_MS), model.run(command, DAY_MS));
        }
        prop_assert_eq!(history.keys(), model.keys());
    }
}

fn claim(history: &mut History, viewer: u16, now_ms: u64) {
    let KeyPath { account, content, .. } = place(1);
    let mut digest = [0; 16];
    digest[..2].copy_from_slice(&viewer.to_be_bytes());
    let place = ViewerPlace { account, content, viewer: digest };
    let command = Command::ClaimLease { place, device: [1; 16], duration_s: 10, slots: 1 };
    assert!(matches!(history.run(command, now_ms), Response::Leased { .. }));
}

#[test]
fn leases_that_end_in_one_second_are_deleted_in_bounded_steps() {
    const VIEWERS: u16 = 1_000;
    let (mut model, mut history) = (History::new(2), History::new(3));
    for history in [&mut model, &mut history] {
        (0..VIEWERS).for_each(|viewer| claim(history, viewer, DAY_MS));
    }
    let later_ms = DAY_MS + 20_000;
    claim(&mut model, VIEWERS, later_ms);
    assert_eq!(model.rows(Table::Leases), 2, "below the level one claim deletes all");
    for claims in 1.. {
        let before = history.rows(Table::Leases);
        claim(&mut history, VIEWERS, later_ms);
        let after = history.rows(Table::Leases);
        assert!(before.saturating_sub(after) <= 2 * ENDED_MAX, "{before} rows, then {after}");
        assert!(claims < 30, "the backlog does not shrink");
        if after == 2 {
            break;
        }
    }
}

fn put_token(history: &mut History, number: u64, now_ms: u64) {
    // Ids are random, so that they come in no order.
    let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let token = JoinTokenRecord {
        id,
        secret_digest: [0; 32],
        expires_at_ms: now_ms + 1,
        learner: false,
        zone: None,
        revoked: false,
        spent: None,
    };
    assert_eq!(history.run(Command::PutJoinToken(Box::new(token)), now_ms), Response::Done);
}

#[test]
fn old_tokens_are_deleted_in_bounded_steps() {
    const TOKENS: u64 = 500;
    let (mut model, mut history) = (History::new(2), History::new(3));
    for history in [&mut model, &mut history] {
        (0..TOKENS).for_each(|number| put_token(history, number, DAY_MS));
    }
    let later_ms = 30 * DAY_MS;
    put_token(&mut model, TOKENS, later_ms);
    assert_eq!(model.rows(Table::JoinTokens), 1, "below the level one command deletes all");
    for number in TOKENS..2 * TOKENS {
        let before = history.rows(Table::JoinTokens);
        put_token(&mut history, number, later_ms);
        assert!(before + 1 - history.rows(Table::JoinTokens) <= CHECKED_MAX);
    }
    assert_eq!(history.rows(Table::JoinTokens), TOKENS as usize, "the old ones are gone");
}
