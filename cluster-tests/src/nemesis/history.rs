//! The clients' requests and answers, with the faults that were active meanwhile.
//!
//! Every line is written to `history.jsonl` as it happens: `invoke`, then `ok`, `fail` (it
//! certainly had no effect), `unknown` (no answer, or 503: it may have taken effect, or still may)
//! or `wrong` (an answer that a correct cluster never gives). Keys are written as digests.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

use crate::signed::hex;
use crate::{KeyAnswer, RigError};

/// A returned key, in the history's form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Value {
    /// The key id, in hexadecimal digits.
    pub kid: String,
    /// The first eight bytes of the key's SHA-256, in hexadecimal digits.
    pub key: String,
}

impl Value {
    /// The digest of these bytes.
    pub fn of(key: &[u8; 16], kid: &[u8; 16]) -> Self {
        let key = digest(&SHA256, key).as_ref().iter().take(8).copied().collect::<Vec<u8>>();
        Self { kid: hex(kid), key: hex(&key) }
    }

    /// The digest of an answer.
    ///
    /// # Errors
    /// When key or key id are not 16 bytes.
    pub fn of_answer(answer: &KeyAnswer) -> Result<Self, RigError> {
        let (key, kid) = answer.bytes()?;
        Ok(Self::of(&key, &kid))
    }
}

/// The requested operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A GET request.
    Read,
    /// POST: the key, made when there is none.
    Create,
    /// PUT: another key; this one when the client supplies it.
    Replace(Option<Value>),
    /// A DELETE of all versions.
    Delete,
    /// A PUT of a policy, on the condition that it has not changed since.
    ChangePolicy,
    /// A DELETE of a policy.
    DeletePolicy,
}

/// The outcome of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It returned this key.
    Key(Value),
    /// There is no key.
    Absent,
    /// It succeeded, without a key in the answer.
    Done,
    /// It had no effect.
    Failed,
    /// Its effect is unknown.
    Unknown,
    /// An answer that a correct cluster never gives.
    Wrong(String),
}

/// A finished operation. Times are since the start of the history, on the steady clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub id: u64,
    /// The index of the node that got the request.
    pub node: usize,
    /// The content's or policy's name.
    pub content: String,
    pub action: Action,
    /// When it was sent.
    pub began: Duration,
    /// When its answer arrived.
    pub ended: Duration,
    pub outcome: Outcome,
}

/// An operation in progress.
pub struct Begun {
    id: u64,
    client: usize,
    node: usize,
    content: String,
    action: Action,
    began: Duration,
}

/// The history of a run, while it is written.
pub struct History {
    began: Instant,
    pages: Mutex<Pages>,
}

struct Pages {
    file: BufWriter<File>,
    next_id: u64,
    finished: Vec<Operation>,
}

#[derive(Serialize)]
struct Line<'a> {
    at_ns: u64,
    wall_ms: u64,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a Action>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl History {
    /// A history that is written to `history.jsonl` in `dir`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn begin(dir: &Path) -> Result<Self, RigError> {
        let path = dir.join("history.jsonl");
        let file = File::create(&path).map_err(RigError::at("make", &path))?;
        let pages = Pages { file: BufWriter::new(file), next_id: 0, finished: Vec::new() };
        Ok(Self { began: Instant::now(), pages: Mutex::new(pages) })
    }

    /// The time since its start.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Records that an operation is sent.
    pub fn invoke(&self, client: usize, node: usize, content: &str, action: Action) -> Begun {
        let mut pages = self.pages();
        let id = pages.next_id;
        pages.next_id += 1;
        let began = self.began.elapsed();
        pages.write(&Line {
            id: Some(id),
            client: Some(client),
            node: Some(node as u64 + 1),
            content: Some(content),
            action: Some(&action),
            ..line(began, "invoke")
        });
        Begun { id, client, node, content: content.to_owned(), action, began }
    }

    /// Records its answer.
    pub fn complete(&self, begun: Begun, outcome: Outcome) {
        let mut pages = self.pages();
        let ended = self.began.elapsed();
        let event = match outcome {
            Outcome::Key(_) | Outcome::Absent | Outcome::Done => "ok",
            Outcome::Failed => "fail",
            Outcome::Unknown => "unknown",
            Outcome::Wrong(_) => "wrong",
        };
        pages.write(&Line {
            id: Some(begun.id),
            client: Some(begun.client),
            node: Some(begun.node as u64 + 1),
            outcome: Some(&outcome),
            ..line(ended, event)
        });
        let Begun { id, node, content, action, began, .. } = begun;
        pages.finished.push(Operation { id, node, content, action, began, ended, outcome });
    }

    /// Records the start or end of a fault, or another event of the cluster.
    pub fn note(&self, event: &str, fault: &str, detail: &str) {
        let at = self.began.elapsed();
        self.pages().write(&Line { fault: Some(fault), detail: Some(detail), ..line(at, event) });
    }

    /// All finished operations so far.
    pub fn operations(&self) -> Vec<Operation> {
        let mut pages = self.pages();
        // A failed write only leaves the file incomplete.
        let _ = pages.file.flush();
        pages.finished.clone()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn write(&mut self, line: &Line<'_>) {
        if let Ok(text) = serde_json::to_string(line) {
            // The checkers work on the copy in memory.
            let _ = writeln!(self.file, "{text}");
        }
    }
}

fn line(at: Duration, event: &str) -> Line<'_> {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Line {
        at_ns: u64::try_from(at.as_nanos()).unwrap_or(u64::MAX),
        wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        event,
        id: None,
        client: None,
        node: None,
        content: None,
        action: None,
        outcome: None,
        fault: None,
        detail: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_what_happened_and_holds_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::begin(dir.path()).unwrap();
        let begun = history.invoke(3, 1, "film", Action::Create);
        history.note("inject", "kill_leader", "node 2");
        history.complete(begun, Outcome::Key(Value::of(b"sixteen letters!", &[7; 16])));
        assert_eq!(history.operations().len(), 1);
        let text = std::fs::read_to_string(dir.path().join("history.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!((&lines[0]["event"], &lines[0]["node"]), (&"invoke".into(), &2.into()));
        assert_eq!(lines[1]["fault"], "kill_leader");
        assert_eq!(lines[2]["outcome"]["key"]["kid"], "07".repeat(16));
        assert!(!text.contains(&hex(b"sixteen letters!")) && !text.contains("sixteen"), "{text}");
    }
}
