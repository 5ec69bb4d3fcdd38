//! Exactly once with any clock and with bounded work; below feature level 2 as in earlier versions.

use std::cell::Cell;

use proptest::prelude::*;

use keymoot_codec::Kind;
use keymoot_model::Account;

use super::apply::{Memory, new_key};
use super::bytes::body;
use super::histories::account;
use crate::clients::{ANSWERS_FORGOTTEN_MAX, CLIENTS_KEPT, Clients, SCANNED_MAX};
use crate::layout::{answers_key, session_key};
use crate::record::{Answers, Session};
use crate::sessions::{FLOOR_RISE_MAX, Seen};
use crate::transaction::decode;
use crate::*;

const HOUR_MS: u64 = 3_600_000;

fn proposal(client: u64, serial: u64, now_ms: u64, commands: Vec<Command>) -> Proposal {
    Proposal { client, serial, floor: serial, now_ms, commands }
}

/// A cluster that was founded at this level by client 1.
fn founded(feature_level: u32) -> Memory {
    let mut memory = Memory::default();
    let keyring_check = new_key(1, 1, 1).key;
    let identity = ClusterIdentity { cluster: "c".into(), keyring_check, feature_level };
    memory.run(&[proposal(1, 1, HOUR_MS, vec![Command::Found(identity)])]);
    memory
}

fn put_account(url: u8) -> Vec<Command> {
    let account = Account { license_url: Some(url.to_string()), ..account(1) };
    vec![Command::PutAccount { account, if_absent: false }]
}

fn url(memory: &Memory) -> Option<String> {
    crate::account(memory, &account(1).id).unwrap().unwrap().license_url
}

fn sessions(memory: &Memory) -> Vec<(Vec<u8>, Session)> {
    let pairs = memory.prefix(Table::Sessions, b"c").unwrap().into_iter();
    pairs.map(|(key, value)| (key, decode(Table::Sessions, &value).unwrap())).collect()
}

fn answers(memory: &Memory) -> usize {
    memory.prefix(Table::Sessions, b"s").unwrap().len()
}

#[test]
fn a_clock_that_is_hours_ahead_lets_no_retried_proposal_apply_twice() {
    let mut memory = founded(2);
    let first = proposal(2, 1, HOUR_MS, put_account(1));
    let answer = memory.run(std::slice::from_ref(&first));
    memory.run(&[proposal(3, 1, HOUR_MS + 1, put_account(2))]);
    // A node starts, with a clock three hours ahead, again and again.
    for start in 10..20 {
        memory.run(&[proposal(start, 1, 4 * HOUR_MS, vec![])]);
    }
    assert_eq!(memory.run(&[first]), answer);
    assert_eq!(url(&memory).as_deref(), Some("2"), "the retried proposal was applied twice");
}

#[test]
fn a_client_is_forgotten_once_enough_others_have_begun_and_what_is_kept_is_bounded() {
    let mut memory = founded(2);
    memory.run(&[proposal(2, 1, HOUR_MS, put_account(1))]);
    let is_known =
        |memory: &Memory, client| memory.get(Table::Sessions, &session_key(client)).unwrap().is_some();
    for start in 0..CLIENTS_KEPT - 1 {
        memory.run(&[proposal(1_000 + start, 1, HOUR_MS, vec![])]);
        // Client 1 proposes all the time.
        memory.run(&[proposal(1, 2 + start, HOUR_MS, vec![])]);
    }
    assert!(is_known(&memory, 2) && is_known(&memory, 1));
    for start in CLIENTS_KEPT..8 * CLIENTS_KEPT {
        memory.run(&[proposal(1_000 + start, 1, HOUR_MS, vec![])]);
        memory.run(&[proposal(1, 2 + start, HOUR_MS, vec![])]);
        assert!(
            sessions(&memory).len() <= CLIENTS_KEPT as usize + SCANNED_MAX,
            "{}",
            sessions(&memory).len()
        );
    }
    assert!(!is_known(&memory, 2) && is_known(&memory, 1));
    assert_eq!(answers(&memory), sessions(&memory).len(), "an answer outlived its client");
    assert_eq!(digest(&memory).unwrap(), memory.digest_from_scratch());
}

#[test]
fn what_was_noted_by_clocks_is_forgotten_too_once_the_level_is_raised() {
    let mut memory = founded(1);
    memory.run(&[proposal(2, 1, 900 * HOUR_MS, vec![]), proposal(3, 1, 900 * HOUR_MS, vec![])]);
    memory.run(&[proposal(3, 2, 900 * HOUR_MS, vec![Command::RaiseFeatureLevel { to: 2 }])]);
    for start in 0..3 * CLIENTS_KEPT {
        memory.run(&[proposal(1_000 + start, 1, 1, vec![])]);
    }
    assert!(
        sessions(&memory).iter().all(|(_, session)| session.seen > 2 * CLIENTS_KEPT - SCANNED_MAX as u64)
    );
}

#[test]
fn a_client_with_many_answers_is_forgotten_bit_by_bit_and_none_of_it_applies_again() {
    let mut memory = founded(2);
    let many = 3 * ANSWERS_FORGOTTEN_MAX as u64;
    for serial in 1..=many {
        memory.run(&[Proposal { floor: 1, ..proposal(2, serial, 1, put_account(1)) }]);
    }
    memory.run(&[proposal(3, 1, 1, put_account(2))]);
    let mut starts = 0;
    while memory.get(Table::Sessions, &session_key(2)).unwrap().is_some() {
        starts += 1;
        assert!(starts < 2 * CLIENTS_KEPT, "it is never forgotten");
        let before = answers(&memory);
        memory.run(&[proposal(1_000 + starts, 1, 1, vec![])]);
        assert!(before <= answers(&memory) + ANSWERS_FORGOTTEN_MAX);
        let session: Option<Session> = sessions(&memory).into_iter().map(|it| it.1).find(|it| it.floor > 1);
        if session.is_some_and(|session| session.floor < many) {
            // A proposal whose answer was deleted is not new.
            let again = memory.run(&[proposal(2, 1, 1, put_account(1))]);
            assert_eq!((again, url(&memory).as_deref()), (vec![vec![Response::AnsweredBefore]], Some("2")));
        }
    }
    assert_eq!(digest(&memory).unwrap(), memory.digest_from_scratch());
}

/// Tables that count what is read of them.
struct Counted<'m> {
    memory: &'m Memory,
    work: Cell<usize>,
}

impl Counted<'_> {
    fn rows(&self, rows: Result<Vec<Pair>, StateError>) -> Result<Vec<Pair>, StateError> {
        self.work.set(self.work.get() + 1 + rows.as_ref().map_or(0, Vec::len));
        rows
    }
}

impl Tables for Counted<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.work.set(self.work.get() + 1);
        self.memory.get(table, key)
    }

    fn prefix(&self, table: Table, prefix: &[u8]) -> Result<Vec<Pair>, StateError> {
        self.rows(self.memory.prefix(table, prefix))
    }

    fn page(&self, table: Table, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Pair>, StateError> {
        self.rows(self.memory.page(table, prefix, after, limit))
    }
}

/// Applies one proposal. Returns the number of records read and changed.
fn work_of(memory: &mut Memory, proposal: &Proposal) -> (usize, usize) {
    let before = memory.clone();
    let counted = Counted { memory: &before, work: Cell::new(0) };
    let mut run = Transaction::new(&counted);
    apply(&mut run, proposal).unwrap();
    let changes = run.finish().unwrap().0;
    let changed = changes.len();
    memory.make(changes);
    (counted.work.get(), changed)
}

#[test]
fn a_forgotten_client_costs_no_more_than_a_new_one_however_much_it_has_proposed() {
    for level in [0, 1, 2] {
        let mut memory = if level == 0 { Memory::default() } else { founded(level) };
        let serial = 10_000_000;
        let (reads, changes) = work_of(&mut memory, &proposal(2, serial, 9 * HOUR_MS, vec![]));
        assert!(reads < 16 && changes < 8, "level {level}: {reads} records read, {changes} changed");
    }
}

#[test]
fn a_floor_that_leaps_over_what_was_never_applied_costs_little() {
    for level in [0, 1, 2] {
        let mut memory = if level == 0 { Memory::default() } else { founded(level) };
        memory.run(&[proposal(2, 1, 1, vec![])]);
        let (reads, _) = work_of(&mut memory, &proposal(2, 10_000_000, 1, vec![]));
        assert!(reads < FLOOR_RISE_MAX as usize + 12, "level {level}: {reads} records read");
    }
}

#[test]
fn one_proposal_does_bounded_work_whatever_piled_up() {
    let mut memory = founded(2);
    for serial in 1..=1_000 {
        memory.run(&[Proposal { floor: 1, ..proposal(2, serial, 1, vec![]) }]);
        memory.run(&[Proposal { floor: 1, ..proposal(3, serial, 1, vec![]) }]);
    }
    // Two thousand answers: the floor rises a step at a time, and catches up.
    let (reads, changes) = work_of(&mut memory, &proposal(2, 1_001, 1, vec![]));
    assert!(reads.max(changes) < FLOOR_RISE_MAX as usize + 12, "{reads} records read, {changes} changed");
    for serial in 1_002..1_040 {
        memory.run(&[proposal(2, serial, 1, vec![])]);
    }
    assert_eq!(memory.prefix(Table::Sessions, &answers_key(2, 0)[..9]).unwrap().len(), 1);
    let bound = ANSWERS_FORGOTTEN_MAX + SCANNED_MAX + 64;
    for start in 0..8 * CLIENTS_KEPT {
        let (reads, changes) = work_of(&mut memory, &proposal(1_000 + start, 1, 1, vec![]));
        assert!(reads <= 2 * bound && changes <= bound, "{reads} records read, {changes} changed");
    }
    assert!(answers(&memory) < 2 * CLIENTS_KEPT as usize);
}

/// The algorithm of earlier versions: it visits every serial, whether or not it has answers.
fn remember_as_before(run: &mut Transaction<'_, Memory>, proposal: &Proposal, responses: &[Response]) {
    let key = session_key(proposal.client);
    let before: Option<Session> = run.get(Table::Sessions, &key).unwrap();
    if before.is_none() {
        for (key, value) in run.prefix(Table::Sessions, b"c").unwrap() {
            let session: Session = decode(Table::Sessions, &value).unwrap();
            if session.seen.saturating_add(HOUR_MS) >= proposal.now_ms {
                continue;
            }
            let answers = [b"s", key.get(1..).unwrap()].concat();
            for (answers, _) in run.prefix(Table::Sessions, &answers).unwrap() {
                run.delete(Table::Sessions, &answers).unwrap();
            }
            run.delete(Table::Sessions, &key).unwrap();
        }
    }
    let before_floor = before.map_or(1, |session| session.floor);
    let floor = proposal.floor.clamp(before_floor, proposal.serial.max(before_floor));
    for serial in before_floor..floor {
        run.delete(Table::Sessions, &answers_key(proposal.client, serial)).unwrap();
    }
    let answers = Answers { responses: responses.to_vec() };
    run.put(Table::Sessions, &answers_key(proposal.client, proposal.serial), &answers).unwrap();
    run.put(Table::Sessions, &key, &Session { floor, seen: proposal.now_ms }).unwrap();
}

/// The `Seen` of each proposal, and the tables after the run.
fn runs(
    log: &[Proposal],
    cut: usize,
    memory: &mut Memory,
    remember: fn(&mut Transaction<'_, Memory>, &Proposal, &[Response]),
) -> Vec<Option<Vec<Response>>> {
    let mut found = Vec::new();
    for proposals in log.chunks(cut) {
        memory.run_by(|run| {
            for proposal in proposals {
                found.push(match crate::sessions::look_up(run, proposal).unwrap() {
                    Seen::Never => {
                        let responses = vec![Response::Deleted { versions: proposal.serial as u32 }];
                        remember(run, proposal, &responses);
                        None
                    }
                    Seen::Answered(responses) => Some(responses),
                    Seen::Forgotten => Some(vec![]),
                });
            }
        });
    }
    found
}

/// Proposals with any serial, floor and clock, including ones that no proposer sends.
fn any_proposal() -> impl Strategy<Value = Proposal> {
    let number = || prop_oneof![8 => 0_u64..40, 1 => 0_u64..1_000];
    let serial = prop_oneof![20 => number(), 1 => Just(u64::MAX)];
    (0_u64..4, serial, number(), 0_u64..4 * HOUR_MS).prop_map(|(client, serial, floor, now_ms)| Proposal {
        floor,
        ..proposal(client, serial, now_ms, vec![])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn below_level_two_the_tables_are_those_of_the_builds_before(
        log in proptest::collection::vec(any_proposal(), 1..120),
        cut in 1_usize..9,
        is_founded in any::<bool>(),
    ) {
        let mut now = if is_founded { founded(1) } else { Memory::default() };
        let mut before = now.clone();
        let found = runs(&log, cut, &mut now, |run, proposal, responses| {
            crate::sessions::remember(run, proposal, responses).unwrap();
        });
        prop_assert_eq!(found, runs(&log, cut, &mut before, remember_as_before));
        prop_assert_eq!(digest(&now).unwrap(), digest(&before).unwrap());
        prop_assert_eq!(now, before);
    }
}

#[test]
fn what_is_counted_of_clients_has_these_bytes() {
    let found = [
        body(Kind::Record, &Clients { begun: 7, looked_at: Some(300) }),
        body(Kind::Record, &Clients { begun: 7, looked_at: None }),
    ];
    assert_eq!(found, ["0701fb2c01", "0700"]);
}
