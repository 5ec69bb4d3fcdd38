//! Histories made by hand: correct ones must pass, and each incorrect one must be caught.

use super::*;

fn value(name: &str) -> Value {
    Value { kid: name.to_owned(), key: format!("key of {name}") }
}

fn operation(action: Action, (began, ended): (u64, u64), outcome: Outcome) -> Operation {
    let at = Duration::from_millis;
    Operation { id: 0, node: 0, content: "film".into(), action, began: at(began), ended: at(ended), outcome }
}

fn read(times: (u64, u64), key: &str) -> Operation {
    let outcome = if key.is_empty() { Outcome::Absent } else { Outcome::Key(value(key)) };
    operation(Action::Read, times, outcome)
}

fn create(times: (u64, u64), key: &str) -> Operation {
    operation(Action::Create, times, Outcome::Key(value(key)))
}

fn replace(times: (u64, u64), key: &str) -> Operation {
    operation(Action::Replace(None), times, Outcome::Key(value(key)))
}

fn supply(times: (u64, u64), key: &str) -> Operation {
    operation(Action::Replace(Some(value(key))), times, Outcome::Key(value(key)))
}

fn delete(times: (u64, u64)) -> Operation {
    operation(Action::Delete, times, Outcome::Done)
}

fn unknown(action: Action, began: u64) -> Operation {
    operation(action, (began, began + 1), Outcome::Unknown)
}

fn good(history: &[Operation]) {
    assert_eq!(check(history, ""), []);
}

fn bad(history: &[Operation]) {
    assert_eq!(check(history, "").len(), 1, "{history:?}");
}

#[test]
fn one_after_another_is_a_register() {
    good(&[
        read((0, 1), ""),
        create((2, 3), "a"),
        create((4, 5), "a"),
        read((6, 7), "a"),
        replace((8, 9), "b"),
        read((10, 11), "b"),
        supply((12, 13), "c"),
        create((14, 15), "c"),
        delete((16, 17)),
        read((18, 19), ""),
        create((20, 21), "d"),
    ]);
}

#[test]
fn while_a_write_is_under_way_old_and_new_may_be_read_but_never_new_then_old() {
    good(&[create((0, 1), "a"), replace((2, 10), "b"), read((3, 4), "a"), read((5, 6), "b")]);
    bad(&[create((0, 1), "a"), replace((2, 10), "b"), read((3, 4), "b"), read((5, 6), "a")]);
}

#[test]
fn a_stale_read_is_caught() {
    bad(&[create((0, 1), "a"), replace((2, 3), "b"), read((4, 5), "a")]);
    bad(&[create((0, 1), "a"), delete((2, 3)), read((4, 5), "a")]);
    bad(&[create((0, 1), "a"), read((2, 3), "")]);
}

#[test]
fn a_lost_write_is_caught() {
    bad(&[create((0, 1), "a"), replace((2, 3), "b"), create((4, 5), "a")]);
    bad(&[create((0, 1), "a"), create((2, 3), "b")]);
    bad(&[supply((0, 1), "a"), read((2, 3), "")]);
}

#[test]
fn two_creates_at_once_must_agree() {
    good(&[create((0, 10), "a"), create((1, 9), "a")]);
    bad(&[create((0, 10), "a"), create((1, 9), "b")]);
}

#[test]
fn a_key_that_was_deleted_never_comes_back() {
    bad(&[create((0, 1), "a"), delete((2, 3)), create((4, 5), "a")]);
    bad(&[create((0, 1), "a"), replace((2, 3), "b"), delete((4, 5)), create((6, 7), "a")]);
    bad(&[replace((0, 1), "a"), replace((2, 3), "b"), replace((4, 5), "a")]);
}

#[test]
fn a_key_from_nowhere_is_caught() {
    bad(&[read((0, 1), "a")]);
    bad(&[create((0, 1), "a"), read((2, 3), "b")]);
}

#[test]
fn an_unknown_write_may_have_happened_or_not_or_may_happen_late() {
    let supplied = || unknown(Action::Replace(Some(value("b"))), 2);
    for write in [unknown(Action::Replace(None), 2), supplied()] {
        good(&[create((0, 1), "a"), write.clone(), read((4, 5), "a")]);
        good(&[create((0, 1), "a"), write.clone(), read((4, 5), "b")]);
        good(&[create((0, 1), "a"), write.clone(), read((4, 5), "a"), read((6, 7), "b"), read((8, 9), "b")]);
        bad(&[create((0, 1), "a"), write.clone(), read((4, 5), "b"), read((6, 7), "a")]);
        bad(&[create((0, 1), "a"), read((1, 1), "b"), write]);
    }
    bad(&[create((0, 1), "a"), supplied(), read((4, 5), "c")]);
}

#[test]
fn an_unknown_write_happens_once() {
    let write = unknown(Action::Replace(None), 2);
    bad(&[create((0, 1), "a"), write.clone(), read((4, 5), "b"), read((6, 7), "c")]);
    good(&[create((0, 1), "a"), write.clone(), write, read((4, 5), "b"), read((6, 7), "c")]);
    let supplied = unknown(Action::Replace(Some(value("b"))), 2);
    bad(&[create((0, 1), "a"), supplied, read((4, 5), "b"), replace((6, 7), "c"), read((8, 9), "b")]);
}

#[test]
fn an_unknown_create_makes_a_key_only_where_there_is_none() {
    let write = unknown(Action::Create, 2);
    good(&[write.clone(), read((4, 5), "a")]);
    good(&[write.clone(), create((4, 5), "a"), read((6, 7), "a")]);
    bad(&[create((0, 1), "a"), write.clone(), read((4, 5), "b")]);
    good(&[create((0, 1), "a"), write.clone(), unknown(Action::Delete, 3), read((4, 5), "b")]);
    good(&[create((0, 1), "a"), write, delete((3, 4)), read((5, 6), "b")]);
}

#[test]
fn an_unknown_delete_explains_one_missing_key() {
    let gone = unknown(Action::Delete, 2);
    good(&[create((0, 1), "a"), gone.clone(), read((4, 5), "")]);
    good(&[create((0, 1), "a"), gone.clone(), create((4, 5), "b"), read((6, 7), "b")]);
    bad(&[create((0, 1), "a"), gone, read((4, 5), ""), create((6, 7), "b"), read((8, 9), "")]);
}

#[test]
fn contents_are_registers_of_their_own_and_what_failed_had_no_effect() {
    let mut other = create((2, 3), "b");
    other.content = "series".into();
    let failed = operation(Action::Delete, (4, 5), Outcome::Failed);
    good(&[create((0, 1), "a"), other, failed.clone(), read((6, 7), "a")]);
    bad(&[create((0, 1), "a"), failed, read((6, 7), "")]);
}

#[test]
fn a_long_busy_history_is_decided_quickly() {
    let mut history = Vec::new();
    for round in 0..300_u64 {
        let at = round * 10;
        let key = format!("k{round}");
        history.push(replace((at, at + 9), &key));
        history.push(read((at + 10, at + 19), &key));
        history.push(create((at + 10, at + 12), &key));
        if round % 10 == 0 {
            history.push(unknown(Action::Replace(None), at + 1));
            history.push(unknown(Action::Delete, at + 1));
        }
    }
    good(&history);
    let at = history.len() as u64 * 10;
    history.push(read((at, at + 1), "k0"));
    bad(&history);
}
