//! Seeds and keys of single periods, as commands make them and queries find them.

use keymoot_model::{Kid, Period, SeedId, SeedRecord};

use super::apply::{Memory, new_key, place, proposal};
use crate::layout::{META_CONTENTS, place_key};
use crate::record::Track;
use crate::*;

pub(crate) fn new_seed(content: u8, version: u32, length_s: u32) -> NewSeed {
    let seed = new_key(content, version, length_s as u8).key;
    NewSeed { place: place(content), version, length_s, seed }
}

fn one(memory: &mut Memory, serial: u64, command: Command) -> Response {
    memory.run(&[proposal(serial, vec![command])]).remove(0).remove(0)
}

fn stored(memory: &mut Memory, serial: u64, command: Command) -> SeedRecord {
    match one(memory, serial, command) {
        Response::Seed(record) => *record,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_seed_of_a_length_wins_and_everybody_gets_it() {
    let mut memory = Memory::default();
    let first = stored(&mut memory, 1, Command::CreateSeed(new_seed(1, 1, 10)));
    let late = NewSeed { seed: new_key(1, 1, 99).key, ..new_seed(1, 1, 10) };
    assert_eq!(stored(&mut memory, 2, Command::CreateSeed(late)), first);
    assert_eq!(schedule(&memory, &place(1), 10).unwrap(), Some(first.clone()));
    assert_eq!(seed(&memory, first.id).unwrap(), Some(first));
}

#[test]
fn no_two_seeds_share_their_numbers_and_versions_are_those_of_the_track() {
    let mut memory = Memory::default();
    assert_eq!(one(&mut memory, 1, Command::CreateKey(new_key(1, 1, 1))), Response::Stored);
    let stale = one(&mut memory, 2, Command::CreateSeed(new_seed(1, 1, 10)));
    assert_eq!(stale, Response::VersionMoved { next: 2 });
    let ten = stored(&mut memory, 3, Command::CreateSeed(new_seed(1, 2, 10)));
    let six = stored(&mut memory, 4, Command::CreateSeed(new_seed(1, 3, 6)));
    let other = stored(&mut memory, 5, Command::CreateSeed(new_seed(2, 1, 10)));
    let again = stored(&mut memory, 6, Command::ReplaceSeed(new_seed(1, 4, 10)));
    let mut audio = new_seed(1, 1, 10);
    audio.place.track = "AUDIO".parse().unwrap();
    let audio = stored(&mut memory, 7, Command::CreateSeed(audio));
    let numbers = [&ten, &six, &other, &again, &audio].map(|r| (r.id.content, r.id.track, r.id.version));
    assert_eq!(numbers, [(1, 0, 2), (1, 0, 3), (2, 0, 1), (1, 0, 4), (1, 1, 1)]);
    assert_eq!(schedules(&memory, &place(1)).unwrap(), [six, again.clone()]);
    assert_eq!(schedule(&memory, &place(1), 10).unwrap(), Some(again));
    assert_eq!(seed(&memory, ten.id).unwrap(), Some(ten), "an old seed stays");
    assert_eq!(current_key(&memory, &place(1)).unwrap().unwrap().version, 1, "and so does the key");
}

#[test]
fn a_key_supplied_for_a_period_is_found_there_and_by_its_kid() {
    let mut memory = Memory::default();
    let supply = |version, kid, index| Command::SupplyPeriodKey {
        key: new_key(1, version, kid),
        period: Period { length_s: 10, index },
    };
    for (serial, index) in [(1, 300), (2, 255), (3, 256), (4, 7)] {
        assert_eq!(one(&mut memory, serial, supply(serial as u32, serial as u8, index)), Response::Stored);
    }
    assert_eq!(one(&mut memory, 5, supply(5, 55, 256)), Response::Stored);
    let found = |first, last| -> Vec<(u32, Kid)> {
        let keys = supplied_keys(&memory, &place(1), 10, first, last).unwrap();
        keys.into_iter().map(|key| (key.period.unwrap().index, key.kid)).collect()
    };
    let kid = |byte| Kid::from_bytes([byte; 16]);
    assert_eq!(found(0, 299), [(7, kid(4)), (255, kid(2)), (256, kid(55))]);
    assert_eq!(found(300, u32::MAX >> 12), [(300, kid(1))]);
    assert!(supplied_keys(&memory, &place(1), 11, 0, 999).unwrap().is_empty());
    assert_eq!(key_by_kid(&memory, &place(1).account, &kid(3)).unwrap().unwrap().period.unwrap().index, 256);
    assert_eq!(current_key(&memory, &place(1)).unwrap(), None, "it is no key of the whole track");
}

#[test]
fn deleting_a_track_takes_its_seeds_and_period_keys_but_not_newer_ones() {
    let mut memory = Memory::default();
    let seed_1 = stored(&mut memory, 1, Command::CreateSeed(new_seed(1, 1, 10)));
    let period = Period { length_s: 10, index: 3 };
    one(&mut memory, 2, Command::SupplyPeriodKey { key: new_key(1, 2, 2), period });
    let newer = stored(&mut memory, 3, Command::CreateSeed(new_seed(1, 3, 6)));
    let delete = Command::DeleteKey { place: place(1), through: 2, kid: None };
    assert_eq!(one(&mut memory, 4, delete), Response::Deleted { versions: 2 });
    assert_eq!(seed(&memory, seed_1.id).unwrap(), None);
    assert_eq!(schedule(&memory, &place(1), 10).unwrap(), None);
    assert!(supplied_keys(&memory, &place(1), 10, 0, 9).unwrap().is_empty());
    assert_eq!(schedules(&memory, &place(1)).unwrap(), [newer]);
    let next = stored(&mut memory, 5, Command::CreateSeed(new_seed(1, 4, 10)));
    assert_eq!(next.id.version, 4, "a version is never used twice, or its key ids would be");
}

#[test]
fn a_version_that_a_key_id_cannot_hold_is_refused() {
    let mut memory = Memory::default();
    let track = Track { next_version: 65_536, current: None, number: None };
    memory.put(Table::Tracks, &place_key(&place(1)), &track);
    let answer = one(&mut memory, 1, Command::CreateSeed(new_seed(1, 65_536, 10)));
    assert_eq!(answer, Response::NumbersExhausted);
}

#[test]
fn contents_beyond_what_a_key_id_can_hold_are_refused() {
    let mut memory = Memory::default();
    memory.put(Table::Meta, META_CONTENTS, &SeedId::CONTENTS_MAX);
    let answer = one(&mut memory, 1, Command::CreateSeed(new_seed(1, 1, 10)));
    assert_eq!(answer, Response::NumbersExhausted);
}

#[test]
fn the_key_of_derived_kids_is_founded_once() {
    let mut memory = Memory::default();
    let (first, second) = (new_key(1, 1, 1).key, new_key(1, 1, 2).key);
    for (serial, key) in [(1, &first), (2, &second)] {
        let answer = one(&mut memory, serial, Command::FoundKidKey { key: key.clone() });
        assert_eq!(answer, Response::KidKey(first.clone()));
    }
    assert_eq!(kid_key(&memory).unwrap(), Some(first));
}
