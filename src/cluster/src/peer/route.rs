//! The way to a peer: its addresses, the connection, and the greeting on it.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use keymoot_crypto::{PeerChannel, PeerVersion};
use keymoot_model::NodeId;
use keymoot_state::FEATURE_LEVEL;
use keymoot_telemetry::LastingConditions;
use keymoot_tls::PeerTls;

use crate::peer::feature_level::check_level;
use crate::peer::fence::Fence;
use crate::peer::greeting::rules_out;
use crate::peer::known_keys::Entry;
use crate::peer::local_end::LocalEnd;
use crate::peer::proof;
use crate::wire::frame::{self, Frame};
use crate::wire::greeting::Greeting;
use crate::wire::message::PROTOCOL;

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
    pub(super) fn address(&mut self, turn: &mut usize) -> String {
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
    /// Over TCP, with the certificate that a tool has read.
    Tls(Arc<rustls::ClientConfig>),
    /// Over TCP, with the certificate that this node has at the time.
    Node(PeerTls),
    /// Over the simulated network of a test.
    #[cfg(test)]
    Simulated(Arc<SimulatedDial>),
}

/// Connects to the peer of that id.
#[cfg(test)]
pub(crate) type SimulatedDial =
    dyn Fn(NodeId) -> futures::future::BoxFuture<'static, std::io::Result<Connection>> + Send + Sync;

impl From<PeerTls> for Dial {
    fn from(tls: PeerTls) -> Self {
        Self::Node(tls)
    }
}

impl From<Arc<rustls::ClientConfig>> for Dial {
    fn from(tls: Arc<rustls::ClientConfig>) -> Self {
        Self::Tls(tls)
    }
}

/// Connects to the peer at `address`, and greets it.
pub(super) async fn connect(route: &Route, address: &str) -> std::io::Result<Connection> {
    // The peer writes its greeting later than this.
    let recalled = route.local.fence.as_ref().map(Fence::recall);
    let (mut stream, channel) = dial(route, address).await?;
    let (local, hello) = (&route.local, route.local.hello());
    check_key(route, &channel).map_err(|reason| {
        if let Some(fence) = &local.fence {
            fence.refusals().note(route.peer, reason.clone());
        }
        std::io::Error::new(std::io::ErrorKind::PermissionDenied, reason)
    })?;
    if channel.version >= proof::PROOF_FIRST {
        prove(&mut stream, &channel, route).await?;
    }
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
    if channel.version < proof::PROOF_FIRST {
        prove(&mut stream, &channel, route).await?;
    }
    Ok((stream, channel))
}

/// Exchanges the proofs of the master key.
async fn prove(stream: &mut Box<dyn Duplex>, channel: &PeerChannel, route: &Route) -> std::io::Result<()> {
    let local = &route.local;
    // A witness has nothing to prove, and is told nothing but what witnesses are.
    let is_witness = matches!(local.keys.judge(route.peer, channel), Entry::Witness(_));
    let demands = !is_witness && local.demands_proof(channel.version, proof::PROOF_FIRST);
    let proved = proof::answer_challenge(stream, channel, &local.prover(), demands).await;
    if let (Err(error), Some(fence)) = (&proved, &local.fence)
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        fence.refusals().note(route.peer, error.to_string());
    }
    proved
}

/// Whether the key in the peer's certificate is still the peer's, as far as this node can know.
///
/// # Errors
/// The text says why not, and what to do.
pub(super) fn check_key(route: &Route, channel: &PeerChannel) -> Result<(), String> {
    match route.local.keys.judge(route.peer, channel) {
        // This node dials it, so it is a member or one that the configuration names.
        Entry::Node | Entry::Witness(_) | Entry::Unsure(_) | Entry::Guest(_) => Ok(()),
        Entry::Removed(reason) | Entry::Refused(reason) => Err(reason),
    }
}

async fn dial(route: &Route, address: &str) -> std::io::Result<Connection> {
    let tls = match &route.dial {
        Dial::Tls(tls) => tls.clone(),
        Dial::Node(tls) => tls.client_config(),
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
    // What is said by a version that proves nothing ends no node where every member speaks a later one.
    if let Some(reason) = rules_out(version, &local.feature_level) {
        return Err(invalid(reason.to_owned()));
    }
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
    Ok(greeted)
}

/// The message to a removed node: what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct RemovedNotice(pub(super) String);

impl RemovedNotice {
    pub(super) fn of(local: &LocalEnd) -> Self {
        Self(format!(
            "node {} was removed from cluster {}; its machine can come back under a new id: keymoot cluster \
             replace-disk there, with a token of another node",
            local.node.unwrap_or(0),
            local.cluster
        ))
    }
}
