//! The failure of a log: the first failed write or sync, and its notification.
//!
//! After a failed fsync the kernel may have dropped the pages it could not write, so a later success proves
//! nothing. The failure is therefore kept for the life of the process.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Completion;

type Hook = Box<dyn FnOnce(&str) + Send>;

/// Whether and why the log failed.
#[derive(Default)]
pub(super) struct Failure {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    reason: Option<String>,
    hooks: Vec<Hook>,
}

impl Failure {
    /// Fails when the log has failed.
    pub(super) fn check(&self) -> io::Result<()> {
        match &self.lock().reason {
            None => Ok(()),
            Some(reason) => Err(io::Error::other(format!("the log failed earlier and is closed: {reason}"))),
        }
    }

    /// Records that the log failed with `error`. Only the first failure counts.
    pub(super) fn mark(&self, error: &io::Error) {
        let reason = error.to_string();
        let hooks = {
            let mut state = self.lock();
            if state.reason.is_some() {
                return;
            }
            state.reason = Some(reason.clone());
            std::mem::take(&mut state.hooks)
        };
        for hook in hooks {
            hook(&reason);
        }
    }

    pub(super) fn on_failure(&self, hook: Hook) {
        let reason = {
            let mut state = self.lock();
            match state.reason.clone() {
                Some(reason) => reason,
                None => return state.hooks.push(hook),
            }
        };
        hook(&reason);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No locked section can panic half-way, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Failure").field("reason", &self.lock().reason).finish_non_exhaustive()
    }
}

/// A completion passed through the flush thread. It is answered exactly once, even when the thread ends
/// before it reaches the completion; an error from the thread is the failure of the log.
pub(super) struct Done {
    completion: Option<Completion>,
    answered: bool,
    failure: Arc<Failure>,
}

impl Done {
    pub(super) fn new(completion: Option<Completion>, failure: Arc<Failure>) -> Self {
        Self { completion, answered: false, failure }
    }

    /// Answers with `error` without declaring the log failed.
    pub(super) fn refuse(mut self, error: &io::Error) {
        self.answer(Err(io::Error::new(error.kind(), error.to_string())));
    }

    fn answer(&mut self, outcome: io::Result<()>) {
        self.answered = true;
        if let Some(completion) = self.completion.take() {
            completion(outcome);
        }
    }
}

impl raft_log::Callback for Done {
    fn send(mut self, outcome: io::Result<()>) {
        if let Err(error) = &outcome {
            self.failure.mark(error);
        }
        self.answer(outcome);
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if !self.answered {
            self.failure.mark(&io::Error::other("the flush thread ended"));
            let error = self.failure.check();
            self.answer(error);
        }
    }
}
