//! Exactly once: a proposal that was retried because its answer got lost applies one time.
//!
//! Each client's answers are kept from its floor upwards. A client that has been silent for an
//! hour, far beyond any request's deadline, is forgotten.

use super::command::Proposal;
use super::layout::{Table, answers_key, session_key};
use super::record::{Answers, Session};
use super::response::Response;
use super::tables::{StateError, Tables};
use super::transaction::{Transaction, decode};

/// How long a silent client is remembered.
const FORGOTTEN_AFTER_MS: u64 = 3_600_000;

/// What is known of a proposal before it is applied.
pub(super) enum Seen {
    /// It is new: apply it.
    Never,
    /// It was applied with these answers.
    Answered(Vec<Response>),
    /// It was applied, and the client said that it has the answers.
    Forgotten,
}

pub(super) fn look_up<T: Tables>(run: &Transaction<'_, T>, proposal: &Proposal) -> Result<Seen, StateError> {
    #[cfg(feature = "mutants")]
    if crate::mutant::is("no-dedup") {
        return Ok(Seen::Never);
    }
    let session: Option<Session> = run.get(Table::Sessions, &session_key(proposal.client))?;
    if session.is_some_and(|session| proposal.serial < session.floor) {
        return Ok(Seen::Forgotten);
    }
    let answers: Option<Answers> =
        run.get(Table::Sessions, &answers_key(proposal.client, proposal.serial))?;
    Ok(answers.map_or(Seen::Never, |answers| Seen::Answered(answers.responses)))
}

pub(super) fn remember<T: Tables>(
    run: &mut Transaction<'_, T>,
    proposal: &Proposal,
    responses: &[Response],
) -> Result<(), StateError> {
    let key = session_key(proposal.client);
    let before: Option<Session> = run.get(Table::Sessions, &key)?;
    if before.is_none() {
        forget_the_silent(run, proposal.now_ms)?;
    }
    let before_floor = before.map_or(1, |session| session.floor);
    // A client whose floor ran ahead of its serial would have its own answer deleted.
    let floor = proposal.floor.clamp(before_floor, proposal.serial.max(before_floor));
    for serial in before_floor..floor {
        run.delete(Table::Sessions, &answers_key(proposal.client, serial))?;
    }
    let answers = Answers { responses: responses.to_vec() };
    run.put(Table::Sessions, &answers_key(proposal.client, proposal.serial), &answers)?;
    run.put(Table::Sessions, &key, &Session { floor, seen_at_ms: proposal.now_ms })
}

/// Runs only when a client is new, that is, when a node has started.
fn forget_the_silent<T: Tables>(run: &mut Transaction<'_, T>, now_ms: u64) -> Result<(), StateError> {
    for (key, value) in run.prefix(Table::Sessions, b"c")? {
        let session: Session = decode(Table::Sessions, &value)?;
        if session.seen_at_ms.saturating_add(FORGOTTEN_AFTER_MS) >= now_ms {
            continue;
        }
        let mut answers = vec![b's'];
        answers.extend_from_slice(key.get(1..).unwrap_or_default());
        for (answers, _) in run.prefix(Table::Sessions, &answers)? {
            run.delete(Table::Sessions, &answers)?;
        }
        run.delete(Table::Sessions, &key)?;
    }
    Ok(())
}
