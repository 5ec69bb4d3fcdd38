//! The stream below HTTP, and below TLS, that closes a connection whose client lets it wait too long.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::listener::connection::{Connection, GRACE, Overdue};
use crate::listener::connection_table::Registration;

/// The most that is read at once. HTTP takes apart all requests that it has read before it answers the first,
/// and holds many times their bytes: what was sent ahead has to wait in the kernel.
const READ_BYTES_MAX: usize = 2048;

/// A stream to a client, as it was accepted.
pub(crate) trait ClientStream: ActixStream {
    /// The client's address.
    fn peer(&self) -> Option<SocketAddr>;
    /// The address that the client connected to.
    fn local(&self) -> Option<SocketAddr>;
    /// Has what the client did not take thrown away at the end.
    fn discard_rest(&self);
}

impl ClientStream for TcpStream {
    fn peer(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.local_addr().ok()
    }

    fn discard_rest(&self) {
        // It would otherwise stay in the kernel for minutes.
        drop(self.set_zero_linger());
    }
}

/// A stream with the time limits of its [`Connection`].
pub(crate) struct TimedStream<S = TcpStream> {
    io: S,
    connection: Rc<Connection>,
    /// Wakes the task when the connection may be overdue, or earlier: it is set anew only when it is too late.
    alarm: Pin<Box<Sleep>>,
    /// Since when the connection is overdue.
    overdue_since: Option<Instant>,
    /// As much was read as there may be at once.
    has_read_enough: bool,
    /// The task wanted to read while the client was to take an answer first.
    is_read_withheld: bool,
    _registration: Registration,
}

impl<S: ClientStream> TimedStream<S> {
    /// Wraps a stream that was just accepted.
    pub(crate) fn new(io: S, connection: Rc<Connection>, registration: Registration) -> Self {
        let alarm = Box::pin(sleep_until(Instant::now()));
        Self {
            io,
            connection,
            alarm,
            overdue_since: None,
            has_read_enough: false,
            is_read_withheld: false,
            _registration: registration,
        }
    }

    /// The client's address.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.io.peer()
    }

    /// What is known of the connection.
    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// When to look again, or the error that closes the connection. `None` when it was idle for long enough.
    fn look(&mut self) -> io::Result<Option<Instant>> {
        let now = Instant::now();
        let why = match self.connection.look(now) {
            Ok(deadline) => {
                self.overdue_since = None;
                return Ok(Some(deadline));
            }
            Err(why) => why,
        };
        let end = *self.overdue_since.get_or_insert(now) + GRACE;
        match why {
            Overdue::Crowded | Overdue::Address => {}
            _ if now < end => return Ok(Some(end)),
            Overdue::Idle => return Ok(None),
            Overdue::Head | Overdue::Write => {}
        }
        self.connection.count(why);
        self.io.discard_rest();
        Err(io::Error::new(io::ErrorKind::TimedOut, "the client let its connection wait for too long"))
    }

    /// Waits for the client, as long as it may take.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.connection.driven_by(cx.waker());
        while let Some(deadline) = self.look()? {
            if deadline < self.alarm.deadline() || self.alarm.is_elapsed() {
                self.alarm.as_mut().reset(deadline);
            }
            ready!(self.alarm.as_mut().poll(cx));
        }
        // The next read tells HTTP that nothing more comes.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Notes what came of a write, and waits if nothing did.
    fn written<T>(&mut self, result: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.connection.has_written(result.is_pending());
        if result.is_pending() {
            return self.wait(cx);
        }
        if std::mem::take(&mut self.is_read_withheld) {
            cx.waker().wake_by_ref();
        }
        result
    }
}

impl<S: ClientStream> AsyncRead for TimedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.connection.is_blocked() {
            // Requests would pile up behind an answer that nobody takes.
            this.is_read_withheld = true;
            return this.wait(cx);
        }
        if std::mem::take(&mut this.has_read_enough) {
            cx.waker().wake_by_ref();
            return this.wait(cx);
        }
        let mut bytes = [0; READ_BYTES_MAX];
        let (room, _) = bytes.split_at_mut(buffer.remaining().min(READ_BYTES_MAX));
        let mut part = ReadBuf::new(room);
        if Pin::new(&mut this.io).poll_read(cx, &mut part)?.is_pending() {
            // Nothing came for so long that nothing more shall: that is an end, and no error.
            return if this.look()?.is_none() { Poll::Ready(Ok(())) } else { this.wait(cx) };
        }
        buffer.put_slice(part.filled());
        this.has_read_enough = part.remaining() == 0;
        if !part.filled().is_empty() {
            this.connection.has_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: ClientStream> AsyncWrite for TimedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.written(result, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, parts);
        this.written(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl<S: ClientStream> ActixStream for TimedStream<S> {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.io, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.io, cx)
    }
}
