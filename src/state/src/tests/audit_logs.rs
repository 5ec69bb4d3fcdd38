//! The audit logs of the nodes in the state, and their bytes.

use keymoot_codec::Kind;
use keymoot_model::NodeId;

use super::apply::Memory;
use super::bytes::{body, command};
use crate::*;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// A state, and the serial of the last proposal to it.
#[derive(Default)]
struct Logs(Memory, u64);

impl Logs {
    fn change(&mut self, now_ms: u64, change: AuditLogChange) -> Response {
        self.1 += 1;
        self.0.run_one(self.1, now_ms, Command::ChangeAuditLogs(Box::new(change)))
    }

    fn register(&mut self, name: AuditLogName) -> Response {
        self.change(1, AuditLogChange::Register { name, public_key: key_of(name), before: None })
    }

    fn put(&mut self, now_ms: u64, name: AuditLogName, size: u64, root: u8) -> Response {
        let (at, signature) = (AuditSize { size, root: [root; 32] }, vec![1; 64]);
        self.change(now_ms, AuditLogChange::PutCheckpoint { name, at, signature })
    }

    fn cosign(&mut self, by: AuditLogName, name: AuditLogName, size: u64) -> Response {
        let cosignature = AuditCosignature { by, time_s: 9, signature: vec![2; 64] };
        self.change(9, AuditLogChange::Cosign { name, at: AuditSize { size, root: [0; 32] }, cosignature })
    }

    fn sizes(&self, name: AuditLogName) -> Vec<u64> {
        let record = audit_log(&self.0, name).unwrap().unwrap();
        record.checkpoints.iter().map(|checkpoint| checkpoint.at.size).collect()
    }
}

const fn log(node: NodeId, id: u8) -> AuditLogName {
    AuditLogName { node, log: AuditLogId::from_bytes([id; 8]) }
}

fn key_of(name: AuditLogName) -> [u8; 32] {
    [name.log.as_bytes()[0]; 32]
}

fn refused(refusal: AuditLogRefusal) -> Response {
    Response::AuditLogRefused(refusal)
}

#[test]
fn a_log_has_one_key_and_a_new_one_follows_it() {
    let mut logs = Logs::default();
    let (first, second) = (log(1, 1), log(1, 2));
    assert_eq!(logs.put(2, first, 1, 0), refused(AuditLogRefusal::NoLog));
    assert_eq!(logs.register(first), Response::Done);
    assert_eq!(logs.register(first), Response::Unchanged);
    let forged = AuditLogChange::Register { name: first, public_key: [9; 32], before: None };
    assert_eq!(logs.change(2, forged), refused(AuditLogRefusal::OtherKey));
    assert_eq!(logs.put(2, first, 5, 0), Response::Done);

    let before = AuditPredecessor { name: first, last: AuditSize { size: 5, root: [0; 32] } };
    let register = AuditLogChange::Register { name: second, public_key: [2; 32], before: Some(before) };
    assert_eq!(logs.change(3, register), Response::Done);
    assert_eq!(audit_log(&logs.0, first).unwrap().unwrap().followed_by, Some(second.log));
    let current = current_audit_log(&logs.0, 1).unwrap().unwrap();
    assert_eq!((current.name, current.before), (second, Some(before)));
    // What the node puts for the log that it left is not taken: nobody cosigns it any more.
    assert_eq!(logs.put(4, first, 6, 0), refused(AuditLogRefusal::Followed));
}

#[test]
fn a_log_never_shrinks_and_has_one_root_for_each_size() {
    let mut logs = Logs::default();
    let name = log(1, 1);
    logs.register(name);
    assert_eq!(logs.put(2, name, 7, 0), Response::Done);
    assert_eq!(logs.put(2, name, 7, 0), Response::Unchanged);
    assert_eq!(logs.put(2, name, 7, 1), refused(AuditLogRefusal::Forked));
    assert_eq!(logs.put(2, name, 6, 0), refused(AuditLogRefusal::Shrunk { size: 7 }));
    assert_eq!(logs.put(2, name, 8, 0), Response::Done);
    assert_eq!(logs.sizes(name), [7, 8]);
}

#[test]
fn another_node_cosigns_once_and_by_the_log_that_it_writes_now() {
    let mut logs = Logs::default();
    let (name, other, own) = (log(1, 1), log(2, 2), log(1, 1));
    logs.register(name);
    logs.put(2, name, 7, 0);
    assert_eq!(logs.cosign(own, name, 7), refused(AuditLogRefusal::OwnLog));
    assert_eq!(logs.cosign(other, name, 7), refused(AuditLogRefusal::NoLog));
    logs.register(other);
    assert_eq!(logs.cosign(other, name, 8), refused(AuditLogRefusal::NoCheckpoint));
    assert_eq!(logs.cosign(other, name, 7), Response::Done);
    assert_eq!(logs.cosign(other, name, 7), Response::Unchanged);
    logs.register(log(2, 3));
    logs.put(3, name, 8, 0);
    assert_eq!(logs.cosign(other, name, 8), refused(AuditLogRefusal::NoLog));
    let record = audit_log(&logs.0, name).unwrap().unwrap();
    assert_eq!(record.last().unwrap().at.size, 8);
    assert_eq!(record.last_cosigned().unwrap().at.size, 7);
    assert_eq!(record.last_cosigned_by(2).unwrap().at.size, 7);
    assert_eq!(record.last_cosigned_by(3), None);
}

#[test]
fn checkpoints_that_nobody_cosigned_never_displace_one_that_somebody_did() {
    let mut logs = Logs::default();
    let (name, other) = (log(1, 1), log(2, 2));
    logs.register(name);
    logs.register(other);
    logs.put(2, name, 5, 0);
    logs.cosign(other, name, 5);
    for size in 6..200 {
        assert_eq!(logs.put(3, name, size, 0), Response::Done);
    }
    let sizes = logs.sizes(name);
    assert_eq!((sizes.len(), sizes[0], sizes.last()), (AUDIT_CHECKPOINTS_MAX, 5, Some(&199)));
    assert_eq!(audit_log(&logs.0, name).unwrap().unwrap().last_cosigned().unwrap().at.size, 5);
}

#[test]
fn of_older_checkpoints_one_of_a_day_stays_for_more_than_a_year() {
    let mut logs = Logs::default();
    let (name, other) = (log(1, 1), log(2, 2));
    logs.register(name);
    logs.register(other);
    let days = 500;
    for size in 1..=days * 2 {
        logs.put(size * DAY_MS / 2, name, size, 0);
        logs.cosign(other, name, size);
    }
    let older = older_audit_checkpoints(&logs.0, name).unwrap();
    assert_eq!(older.len(), OLDER_AUDIT_CHECKPOINTS_MAX as usize);
    let day = |checkpoint: &AuditCheckpoint| checkpoint.proposed_at_ms / DAY_MS;
    assert!(older.windows(2).all(|pair| day(&pair[0]) + 1 == day(&pair[1])), "a day is missing");
    let oldest_recent = logs.sizes(name)[0];
    assert!(older.iter().all(|checkpoint| checkpoint.at.size < oldest_recent));
    assert!(audit_logs(&logs.0).unwrap().iter().any(|record| record.name == other));
}

#[test]
fn a_removed_node_registers_no_log_and_those_that_it_had_stay_on_record() {
    let mut logs = Logs::default();
    logs.register(log(1, 1));
    logs.1 += 1;
    logs.0.run_one(logs.1, 5, Command::RemoveNode { id: 1 });
    assert_eq!(logs.register(log(1, 2)), Response::NodeRemoved);
    assert_eq!(current_audit_log(&logs.0, 1).unwrap().unwrap().name, log(1, 1));
}

#[test]
fn a_node_registers_no_more_logs_than_it_can_have_directories() {
    let mut logs = Logs::default();
    for id in 0..AUDIT_LOGS_OF_NODE_MAX {
        let name = AuditLogName { node: 1, log: AuditLogId::from_bytes((id as u64).to_be_bytes()) };
        assert_eq!(logs.register(name), Response::Done);
    }
    assert_eq!(logs.register(log(1, 255)), refused(AuditLogRefusal::TooManyLogs));
    assert_eq!(logs.register(log(2, 255)), Response::Done);
}

#[test]
fn it_takes_feature_level_4() {
    let register = AuditLogChange::Register { name: log(1, 1), public_key: [1; 32], before: None };
    assert_eq!(level_of(&Command::ChangeAuditLogs(Box::new(register))), 4);
}

#[test]
fn commands_answers_and_records_have_these_bytes() {
    let (name, at) = (log(4, 5), AuditSize { size: 300, root: [6; 32] });
    let before = Some(AuditPredecessor { name: log(4, 7), last: at });
    let cosignature = AuditCosignature { by: log(3, 8), time_s: 9, signature: vec![1, 2] };
    let change = |change| command(Command::ChangeAuditLogs(Box::new(change)));
    let mut record = Logs::default();
    record.change(8, AuditLogChange::Register { name, public_key: [9; 32], before });
    record.register(log(3, 8));
    record.change(8, AuditLogChange::PutCheckpoint { name, at, signature: vec![3] });
    record.change(8, AuditLogChange::Cosign { name, at, cosignature: cosignature.clone() });
    let refusals = [
        AuditLogRefusal::OtherKey,
        AuditLogRefusal::TooManyLogs,
        AuditLogRefusal::NoLog,
        AuditLogRefusal::Followed,
        AuditLogRefusal::Shrunk { size: 300 },
        AuditLogRefusal::Forked,
        AuditLogRefusal::OwnLog,
        AuditLogRefusal::NoCheckpoint,
    ];
    let found = [
        change(AuditLogChange::Register { name, public_key: [9; 32], before }),
        change(AuditLogChange::PutCheckpoint { name, at, signature: vec![3] }),
        change(AuditLogChange::Cosign { name, at, cosignature }),
        body(Kind::Record, &audit_log(&record.0, name).unwrap().unwrap()),
        body(Kind::Record, &refusals.map(Response::AuditLogRefused)),
    ];
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 5] = [
    "0504030201340004050505050505050509090909090909090909090909090909090909090909090909090909090909090104\
     0707070707070707fb2c010606060606060606060606060606060606060606060606060606060606060606",
    "05040302013401040505050505050505fb2c0106060606060606060606060606060606060606060606060606060606060606\
     060103",
    "05040302013402040505050505050505fb2c0106060606060606060606060606060606060606060606060606060606060606\
     0603080808080808080809020102",
    "0405050505050505050909090909090909090909090909090909090909090909090909090909090909010407070707070707\
     07fb2c010606060606060606060606060606060606060606060606060606060606060606080001fb2c010606060606060606\
     06060606060606060606060606060606060606060606060601030801030808080808080808090201020000",
    "1e001e011e021e031e04fb2c011e051e061e07",
];
