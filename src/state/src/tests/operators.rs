//! Operators, as the state keeps them.

use keymoot_codec::Kind;
use keymoot_model::{Fingerprint, OperatorName, Role};

use super::apply::Memory;
use super::bytes::{body, command};
use crate::*;

const DAY_MS: u64 = 24 * 3600 * 1000;

fn name(text: &str) -> OperatorName {
    OperatorName::new(text).unwrap()
}

fn mark(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes([byte; 32])
}

fn add(text: &str, roles: &[Role], byte: u8, voucher: Voucher) -> OperatorChange {
    OperatorChange::Add {
        name: name(text),
        roles: roles.to_vec(),
        fingerprint: mark(byte),
        expires_at_s: 100,
        voucher,
    }
}

#[derive(Default)]
struct Log {
    memory: Memory,
    serial: u64,
}

impl Log {
    fn at(&mut self, now_ms: u64, change: OperatorChange) -> Response {
        self.serial += 1;
        self.memory.run_one(self.serial, now_ms, Command::ChangeOperators(Box::new(change)))
    }

    fn refuses(&mut self, change: OperatorChange, why: OperatorRefusal) {
        assert_eq!(self.at(2, change), Response::OperatorRefused(why));
    }
}

#[test]
fn an_operator_is_found_by_the_certificate_and_a_revoked_one_stays_on_record() {
    let mut log = Log::default();
    let roles = [Role::Security, Role::Viewer, Role::Security];
    assert_eq!(log.at(1, add("alice", &roles, 1, Voucher::Founder)), Response::Done);
    log.refuses(add("alice", &[Role::Viewer], 2, Voucher::Founder), OperatorRefusal::NameTaken);
    log.refuses(add("bob", &[Role::Viewer], 1, Voucher::Founder), OperatorRefusal::CertificateKnown);
    let (alice, own) = operator_of_certificate(&log.memory, &mark(1)).unwrap().unwrap();
    assert_eq!((alice.name.as_str(), alice.roles.as_slice()), ("alice", &[Role::Viewer, Role::Security][..]));
    assert_eq!((own.expires_at_s, own.revoked_at_ms), (100, None));
    assert_eq!(operator_of_certificate(&log.memory, &mark(2)).unwrap(), None);

    assert_eq!(log.at(3, OperatorChange::Revoke { name: name("alice") }), Response::Done);
    assert_eq!(log.at(4, OperatorChange::Revoke { name: name("alice") }), Response::Unchanged);
    let (alice, _) = operator_of_certificate(&log.memory, &mark(1)).unwrap().unwrap();
    assert_eq!(alice.revoked_at_ms, Some(3));
    let roles = OperatorChange::SetRoles { name: name("alice"), roles: vec![Role::Viewer] };
    log.refuses(roles, OperatorRefusal::Revoked);
    log.refuses(OperatorChange::Revoke { name: name("carol") }, OperatorRefusal::Unknown);
    assert_eq!(operators(&log.memory).unwrap().len(), 1);
}

#[test]
fn a_certificate_is_revoked_alone_and_old_ones_make_room() {
    let mut log = Log::default();
    log.at(1, add("alice", &[Role::Viewer], 0, Voucher::Operator(name("root"))));
    let more = |byte| OperatorChange::AddCertificate {
        name: name("alice"),
        by: name("root"),
        fingerprint: mark(byte),
        expires_at_s: 100,
    };
    for byte in 1..OPERATOR_CREDENTIALS_MAX as u8 {
        assert_eq!(log.at(1, more(byte)), Response::Done);
    }
    log.refuses(more(99), OperatorRefusal::TooManyCertificates);
    let revoke = |byte| OperatorChange::RevokeCertificate { name: name("alice"), fingerprint: mark(byte) };
    assert_eq!(log.at(5, revoke(1)), Response::Done);
    assert_eq!(log.at(6, revoke(1)), Response::Unchanged);
    log.refuses(revoke(77), OperatorRefusal::NoCertificate);
    let (_, one) = operator_of_certificate(&log.memory, &mark(1)).unwrap().unwrap();
    let (_, two) = operator_of_certificate(&log.memory, &mark(2)).unwrap().unwrap();
    assert_eq!((one.revoked_at_ms, two.revoked_at_ms), (Some(5), None));
    // All of them ended more than 30 days ago.
    assert_eq!(log.at(32 * DAY_MS, more(99)), Response::Done);
    assert_eq!(operators(&log.memory).unwrap()[0].credentials.len(), 1);
    assert_eq!(operator_of_certificate(&log.memory, &mark(1)).unwrap(), None);
}

#[test]
fn a_keyrings_word_is_acknowledged_once_and_by_name() {
    let mut log = Log::default();
    let voucher = Voucher::Keyring { node: 3, acknowledged_by: None };
    log.at(1, add("alice", &[Role::Security], 1, voucher));
    let by = |by: &str| OperatorChange::Acknowledge { name: name("alice"), by: name(by) };
    assert_eq!(log.at(2, by("bob")), Response::Done);
    assert_eq!(log.at(3, by("carol")), Response::Unchanged);
    let known = operators(&log.memory).unwrap().remove(0).voucher;
    assert_eq!(known, Voucher::Keyring { node: 3, acknowledged_by: Some(name("bob")) });
}

#[test]
fn no_operator_comes_back_with_a_backup_and_names_are_free_again() {
    let mut log = Log::default();
    log.at(1, add("alice", &[Role::Security], 1, Voucher::Founder));
    log.memory.run_by(|run| forget_operators(run).unwrap());
    assert_eq!(operators(&log.memory).unwrap(), []);
    assert_eq!(operator_of_certificate(&log.memory, &mark(1)).unwrap(), None);
    let voucher = Voucher::Keyring { node: 1, acknowledged_by: None };
    assert_eq!(log.at(2, add("alice", &[Role::Viewer], 1, voucher)), Response::Done);
}

#[test]
fn operators_wait_for_their_feature_level() {
    let change = OperatorChange::Revoke { name: name("alice") };
    assert_eq!(level_of(&Command::ChangeOperators(Box::new(change))), OPERATORS);
}

#[test]
fn commands_and_records_of_operators_have_these_bytes() {
    let changed = |change| command(Command::ChangeOperators(Box::new(change)));
    let keyring = Voucher::Keyring { node: 3, acknowledged_by: Some(name("b")) };
    let record = OperatorRecord {
        name: name("a"),
        roles: Role::ALL.to_vec(),
        credentials: vec![OperatorCredential::Certificate(OperatorCertificate {
            fingerprint: mark(7),
            expires_at_s: 9,
            issued_at_ms: 8,
            revoked_at_ms: Some(7),
        })],
        added_at_ms: 6,
        revoked_at_ms: None,
        voucher: keyring.clone(),
    };
    let found = [
        changed(add("a", &[Role::KeyAdmin], 7, Voucher::Operator(name("b")))),
        changed(add("a", &[Role::KeyAdmin], 7, Voucher::Founder)),
        changed(add("a", &[Role::KeyAdmin], 7, keyring)),
        changed(OperatorChange::SetRoles { name: name("a"), roles: vec![Role::Auditor] }),
        changed(OperatorChange::AddCertificate {
            name: name("a"),
            by: name("b"),
            fingerprint: mark(7),
            expires_at_s: 9,
        }),
        changed(OperatorChange::RevokeCertificate { name: name("a"), fingerprint: mark(7) }),
        changed(OperatorChange::Revoke { name: name("a") }),
        changed(OperatorChange::Acknowledge { name: name("a"), by: name("b") }),
        body(Kind::Record, &Response::OperatorRefused(OperatorRefusal::NoCertificate)),
        body(Kind::Record, &record),
    ];
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 10] = [
    "05040302012c0001610102070707070707070707070707070707070707070707070707070707070707070764000162",
    "05040302012c000161010207070707070707070707070707070707070707070707070707070707070707076401",
    "05040302012c00016101020707070707070707070707070707070707070707070707070707070707070707640203010162",
    "05040302012c0101610104",
    "05040302012c0201610162070707070707070707070707070707070707070707070707070707070707070709",
    "05040302012c0301610707070707070707070707070707070707070707070707070707070707070707",
    "05040302012c040161",
    "05040302012c0501610162",
    "1b06",
    "0161050001020304010007070707070707070707070707070707070707070707070707070707070707070908010706000203010162",
];
