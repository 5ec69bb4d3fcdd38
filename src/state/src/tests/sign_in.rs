//! Passwords and sessions of operators, as the state keeps them.

use keymoot_codec::Kind;
use keymoot_model::{Fingerprint, MasterKeyId, OperatorName, Role, SignInSecret, Wrapped};

use super::apply::Memory;
use super::bytes::{body, command, wrapped};
use crate::*;

fn name(text: &str) -> OperatorName {
    OperatorName::new(text).unwrap()
}

fn mark(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes([byte; 32])
}

#[derive(Default)]
struct Log {
    memory: Memory,
    serial: u64,
}

impl Log {
    fn new() -> Self {
        let mut log = Self::default();
        for (byte, who) in ["alice", "bob"].into_iter().enumerate() {
            let (fingerprint, roles) = (mark(byte as u8), vec![Role::Viewer]);
            let add = OperatorChange::Add {
                name: name(who),
                roles,
                fingerprint,
                expires_at_s: 100,
                voucher: Voucher::Founder,
            };
            log.run(1, Command::ChangeOperators(Box::new(add)));
            assert_eq!(log.set(1, who, who, Some(wrapped())), Response::Done);
        }
        log
    }

    fn run(&mut self, now_ms: u64, command: Command) -> Response {
        self.serial += 1;
        self.memory.run_one(self.serial, now_ms, command)
    }

    fn at(&mut self, now_ms: u64, change: SignInChange) -> Response {
        self.run(now_ms, Command::ChangeSignIn(Box::new(change)))
    }

    fn set(&mut self, now_ms: u64, who: &str, by: &str, codes: Option<Wrapped>) -> Response {
        let (name, by) = (name(who), name(by));
        self.at(now_ms, SignInChange::Set { name, by, password: wrapped(), codes })
    }

    fn begin(&mut self, now_ms: u64, who: &str, version: u64, step: u64, byte: u8) -> Response {
        let (name, digest, from) = (name(who), mark(byte), "192.0.2.1".to_owned());
        self.at(now_ms, SignInChange::Begin { name, version, step, digest, from })
    }

    fn session(&self, byte: u8) -> Option<OperatorSession> {
        operator_of_session(&self.memory, &mark(byte)).unwrap().map(|(_, session, _)| session)
    }
}

fn refused(refusal: OperatorRefusal) -> Response {
    Response::OperatorRefused(refusal)
}

#[test]
fn a_code_is_good_once_and_so_is_an_earlier_one_after_it() {
    let mut log = Log::new();
    assert_eq!(log.begin(10, "alice", 1, 7, 20), Response::Done);
    assert_eq!(log.begin(10, "alice", 1, 7, 21), refused(OperatorRefusal::CodeUsed));
    assert_eq!(log.begin(10, "alice", 1, 6, 21), refused(OperatorRefusal::CodeUsed));
    assert_eq!(log.begin(10, "bob", 1, 7, 21), Response::Done, "another's codes are others");
    assert_eq!(log.begin(10, "alice", 1, 8, 22), Response::Done);
    assert_eq!(log.begin(10, "alice", 2, 9, 23), refused(OperatorRefusal::PasswordChanged));
    assert_eq!(log.begin(10, "carol", 1, 9, 23), refused(OperatorRefusal::Unknown));
    assert_eq!(log.session(23), None);
    // Another password does not make it good again.
    assert_eq!(log.set(11, "alice", "alice", None), Response::Done);
    assert_eq!(log.begin(11, "alice", 2, 8, 24), refused(OperatorRefusal::CodeUsed));
}

#[test]
fn a_session_ends_unused_at_its_time_and_with_the_password_the_operator_or_by_hand() {
    let mut log = Log::new();
    log.begin(10, "alice", 1, 1, 20);
    let session = log.session(20).unwrap();
    assert_eq!((session.operator.as_str(), session.from.as_str()), ("alice", "192.0.2.1"));
    assert_eq!(session.ends_at_ms(), 10 + SESSION_IDLE_MS);
    let see = |byte| SignInChange::See { name: name("alice"), digest: mark(byte) };
    let mut now_ms = 10;
    while now_ms < 10 + SESSION_LIFE_MS - SESSION_IDLE_MS {
        now_ms += SESSION_IDLE_MS - 1;
        assert_eq!(log.at(now_ms, see(20)), Response::Done);
    }
    assert_eq!(log.session(20).unwrap().ends_at_ms(), 10 + SESSION_LIFE_MS);
    assert_eq!(log.at(10 + SESSION_LIFE_MS, see(20)), Response::Unchanged, "it is over");

    let mut log = Log::new();
    for (step, byte) in [(1, 20), (2, 21), (3, 22)] {
        log.begin(10, "alice", 1, step, byte);
    }
    log.begin(10, "bob", 1, 1, 30);
    let end = |who: &str, digest| SignInChange::End { name: name(who), digest };
    assert_eq!(log.at(11, end("bob", Some(mark(20)))), Response::Unchanged, "another's");
    assert_eq!(log.at(11, end("alice", Some(mark(20)))), Response::Done);
    assert_eq!((log.session(20), log.session(21).is_some()), (None, true));
    assert_eq!(log.at(11, end("alice", None)), Response::Done);
    assert_eq!((log.session(21), log.session(22)), (None, None));
    assert!(log.session(30).is_some());
    log.begin(12, "alice", 1, 4, 23);
    log.set(13, "alice", "alice", None);
    assert_eq!(log.session(23), None);
    let revoke = OperatorChange::Revoke { name: name("bob") };
    assert_eq!(log.run(13, Command::ChangeOperators(Box::new(revoke))), Response::Done);
    assert_eq!(log.session(30), None);
    assert_eq!(sign_in(&log.memory, &name("bob")).unwrap(), None);
    assert_eq!(log.set(14, "bob", "bob", Some(wrapped())), refused(OperatorRefusal::Revoked));
}

#[test]
fn the_oldest_session_makes_room_and_ended_ones_do_before() {
    let mut log = Log::new();
    for n in 0..=SESSIONS_MAX as u8 {
        assert_eq!(
            log.begin(10 + u64::from(n), "alice", 1, n.into(), n),
            match n {
                0 => refused(OperatorRefusal::CodeUsed),
                _ => Response::Done,
            }
        );
    }
    assert_eq!(operator_sessions(&log.memory).unwrap().len(), SESSIONS_MAX);
    log.begin(100, "alice", 1, 100, 100);
    assert_eq!((log.session(1), log.session(2).is_some()), (None, true));
    assert_eq!(operator_sessions(&log.memory).unwrap().len(), SESSIONS_MAX);
    log.begin(100 + SESSION_IDLE_MS, "alice", 1, 101, 101);
    assert_eq!(operator_sessions(&log.memory).unwrap().len(), 1);
}

#[test]
fn a_first_password_of_another_ones_hand_must_be_changed_and_comes_with_codes() {
    let mut log = Log::new();
    assert_eq!(log.set(2, "bob", "alice", Some(wrapped())), Response::Done);
    log.begin(3, "bob", 2, 1, 30);
    let must_change = |log: &Log| operator_of_session(&log.memory, &mark(30)).unwrap().map(|found| found.2);
    assert_eq!(must_change(&log), Some(true));
    assert_eq!(log.set(4, "bob", "bob", Some(wrapped())), Response::Done);
    log.begin(5, "bob", 3, 2, 30);
    assert_eq!(must_change(&log), Some(false));
    let add = OperatorChange::Add {
        name: name("carol"),
        roles: vec![Role::Viewer],
        fingerprint: mark(9),
        expires_at_s: 100,
        voucher: Voucher::Founder,
    };
    log.run(6, Command::ChangeOperators(Box::new(add)));
    assert_eq!(log.set(6, "carol", "carol", None), refused(OperatorRefusal::NoPassword));
}

#[test]
fn no_password_and_no_session_comes_back_with_a_backup() {
    let mut log = Log::new();
    log.begin(10, "alice", 1, 1, 20);
    log.memory.run_by(|run| forget_operators(run).unwrap());
    assert_eq!(sign_in(&log.memory, &name("alice")).unwrap(), None);
    assert_eq!((log.session(20), operator_sessions(&log.memory).unwrap()), (None, Vec::new()));
}

#[test]
fn both_secrets_are_found_and_rewrapped() {
    let mut log = Log::new();
    let pairs = log.memory.prefix(Table::Meta, b"operator_sign_in/").unwrap();
    let found: Vec<StoredSecret> =
        pairs.iter().flat_map(|(key, value)| secrets_of(Table::Meta, key, value).unwrap()).collect();
    assert_eq!(found.len(), 4);
    let new = Wrapped { master_key: MasterKeyId("mk2".into()), ..wrapped() };
    for secret in found {
        let command =
            Command::Rewrap { place: secret.place(), old: secret.wrapped().clone(), new: new.clone() };
        assert_eq!(log.run(2, command.clone()), Response::Done);
        assert_eq!(log.run(3, command), Response::Unchanged);
    }
    let (_, record) = sign_in(&log.memory, &name("alice")).unwrap().unwrap();
    assert_eq!((record.password, record.codes), (new.clone(), new));
}

#[test]
fn commands_and_records_of_sign_in_have_these_bytes() {
    let changed = |change| command(Command::ChangeSignIn(Box::new(change)));
    let (own, digest) = (|| name("a"), mark(7));
    let session =
        OperatorSession { operator: own(), digest, from: "x".to_owned(), began_at_ms: 1, seen_at_ms: 2 };
    let record =
        SignInRecord { password: wrapped(), codes: wrapped(), must_change: true, last_step: 7, version: 8 };
    let place = |kind| SecretPlace::SignIn { operator: own(), kind };
    let found = [
        changed(SignInChange::Set {
            name: own(),
            by: name("b"),
            password: wrapped(),
            codes: Some(wrapped()),
        }),
        changed(SignInChange::Begin { name: own(), version: 8, step: 7, digest, from: "x".to_owned() }),
        changed(SignInChange::See { name: own(), digest }),
        changed(SignInChange::End { name: own(), digest: Some(digest) }),
        body(Kind::Record, &Response::OperatorRefused(OperatorRefusal::NoPassword)),
        body(Kind::Record, &Response::OperatorRefused(OperatorRefusal::CodeUsed)),
        body(Kind::Record, &session),
        body(Kind::Record, &record),
        body(Kind::Record, &place(SignInSecret::Password)),
        body(Kind::Record, &place(SignInSecret::Codes)),
    ];
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 10] = [
    "05040302012f0001610162016d0101010101010101010101010302020201016d01010101010101010101010103020202",
    "05040302012f010161080707070707070707070707070707070707070707070707070707070707070707070178",
    "05040302012f0201610707070707070707070707070707070707070707070707070707070707070707",
    "05040302012f030161010707070707070707070707070707070707070707070707070707070707070707",
    "1b07",
    "1b09",
    "0161070707070707070707070707070707070707070707070707070707070707070701780102",
    "016d01010101010101010101010103020202016d01010101010101010101010103020202010708",
    "07016100",
    "07016101",
];
