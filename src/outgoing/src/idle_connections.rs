//! Connections that wait for the next request to their server.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::task::unconstrained;
use tokio::time::Instant;
use url::{Position, Url};

use super::dial::Connection;

/// How long an idle connection is kept: shorter than servers keep theirs, so that it is rarely
/// found closed.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// The most idle connections kept per server.
const FOR_EACH_SERVER_MAX: usize = 32;

/// The idle connections of this process. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct IdleConnections(Arc<Mutex<Idle>>);

#[derive(Default)]
struct Idle {
    /// Keyed by scheme, host and port; the connection used last is at the end.
    by_server: HashMap<String, Vec<IdleConnection>>,
    /// Whether a task is running that closes connections that were idle for too long.
    is_swept: bool,
}

struct IdleConnection {
    until: Instant,
    connection: Box<dyn Connection>,
}

impl IdleConnections {
    /// An idle connection to this URL's server. The server has neither sent anything nor closed it
    /// since it was put here.
    pub(super) fn take(&self, url: &Url) -> Option<Box<dyn Connection>> {
        loop {
            let IdleConnection { until, mut connection } =
                self.lock().by_server.get_mut(server(url))?.pop()?;
            if Instant::now() < until && is_silent(&mut connection) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose last exchange is complete.
    pub(super) fn put(&self, url: &Url, connection: Box<dyn Connection>) {
        let mut idle = self.lock();
        let kept = idle.by_server.entry(server(url).to_owned()).or_default();
        if kept.len() == FOR_EACH_SERVER_MAX {
            kept.remove(0);
        }
        kept.push(IdleConnection { until: Instant::now() + IDLE_MAX, connection });
        if !idle.is_swept {
            idle.is_swept = true;
            tokio::spawn(sweep(Sweeper(self.clone())));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for IdleConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdleConnections")
    }
}

/// Marks that the sweeping task runs. Its runtime may drop it half-way; then the next connection
/// starts another.
struct Sweeper(IdleConnections);

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.0.lock().is_swept = false;
    }
}

/// Closes connections that were idle for too long, until there are none.
async fn sweep(sweeper: Sweeper) {
    loop {
        tokio::time::sleep(IDLE_MAX).await;
        let now = Instant::now();
        let mut idle = sweeper.0.lock();
        idle.by_server.retain(|_, kept| {
            kept.retain(|idle| now < idle.until);
            !kept.is_empty()
        });
        if idle.by_server.is_empty() {
            idle.is_swept = false;
            return;
        }
    }
}

fn server(url: &Url) -> &str {
    &url[..Position::BeforePath]
}

/// Whether there is nothing to read. A closed connection reads as an end, and a server that sends
/// bytes without a request cannot be trusted with one.
fn is_silent(connection: &mut Box<dyn Connection>) -> bool {
    // `unconstrained`, because the runtime hides readable bytes from a task whose time slice is
    // used up.
    unconstrained(connection.read(&mut [0])).now_or_never().is_none()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn pair() -> (Box<dyn Connection>, DuplexStream) {
        let (ours, theirs) = duplex(64);
        (Box::new(ours), theirs)
    }

    #[tokio::test]
    async fn a_connection_serves_its_own_server_only() {
        let idle = IdleConnections::default();
        let (ours, _theirs) = pair();
        idle.put(&url("https://a/one"), ours);
        for other in ["https://b/one", "http://a/one", "https://a:444/one"] {
            assert!(idle.take(&url(other)).is_none(), "{other}");
        }
        assert!(idle.take(&url("https://a:443/two")).is_some());
        assert!(idle.take(&url("https://a/one")).is_none(), "it was taken");
    }

    #[tokio::test]
    async fn one_that_the_server_closed_or_spoke_on_is_passed_over() {
        let idle = IdleConnections::default();
        let (good, mut its_server) = pair();
        idle.put(&url("https://a"), good);
        let (spoken, mut speaker) = pair();
        speaker.write_all(b"HTTP/1.1 408 ").await.unwrap();
        idle.put(&url("https://a"), spoken);
        let (closed, closer) = pair();
        drop(closer);
        idle.put(&url("https://a"), closed);
        idle.take(&url("https://a")).unwrap().write_all(b"?").await.unwrap();
        assert_eq!(its_server.read_u8().await.unwrap(), b'?');
        assert!(idle.take(&url("https://a")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_nobody_asks_for_is_closed() {
        let idle = IdleConnections::default();
        for _ in 0..2 {
            let (ours, mut theirs) = pair();
            idle.put(&url("https://a"), ours);
            tokio::time::sleep(IDLE_MAX - Duration::from_secs(1)).await;
            assert!(theirs.read(&mut [0]).now_or_never().is_none(), "still open");
            tokio::time::sleep(IDLE_MAX + Duration::from_secs(2)).await;
            assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
            assert!(!idle.lock().is_swept);
        }
    }

    #[tokio::test]
    async fn no_more_are_kept_than_the_limit_and_those_used_last_stay() {
        let idle = IdleConnections::default();
        let mut servers: Vec<_> = (0..=FOR_EACH_SERVER_MAX)
            .map(|_| {
                let (ours, theirs) = pair();
                idle.put(&url("https://a"), ours);
                theirs
            })
            .collect();
        assert_eq!(servers[0].read(&mut [0]).await.unwrap(), 0, "the oldest went");
        assert!(servers[1].read(&mut [0]).now_or_never().is_none());
    }
}
