//! What is wrong with a log of the cluster: what its events show, and what is said of it.

use keymoot_audit::offline::{Finding, LogCheck};
use keymoot_audit::{SignedCheckpoint, VerifierKey};
use keymoot_cluster::KnownLog;

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LogFault {
    /// Its events do not fit its checkpoints.
    #[error("{0}")]
    Found(Finding),
    /// A note that is none.
    #[error("its checkpoint at {size} events cannot be read: {why}")]
    Note { size: u64, why: String },
    /// It has another key than was kept elsewhere.
    #[error("another key signs it than the one that was kept: {found} in place of {kept}")]
    Key { kept: String, found: String },
    /// Its node gave something else than events in their order.
    #[error("events from {found} on are given where event {wanted} was asked for")]
    Gap { wanted: u64, found: u64 },
    /// The log after it does not know of all of its events.
    #[error("the log after it says that it ended with {said} events, and it had {known}")]
    EndedBefore { said: u64, known: u64 },
}

/// The check of a log by the checkpoints that are known of it, and what is wrong with those. `cosigners` are the keys
/// whose signatures count beside its own. None where it has no key that can be read.
pub(super) fn begin(log: &KnownLog, cosigners: &[VerifierKey]) -> (Option<LogCheck>, Vec<LogFault>) {
    let mut faults = Vec::new();
    let mut note = |size: u64, why: String| faults.push(LogFault::Note { size, why });
    let mut notes = Vec::with_capacity(log.checkpoints.len());
    for known in &log.checkpoints {
        match SignedCheckpoint::parse(&known.note) {
            Ok(read) if read.checkpoint().origin == log.origin && read.checkpoint().size == known.size => {
                notes.push(read);
            }
            Ok(_) => note(known.size, "its note is of another log or size".to_owned()),
            Err(error) => note(known.size, error.to_string()),
        }
    }
    match log.key.parse::<VerifierKey>() {
        Ok(key) => (Some(LogCheck::new(&key, cosigners, &notes)), faults),
        Err(error) => {
            note(0, format!("its key is none: {error}"));
            (None, faults)
        }
    }
}

/// All events came. Gives how many checkpoints they fit, and what is wrong.
pub(super) fn end(check: LogCheck, mut faults: Vec<LogFault>) -> (usize, Vec<LogFault>) {
    let (checkpoints, findings) = check.end();
    faults.extend(findings.into_iter().map(LogFault::Found));
    (checkpoints, faults)
}
