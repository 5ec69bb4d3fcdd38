//! Key ids are each account's own from feature level 4 on, and what is from before is found as it was.

use keymoot_model::{AccountId, KeyPath, Kid, Period};

use super::apply::{Memory, new_key, place};
use super::histories::identity;
use crate::*;

const KID: Kid = Kid::from_bytes([9; 16]);

/// A cluster, and the commands that were applied to it one by one.
struct History {
    memory: Memory,
    serial: u64,
}

impl History {
    fn new(feature_level: u32) -> Self {
        let mut history = Self { memory: Memory::default(), serial: 0 };
        history.run(Command::Found(identity(0, feature_level)));
        history
    }

    fn run(&mut self, command: Command) -> Response {
        self.serial += 1;
        let response = self.memory.run_one(self.serial, self.serial, command);
        assert_eq!(digest(&self.memory).unwrap(), self.memory.digest_from_scratch());
        response
    }

    fn create(&mut self, account: &str, content: u8) -> Response {
        self.run(Command::CreateKey(key(account, content)))
    }

    fn delete(&mut self, account: &str, content: u8, kid: Option<Kid>) -> Response {
        self.run(Command::DeleteKey { place: at(account, content), through: 9, kid })
    }

    /// The content whose key the account has under the key id.
    fn found(&self, account: &str) -> Option<KeyPath> {
        key_by_kid(&self.memory, &AccountId::new(account).unwrap(), &KID).unwrap().map(|record| record.place)
    }
}

fn at(account: &str, content: u8) -> KeyPath {
    KeyPath { account: AccountId::new(account).unwrap(), ..place(content) }
}

fn key(account: &str, content: u8) -> NewKey {
    NewKey { place: at(account, content), ..new_key(content, 1, 9) }
}

#[test]
fn nobody_keeps_a_key_id_from_another_account_or_learns_of_it_there() {
    let mut history = History::new(4);
    assert_eq!(history.create("squatter", 1), Response::Stored);
    assert_eq!(history.found("owner"), None);
    assert_eq!(history.create("owner", 2), Response::Stored);
    assert_eq!(history.found("owner"), Some(at("owner", 2)));
    assert_eq!(history.found("squatter"), Some(at("squatter", 1)));
    // Within the account it names one key.
    let taken = history.create("owner", 3);
    assert!(matches!(taken, Response::KidTaken(record) if record.place == at("owner", 2)));
    let period = Period { length_s: 10, index: 1 };
    let supply = |account: &str| Command::SupplyPeriodKey { key: key(account, 4), period };
    assert!(matches!(history.run(supply("owner")), Response::KidTaken(_)));
    assert_eq!(history.run(supply("third")), Response::Stored);
    // What one deletes stays with the others.
    assert_eq!(history.delete("squatter", 1, Some(KID)), Response::Deleted { versions: 1 });
    assert_eq!((history.found("squatter"), history.found("owner")), (None, Some(at("owner", 2))));
    assert_eq!(history.delete("third", 4, None), Response::Deleted { versions: 1 });
    assert_eq!(history.delete("owner", 2, None), Response::Deleted { versions: 1 });
    assert_eq!(history.found("owner"), None);
    assert!(!history.memory.records().any(|(table, ..)| table == Table::Kids), "no entry is left");
}

#[test]
fn what_was_stored_before_the_level_was_raised_is_found_deleted_and_in_nobodys_way() {
    let mut history = History::new(3);
    assert_eq!(history.create("first", 1), Response::Stored);
    assert!(matches!(history.create("second", 2), Response::KidTaken(_)), "so it was");
    assert_eq!(history.found("second"), None, "but it is told to nobody else");
    assert_eq!(history.run(Command::RaiseFeatureLevel { to: 4 }), Response::Done);
    assert_eq!(history.found("first"), Some(at("first", 1)));
    assert!(matches!(history.create("first", 3), Response::KidTaken(_)));
    assert_eq!(history.create("second", 2), Response::Stored);
    assert_eq!(
        (history.found("first"), history.found("second")),
        (Some(at("first", 1)), Some(at("second", 2)))
    );
    assert_eq!(history.delete("second", 2, Some(KID)), Response::Deleted { versions: 1 });
    assert_eq!((history.found("first"), history.found("second")), (Some(at("first", 1)), None));
    assert_eq!(history.create("second", 3), Response::Stored);
    assert_eq!(history.delete("first", 1, None), Response::Deleted { versions: 1 });
    assert_eq!((history.found("first"), history.found("second")), (None, Some(at("second", 3))));
    assert_eq!(history.create("first", 4), Response::Stored, "it is free again");
}
