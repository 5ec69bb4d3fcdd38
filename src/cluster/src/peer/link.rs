//! A connection to one peer for one purpose: connects on demand, pairs replies with requests.
//!
//! Requests are written in the order they were sent. When the connection fails, every pending
//! request fails with it and the next one connects anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter, split};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_rustls::TlsConnector;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{PeerChannel, PeerVersion};
use keymoot_model::NodeId;
use keymoot_state::FEATURE_LEVEL;
use keymoot_telemetry::LastingConditions;

use crate::peer::feature_level::check_level;
use crate::peer::fence::Fence;
use crate::peer::greeting::rules_out;
use crate::peer::local_end::LocalEnd;
use crate::peer::proof;
use crate::wire::frame::{self, Frame};
use crate::wire::greeting::Greeting;
use crate::wire::message::{PROTOCOL, Reply, Request};

/// Why a request to a peer got no reply.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// The peer cannot be reached.
    #[error("cannot reach {peer}: {reason}")]
    Unreachable { peer: String, reason: String },
    /// The peer's cluster has removed this node, or the node whose certificate this tool shows.
    #[error("{peer}: {notice}")]
    Removed { peer: String, notice: String },
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

/// How to reach a peer, and how each side proves its identity.
#[derive(Clone)]
pub(crate) struct Route {
    pub peer: NodeId,
    /// Each `host:port` at which it may be reached, the likeliest first; they may change while the link lives.
    pub addresses: watch::Receiver<Vec<String>>,
    /// The name that the peer's certificate must carry.
    pub server_name: ServerName<'static>,
    pub dial: Dial,
    /// The identity of this end, and its proofs.
    pub local: LocalEnd,
    /// How long connecting and greeting may take.
    pub connect_timeout: Duration,
    /// The peers that cannot be reached, of all links of this node.
    pub unreachable: Arc<LastingConditions<NodeId>>,
}

impl Route {
    /// The address for the next attempt: after a failed one the next in turn, after a change the first.
    fn address(&mut self, turn: &mut usize) -> String {
        if self.addresses.has_changed().unwrap_or(false) {
            *turn = 0;
        }
        let addresses = self.addresses.borrow_and_update();
        let at = turn.checked_rem(addresses.len()).and_then(|at| addresses.get(at));
        at.cloned().unwrap_or_default()
    }
}

/// A stream in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A connection on which each side has proved its identity, and the agreed protocol version.
pub(crate) type Connection = (Box<dyn Duplex>, PeerChannel);

/// How peers are connected to.
#[derive(Clone)]
pub(crate) enum Dial {
    /// Over TCP, with this node's certificate and the cluster's CA.
    Tls(Arc<rustls::ClientConfig>),
    /// Over the simulated network of a test.
    #[cfg(test)]
    Simulated(Arc<SimulatedDial>),
}

/// Connects to the peer of that id.
#[cfg(test)]
pub(crate) type SimulatedDial =
    dyn Fn(NodeId) -> futures::future::BoxFuture<'static, std::io::Result<Connection>> + Send + Sync;

impl From<Arc<rustls::ClientConfig>> for Dial {
    fn from(tls: Arc<rustls::ClientConfig>) -> Self {
        Self::Tls(tls)
    }
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
    match error.get_ref().is_some_and(|inner| inner.is::<RemovedNotice>()) {
        true => LinkError::Removed { peer, notice: reason },
        false => LinkError::Unreachable { peer, reason },
    }
}

async fn connect(route: &Route, address: &str) -> std::io::Result<Connection> {
    // The peer writes its greeting later than this.
    let recalled = route.local.fence.as_ref().map(Fence::recall);
    let (mut stream, channel) = dial(route, address).await?;
    let (local, hello) = (&route.local, route.local.hello());
    let greeting = match &local.fence {
        Some(fence) => fence.greeting(hello, Some(route.peer)).map_err(std::io::Error::other)?,
        None => Greeting::of_tool(hello),
    };
    let answer = greet(&mut stream, &greeting, channel.version, local).await?;
    if let (Some(fence), Some(recalled)) = (&local.fence, &recalled) {
        let checked = fence.check_peer(route.peer, channel.version, &answer, recalled, None);
        checked.map_err(|refused| refused.into_error(&local.fatal, fence.is_accepted()))?;
        match answer.refusal {
            Some(reason) => {
                fence.refusals().note(route.peer, format!("it refuses this node: {reason}"));
                return Err(std::io::Error::new(std::io::ErrorKind::ConnectionRefused, reason));
            }
            None => fence.note_accepted(),
        }
    }
    proof::answer_challenge(&mut stream, &channel, &local.cluster, &local.keyring).await?;
    Ok((stream, channel))
}

async fn dial(route: &Route, address: &str) -> std::io::Result<Connection> {
    let tls = match &route.dial {
        Dial::Tls(tls) => tls.clone(),
        #[cfg(test)]
        Dial::Simulated(dial) => return dial(route.peer).await,
    };
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let connecting = TlsConnector::from(tls).connect(route.server_name.clone(), stream);
    let connected = connecting.await.map_err(name_wrong_port)?;
    let channel = keymoot_tls::peer_channel(connected.get_ref().1).map_err(std::io::Error::other)?;
    Ok((Box::new(connected), channel))
}

/// Says in words that what answered is no peer port.
pub(crate) fn name_wrong_port(error: std::io::Error) -> std::io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "what answers there is no peer port, since it speaks no TLS; the peer port is the one of \
             cluster.peer_listen, not the API's of http.listen",
        ),
        _ => error,
    }
}

/// Sends a hello and checks the peer's. TLS has checked the certificate before.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    greeting: &Greeting,
    version: PeerVersion,
    local: &LocalEnd,
) -> std::io::Result<Greeting> {
    let invalid = |text: String| std::io::Error::new(std::io::ErrorKind::InvalidData, text);
    let hello = &greeting.hello;
    let body = greeting.encode(version).map_err(|error| invalid(error.to_string()))?;
    frame::write(stream, &Frame { id: 0, body: body.into() }).await?;
    stream.flush().await?;
    let answer = frame::read(stream).await?.ok_or_else(|| invalid("closed at the greeting".into()))?;
    let greeted = Greeting::decode(version, &answer.body).map_err(|error| invalid(error.to_string()))?;
    let answer = &greeted.hello;
    if answer.cluster != hello.cluster {
        return Err(invalid(format!(
            "it belongs to the cluster {:?}, not {:?}",
            answer.cluster, hello.cluster
        )));
    }
    if answer.protocol != PROTOCOL {
        return Err(invalid(format!("it speaks protocol {}, not {PROTOCOL}", answer.protocol)));
    }
    if answer.removed {
        let notice = RemovedNotice::of(local);
        local.fatal.raise(&notice.0);
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, notice));
    }
    if let Err(reason) = check_level(answer.feature_level, FEATURE_LEVEL) {
        local.fatal.raise(&reason);
        return Err(invalid(reason));
    }
    match rules_out(version, &local.feature_level) {
        Some(reason) => Err(invalid(reason.to_owned())),
        None => Ok(greeted),
    }
}

/// The message to a removed node: what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct RemovedNotice(String);

impl RemovedNotice {
    fn of(local: &LocalEnd) -> Self {
        Self(format!(
            "node {} was removed from cluster {}; its machine can come back under a new id: keymoot cluster \
             replace-disk there, with a token of another node",
            local.node.unwrap_or(0),
            local.cluster
        ))
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
    let broken_before = broken.load(Ordering::Relaxed);
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
    let mut next_id = 1;
    let mut next = Some(first);
    let mut health = tokio::time::interval(Duration::from_millis(100));
    loop {
        if let Some(waiting) = next.take()
            && send_all(peer, channel.version, waiting, inbox, &mut writer, &pending, &mut next_id)
                .await
                .is_err()
        {
            break;
        }
        tokio::select! {
            request = inbox.recv() => match request {
                Some(request) => next = Some(request),
                None => break,
            },
            _ = &mut reading => break,
            _ = health.tick() => if broken.load(Ordering::Relaxed) != broken_before {
                tracing::debug!(peer = %peer, "a request timed out: connecting anew");
                break;
            },
        }
    }
    reading.abort();
    for (_, waiting) in pending.lock().drain() {
        let _ = waiting.send(Err(LinkError::Broken { peer: peer.to_string() }));
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
