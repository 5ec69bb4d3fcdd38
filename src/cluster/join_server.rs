//! The peer port for who shows no certificate: one kind of request, small, few at a time, and not often.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::codec::{self, Kind};

use super::frame::{self, Frame};
use super::join::{JoinReply, JoinRequest};
use super::node::Node;

/// The largest request: a certificate request, an address, a token.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Requests on one connection at most: the check, and the joining.
const REQUESTS_MAX: usize = 2;
/// How long the whole may take.
const LIFETIME: Duration = Duration::from_secs(30);
/// How long a request may wait for a quorum.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at the same time.
const AT_ONCE_MAX: usize = 4;
/// Connections in [`WINDOW`].
const IN_WINDOW_MAX: usize = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// Who may come in now.
#[derive(Debug)]
pub struct JoinGate {
    at_once: Semaphore,
    recent: Mutex<VecDeque<Instant>>,
}

impl Default for JoinGate {
    fn default() -> Self {
        Self { at_once: Semaphore::new(AT_ONCE_MAX), recent: Mutex::default() }
    }
}

impl JoinGate {
    fn is_open(&self, now: Instant) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|at| now.duration_since(*at) >= WINDOW) {
            recent.pop_front();
        }
        let open = recent.len() < IN_WINDOW_MAX;
        if open {
            recent.push_back(now);
        }
        open
    }
}

/// Serves one connection.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, node: &Node) -> std::io::Result<()> {
    let busy = || std::io::Error::other("too many nodes want to join at once");
    let _permit = node.join_gate.at_once.try_acquire().map_err(|_| busy())?;
    if !node.join_gate.is_open(Instant::now()) {
        return Err(busy());
    }
    tokio::time::timeout(LIFETIME, exchange(&mut stream, node)).await?
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, node: &Node) -> std::io::Result<()> {
    for _ in 0..REQUESTS_MAX {
        let Some(frame) = frame::read_up_to(stream, BODY_BYTES_MAX).await? else { return Ok(()) };
        let reply = match codec::decode::<JoinRequest>(Kind::Frame, &frame.body) {
            Ok(request) => node.join(request, None, Instant::now() + PATIENCE).await,
            Err(error) => JoinReply::Refused(error.to_string()),
        };
        let body = codec::encode(Kind::Frame, &reply).map_err(std::io::Error::other)?;
        frame::write(stream, &Frame { id: frame.id, body: body.into() }).await?;
        stream.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_closes_for_a_flood_and_opens_again() {
        let gate = JoinGate::default();
        let let_in = |now| (0..100).filter(|_| gate.is_open(now)).count();
        let now = Instant::now();
        assert_eq!((let_in(now), let_in(now)), (IN_WINDOW_MAX, 0));
        assert_eq!(let_in(now + WINDOW), IN_WINDOW_MAX);
    }
}
