//! Exactly once: a proposal that is retried because its answer was lost is applied one time.
//!
//! Each client's answers are kept from its floor upwards. A client here is a proposer: a node, from start to
//! stop. A silent client is forgotten with its answers: from feature level 2 on by the rule in `clients.rs`,
//! below it by the clock of a new client. The clock may be wrong, but older versions use it.
//!
//! No answer is kept below its client's floor, and none of a client without a session. So the work for one
//! proposal does not grow with the number of earlier proposals.

use super::clients;
use super::command::Proposal;
use super::features;
use super::layout::{answers_key, answers_of, client_of, serial_of, session_key};
use super::record::{Answers, Session};
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::{Transaction, decode};

/// How long a silent client is remembered below feature level 2.
const FORGOTTEN_AFTER_MS: u64 = 3_600_000;

/// The most that one proposal raises a client's floor, from feature level 2 on: each serial below the floor
/// may have answers to delete. The proposals that follow raise it further.
pub(super) const FLOOR_RISE_MAX: u64 = 64;

/// The answers read by one search.
const PAGE: usize = 256;

/// The state's knowledge of a proposal before it is applied.
pub(super) enum Seen {
    /// The proposal is new: apply it.
    Never,
    /// The proposal was applied with these answers.
    Answered(Vec<Response>),
    /// The proposal was applied, and the client has confirmed the answers.
    Forgotten,
}

pub(super) fn look_up<T: Tables>(run: &Transaction<'_, T>, proposal: &Proposal) -> Result<Seen, StateError> {
    #[cfg(feature = "mutants")]
    if keymoot_mutant::is("no-dedup") {
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
    let counts_clients = features::level(run)? >= features::COUNTED_CLIENTS;
    let seen = match (counts_clients, &before) {
        (true, before) => clients::seen(run, before.is_none())?,
        (false, None) => {
            forget_the_silent(run, proposal.now_ms)?;
            proposal.now_ms
        }
        (false, Some(_)) => proposal.now_ms,
    };
    let before_floor = before.as_ref().map_or(1, |session| session.floor);
    // A client whose floor ran ahead of its serial would have its own answer deleted.
    let mut floor = proposal.floor.clamp(before_floor, proposal.serial.max(before_floor));
    if before.is_some() {
        if counts_clients {
            floor = floor.min(before_floor.saturating_add(FLOOR_RISE_MAX));
        }
        forget_answers(run, proposal.client, before_floor, floor)?;
    }
    let answers = Answers { responses: responses.to_vec() };
    run.put(Table::Sessions, &answers_key(proposal.client, proposal.serial), &answers)?;
    run.put(Table::Sessions, &key, &Session { floor, seen })
}

/// Deletes a client's answers from one serial up to another, which stays.
fn forget_answers<T: Tables>(
    run: &mut Transaction<'_, T>,
    client: u64,
    from: u64,
    to: u64,
) -> Result<(), StateError> {
    // Usually it is one answer, whose key is known: a search would cost more.
    if to.saturating_sub(from) <= FLOOR_RISE_MAX {
        return (from..to).try_for_each(|serial| run.delete(Table::Sessions, &answers_key(client, serial)));
    }
    let end = answers_key(client, to);
    forget_while(run, client, from, |key| *key < *end)
}

/// Deletes a client's answers from a serial on, while they are due.
fn forget_while<T: Tables>(
    run: &mut Transaction<'_, T>,
    client: u64,
    mut from: u64,
    is_due: impl Fn(&[u8]) -> bool,
) -> Result<(), StateError> {
    loop {
        let found = answers_from(run, client, from, PAGE)?;
        let due = found.iter().take_while(|key| is_due(key)).count();
        for key in found.iter().take(due) {
            run.delete(Table::Sessions, key)?;
        }
        let next = found.last().and_then(|key| serial_of(key)).and_then(|serial| serial.checked_add(1));
        match next.filter(|_| due == PAGE) {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}

/// The keys of a client's first answers from a serial on, `limit` at most.
pub(super) fn answers_from<T: Tables>(
    run: &Transaction<'_, T>,
    client: u64,
    from: u64,
    limit: usize,
) -> Result<Vec<Vec<u8>>, StateError> {
    // A scan in the store also visits deleted keys, so it does not start below the floor.
    let behind = from.checked_sub(1).map_or(answers_of(client), |serial| answers_key(client, serial));
    let found = run.page(Table::Sessions, &answers_of(client), &behind, limit)?;
    Ok(found.into_iter().map(|(key, _)| key).collect())
}

/// Forgets clients that have been silent for an hour by the clock of a new client, that is, of a node that
/// has just started.
fn forget_the_silent<T: Tables>(run: &mut Transaction<'_, T>, now_ms: u64) -> Result<(), StateError> {
    for (key, value) in run.prefix(Table::Sessions, b"c")? {
        let session: Session = decode(Table::Sessions, &value)?;
        if session.seen.saturating_add(FORGOTTEN_AFTER_MS) >= now_ms {
            continue;
        }
        let client = client_of(&key).ok_or(StateError::Key { table: Table::Sessions.name() })?;
        forget_while(run, client, session.floor, |_| true)?;
        forget_client(run, client)?;
    }
    Ok(())
}

/// Deletes the session of a client that has no answers from its floor upwards.
pub(super) fn forget_client<T: Tables>(run: &mut Transaction<'_, T>, client: u64) -> Result<(), StateError> {
    // Clients count from 1; a client that sent serial 0 leaves nothing behind either.
    run.delete(Table::Sessions, &answers_key(client, 0))?;
    run.delete(Table::Sessions, &session_key(client))
}
