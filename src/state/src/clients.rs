//! How long the clients of [`super::sessions`] are remembered, from feature level 2 on: by how many others have
//! begun since they were last heard of.
//!
//! No clock has a say in it: a node whose clock is hours ahead makes nobody forget the clients of others, and a
//! proposal of theirs that comes a second time is known. A client begins when a node starts and proposes, so to
//! forget one that may still be asked for, a cluster would have to start that many nodes within the seconds
//! that a proposal is tried for. Clients of nodes that left for ever go with the starts of others. A client that
//! begins looks at a few old ones: the work of one proposal is bounded, and the table holds who was there lately.

use serde::{Deserialize, Serialize};

use super::layout::{META_CLIENTS, Table, client_of, serial_of, session_key};
use super::record::Session;
use super::sessions::{answers_from, forget_client};
use super::tables::{StateError, Tables};
use super::transaction::{Transaction, decode};

/// A client is forgotten once so many others have begun since it was last heard of.
pub(super) const CLIENTS_KEPT: u64 = 128;
/// Old clients that one that begins looks at. More than one, so that what piled up goes away.
pub(super) const SCANNED_MAX: usize = 32;
/// Answers of old clients that one that begins forgets at most.
pub(super) const ANSWERS_FORGOTTEN_MAX: usize = 256;

/// What is counted of the clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Clients {
    /// How many have begun.
    pub begun: u64,
    /// The last one that was looked at; the next look begins behind it.
    pub looked_at: Option<u64>,
}

/// Counts a client that `begins`, and says how many have begun: when a client was last heard of.
pub(super) fn seen<T: Tables>(run: &mut Transaction<'_, T>, begins: bool) -> Result<u64, StateError> {
    let mut clients: Clients = run.get(Table::Meta, META_CLIENTS)?.unwrap_or_default();
    if begins {
        clients.begun = clients.begun.saturating_add(1);
        forget_the_oldest(run, &mut clients)?;
        run.put(Table::Meta, META_CLIENTS, &clients)?;
    }
    Ok(clients.begun)
}

/// Looks at the next few clients, and forgets who is due.
fn forget_the_oldest<T: Tables>(
    run: &mut Transaction<'_, T>,
    clients: &mut Clients,
) -> Result<(), StateError> {
    let behind = clients.looked_at.map_or(Vec::new(), session_key);
    let page = run.page(Table::Sessions, b"c", &behind, SCANNED_MAX)?;
    let is_last = page.len() < SCANNED_MAX;
    let mut left = ANSWERS_FORGOTTEN_MAX;
    for (key, value) in page {
        let client = client_of(&key).ok_or(StateError::Key { table: Table::Sessions.name() })?;
        let session: Session = decode(Table::Sessions, &value)?;
        if session.seen > clients.begun {
            // A time, noted before clients were counted: it counts as heard of now.
            run.put(Table::Sessions, &key, &Session { seen: clients.begun, ..session })?;
        } else if session.seen.saturating_add(CLIENTS_KEPT) <= clients.begun
            && !forget(run, client, session, &mut left)?
        {
            // The next look begins with it.
            return Ok(());
        }
        clients.looked_at = Some(client);
    }
    if is_last {
        clients.looked_at = None;
    }
    Ok(())
}

/// Forgets a client and at most `left` answers; says whether it is gone. Until it is, its floor keeps what was
/// forgotten from being applied again.
fn forget<T: Tables>(
    run: &mut Transaction<'_, T>,
    client: u64,
    session: Session,
    left: &mut usize,
) -> Result<bool, StateError> {
    let answers = answers_from(run, client, session.floor, left.saturating_add(1))?;
    let is_all = answers.len() <= *left;
    for key in answers.iter().take(*left) {
        run.delete(Table::Sessions, key)?;
    }
    if is_all {
        *left -= answers.len();
        forget_client(run, client)?;
        return Ok(true);
    }
    if let Some(first_kept) = answers.last().and_then(|key| serial_of(key)) {
        run.put(Table::Sessions, &session_key(client), &Session { floor: first_kept, ..session })?;
    }
    *left = 0;
    Ok(false)
}
