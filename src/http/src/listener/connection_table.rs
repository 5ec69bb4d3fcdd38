//! The connections of one worker, so that none is turned away while others wait for their clients.
//!
//! actix-web does not accept a connection any more when a worker has as many as it may, not even for
//! health checks. So a table that is full makes room: those that have waited longest for their clients,
//! idle or in the middle of a request, are closed; first such that never served a request.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use crate::listener::connection::Connection;

/// The part of a table that is emptied at once, so that room is looked for seldom.
const PART: usize = 16;

/// The open connections of a worker.
pub struct ConnectionTable {
    connections_max: usize,
    open: RefCell<BTreeMap<u64, Weak<Connection>>>,
    next: Cell<u64>,
}

impl ConnectionTable {
    /// An empty one. `accepted_max` connections are accepted at once; some of them are those that close.
    pub fn new(accepted_max: usize) -> Self {
        let connections_max = accepted_max.saturating_sub(accepted_max / PART + 1).max(1);
        Self { connections_max, open: RefCell::default(), next: Cell::new(0) }
    }

    /// Notes a connection until its registration is dropped, and makes room for it.
    pub fn register(self: &Rc<Self>, connection: &Rc<Connection>) -> Registration {
        if self.open.borrow().len() >= self.connections_max {
            self.make_room();
        }
        let number = self.next.replace(self.next.get() + 1);
        self.open.borrow_mut().insert(number, Rc::downgrade(connection));
        Registration { table: self.clone(), number }
    }

    fn make_room(&self) {
        let mut open = self.open.borrow_mut();
        let since = |(number, connection): (&u64, &Weak<Connection>)| {
            Some((connection.upgrade()?.waiting_since()?, *number))
        };
        let mut waiting: Vec<_> = open.iter().filter_map(since).collect();
        waiting.sort_unstable();
        for (_, number) in waiting.into_iter().take((self.connections_max / PART).max(1)) {
            if let Some(connection) = open.remove(&number).and_then(|connection| connection.upgrade()) {
                connection.cut();
            }
        }
    }
}

/// A connection's registration in the table.
pub struct Registration {
    table: Rc<ConnectionTable>,
    number: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.table.open.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::connection;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_table_closes_those_that_served_nothing_and_waited_longest_and_nobody_who_is_being_answered()
     {
        let table = Rc::new(ConnectionTable::new(18));
        let request = actix_web::test::TestRequest::default().to_http_request();
        let mut open = Vec::new();
        for number in 0..16 {
            tokio::time::advance(std::time::Duration::from_millis(1)).await;
            let connection = connection();
            let under_way = (number == 0).then(|| connection.answer(&request));
            if number == 1 {
                drop(connection.answer(&request));
            }
            open.push((table.register(&connection), connection, under_way));
        }
        let cut = |open: &[(Registration, Rc<Connection>, _)]| -> Vec<usize> {
            let is_cut = |connection: &Connection| connection.look(tokio::time::Instant::now()).is_err();
            (0..open.len()).filter(|at| is_cut(&open[*at].1)).collect()
        };
        assert_eq!(cut(&open), [0; 0]);
        let late = connection();
        let registration = table.register(&late);
        assert_eq!(cut(&open), [2]);
        open.push((registration, late, None));
        assert_eq!(table.open.borrow().len(), 16);
        drop(open);
        assert_eq!(table.open.borrow().len(), 0);
    }
}
