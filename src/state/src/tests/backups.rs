//! The backup schedule: turns, claims, what ends them, and the bytes of it all.

use keymoot_codec::Kind;

use super::apply::Memory;
use super::bytes::{body, command};
use crate::*;

#[derive(Default)]
struct Log {
    memory: Memory,
    serial: u64,
}

impl Log {
    fn apply(&mut self, command: Command) -> Response {
        self.serial += 1;
        let (client, serial, floor) = (1, self.serial, self.serial);
        let proposal = Proposal { client, serial, floor, now_ms: 1000 + serial, commands: vec![command] };
        self.memory.run(&[proposal]).remove(0).remove(0)
    }

    fn claim(&mut self, node: u64, after: u64) -> Response {
        self.apply(Command::ClaimBackup { node, after })
    }

    fn note(&mut self, turn: u64, node: u64, progress: BackupProgress) -> Response {
        self.apply(Command::NoteBackup { turn, node, progress: Box::new(progress) })
    }

    fn backups(&self) -> Backups {
        backups(&self.memory).unwrap()
    }
}

fn schedule() -> BackupSchedule {
    BackupSchedule { every_s: 60, keep: 2, directory: "/b".into() }
}

fn good(index: u64) -> GoodBackup {
    GoodBackup { node: 4, made_at_ms: 9, index, bytes: 8, digest: "d".into(), file: "f".into() }
}

fn scheduled() -> Log {
    let mut log = Log::default();
    assert_eq!(log.apply(Command::ScheduleBackups(Some(Box::new(schedule())))), Response::Done);
    log
}

#[test]
fn of_two_nodes_that_claim_at_once_one_gets_the_turn() {
    assert_eq!(Log::default().claim(1, 0), Response::Unchanged, "nothing is scheduled");
    let mut log = scheduled();
    assert_eq!(log.apply(Command::ScheduleBackups(Some(Box::new(schedule())))), Response::Unchanged);
    assert_eq!(log.claim(1, 0), Response::Done);
    assert_eq!(log.claim(2, 0), Response::Unchanged);
    assert_eq!((log.backups().turn.number, log.backups().turn.node), (1, 1));
    // A node that falls silent is taken over, and what it says later of its work counts no more.
    assert_eq!(log.claim(2, 1), Response::Done);
    assert_eq!(log.note(1, 1, BackupProgress::UnderWay(7)), Response::Unchanged);
    assert_eq!(log.note(1, 1, BackupProgress::Failed("late".into())), Response::Unchanged);
    let turn = log.backups().turn;
    assert_eq!((turn.number, turn.node, turn.under_way, turn.failures), (2, 2, Some(0), 0));
    // Only a good backup does.
    assert_eq!(log.note(1, 1, BackupProgress::Good(good(5))), Response::Done);
    let turn = log.backups().turn;
    assert_eq!((turn.under_way, turn.good), (Some(0), Some(good(5))));
    assert_eq!(log.apply(Command::ScheduleBackups(None)), Response::Done);
    assert_eq!(log.apply(Command::ScheduleBackups(None)), Response::Unchanged);
    assert_eq!(log.claim(3, 2), Response::Unchanged, "the schedule has ended");
    assert_eq!(log.backups().last_good, Some(good(5)));
}

#[test]
fn failures_are_counted_until_a_backup_is_good() {
    let mut log = scheduled();
    for turn in 1..=2 {
        assert_eq!(log.claim(1, turn - 1), Response::Done);
        assert_eq!(log.note(turn, 1, BackupProgress::UnderWay(1)), Response::Done);
        assert_eq!(log.note(turn, 1, BackupProgress::Failed("full".into())), Response::Done);
    }
    let turn = log.backups().turn;
    assert_eq!((turn.failures, turn.under_way), (2, None));
    let failure = turn.last_failure.unwrap();
    assert_eq!((failure.node, failure.reason.as_str()), (1, "full"));
    assert_eq!(failure.at_ms, 1000 + log.serial);
    assert_eq!(log.claim(2, 2), Response::Done);
    assert_eq!(log.note(3, 2, BackupProgress::Good(good(5))), Response::Done);
    let turn = log.backups().turn;
    assert_eq!((turn.failures, turn.under_way, turn.good), (0, None, Some(good(5))));
    assert!(turn.last_failure.is_some(), "what failed last is still told");
}

#[test]
fn an_operators_backup_is_the_last_good_one_unless_it_holds_less() {
    let mut log = Log::default();
    assert_eq!(log.apply(Command::NoteGoodBackup(Box::new(good(5)))), Response::Done);
    assert_eq!(log.apply(Command::NoteGoodBackup(Box::new(good(4)))), Response::Unchanged);
    // The same state again: its time is newer.
    let again = GoodBackup { made_at_ms: 10, ..good(5) };
    assert_eq!(log.apply(Command::NoteGoodBackup(Box::new(again.clone()))), Response::Done);
    assert_eq!(log.backups(), Backups { last_good: Some(again), ..Backups::default() });
}

#[test]
fn the_schedule_waits_for_its_feature_level() {
    for command in [
        Command::ScheduleBackups(None),
        Command::ClaimBackup { node: 1, after: 0 },
        Command::NoteBackup { turn: 1, node: 1, progress: Box::new(BackupProgress::UnderWay(1)) },
        Command::NoteGoodBackup(Box::new(good(1))),
    ] {
        assert_eq!(level_of(&command), 3, "{command}");
    }
}

#[test]
fn commands_and_records_of_backups_have_these_bytes() {
    let note = |progress| Command::NoteBackup { turn: 6, node: 4, progress: Box::new(progress) };
    let turn = BackupTurn {
        number: 6,
        node: 4,
        under_way: Some(3),
        good: Some(good(5)),
        failures: 2,
        last_failure: Some(BackupFailure { node: 1, at_ms: 9, reason: "r".into() }),
    };
    let found = [
        command(Command::ScheduleBackups(Some(Box::new(schedule())))),
        command(Command::ScheduleBackups(None)),
        command(Command::ClaimBackup { node: 4, after: 5 }),
        command(note(BackupProgress::UnderWay(3))),
        command(note(BackupProgress::Good(good(5)))),
        command(note(BackupProgress::Failed("r".into()))),
        command(Command::NoteGoodBackup(Box::new(good(5)))),
        body(Kind::Record, &schedule()),
        body(Kind::Record, &turn),
        body(Kind::Record, &good(5)),
    ];
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 10] = [
    "05040302011f013c02022f62",
    "05040302011f00",
    "0504030201200405",
    "05040302012106040003",
    "0504030201210604010409050801640166",
    "0504030201210604020172",
    "0504030201220409050801640166",
    "3c02022f62",
    "06040103010409050801640166020101090172",
    "0409050801640166",
];
