//! Acts that take two persons, as the state holds them back.

use keymoot_codec::Kind;
use keymoot_model::{AccountId, Fingerprint, OperatorName, Role};

use super::apply::{Memory, new_key};
use super::bytes::{body, command, wrapped};
use super::histories::account;
use crate::*;

const DAY_MS: u64 = 24 * 3600 * 1000;

fn name(text: &str) -> OperatorName {
    OperatorName::new(text).unwrap()
}

struct Log {
    memory: Memory,
    serial: u64,
    now_ms: u64,
}

impl Log {
    /// A cluster with an account that has a key, and operators. Exports, accounts with keys, master keys and the
    /// authority take two persons.
    fn new() -> Self {
        let mut log = Self { memory: Memory::default(), serial: 0, now_ms: 1000 };
        for (byte, (who, role)) in [
            ("root", Role::Security),
            ("rita", Role::Security),
            ("kim", Role::KeyAdmin),
            ("ann", Role::Auditor),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(log.add(who, role, byte as u8, Voucher::Founder), Response::Done);
        }
        let id = new_key(1, 1, 1).place.account;
        let own =
            Command::PutAccount { account: keymoot_model::Account { id, ..account(1) }, if_absent: true };
        assert_eq!(log.run(own), Response::Done);
        assert_eq!(log.run(Command::CreateKey(new_key(1, 1, 1))), Response::Stored);
        assert_eq!(log.set_rule(&ActKind::ALL, 3600, "root"), Response::Done);
        log
    }

    fn run(&mut self, command: Command) -> Response {
        self.serial += 1;
        self.memory.run_one(self.serial, self.now_ms, command)
    }

    fn change(&mut self, change: ApprovalChange) -> Response {
        self.run(Command::ChangeApprovals(Box::new(change)))
    }

    fn operator(&mut self, change: OperatorChange) -> Response {
        self.run(Command::ChangeOperators(Box::new(change)))
    }

    fn add(&mut self, who: &str, role: Role, byte: u8, voucher: Voucher) -> Response {
        self.operator(OperatorChange::Add {
            name: name(who),
            roles: vec![role],
            fingerprint: Fingerprint::from_bytes([byte; 32]),
            expires_at_s: 100,
            voucher,
        })
    }

    fn set_rule(&mut self, acts: &[ActKind], within_s: u64, by: &str) -> Response {
        let rule = TwoPersonRule { acts: acts.to_vec(), within_s };
        self.change(ApprovalChange::SetRule { rule, by: name(by) })
    }

    fn ask(&mut self, act: &Act, by: &str) -> u64 {
        match self.change(ApprovalChange::Ask { act: act.clone(), by: name(by) }) {
            Response::Approval(record) => record.id,
            other => panic!("{other:?}"),
        }
    }

    fn approve(&mut self, id: u64, by: &str) -> Response {
        self.change(ApprovalChange::Approve { id, by: name(by) })
    }

    fn approved(&mut self, act: &Act, by: &str, approver: &str) -> u64 {
        let id = self.ask(act, by);
        assert!(matches!(self.approve(id, approver), Response::Approval(_)));
        id
    }
}

fn held() -> Response {
    Response::ApprovalRefused(ApprovalRefusal::Needed)
}

fn refused(refusal: ApprovalRefusal) -> Response {
    Response::ApprovalRefused(refusal)
}

fn acme() -> AccountId {
    new_key(1, 1, 1).place.account
}

fn removal() -> (Command, Act) {
    (Command::DeleteAccount { id: acme() }, Act::RemoveAccount { id: acme() })
}

#[test]
fn an_approval_is_good_for_exactly_what_was_asked_once_and_names_both() {
    let mut log = Log::new();
    let (remove, act) = removal();
    assert_eq!(log.run(remove.clone()), held());
    let id = log.ask(&act, "kim");
    assert_eq!(log.ask(&act, "kim"), id, "asking again asks for nothing more");
    assert_eq!(log.run(remove.clone()), held(), "asked for, and not approved");
    // An approval of something else is none.
    log.approved(&Act::OpenExport { account: acme(), for_s: 60 }, "root", "rita");
    assert_eq!(log.run(remove.clone()), held());
    assert_eq!(log.approve(id, "kim"), refused(ApprovalRefusal::SamePerson));
    assert_eq!(log.approve(id, "ann"), refused(ApprovalRefusal::NoStanding));
    assert_eq!(log.approve(id, "nobody"), refused(ApprovalRefusal::NoStanding));
    assert_eq!(log.approve(77, "root"), refused(ApprovalRefusal::Unknown));
    assert!(matches!(log.approve(id, "root"), Response::Approval(_)));
    assert_eq!(log.approve(id, "rita"), refused(ApprovalRefusal::Approved { by: name("root") }));
    assert_eq!(log.run(remove.clone()), Response::Done);
    let record = approvals(&log.memory).unwrap().remove(0);
    assert_eq!((record.asked_by, record.approved_by), (name("kim"), Some(name("root"))));
    assert_eq!(record.end, Some(ApprovalEnd::Used { at_ms: 1000 }));
    // The same again takes another one.
    let own =
        Command::PutAccount { account: keymoot_model::Account { id: acme(), ..account(1) }, if_absent: true };
    assert_eq!(log.run(own), Response::Done);
    assert_eq!(log.run(remove), held());
    assert_eq!(log.approve(id, "rita"), refused(ApprovalRefusal::Ended));
}

#[test]
fn an_approval_ends_with_its_time_and_with_either_of_the_two() {
    let (remove, act) = removal();
    // Its time is over.
    let mut log = Log::new();
    log.approved(&act, "kim", "root");
    log.now_ms += 3600 * 1000;
    assert_eq!(log.run(remove.clone()), held());
    // It was withdrawn, by another one too.
    for by in ["kim", "rita"] {
        let mut log = Log::new();
        let id = log.approved(&act, "kim", "root");
        assert!(matches!(log.change(ApprovalChange::Withdraw { id, by: name(by) }), Response::Approval(_)));
        assert_eq!(log.run(remove.clone()), held());
    }
    // Either was revoked, or may not any more.
    for who in ["kim", "root"] {
        let mut log = Log::new();
        let id = log.approved(&act, "kim", "root");
        assert_eq!(log.operator(OperatorChange::Revoke { name: name(who) }), Response::Done);
        assert_eq!(log.run(remove.clone()), held(), "{who}");
        if who == "root" {
            assert!(matches!(log.approve(id, "rita"), Response::Approval(_)), "another one takes over");
            assert_eq!(log.run(remove.clone()), Response::Done);
        }
    }
    let mut log = Log::new();
    log.approved(&act, "kim", "root");
    let roles = Act::SetRoles { name: name("kim"), roles: vec![Role::Viewer] };
    log.approved(&roles, "root", "rita");
    let roles = OperatorChange::SetRoles { name: name("kim"), roles: vec![Role::Viewer] };
    assert_eq!(log.operator(roles), Response::Done);
    assert_eq!(log.run(remove), held());
}

#[test]
fn nobody_makes_a_second_person_of_themselves() {
    let mut log = Log::new();
    let by_root = || Voucher::Operator(name("root"));
    assert_eq!(log.add("root2", Role::Security, 50, by_root()), held());
    let promote = OperatorChange::SetRoles { name: name("ann"), roles: vec![Role::Security] };
    assert_eq!(log.operator(promote), held());
    let certificate = |by: &str| OperatorChange::AddCertificate {
        name: name("rita"),
        by: name(by),
        fingerprint: Fingerprint::from_bytes([60; 32]),
        expires_at_s: 100,
    };
    assert_eq!(log.operator(certificate("root")), held());
    let password = |by: &str| {
        let (password, codes) = (wrapped(), Some(wrapped()));
        Command::ChangeSignIn(Box::new(SignInChange::Set {
            name: name("rita"),
            by: name(by),
            password,
            codes,
        }))
    };
    assert_eq!(log.run(password("root")), held());
    // One's own are one's own.
    assert_eq!(log.operator(certificate("rita")), Response::Done);
    assert_eq!(log.run(password("rita")), Response::Done);
    // What the approval leaves open is for the one who asked to say.
    log.approved(&Act::AddOperator { name: name("new"), roles: vec![Role::Viewer] }, "root", "rita");
    assert_eq!(log.add("new", Role::Viewer, 70, Voucher::Operator(name("rita"))), held());
    assert_eq!(log.add("new", Role::Security, 70, by_root()), held());
    assert_eq!(log.add("new", Role::Viewer, 70, by_root()), Response::Done);
}

#[test]
fn a_keyring_makes_no_second_person_for_three_days() {
    let mut log = Log::new();
    let keyring = Voucher::Keyring { node: 1, acknowledged_by: None };
    assert_eq!(log.add("eve", Role::Security, 50, keyring), Response::Done);
    let (remove, act) = removal();
    let id = log.ask(&act, "kim");
    assert_eq!(log.approve(id, "eve"), refused(ApprovalRefusal::NoStanding));
    let ask = ApprovalChange::Ask { act: act.clone(), by: name("eve") };
    assert_eq!(log.change(ask), refused(ApprovalRefusal::NoStanding));
    let acknowledge = OperatorChange::Acknowledge { name: name("eve"), by: name("root") };
    assert_eq!(log.operator(acknowledge.clone()), held(), "one person alone vouches for nobody");
    let mut later = Log::new();
    later.add("eve", Role::Security, 50, Voucher::Keyring { node: 1, acknowledged_by: None });
    later.now_ms += KEYRING_STANDS_AFTER_MS;
    later.approved(&act, "kim", "eve");
    assert_eq!(later.run(remove.clone()), Response::Done);
    log.approved(&Act::Acknowledge { name: name("eve") }, "root", "rita");
    assert_eq!(log.operator(acknowledge), Response::Done);
    assert!(matches!(log.approve(id, "eve"), Response::Approval(_)));
    assert_eq!(log.run(remove), Response::Done);
}

#[test]
fn the_rule_is_set_by_one_and_weakened_by_two() {
    let mut log = Log::new();
    let some = [ActKind::ExportKeys, ActKind::RemoveAccount];
    assert_eq!(log.set_rule(&ActKind::ALL, 3600, "root"), Response::Unchanged);
    assert_eq!(log.set_rule(&ActKind::ALL, 60, "root"), Response::Done, "a shorter time is more");
    for (acts, within_s) in [(&some[..], 60), (&[], 60), (&ActKind::ALL, 61)] {
        assert_eq!(log.set_rule(acts, within_s, "root"), held(), "{acts:?} {within_s}");
    }
    let less = TwoPersonRule { acts: some.to_vec(), within_s: 60 };
    log.approved(&Act::SetRule(less.clone()), "root", "rita");
    assert_eq!(log.set_rule(&[], 60, "root"), held());
    assert_eq!(log.set_rule(&some, 60, "root"), Response::Done);
    assert_eq!(two_person_rule(&log.memory).unwrap(), less);
    // Where nobody could approve, nothing can be demanded.
    let mut small = Log { memory: Memory::default(), serial: 0, now_ms: 1000 };
    small.add("root", Role::Security, 1, Voucher::Founder);
    small.add("kim", Role::KeyAdmin, 2, Voucher::Founder);
    assert_eq!(small.set_rule(&some, 60, "root"), refused(ApprovalRefusal::TooFewOperators));
}

#[test]
fn exports_and_the_removal_of_a_master_key_open_for_a_while() {
    let mut log = Log::new();
    let open = |for_s| ApprovalChange::OpenExport { account: acme(), for_s };
    assert!(!export_is_open(&log.memory, &acme(), 1000).unwrap());
    assert_eq!(log.change(open(60)), held());
    log.approved(&Act::OpenExport { account: acme(), for_s: 60 }, "root", "rita");
    assert_eq!(log.change(open(61)), held());
    assert_eq!(log.change(open(60)), Response::Done);
    assert!(export_is_open(&log.memory, &acme(), 60_999).unwrap());
    assert!(!export_is_open(&log.memory, &acme(), 61_000).unwrap());
    assert!(!export_is_open(&log.memory, &AccountId::new("other").unwrap(), 1000).unwrap());
    assert_eq!(log.change(open(60)), held(), "once");

    let removal = ApprovalChange::PermitKeyRemoval { id: "mk1".to_owned() };
    assert!(!key_removal_is_permitted(&log.memory, "mk1", 1000).unwrap());
    assert_eq!(log.change(removal.clone()), held());
    log.approved(&Act::RemoveMasterKey { id: "mk1".to_owned() }, "root", "rita");
    assert_eq!(log.change(removal), Response::Done);
    assert!(key_removal_is_permitted(&log.memory, "mk1", 6 * DAY_MS).unwrap());
    assert!(!key_removal_is_permitted(&log.memory, "mk1", 8 * DAY_MS).unwrap());
    assert!(!key_removal_is_permitted(&log.memory, "mk2", 1000).unwrap());
    // Nothing is demanded where nothing is set.
    let none = Memory::default();
    assert!(export_is_open(&none, &acme(), 0).unwrap() && key_removal_is_permitted(&none, "mk1", 0).unwrap());
}

#[test]
fn the_authority_is_replaced_by_two_and_an_account_without_keys_by_one() {
    let mut log = Log::new();
    let record = AuthorityRecord { certificate_pem: "c".to_owned(), key: wrapped() };
    log.run(Command::PutAuthority(Box::new(record.clone())));
    let begin = Command::BeginAuthorityChange(Box::new(record));
    assert_eq!(log.run(begin.clone()), held());
    log.approved(&Act::ReplaceAuthority, "root", "rita");
    assert_eq!(log.run(begin), Response::Done);
    log.run(Command::PutAccount { account: account(9), if_absent: true });
    let id = account(9).id;
    assert_eq!(log.run(Command::DeleteAccount { id }), Response::Done);
}

#[test]
fn approvals_are_few_and_old_ones_make_room() {
    let mut log = Log::new();
    let act = |n: usize| Act::RemoveMasterKey { id: n.to_string() };
    for n in 0..WAITING_MAX {
        log.ask(&act(n), "root");
    }
    let more = ApprovalChange::Ask { act: act(99), by: name("root") };
    assert_eq!(log.change(more), refused(ApprovalRefusal::TooMany));
    for n in 0..2 * APPROVALS_MAX {
        let id = log.ask(&act(n), "rita");
        log.change(ApprovalChange::Withdraw { id, by: name("rita") });
    }
    let all = approvals(&log.memory).unwrap();
    assert_eq!(all.len(), APPROVALS_MAX);
    let waiting = all.iter().filter(|record| record.is_open(log.now_ms)).count();
    assert_eq!(waiting, WAITING_MAX, "what waits stays");
}

#[test]
fn a_restore_forgets_what_was_approved_and_not_that_it_takes_two() {
    let mut log = Log::new();
    log.approved(&removal().1, "kim", "root");
    log.approved(&Act::OpenExport { account: acme(), for_s: 60 }, "root", "rita");
    assert_eq!(log.change(ApprovalChange::OpenExport { account: acme(), for_s: 60 }), Response::Done);
    log.memory.run_by(|run| forget_operators(run).unwrap());
    assert_eq!(approvals(&log.memory).unwrap(), []);
    assert!(!export_is_open(&log.memory, &acme(), 1001).unwrap());
    assert_eq!(log.run(removal().0), held());
}

#[test]
fn commands_and_records_of_approvals_have_these_bytes() {
    let changed = |change| command(Command::ChangeApprovals(Box::new(change)));
    let by = || name("a");
    let rule = TwoPersonRule { acts: ActKind::ALL.to_vec(), within_s: 60 };
    let id = AccountId::new("a").unwrap();
    let asked = |act| changed(ApprovalChange::Ask { act, by: by() });
    let record = ApprovalRecord {
        id: 7,
        act: Act::ReplaceAuthority,
        asked_by: by(),
        asked_at_ms: 8,
        expires_at_ms: 9,
        approved_by: Some(name("b")),
        end: Some(ApprovalEnd::Used { at_ms: 6 }),
    };
    let found = [
        asked(Act::OpenExport { account: id.clone(), for_s: 5 }),
        asked(Act::RemoveAccount { id: id.clone() }),
        asked(Act::RemoveMasterKey { id: "m".to_owned() }),
        asked(Act::ReplaceAuthority),
        asked(Act::SetRule(rule.clone())),
        asked(Act::AddOperator { name: by(), roles: vec![Role::Viewer] }),
        asked(Act::SetRoles { name: by(), roles: vec![Role::Viewer] }),
        asked(Act::AddCertificate { name: by() }),
        asked(Act::SetPassword { name: by() }),
        asked(Act::Acknowledge { name: by() }),
        changed(ApprovalChange::Approve { id: 7, by: by() }),
        changed(ApprovalChange::Withdraw { id: 7, by: by() }),
        changed(ApprovalChange::SetRule { rule, by: by() }),
        changed(ApprovalChange::OpenExport { account: id, for_s: 5 }),
        changed(ApprovalChange::PermitKeyRemoval { id: "m".to_owned() }),
        body(Kind::Record, &Response::Approval(Box::new(record.clone()))),
        body(Kind::Record, &Response::ApprovalRefused(ApprovalRefusal::TooFewOperators)),
        body(Kind::Record, &ApprovalRecord { end: Some(ApprovalEnd::Withdrawn { by: by() }), ..record }),
    ];
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 18] = [
    "05040302012e00000161050161",
    "05040302012e000101610161",
    "05040302012e0002016d0161",
    "05040302012e00030161",
    "05040302012e000404000102033c0161",
    "05040302012e0005016101000161",
    "05040302012e0006016101000161",
    "05040302012e000701610161",
    "05040302012e000801610161",
    "05040302012e000901610161",
    "05040302012e01070161",
    "05040302012e02070161",
    "05040302012e0304000102033c0161",
    "05040302012e04016105",
    "05040302012e05016d",
    "1c070301610809010162010006",
    "1d07",
    "07030161080901016201010161",
];
