//! What a connection waits for, and for how long it may.
//!
//! actix-web limits the head of the first request of a connection and an idle connection, and nothing
//! else: a later head, the rest of a body that nobody reads, and an answer that its client does not take
//! would be waited for without end. It also looks at its clock before it reads, so that a process that
//! was stopped would refuse the requests that came meanwhile. So its limits are off: each connection knows
//! whether something of it is being answered, and the stream below HTTP closes it when its client lets it
//! wait too long.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use actix_web::HttpRequest;
use prometheus::IntCounterVec;
use tokio::time::Instant;

use crate::listener::settings::Http;
use crate::request::incoming_body::has_body;

/// How long after a limit was found passed a client is given up. A process that was stopped finds every
/// limit passed when it goes on, and what its clients sent or took meanwhile has to be noticed first.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// How long clients may be waited for.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimeouts {
    /// For the rest of a head.
    pub head: Duration,
    /// For the next request on an idle connection.
    pub idle: Duration,
    /// Until it takes more of an answer.
    pub write: Duration,
    /// For a whole body.
    pub body: Duration,
    /// The least rate of a body.
    pub body_bytes_per_s_min: u64,
}

impl ClientTimeouts {
    /// As they are configured.
    pub fn new(http: &Http) -> Self {
        Self {
            head: Duration::from_millis(http.header_timeout_ms),
            idle: Duration::from_millis(http.keep_alive_ms),
            write: Duration::from_millis(http.write_timeout_ms),
            body: Duration::from_millis(http.body_timeout_ms),
            body_bytes_per_s_min: http.body_bytes_per_s_min,
        }
    }

    /// How long after its head a body of which so many bytes have come may take to bring the next.
    pub fn of_body(&self, received_bytes: u64) -> Duration {
        let at_rate = received_bytes.saturating_mul(1000) / self.body_bytes_per_s_min.max(1);
        self.body.min(self.head.saturating_add(Duration::from_millis(at_rate)))
    }
}

/// Why a connection is closed; the label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// A head did not come to its end.
    Head,
    /// No next request came.
    Idle,
    /// The client took nothing of an answer.
    Write,
    /// It had waited longest when there was no room for another.
    Crowded,
    /// Its client's address has more connections than one address may.
    Address,
}

impl Overdue {
    fn label(self) -> Option<&'static str> {
        match self {
            Self::Head => Some("head"),
            Self::Idle => None,
            Self::Write => Some("write"),
            Self::Crowded => Some("crowded"),
            Self::Address => Some("address"),
        }
    }
}

/// What a client is worth waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It had its answers, or takes none, and nothing was ever granted to it.
    Served,
    /// It may have a request at hand.
    Unknown,
    /// It proved itself.
    Proved,
}

/// What the stream and the handlers of one connection know of each other.
pub(crate) struct Connection {
    pub is_secure: bool,
    /// The address of this machine that the client connected to.
    pub local: SocketAddr,
    timeouts: ClientTimeouts,
    slow_clients: IntCounterVec,
    waits: Cell<Waits>,
    /// The task that drives the connection.
    task: RefCell<Option<Waker>>,
}

/// For what it waits, and since when.
#[derive(Clone, Copy, Debug)]
struct Waits {
    /// Requests and streamed answers being made.
    answering: u32,
    /// When the last answer was made or written on, the first byte behind it came, or it was opened.
    since: Instant,
    /// Something of a next request, or of a body that nobody reads, has come.
    has_input: bool,
    /// The body of the request that is being answered has not been read to its end.
    has_body: bool,
    /// A handler waits for the body since.
    body_since: Option<Instant>,
    /// The client takes nothing since.
    blocked_since: Option<Instant>,
    /// A request came on it before, and was answered.
    has_served: bool,
    /// A request came on it that was granted.
    has_proved: bool,
    /// Why it must give way to another.
    cut: Option<Overdue>,
}

impl Waits {
    fn new(now: Instant) -> Self {
        Self {
            answering: 0,
            since: now,
            has_input: false,
            has_body: false,
            body_since: None,
            blocked_since: None,
            has_served: false,
            has_proved: false,
            cut: None,
        }
    }

    /// When it is overdue, and why then; `None` while it is the server's turn. A handler that waits for a
    /// body looks at the clock itself, because it can still answer.
    fn deadline(&self, timeouts: &ClientTimeouts) -> Option<(Instant, Overdue)> {
        if let Some(since) = self.blocked_since {
            return Some((since + timeouts.write, Overdue::Write));
        }
        match (self.answering, self.has_input) {
            (0, true) => Some((self.since + timeouts.head, Overdue::Head)),
            (0, false) if self.has_served => Some((self.since + timeouts.idle, Overdue::Idle)),
            // Whoever opens a connection has a request at hand.
            (0, false) => Some((self.since + timeouts.head.min(timeouts.idle), Overdue::Head)),
            _ => None,
        }
    }

    /// What its client is worth waiting for, and since when it is waited for, in whatever.
    fn waiting_since(&self) -> Option<(Worth, Instant)> {
        let since = match self.answering {
            _ if self.blocked_since.is_some() => self.blocked_since,
            0 => Some(self.since),
            // Who proved nothing yet and sends for long has had its time, though the body makes headway.
            _ if !self.has_proved => self.body_since.map(|_| self.since),
            _ => self.body_since,
        };
        let worth = match self.has_proved {
            true => Worth::Proved,
            false if self.has_served || self.blocked_since.is_some() => Worth::Served,
            false => Worth::Unknown,
        };
        since.map(|since| (worth, since))
    }
}

impl Connection {
    /// One that was opened just now.
    pub(crate) fn new(
        is_secure: bool,
        local: SocketAddr,
        timeouts: ClientTimeouts,
        slow_clients: IntCounterVec,
    ) -> Self {
        let waits = Cell::new(Waits::new(Instant::now()));
        Self { is_secure, local, timeouts, slow_clients, waits, task: RefCell::new(None) }
    }

    /// The connection that a request came on.
    pub(crate) fn of(request: &HttpRequest) -> Option<&Rc<Self>> {
        request.conn_data::<Rc<Self>>()
    }

    /// A request is being answered until the value is dropped.
    pub(crate) fn answer(self: &Rc<Self>, request: &HttpRequest) -> ActiveAnswer {
        let has_body = has_body(request.headers());
        self.change(|waits| {
            // An answer that is streamed is under way once more, with the body read.
            if waits.answering == 0 {
                (waits.has_input, waits.has_body) = (false, has_body);
            }
            waits.answering += 1;
        });
        ActiveAnswer(self.clone())
    }

    /// A handler waits for the body, until it has it whole or gives up.
    pub(crate) fn awaits_body(&self, awaits: bool) {
        let now = awaits.then(Instant::now);
        self.change(|waits| waits.body_since = now);
    }

    /// A request of its client was granted.
    pub(crate) fn has_proved(&self) {
        self.change(|waits| waits.has_proved = true);
    }

    /// The body was read to its end.
    pub(crate) fn has_read_body(&self) {
        self.change(|waits| (waits.has_body, waits.body_since) = (false, None));
    }

    pub(super) fn has_read(&self) {
        let waits = self.waits.get();
        if waits.answering == 0 && !waits.has_input {
            self.waits.set(Waits { has_input: true, since: Instant::now(), ..waits });
        } else if waits.body_since.is_some() {
            // It makes headway.
            self.waits.set(Waits { body_since: Some(Instant::now()), ..waits });
        }
    }

    /// The client has taken bytes, or takes none now.
    pub(super) fn has_written(&self, is_blocked: bool) {
        self.change(|waits| match (is_blocked, waits.blocked_since) {
            (true, None) => waits.blocked_since = Some(Instant::now()),
            (true, Some(_)) => {}
            (false, _) => (waits.blocked_since, waits.since) = (None, Instant::now()),
        });
    }

    /// Whether the client leaves an answer unread. Nothing more of its requests is read meanwhile.
    pub(super) fn is_blocked(&self) -> bool {
        self.waits.get().blocked_since.is_some()
    }

    /// When it has to be looked at again, and why it must be closed if that is now.
    pub(super) fn look(&self, now: Instant) -> Result<Instant, Overdue> {
        let waits = self.waits.get();
        if let Some(why) = waits.cut {
            return Err(why);
        }
        let why = match waits.deadline(&self.timeouts) {
            Some((deadline, why)) if deadline <= now => why,
            Some((deadline, _)) => return Ok(deadline),
            // Its turn may come at any time, without the stream being told.
            None => return Ok(now + self.timeouts.head),
        };
        Err(why)
    }

    /// Counts the end of a connection that was overdue.
    pub(super) fn count(&self, why: Overdue) {
        if let Some(label) = why.label() {
            self.slow_clients.with_label_values(&[label]).inc();
        }
    }

    /// Remembers which task drives the connection.
    pub(super) fn driven_by(&self, task: &Waker) {
        let mut own = self.task.borrow_mut();
        if own.as_ref().is_none_or(|own| !own.will_wake(task)) {
            *own = Some(task.clone());
        }
    }

    /// What its client is worth waiting for, and since when it is waited for.
    pub(super) fn waiting_since(&self) -> Option<(Worth, Instant)> {
        self.waits.get().waiting_since()
    }

    /// Closes it, without an answer.
    pub(super) fn cut(&self, why: Overdue) {
        self.change(|waits| waits.cut = Some(why));
        if let Some(task) = self.task.borrow_mut().take() {
            task.wake();
        }
    }

    fn change(&self, change: impl FnOnce(&mut Waits)) {
        let mut waits = self.waits.get();
        change(&mut waits);
        self.waits.set(waits);
    }
}

/// A request that is being answered on a connection.
pub(crate) struct ActiveAnswer(Rc<Connection>);

impl Drop for ActiveAnswer {
    fn drop(&mut self) {
        self.0.change(|waits| {
            waits.answering -= 1;
            waits.has_served = true;
            (waits.since, waits.has_input, waits.body_since) = (Instant::now(), waits.has_body, None);
        });
    }
}

#[cfg(test)]
pub(super) mod tests;
