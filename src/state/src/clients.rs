//! How long the clients of [`super::sessions`] are remembered, from feature level 2 on: until a fixed number
//! of other clients have started after the client's last proposal.
//!
//! No clock is involved: a node whose clock is hours ahead cannot make the cluster forget other clients,
//! whose repeated proposals are still recognised. A client starts when a node starts and proposes. To forget
//! one that may still retry, a cluster would have to start that many nodes within the seconds for which a
//! proposal is retried. Clients of removed nodes are forgotten as other nodes start. Each new client checks a
//! few old ones, which bounds the work of one proposal; the table holds the recent clients.

use serde::{Deserialize, Serialize};

use super::layout::{META_CLIENTS, client_of, serial_of, session_key};
use super::record::Session;
use super::sessions::{answers_from, forget_client};
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::{Transaction, decode};

/// A client is forgotten once this many others have started after its last proposal.
pub(super) const CLIENTS_KEPT: u64 = 128;
/// The old clients that a new one checks. More than one, so that a backlog shrinks.
pub(super) const SCANNED_MAX: usize = 32;
/// The most answers of old clients that a new one deletes.
pub(super) const ANSWERS_FORGOTTEN_MAX: usize = 256;

/// The counters of the clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Clients {
    /// The number of clients started so far.
    pub begun: u64,
    /// The last client that was checked; the next check starts after it.
    pub looked_at: Option<u64>,
}

/// Counts the client if it `begins`. Returns the number of clients started so far, which is the time kept in
/// [`Session::seen`].
pub(super) fn seen<T: Tables>(run: &mut Transaction<'_, T>, begins: bool) -> Result<u64, StateError> {
    let mut clients: Clients = run.get(Table::Meta, META_CLIENTS)?.unwrap_or_default();
    if begins {
        clients.begun = clients.begun.saturating_add(1);
        forget_the_oldest(run, &mut clients)?;
        run.put(Table::Meta, META_CLIENTS, &clients)?;
    }
    Ok(clients.begun)
}

/// Checks the next few clients, and forgets those that are due.
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
            // A clock time from below feature level 2: the client counts as seen now.
            run.put(Table::Sessions, &key, &Session { seen: clients.begun, ..session })?;
        } else if session.seen.saturating_add(CLIENTS_KEPT) <= clients.begun
            && !forget(run, client, session, &mut left)?
        {
            // The next check starts with this client.
            return Ok(());
        }
        clients.looked_at = Some(client);
    }
    if is_last {
        clients.looked_at = None;
    }
    Ok(())
}

/// Deletes a client and at most `left` of its answers. Returns whether the client is gone. Until then its
/// floor prevents proposals whose answers were deleted from being applied again.
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
