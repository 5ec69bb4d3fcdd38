//! The number of wrappings under each master key, and its bytes.

use keymoot_codec::Kind;
use keymoot_model::MasterKeyId;

use super::apply::Memory;
use super::bytes::{body, command};
use crate::*;

fn reserve(node: u64, id: &str, count: u32) -> Command {
    Command::ReserveWraps { node, master_key: MasterKeyId(id.to_owned()), count }
}

#[test]
fn what_nodes_reserve_adds_up_for_each_master_key() {
    let mut memory = Memory::default();
    let reservations = [(1, "mk1", 5), (2, "mk1", 7), (1, "mk2", 3), (1, "mk1", u32::MAX)];
    for (serial, (node, id, count)) in (1..).zip(reservations) {
        assert_eq!(memory.run_one(serial, 9, reserve(node, id, count)), Response::Done);
    }
    let found = reserved_wraps(&memory).unwrap();
    let found: Vec<(&str, u64)> = found.iter().map(|(id, count)| (id.0.as_str(), *count)).collect();
    assert_eq!(found, [("mk1", 12 + u64::from(u32::MAX)), ("mk2", 3)]);
}

#[test]
fn it_takes_feature_level_4() {
    assert_eq!(level_of(&reserve(1, "mk1", 1)), 4);
}

#[test]
fn a_reservation_has_these_bytes() {
    assert_eq!(command(reserve(4, "mk1", 5)), "05040302013304036d6b3105");
    let record = super::super::wraps::ReservedWraps::of(&MasterKeyId("mk1".to_owned()), 300);
    assert_eq!(body(Kind::Record, &record), "036d6b31fb2c01");
}
