//! Per-key linearizability: is there one order of a content's operations, each at a moment between
//! its request and its answer, in which every answer is that of a single register?
//!
//! The search is that of Wing and Gong, with Lowe's memory of tried states: an operation may come
//! next when no other remaining one was answered before this one was sent. The register holds one
//! key or none; GET reads it, POST reads it or makes one, PUT always makes one, DELETE removes all;
//! no key is ever made twice.
//!
//! An operation of unknown outcome may have taken effect at any time after it was sent, or never.
//! Only a later read can show it, so such an effect is only assumed right before the operation that
//! saw it: a key that no answer contained must come from an unknown PUT or POST, a missing one from
//! an unknown DELETE. Those of a kind are interchangeable, except for a PUT whose key the client
//! supplied, so only their number is stored.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::{LINEARIZABILITY, Violation};
use crate::nemesis::history::{Action, Operation, Outcome, Value};

/// Far more states than a history of a few hundred operations has when it is linearizable.
const STATES_MAX: usize = 3_000_000;

/// Checks each content whose name begins with `prefix` separately.
pub fn check(operations: &[Operation], prefix: &str) -> Vec<Violation> {
    let mut by_content: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| operation.content.starts_with(prefix)) {
        by_content.entry(&operation.content).or_default().push(operation);
    }
    by_content.iter().filter_map(|(content, history)| check_one(content, history)).collect()
}

/// The answer of a known operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Read(Option<u32>),
    Create(u32),
    Replace(u32),
    Delete,
}

/// An operation whose answer is known.
#[derive(Clone, Copy)]
struct Step {
    known: Known,
    began: Duration,
    ended: Duration,
}

/// The source of a key, other than a POST or a generated PUT of unknown outcome.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// A PUT that was answered with it.
    Answered,
    /// A PUT that supplied it, sent at this time and never answered.
    Supplied(Duration),
}

/// When the unknown operations of each kind were sent, earliest first.
#[derive(Default)]
struct Unknown {
    creates: Vec<Duration>,
    replaces: Vec<Duration>,
    deletes: Vec<Duration>,
}

struct Problem {
    steps: Vec<Step>,
    unknown: Unknown,
    makers: HashMap<u32, Maker>,
    /// For each key, the steps whose answers contain it.
    told: HashMap<u32, Bits>,
}

type Bits = Box<[u64]>;

/// A point of the search: the operations ordered so far, and the register's value then.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Point {
    done: Bits,
    holds: Option<u32>,
    creates: u16,
    replaces: u16,
    deletes: u16,
}

fn check_one(content: &str, history: &[&Operation]) -> Option<Violation> {
    let problem = Problem::new(history);
    let text = match problem.solve() {
        Solved::Linear => return None,
        Solved::Undecided => format!("{content}: undecided after {STATES_MAX} states"),
        Solved::Not { longest } => {
            let stuck = problem.waiting(&longest).into_iter().filter_map(|step| problem.steps.get(step));
            let stuck = stuck.filter_map(|step| problem.describe(step, history));
            let stuck: Vec<String> = stuck.map(|operation| format!("{operation:?}")).collect();
            format!(
                "{content}: no order explains its {} operations; after {} of them none of these can come next: {}",
                problem.steps.len(),
                count(&longest.done),
                stuck.join("; ")
            )
        }
    };
    Some(Violation { checker: LINEARIZABILITY, text })
}

enum Solved {
    Linear,
    Not { longest: Point },
    Undecided,
}

impl Problem {
    fn new(history: &[&Operation]) -> Self {
        let mut numbers: HashMap<Value, u32> = HashMap::new();
        let mut number = |value: &Value| {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            *numbers.entry(value.clone()).or_insert(next)
        };
        let mut problem =
            Self { steps: vec![], unknown: Unknown::default(), makers: HashMap::new(), told: HashMap::new() };
        let mut ordered: Vec<&&Operation> = history.iter().collect();
        ordered.sort_by_key(|operation| operation.began);
        for operation in ordered {
            let Operation { began, ended, .. } = **operation;
            let known = match (&operation.action, &operation.outcome) {
                (Action::Read, Outcome::Key(value)) => Known::Read(Some(number(value))),
                (Action::Read, Outcome::Absent) => Known::Read(None),
                (Action::Create, Outcome::Key(value)) => Known::Create(number(value)),
                (Action::Replace(_), Outcome::Key(value)) => {
                    let value = number(value);
                    problem.makers.insert(value, Maker::Answered);
                    Known::Replace(value)
                }
                (Action::Delete, Outcome::Done) => Known::Delete,
                (action, Outcome::Unknown | Outcome::Wrong(_)) => {
                    problem.add_unknown(action, began, &mut number);
                    continue;
                }
                _ => continue,
            };
            problem.steps.push(Step { known, began, ended });
        }
        problem.index_keys();
        problem
    }

    fn add_unknown(&mut self, action: &Action, began: Duration, number: &mut impl FnMut(&Value) -> u32) {
        match action {
            Action::Create => self.unknown.creates.push(began),
            Action::Delete => self.unknown.deletes.push(began),
            Action::Replace(None) => self.unknown.replaces.push(began),
            Action::Replace(Some(value)) => {
                self.makers.entry(number(value)).or_insert(Maker::Supplied(began));
            }
            Action::Read | Action::ChangePolicy | Action::DeletePolicy => {}
        }
    }

    fn index_keys(&mut self) {
        let words = self.steps.len().div_ceil(64);
        for (index, step) in self.steps.iter().enumerate() {
            if let Known::Read(Some(key)) | Known::Create(key) | Known::Replace(key) = step.known {
                let told = self.told.entry(key).or_insert_with(|| vec![0; words].into());
                set(told, index);
            }
        }
    }

    fn solve(&self) -> Solved {
        let done: Bits = vec![0; self.steps.len().div_ceil(64)].into();
        let start = Point { done, holds: None, creates: 0, replaces: 0, deletes: 0 };
        let mut tried = HashSet::from([start.clone()]);
        let (mut longest, mut open) = (start.clone(), vec![start]);
        while let Some(point) = open.pop() {
            if count(&point.done) == self.steps.len() {
                return Solved::Linear;
            }
            if count(&point.done) > count(&longest.done) {
                longest = point.clone();
            }
            if tried.len() > STATES_MAX {
                return Solved::Undecided;
            }
            // The operation that was sent last is tried last: the order of requests is mostly the
            // true one.
            for next in self.next(&point).into_iter().rev() {
                if tried.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        Solved::Not { longest }
    }

    /// The steps that may come next, by their times.
    fn waiting(&self, point: &Point) -> Vec<usize> {
        let first_end = self.first_end(point);
        let open = self.steps.iter().enumerate().filter(|(index, _)| !is_set(&point.done, *index));
        open.take_while(|(_, step)| step.began <= first_end).map(|(index, _)| index).collect()
    }

    /// The time by which the next step must have come.
    fn first_end(&self, point: &Point) -> Duration {
        let open = self.steps.iter().enumerate().filter(|(index, _)| !is_set(&point.done, *index));
        open.map(|(_, step)| step.ended).min().unwrap_or(Duration::MAX)
    }

    fn next(&self, point: &Point) -> Vec<Point> {
        let until = self.first_end(point);
        let mut points = Vec::new();
        for index in self.waiting(point) {
            let Some(step) = self.steps.get(index) else { continue };
            let begun = points.len();
            match step.known {
                Known::Delete => points.push(Point { holds: None, ..point.clone() }),
                Known::Replace(key) if !self.was_told(point, key) => {
                    points.push(Point { holds: Some(key), ..point.clone() });
                }
                Known::Replace(_) => {}
                Known::Read(None) => points.extend(self.emptied(point, until)),
                Known::Read(Some(key)) => points.extend(self.holding(point, key, until)),
                Known::Create(key) => {
                    points.extend(self.holding(point, key, until));
                    if !self.makers.contains_key(&key) && !self.was_told(point, key) {
                        let made = self.emptied(point, until);
                        points.extend(made.map(|made| Point { holds: Some(key), ..made }));
                    }
                }
            }
            points.iter_mut().skip(begun).for_each(|next| set(&mut next.done, index));
        }
        points
    }

    /// The register without a key: already so, or by an unknown DELETE.
    fn emptied(&self, point: &Point, until: Duration) -> Option<Point> {
        if point.holds.is_none() {
            return Some(point.clone());
        }
        let may = is_left(&self.unknown.deletes, point.deletes, until);
        may.then(|| Point { holds: None, deletes: point.deletes + 1, ..point.clone() })
    }

    /// The register with this key: already so, or by an unknown operation that made it.
    fn holding(&self, point: &Point, key: u32, until: Duration) -> Vec<Point> {
        if point.holds == Some(key) {
            return vec![point.clone()];
        }
        if self.was_told(point, key) {
            return vec![];
        }
        let held = Point { holds: Some(key), ..point.clone() };
        match self.makers.get(&key) {
            Some(Maker::Answered) => return vec![],
            Some(Maker::Supplied(began)) => return if *began <= until { vec![held] } else { vec![] },
            None => {}
        }
        let mut points = Vec::new();
        if is_left(&self.unknown.replaces, point.replaces, until) {
            points.push(Point { replaces: point.replaces + 1, ..held });
        }
        if is_left(&self.unknown.creates, point.creates, until) {
            let emptied = self.emptied(point, until);
            points.extend(emptied.map(|emptied| Point {
                holds: Some(key),
                creates: point.creates + 1,
                ..emptied
            }));
        }
        points
    }

    /// Whether the answer of a step that is already ordered contains this key, so that it was made
    /// before.
    fn was_told(&self, point: &Point, key: u32) -> bool {
        self.told.get(&key).is_some_and(|told| told.iter().zip(&point.done).any(|(a, b)| a & b != 0))
    }

    fn describe<'h>(&self, step: &Step, history: &[&'h Operation]) -> Option<&'h Operation> {
        history
            .iter()
            .find(|operation| (operation.began, operation.ended) == (step.began, step.ended))
            .copied()
    }
}

/// Whether more than `used` operations were sent by then.
fn is_left(sent: &[Duration], used: u16, until: Duration) -> bool {
    sent.get(usize::from(used)).is_some_and(|began| *began <= until)
}

fn set(bits: &mut Bits, index: usize) {
    if let Some(word) = bits.get_mut(index / 64) {
        *word |= 1 << (index % 64);
    }
}

fn is_set(bits: &Bits, index: usize) -> bool {
    bits.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
}

fn count(bits: &Bits) -> usize {
    bits.iter().map(|word| word.count_ones() as usize).sum()
}

#[cfg(test)]
mod tests;
