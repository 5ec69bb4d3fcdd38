//! The clients' requests and answers, and whether a single order explains them.
//!
//! A register is one content's key. Each write has a value of its own, so a value identifies its
//! write.

use std::collections::{BTreeMap, HashSet};

/// A client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Read,
    /// Write this value if there is none.
    Create(u64),
    /// Write this value.
    Replace(u64),
    Delete,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To Read and Create: the register's value.
    Value(Option<u64>),
    /// The answer to Replace and Delete.
    Done,
    /// It may have happened, may not have, or may still happen.
    Unknown,
}

/// An operation. Times are positions in the order of all beginnings and ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub asked: Asked,
    pub answer: Answer,
    pub began: u64,
    pub ended: u64,
}

/// The operations on each register.
#[derive(Default)]
pub(crate) struct History {
    now: u64,
    registers: BTreeMap<String, Vec<Operation>>,
}

impl History {
    /// The next position in that order.
    pub(crate) fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// Records an operation that began at `began` and ended now.
    pub(crate) fn end(&mut self, register: &str, asked: Asked, began: u64, answer: Answer) {
        let ended = if answer == Answer::Unknown { u64::MAX } else { self.tick() };
        let operation = Operation { asked, answer, began, ended };
        self.registers.entry(register.to_owned()).or_default().push(operation);
    }

    /// All registers that were used.
    pub(crate) fn registers(&self) -> Vec<String> {
        self.registers.keys().cloned().collect()
    }

    /// The numbers of answered and unanswered operations.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let all = || self.registers.values().flatten();
        let unknown = all().filter(|operation| operation.answer == Answer::Unknown).count();
        (all().count() - unknown, unknown)
    }

    /// The registers whose answers no order explains.
    pub(crate) fn violations(&self) -> Vec<String> {
        let broken = self.registers.iter().filter(|(_, operations)| !is_linearizable(operations));
        broken.map(|(name, operations)| describe(name, operations)).collect()
    }
}

fn describe(name: &str, operations: &[Operation]) -> String {
    let mut text = format!("linearizability: no order explains what was answered about {name}:");
    for Operation { asked, answer, began, ended } in operations {
        text.push_str(&format!("\n  {began}..{ended} {asked:?} -> {answer:?}"));
    }
    text
}

/// Wing and Gong's search, which skips states that were tried.
fn is_linearizable(operations: &[Operation]) -> bool {
    let mut operations = worth_considering(operations);
    operations.sort_by_key(|operation| operation.began);
    let mut tried: HashSet<(Vec<u64>, Option<u64>)> = HashSet::new();
    let mut open = vec![(vec![0_u64; operations.len().div_ceil(64)], None)];
    while let Some((done, value)) = open.pop() {
        let is_done = |at: usize| done[at / 64] & (1 << (at % 64)) != 0;
        let waiting = || operations.iter().enumerate().filter(|(at, _)| !is_done(*at));
        // The next operation must begin before the first of the others has ended.
        let first_end = waiting().map(|(_, operation)| operation.ended).min().unwrap_or(u64::MAX);
        if first_end == u64::MAX {
            return true;
        }
        for (at, operation) in waiting().take_while(|(_, operation)| operation.began < first_end) {
            let Some(then) = step(operation, value) else { continue };
            let mut with = done.clone();
            with[at / 64] |= 1 << (at % 64);
            if tried.insert((with.clone(), then)) {
                open.push((with, then));
            }
        }
    }
    false
}

/// All operations but unanswered reads, and unanswered writes whose value nobody read.
fn worth_considering(operations: &[Operation]) -> Vec<Operation> {
    let seen: HashSet<u64> = operations
        .iter()
        .filter_map(|operation| match operation.answer {
            Answer::Value(value) => value,
            _ => None,
        })
        .collect();
    let matters = |operation: &&Operation| match (operation.answer, operation.asked) {
        (Answer::Unknown, Asked::Read) => false,
        (Answer::Unknown, Asked::Create(value) | Asked::Replace(value)) => seen.contains(&value),
        _ => true,
    };
    operations.iter().filter(matters).copied().collect()
}

/// The register's value after the operation; `None` when the operation's answer contradicts
/// `value`.
fn step(operation: &Operation, value: Option<u64>) -> Option<Option<u64>> {
    let after = match operation.asked {
        Asked::Read => value,
        Asked::Create(new) => value.or(Some(new)),
        Asked::Replace(new) => Some(new),
        Asked::Delete => None,
    };
    match operation.answer {
        Answer::Value(said) if said != after => None,
        _ => Some(after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(operations: &[(Asked, Answer, u64, u64)]) -> bool {
        let operation = |(asked, answer, began, ended): &(Asked, Answer, u64, u64)| Operation {
            asked: *asked,
            answer: *answer,
            began: *began,
            ended: *ended,
        };
        is_linearizable(&operations.iter().map(operation).collect::<Vec<_>>())
    }

    fn value(value: u64) -> Answer {
        Answer::Value(Some(value))
    }

    #[test]
    fn what_an_order_explains_is_good() {
        use Asked::*;
        assert!(history(&[
            (Create(1), value(1), 1, 2),
            (Create(2), value(1), 3, 4),
            (Replace(3), Answer::Done, 5, 8),
            (Read, value(1), 6, 7),
            (Read, value(3), 9, 10),
            (Delete, Answer::Unknown, 11, u64::MAX),
            (Read, Answer::Value(None), 12, 13),
        ]));
    }

    #[test]
    fn stale_reads_lost_writes_and_two_winners_are_bad() {
        use Asked::*;
        assert!(!history(&[
            (Create(1), value(1), 1, 2),
            (Replace(3), Answer::Done, 3, 4),
            (Read, value(1), 5, 6),
        ]));
        assert!(!history(&[(Create(1), value(1), 1, 2), (Read, Answer::Value(None), 3, 4)]));
        assert!(!history(&[(Create(1), value(1), 1, 5), (Create(2), value(2), 2, 4)]));
        assert!(!history(&[
            (Create(1), value(1), 1, 2),
            (Replace(3), Answer::Unknown, 3, u64::MAX),
            (Read, value(3), 5, 6),
            (Read, value(1), 7, 8),
        ]));
    }
}
