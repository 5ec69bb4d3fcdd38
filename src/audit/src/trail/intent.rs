//! What a request is about to change, and what came of it.

use keymoot_model::{Kid, PolicyName};

use crate::{Action, KeyName, Outcome};

/// One thing that is about to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub action: Action,
    pub keys: Vec<KeyName>,
    pub policy: Option<PolicyName>,
    pub object: Option<String>,
}

/// The numbers of the intents of one proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intents(pub(super) Vec<u64>);

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    pub reason: Option<String>,
}

impl Verdict {
    /// It was done.
    pub const DONE: Self = Self { outcome: Outcome::Done, reason: None };
    /// The request ended before an answer came.
    pub(super) const UNKNOWN: Self = Self { outcome: Outcome::Unknown, reason: None };

    /// It was not done, for this reason.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, reason: Some(reason.into()) }
    }
}

/// An intent that was written.
#[derive(Debug)]
pub(super) struct Intent {
    pub number: u64,
    pub action: Action,
    pub keys: Vec<KeyName>,
    /// `None` as long as no answer came.
    pub verdict: Option<Verdict>,
    pub log_index: Option<u64>,
    /// Whether another event tells its outcome.
    pub is_cited: bool,
}

impl Intent {
    pub(super) const fn new(number: u64, action: Action, keys: Vec<KeyName>) -> Self {
        Self { number, action, keys, verdict: None, log_index: None, is_cited: false }
    }

    /// Whether the key of this id is there because of it.
    pub(super) fn made(&self, kid: &Kid) -> bool {
        self.verdict == Some(Verdict::DONE) && self.keys.iter().any(|key| key.kid.as_ref() == Some(kid))
    }
}
