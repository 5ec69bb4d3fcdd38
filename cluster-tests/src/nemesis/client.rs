//! One client: a connection to each node, and the outcome of each answer for the history.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::nemesis::history::{Action, History, Outcome, Value};
use crate::nemesis::site::Access;
use crate::raw::{self, Answer, Link};
use crate::signed::WIDEVINE;
use crate::{KeyAnswer, RigError};

/// How long a client waits before it records an unknown outcome.
const PATIENCE: Duration = Duration::from_secs(4);

/// A client.
pub struct Client {
    number: usize,
    access: Access,
    history: Arc<History>,
    links: Vec<Option<Link>>,
}

/// A key that a client supplies.
#[derive(Clone, Copy)]
pub struct Supplied {
    pub key: [u8; 16],
    /// The key's id.
    pub kid: [u8; 16],
}

impl Client {
    /// A client without connections.
    pub fn new(number: usize, access: Access, history: Arc<History>) -> Self {
        let links = access.nodes.iter().map(|_| None).collect();
        Self { number, access, history, links }
    }

    /// A GET; returns its outcome.
    pub fn read(&mut self, node: usize, content: &str) -> Outcome {
        let request = self.key_request("GET", content, &[]);
        self.perform(node, content, Action::Read, &request, understand_read).0
    }

    /// A POST; also returns the answer, for the ledger.
    pub fn create(&mut self, node: usize, content: &str) -> Option<KeyAnswer> {
        let request = self.key_request("POST", content, &[]);
        let answer = self.perform(node, content, Action::Create, &request, understand_key).1?;
        KeyAnswer::from_answer(&answer).ok()
    }

    /// A PUT of a key that the server makes, or of this one.
    pub fn replace(&mut self, node: usize, content: &str, supplied: Option<Supplied>) -> Outcome {
        let Some(supplied) = supplied else {
            let request = self.key_request("PUT", content, &[]);
            return self.perform(node, content, Action::Replace(None), &request, understand_key).0;
        };
        let text = [encode(&supplied.key), encode(&supplied.kid)];
        let more = [("key", text[0].as_str()), ("key_id", text[1].as_str())];
        let request = self.key_request("PUT", content, &more);
        let expected = Value::of(&supplied.key, &supplied.kid);
        let action = Action::Replace(Some(expected.clone()));
        let understand = move |answer: &Answer| match understand_key(answer) {
            Outcome::Key(value) if value != expected => {
                Outcome::Wrong(format!("PUT of key id {} was answered with {}", expected.kid, value.kid))
            }
            other => other,
        };
        self.perform(node, content, action, &request, understand).0
    }

    /// A DELETE of all versions.
    pub fn delete(&mut self, node: usize, content: &str) -> Outcome {
        let request = self.key_request("DELETE", content, &[]);
        self.perform(node, content, Action::Delete, &request, understand_done).0
    }

    /// A PUT of a policy on condition that it has this tag, or is new; returns its present tag, if
    /// there is an answer.
    pub fn change_policy(
        &mut self,
        node: usize,
        name: &str,
        serial: u32,
        tag: Option<&str>,
    ) -> Option<String> {
        let policy = json!({ "name": name, "license_duration_seconds": 60 + serial });
        let condition = tag.map_or(("If-None-Match", "*"), |tag| ("If-Match", tag));
        let request = self.policy_request("PUT", name, &policy, tag, &[condition]);
        let (outcome, answer) = self.perform(node, name, Action::ChangePolicy, &request, understand_done);
        match outcome {
            Outcome::Done => answer?.header("etag").map(str::to_owned),
            _ => None,
        }
    }

    /// A DELETE of a policy of this tag; returns whether it certainly took effect.
    pub fn delete_policy(&mut self, node: usize, name: &str, tag: Option<&str>) -> bool {
        let request = self.policy_request("DELETE", name, &json!(name), tag, &[]);
        self.perform(node, name, Action::DeletePolicy, &request, understand_done).0 == Outcome::Done
    }

    fn policy_request(
        &self,
        method: &str,
        name: &str,
        policy: &serde_json::Value,
        tag: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Vec<u8> {
        let keeper = &self.access.keeper;
        let data = json!({
            "ca_system": keeper.ca_system, "account_id": keeper.account_id, "policy": policy, "method": method,
            "replaces": tag.map_or("0", |tag| tag.trim_matches('"')),
        });
        let data = data.to_string().into_bytes();
        let signature = raw::percent_encode(&keeper.signature(&data));
        raw::request(method, &format!("/policy/{name}?signature={signature}"), headers, &data)
    }

    fn key_request(&self, method: &str, content: &str, more: &[(&str, &str)]) -> Vec<u8> {
        let scrambler = &self.access.scrambler;
        scrambler.request(method, WIDEVINE, &scrambler.custom_data(content, more))
    }

    fn perform(
        &mut self,
        node: usize,
        content: &str,
        action: Action,
        request: &[u8],
        understand: impl Fn(&Answer) -> Outcome,
    ) -> (Outcome, Option<Answer>) {
        let begun = self.history.invoke(self.number, node, content, action);
        let (outcome, answer) = match self.ask(node, request) {
            Asked::NotSent => {
                // An immediate retry at a dead node is useless.
                std::thread::sleep(Duration::from_millis(150));
                (Outcome::Failed, None)
            }
            Asked::NoAnswer => (Outcome::Unknown, None),
            Asked::Answered(answer) => (understand(&answer), Some(answer)),
        };
        self.history.complete(begun, outcome.clone());
        (outcome, answer)
    }

    fn ask(&mut self, node: usize, request: &[u8]) -> Asked {
        let (Some(address), Some(link)) = (self.access.nodes.get(node), self.links.get_mut(node)) else {
            return Asked::NotSent;
        };
        let mut open = match link.take() {
            Some(open) => open,
            None => match connect(*address) {
                Ok(open) => open,
                Err(_) => return Asked::NotSent,
            },
        };
        match open.ask(request, PATIENCE) {
            Ok(answer) => {
                *link = Some(open);
                Asked::Answered(answer)
            }
            Err(_) => Asked::NoAnswer,
        }
    }
}

enum Asked {
    NotSent,
    NoAnswer,
    Answered(Answer),
}

fn connect(address: SocketAddr) -> Result<Link, RigError> {
    Link::open(address, Duration::from_millis(500))
}

fn understand_key(answer: &Answer) -> Outcome {
    if answer.status != 200 {
        return refusal(answer);
    }
    match KeyAnswer::from_answer(answer).and_then(|key| Value::of_answer(&key)) {
        Ok(value) => Outcome::Key(value),
        Err(error) => Outcome::Wrong(error.to_string()),
    }
}

fn understand_read(answer: &Answer) -> Outcome {
    if answer.status == 404 { Outcome::Absent } else { understand_key(answer) }
}

fn understand_done(answer: &Answer) -> Outcome {
    if answer.status == 200 { Outcome::Done } else { refusal(answer) }
}

/// 503 is the only permitted refusal of a valid request.
fn refusal(answer: &Answer) -> Outcome {
    match answer.status {
        503 => Outcome::Unknown,
        status => Outcome::Wrong(format!("status {status}: {}", answer.text())),
    }
}

fn encode(bytes: &[u8; 16]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Answer {
        Answer { status, headers: vec![], body: b"{}".to_vec() }
    }

    #[test]
    fn only_503_and_an_absent_content_are_answers_that_a_sound_request_may_get() {
        assert_eq!(understand_key(&answer(503)), Outcome::Unknown);
        assert!(matches!(understand_key(&answer(408)), Outcome::Wrong(_)), "its request was sent whole");
        assert_eq!(understand_read(&answer(404)), Outcome::Absent);
        assert!(matches!(understand_key(&answer(404)), Outcome::Wrong(_)));
        assert!(matches!(understand_read(&answer(500)), Outcome::Wrong(_)));
        assert!(matches!(understand_read(&answer(200)), Outcome::Wrong(_)), "an empty object is no key");
    }
}
