//! A connection to one peer for one purpose: connects on demand, pairs replies with requests.
//!
//! Requests are written in the order they were sent. When the connection fails, every pending
//! request fails with it and the next one connects anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter, split};
use tokio::sync::{mpsc, oneshot};

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{PeerChannel, PeerVersion};

use crate::peer::known_keys::LOOK_EVERY;
use crate::peer::proof::Unproven;
use crate::peer::route::{Connection, RemovedNotice, Route, check_key, connect};
use crate::wire::frame::{self, Frame};
use crate::wire::message::{Reply, Request};

/// Why a request to a peer got no reply.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// The peer cannot be reached.
    #[error("cannot reach {peer}: {reason}")]
    Unreachable { peer: String, reason: String },
    /// The peer's cluster has removed this node, or the node whose certificate this tool shows.
    #[error("{peer}: {notice}")]
    Removed { peer: String, notice: String },
    /// What answers at the peer's address proves no master key. Nothing was sent.
    #[error("{peer}: {reason}")]
    Unproven { peer: String, reason: String },
    /// The connection broke while the request was pending.
    #[error("the connection to {peer} broke")]
    Broken { peer: String },
    /// No reply in time.
    #[error("{peer} did not answer within {} ms", .waited.as_millis())]
    TimedOut { peer: String, waited: Duration },
    /// The reply or the request is not in the protocol.
    #[error("{peer}: {reason}")]
    Protocol { peer: String, reason: String },
}

type ReplySender = oneshot::Sender<Result<Reply, LinkError>>;
type QueuedRequest = (Request, ReplySender);

/// A handle to the connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link {
    peer: Arc<str>,
    requests: mpsc::UnboundedSender<QueuedRequest>,
    broken: Arc<AtomicU64>,
}

impl Link {
    /// Makes the link; nothing is connected before the first request.
    pub(crate) fn new(peer: impl Into<Arc<str>>, route: Route) -> Self {
        let (requests, inbox) = mpsc::unbounded_channel();
        let peer = peer.into();
        let broken = Arc::new(AtomicU64::new(0));
        tokio::spawn(run(peer.clone(), route, inbox, broken.clone()));
        Self { peer, requests, broken }
    }

    /// Sends a request; its order among others is that of the calls. Callers bound how many they
    /// keep under way.
    pub(crate) fn send(&self, request: Request) -> Pending {
        let (reply, receiver) = oneshot::channel();
        // The task ends only with the last handle, so this cannot fail; if it did, the dropped
        // sender would tell the waiter.
        let _ = self.requests.send((request, reply));
        Pending { peer: self.peer.clone(), receiver, broken: self.broken.clone() }
    }

    /// Sends a request and waits for its reply.
    pub(crate) async fn call(&self, request: Request, timeout: Duration) -> Result<Reply, LinkError> {
        self.send(request).reply(timeout).await
    }
}

/// A pending request.
pub(crate) struct Pending {
    peer: Arc<str>,
    receiver: oneshot::Receiver<Result<Reply, LinkError>>,
    broken: Arc<AtomicU64>,
}

impl Pending {
    /// Waits for the reply. A peer that stays silent loses its connection: requests queued behind a
    /// dead connection would get no reply either.
    pub(crate) async fn reply(self, timeout: Duration) -> Result<Reply, LinkError> {
        match tokio::time::timeout(timeout, self.receiver).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(LinkError::Broken { peer: self.peer.to_string() }),
            Err(_) => {
                self.broken.fetch_add(1, Ordering::Relaxed);
                Err(LinkError::TimedOut { peer: self.peer.to_string(), waited: timeout })
            }
        }
    }
}

async fn run(
    peer: Arc<str>,
    mut route: Route,
    mut inbox: mpsc::UnboundedReceiver<QueuedRequest>,
    broken: Arc<AtomicU64>,
) {
    let mut turn = 0_usize;
    while let Some(first) = inbox.recv().await {
        let address = route.address(&mut turn);
        let connected = tokio::time::timeout(route.connect_timeout, connect(&route, &address)).await;
        let error = match connected {
            Ok(Ok(connected)) => {
                if route.unreachable.end(&route.peer) {
                    tracing::info!(peer = route.peer, "a peer is reached again");
                }
                serve(&peer, &route, connected, first, &mut inbox, &broken).await;
                continue;
            }
            Ok(Err(error)) => not_connected(&peer, &error),
            Err(_) => {
                let reason = format!("no connection within {} ms", route.connect_timeout.as_millis());
                LinkError::Unreachable { peer: peer.to_string(), reason }
            }
        };
        // The next one is tried at another address, if there is one.
        turn = turn.wrapping_add(1);
        if let Some(unlogged) = route.unreachable.note(route.peer) {
            tracing::warn!(peer = route.peer, %error, unlogged, "a peer cannot be reached");
        }
        let _ = first.1.send(Err(error.clone()));
        while let Ok((_, waiting)) = inbox.try_recv() {
            let _ = waiting.send(Err(error.clone()));
        }
    }
}

fn not_connected(peer: &Arc<str>, error: &std::io::Error) -> LinkError {
    let (peer, reason) = (peer.to_string(), error.to_string());
    match error.get_ref() {
        Some(inner) if inner.is::<RemovedNotice>() => LinkError::Removed { peer, notice: reason },
        Some(inner) if inner.is::<Unproven>() => LinkError::Unproven { peer, reason },
        _ => LinkError::Unreachable { peer, reason },
    }
}

/// The senders for pending replies, by request id.
#[derive(Clone, Default)]
struct PendingReplies(Arc<Mutex<HashMap<u64, ReplySender>>>);

impl PendingReplies {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, ReplySender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one connection until it fails, times out or the link is dropped.
async fn serve(
    peer: &Arc<str>,
    route: &Route,
    (stream, channel): Connection,
    first: QueuedRequest,
    inbox: &mut mpsc::UnboundedReceiver<QueuedRequest>,
    broken: &AtomicU64,
) {
    let (reader, writer) = split(stream);
    let pending = PendingReplies::default();
    let mut reading = tokio::spawn({
        let (peer, route, pending) = (peer.clone(), route.clone(), pending.clone());
        async move {
            let mut reader = BufReader::with_capacity(64 * 1024, reader);
            while let Ok(Some(frame)) = frame::read(&mut reader).await {
                answer(&peer, &route, &pending, &frame);
            }
        }
    });
    let mut writer = BufWriter::with_capacity(64 * 1024, writer);
    let sending = async {
        let (mut next_id, mut next) = (1, Some(first));
        while let Some(waiting) = next {
            let sent =
                send_all(peer, channel.version, waiting, inbox, &mut writer, &pending, &mut next_id).await;
            if sent.is_err() {
                return;
            }
            next = inbox.recv().await;
        }
    };
    // A peer that reads nothing blocks the sending, and is watched all the same.
    tokio::select! {
        () = sending => {}
        _ = &mut reading => {}
        () = no_longer_good(peer, route, &channel, broken) => {}
    }
    reading.abort();
    for (_, waiting) in pending.lock().drain() {
        let _ = waiting.send(Err(LinkError::Broken { peer: peer.to_string() }));
    }
}

/// Waits until the connection must be closed: the peer's key is refused, or a request timed out.
async fn no_longer_good(peer: &Arc<str>, route: &Route, channel: &PeerChannel, broken: &AtomicU64) {
    let broken_before = broken.load(Ordering::Relaxed);
    let mut health = tokio::time::interval(Duration::from_millis(100));
    let mut keys = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = keys.tick() => if let Err(reason) = check_key(route, channel) {
                tracing::warn!(peer = %peer, %reason, "the connection to a peer was closed");
                return;
            },
            _ = health.tick() => if broken.load(Ordering::Relaxed) != broken_before {
                tracing::debug!(peer = %peer, "a request timed out: connecting anew");
                return;
            },
        }
    }
}

/// Writes a request and all requests queued behind it, then flushes once.
async fn send_all<W: AsyncWrite + Unpin>(
    peer: &Arc<str>,
    version: PeerVersion,
    first: QueuedRequest,
    inbox: &mut mpsc::UnboundedReceiver<QueuedRequest>,
    writer: &mut W,
    pending: &PendingReplies,
    next_id: &mut u64,
) -> std::io::Result<()> {
    let mut waiting = Some(first);
    while let Some((request, reply)) = waiting {
        let encoded = match request.is_known_to(version) {
            true => codec::encode(Kind::Frame, &request).map_err(|error| error.to_string()),
            false => Err("its build is older than this request".to_owned()),
        };
        match encoded {
            Ok(body) => {
                pending.lock().insert(*next_id, reply);
                let written = frame::write(writer, &Frame { id: *next_id, body: Bytes::from(body) }).await;
                *next_id += 1;
                written?;
            }
            Err(reason) => {
                let _ = reply.send(Err(LinkError::Protocol { peer: peer.to_string(), reason }));
            }
        }
        waiting = inbox.try_recv().ok();
    }
    writer.flush().await
}

fn answer(peer: &Arc<str>, route: &Route, pending: &PendingReplies, frame: &Frame) {
    let Some(waiting) = pending.lock().remove(&frame.id) else {
        return;
    };
    let reply = codec::decode(Kind::Frame, &frame.body)
        .map_err(|error| LinkError::Protocol { peer: peer.to_string(), reason: error.to_string() });
    let reply = match reply {
        Ok(Reply::Removed) => {
            let notice = RemovedNotice::of(&route.local).0;
            route.local.fatal.raise(&notice);
            Err(LinkError::Removed { peer: peer.to_string(), notice })
        }
        reply => reply,
    };
    let _ = waiting.send(reply);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::local_end::LocalEnd;
    use crate::peer::route::Dial;
    use keymoot_crypto::Keyring;
    use keymoot_tls::server_name_of;
    use tokio::sync::watch;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_loses_its_connection_in_the_midst_of_a_request() {
        let keyring = Arc::new(Keyring::generate().unwrap());
        let local = LocalEnd::of_tool("moot".parse().unwrap(), Some(1), keyring);
        let unconnected = |_| Box::pin(std::future::pending()) as _;
        let route = Route {
            peer: 2,
            addresses: watch::channel(Vec::new()).1,
            server_name: server_name_of(2, &local.cluster).unwrap(),
            dial: Dial::Simulated(Arc::new(unconnected)),
            local,
            connect_timeout: Duration::from_secs(1),
            unreachable: Arc::default(),
        };
        // It fits no whole request.
        let (near, _far) = tokio::io::duplex(16);
        let channel = PeerChannel { version: PeerVersion::Fourth, binding: [0; 32], peer_key: None };
        let ((waiter, reply), (_requests, mut inbox)) = (oneshot::channel(), mpsc::unbounded_channel());
        let broken = AtomicU64::new(0);
        let peer: Arc<str> = "node 2".into();
        let request = Request::Propose(Bytes::from_static(&[0; 1024]));
        let serving = serve(&peer, &route, (Box::new(near), channel), (request, waiter), &mut inbox, &broken);
        let timing_out = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            broken.fetch_add(1, Ordering::Relaxed);
        };
        let ended = tokio::time::timeout(Duration::from_secs(5), async { tokio::join!(serving, timing_out) });
        assert!(ended.await.is_ok(), "it waits for the peer to read");
        assert!(matches!(reply.await, Ok(Err(LinkError::Broken { .. }))));
    }
}
