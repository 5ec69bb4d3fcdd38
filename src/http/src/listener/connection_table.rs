//! The connections of one worker, so that none is turned away while others wait for their clients, and no
//! address takes all there are.
//!
//! actix-web does not accept a connection any more when a worker has as many as it may, not even for
//! health checks. So a table that is full makes room: those that have waited longest for their clients,
//! idle or in the middle of a request, are closed; last those on which a request was granted, and with those on which
//! answers were given and none was ever granted, or is not taken, patience is shorter than with new ones. An address that
//! has as many as it may gives way to itself alone.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use prometheus::IntGauge;

use crate::listener::connection::{Connection, Overdue, Worth};

/// The part of a table that is emptied at once, so that room is looked for seldom.
const PART: usize = 16;
/// How many times as long a wait counts on a connection that had its answers, and nothing was granted to.
const SERVED: u32 = 4;

/// The open connections of a worker.
pub(crate) struct ConnectionTable {
    connections_max: usize,
    per_client_max: usize,
    open: RefCell<BTreeMap<u64, Entry>>,
    by_client: RefCell<HashMap<IpAddr, BTreeSet<u64>>>,
    next: Cell<u64>,
    gauge: IntGauge,
}

struct Entry {
    connection: Weak<Connection>,
    /// `None` when its address may have as many as it likes.
    client: Option<IpAddr>,
}

impl ConnectionTable {
    /// An empty one. `accepted_max` connections are accepted at once; some of them are those that close.
    /// `gauge` counts those that are open.
    pub(crate) fn new(accepted_max: usize, per_client_max: usize, gauge: IntGauge) -> Self {
        let connections_max = accepted_max.saturating_sub(accepted_max / PART + 1).max(1);
        Self {
            connections_max,
            per_client_max,
            open: RefCell::default(),
            by_client: RefCell::default(),
            next: Cell::new(0),
            gauge,
        }
    }

    /// Notes a connection until its registration is dropped, and makes room for it. `client` is bounded by
    /// itself, if it is given.
    pub(crate) fn register(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        client: Option<IpAddr>,
    ) -> Registration {
        if let Some(client) = client
            && self.by_client.borrow().get(&client).is_some_and(|own| own.len() >= self.per_client_max)
            && self.close_longest_waiting(&client).is_none()
        {
            // All the others are being answered.
            connection.cut(Overdue::Address);
        }
        if self.open.borrow().len() >= self.connections_max {
            self.make_room();
        }
        let number = self.next.replace(self.next.get() + 1);
        self.open.borrow_mut().insert(number, Entry { connection: Rc::downgrade(connection), client });
        if let Some(client) = client {
            self.by_client.borrow_mut().entry(client).or_default().insert(number);
        }
        self.gauge.inc();
        Registration { table: self.clone(), number }
    }

    /// Closes the connection of this client that has waited longest for it, if one waits.
    fn close_longest_waiting(&self, client: &IpAddr) -> Option<()> {
        let number = {
            let (open, by_client) = (self.open.borrow(), self.by_client.borrow());
            let own = by_client.get(client)?.iter();
            let (_, number) = own.filter_map(|number| waiting(*number, open.get(number)?)).min()?;
            number
        };
        self.close(number, Overdue::Address);
        Some(())
    }

    fn make_room(&self) {
        let mut waiting: Vec<_> =
            self.open.borrow().iter().filter_map(|(number, entry)| waiting(*number, entry)).collect();
        waiting.sort_unstable();
        for (_, number) in waiting.into_iter().take((self.connections_max / PART).max(1)) {
            self.close(number, Overdue::Crowded);
        }
    }

    fn close(&self, number: u64, why: Overdue) {
        if let Some(connection) = self.remove(number).and_then(|entry| entry.connection.upgrade()) {
            connection.cut(why);
        }
    }

    fn remove(&self, number: u64) -> Option<Entry> {
        let entry = self.open.borrow_mut().remove(&number)?;
        let mut by_client = self.by_client.borrow_mut();
        if let Some(client) = &entry.client
            && let Some(own) = by_client.get_mut(client)
        {
            own.remove(&number);
            if own.is_empty() {
                by_client.remove(client);
            }
        }
        Some(entry)
    }
}

/// Whether its client proved itself, how long it is waited for, as that counts, and its number. Who gives way comes first.
fn waiting(number: u64, entry: &Entry) -> Option<((bool, Reverse<Duration>), u64)> {
    let (worth, since) = entry.connection.upgrade()?.waiting_since()?;
    let times = if worth == Worth::Served { SERVED } else { 1 };
    Some(((worth == Worth::Proved, Reverse(since.elapsed().saturating_mul(times))), number))
}

/// A connection's registration in the table.
pub(crate) struct Registration {
    table: Rc<ConnectionTable>,
    number: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.table.gauge.dec();
        self.table.remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use keymoot_model::client_network;

    use super::super::connection::tests::connection;
    use super::*;

    fn table(accepted_max: usize, per_client_max: usize) -> Rc<ConnectionTable> {
        let gauge = IntGauge::new("open", "open").unwrap();
        Rc::new(ConnectionTable::new(accepted_max, per_client_max, gauge))
    }

    fn why(connection: &Connection) -> Option<Overdue> {
        connection.look(tokio::time::Instant::now()).err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_table_closes_who_was_granted_nothing_and_waited_longest_and_nobody_who_is_being_answered()
    {
        let table = table(18, usize::MAX);
        let request = actix_web::test::TestRequest::default().to_http_request();
        let mut open = Vec::new();
        for number in 0..16 {
            tokio::time::advance(std::time::Duration::from_millis(1)).await;
            let connection = connection();
            let under_way = (number == 0).then(|| connection.answer(&request));
            if number == 1 {
                connection.has_proved();
            }
            if number == 5 {
                drop(connection.answer(&request));
            }
            open.push((table.register(&connection, None), connection, under_way));
        }
        let cut = |open: &[(Registration, Rc<Connection>, _)]| -> Vec<usize> {
            (0..open.len()).filter(|at| why(&open[*at].1).is_some()).collect()
        };
        assert_eq!(cut(&open), [0; 0]);
        let late = connection();
        let registration = table.register(&late, None);
        // 14 ms on number 2, and four times 11 ms on number 5, to which nothing was granted.
        assert_eq!(cut(&open), [5]);
        open.push((registration, late, None));
        assert_eq!(table.open.borrow().len(), 16);
        assert_eq!(table.gauge.get(), 17, "the one that gives way is still open");
        drop(open);
        assert_eq!((table.open.borrow().len(), table.gauge.get()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_with_as_many_as_it_may_have_gives_way_to_itself_alone() {
        let table = table(100, 3);
        let request = actix_web::test::TestRequest::default().to_http_request();
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| client_network(text.parse().unwrap()));
        let mut open = Vec::new();
        for client in [other, one, one, one] {
            tokio::time::advance(std::time::Duration::from_millis(1)).await;
            let connection = connection();
            open.push((table.register(&connection, Some(client)), connection));
        }
        let under_way = open[1].1.answer(&request);
        let new = || {
            let connection = connection();
            let registration = table.register(&connection, Some(one));
            (registration, connection)
        };
        let later = new();
        let cut: Vec<_> = open.iter().map(|(_, connection)| why(connection)).collect();
        assert_eq!(cut, [None, None, Some(Overdue::Address), None]);
        let answers: Vec<_> =
            open[2..].iter().chain([&later]).map(|(_, connection)| connection.answer(&request)).collect();
        assert_eq!(why(&new().1), Some(Overdue::Address), "all others are being answered");
        drop((answers, under_way, open, later));
        assert!(table.by_client.borrow().is_empty());
    }
}
