//! The listening side between nodes: authenticates peers, then answers requests.
//!
//! A connection is served only when the certificate is a node's and its id equals the id claimed: an
//! operator's certificate opens the admin API and nothing here. Appends of a connection go through Raft in
//! order; other requests are answered as they finish.

mod answers;
mod appends;
pub(crate) mod endpoint;
pub(crate) mod join;
mod session;
pub(crate) mod unproved;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{PeerChannel, ProofRefusal};
use keymoot_model::NodeId;
use keymoot_state::FEATURE_LEVEL;
use keymoot_telemetry::LastingConditions;
use keymoot_tls::{JOIN_ALPN, JOIN_ALPN_2, PeerIdentity, PeerTls, RENEW_ALPN, WITNESS_ALPN};

use crate::backup::BackupService;
use crate::members::join::JoinService;
use crate::members::membership::Members;
use crate::ops::admin::AdminService;
use crate::peer::feature_level::check_level;
use crate::peer::fence::{Fence, Recalled};
use crate::peer::greeting::{Refused, rules_out};
use crate::peer::known_keys::{Entry, LOOK_EVERY};
use crate::peer::live_sessions::LiveSession;
use crate::peer::local_end::LocalEnd;
use crate::peer::proof::{self, PeerProof};
use crate::peer::refusal_log::RefusalLog;
use crate::peer::removed_nodes::RemovedNodes;
use crate::peer::reports::Reports;
use crate::read::barrier::ReadBarrier;
use crate::server::endpoint::RaftEndpoint;
use crate::server::join::{Door, JoinGate};
use crate::wire::frame::{self, Frame};
use crate::wire::greeting::Greeting;
use crate::wire::message::{Hello, PROTOCOL, Reply};
use crate::write::forwarder::ProposalForwarder;

use session::Session;
use unproved::{UnprovedLimits, UnprovedPeer, UnprovedPeers};

/// The time limit for TLS and greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// The most requests of one connection that are in progress at once.
const CONCURRENT_REQUESTS_MAX: usize = 1024;

/// The services for peers and tools, apart from Raft.
pub(crate) struct Services {
    pub admin: AdminService,
    pub members: Arc<Members>,
    pub joins: JoinService,
    pub backups: BackupService,
    pub barrier: Arc<ReadBarrier>,
    pub forwarder: Arc<ProposalForwarder>,
    pub reports: Reports,
}

/// Serves peers and tools.
pub(crate) struct PeerServer {
    local: LocalEnd,
    pub(crate) fence: Fence,
    removed: Arc<RemovedNodes>,
    refusal_log: RefusalLog,
    endpoint: RaftEndpoint,
    pub(crate) services: Services,
}

impl PeerServer {
    /// Serves Raft by `endpoint`, and all else by `services`.
    pub(crate) const fn new(
        local: LocalEnd,
        fence: Fence,
        removed: Arc<RemovedNodes>,
        refusal_log: RefusalLog,
        endpoint: RaftEndpoint,
        services: Services,
    ) -> Self {
        Self { local, fence, removed, refusal_log, endpoint, services }
    }
}

/// Accepts peers until the listener fails or the task is aborted.
pub(crate) async fn listen(
    listener: TcpListener,
    tls: PeerTls,
    limits: UnprovedLimits,
    server: Arc<PeerServer>,
) {
    let gate = Arc::new(JoinGate::default());
    let unproved = Arc::new(UnprovedPeers::new(limits, server.endpoint.metrics.clone()));
    let unaccepted = LastingConditions::<()>::new();
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // The certificate of the time: it is renewed while the node runs.
                let acceptor = TlsAcceptor::from(tls.server_config());
                let (gate, server) = (gate.clone(), server.clone());
                let unproved = unproved.enter(address.ip());
                tokio::spawn(async move {
                    // Boxed, because the future of a connection is nested too deeply for the
                    // compiler.
                    let served = connection(stream, (address, unproved), acceptor, &gate, server);
                    if let Err(error) = Box::pin(served).await {
                        tracing::debug!(peer = %address, %error, "a peer connection ended");
                    }
                });
            }
            Err(error) => {
                // Most likely out of file descriptors: other connections may close soon.
                if let Some(unlogged) = unaccepted.note(()) {
                    tracing::warn!(%error, unlogged, "cannot accept a peer connection");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    (from, mut unproved): (SocketAddr, UnprovedPeer),
    acceptor: TlsAcceptor,
    gate: &JoinGate,
    server: Arc<PeerServer>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // The peer writes its greeting later than this.
    let recalled = server.fence.recall();
    let accepted = unproved.during(GREETING_TIMEOUT, acceptor.accept(stream)).await;
    let accepted = accepted.inspect_err(|error| {
        // A probe that only connects says nothing that could be refused.
        if error.kind() != std::io::ErrorKind::UnexpectedEof {
            server.refusal_log.log("handshake", from, &error.to_string());
        }
    })?;
    let (_, session) = accepted.get_ref();
    let channel = keymoot_tls::peer_channel(session).map_err(invalid)?;
    // A peer without a certificate may ask to join or for its next certificate, and nothing else.
    if session.peer_certificates().is_none() {
        return match session.alpn_protocol() {
            Some(JOIN_ALPN | JOIN_ALPN_2) => {
                join::serve(accepted, Door::Joining, channel, (from, unproved), gate, &server).await
            }
            Some(RENEW_ALPN) => {
                join::serve(accepted, Door::Renewal, channel, (from, unproved), gate, &server).await
            }
            Some(WITNESS_ALPN) => {
                join::serve(accepted, Door::Witness, channel, (from, unproved), gate, &server).await
            }
            _ => {
                server.refusal_log.log("certificate", from, NO_CERTIFICATE);
                Err(invalid(NO_CERTIFICATE))
            }
        };
    }
    let identity = PeerIdentity::of_connection(session.peer_certificates(), &server.local.cluster)
        .inspect_err(|error| server.refusal_log.log("certificate", from, &error.to_string()))
        .map_err(invalid)?;
    let PeerIdentity::Node(node) = identity else {
        server.refusal_log.note("certificate", from, OPERATOR_REFUSED);
        return Err(invalid(OPERATOR_REFUSED));
    };
    drop(unproved);
    Box::pin(welcome(accepted, node, channel, (from, recalled), server)).await
}

/// The reason to refuse who shows no certificate and asks for none.
const NO_CERTIFICATE: &str = "a peer shows no certificate";
/// The reason to refuse a certificate that is no node's.
const OPERATOR_REFUSED: &str = "an operator's certificate opens the admin API, and nothing on the peer port";

/// The other end of a connection, after the greeting.
pub(crate) struct Caller {
    /// The node that its certificate names.
    node: NodeId,
    channel: PeerChannel,
    from: SocketAddr,
    /// The peer's fence. A caller without one may administer, and do nothing that a member does.
    fence: Option<u64>,
    /// The peer's proof of a master key.
    proof: PeerProof,
    /// What its key permits.
    entry: Entry,
    /// Registers the connection while it lives; `None` for a tool.
    live: Option<Arc<LiveSession>>,
}

/// Greets and serves a peer that has proved to be `node`, until the connection ends. It dialled from
/// there, and what was remembered of the peers then is held against its greeting.
pub(crate) async fn welcome<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    mut stream: S,
    node: NodeId,
    channel: PeerChannel,
    (from, recalled): (SocketAddr, Recalled),
    server: Arc<PeerServer>,
) -> std::io::Result<()> {
    let own = server.local.prover();
    let greeting = async {
        let is_first = channel.version >= proof::PROOF_FIRST;
        let mut shown = match is_first {
            true => Some(proof::request_proof(&mut stream, channel, &own).await?),
            false => None,
        };
        let verdict = shown.as_mut().map_or(Ok(()), |shown| shown.verdict(&own));
        let greeted = greet(&mut stream, node, &channel, verdict, (from, &recalled), &server).await?;
        let proof = match shown {
            Some(shown) => shown,
            None => proof::request_proof(&mut stream, channel, &own).await?,
        };
        Ok::<_, std::io::Error>((greeted, proof))
    };
    let ((theirs, live, entry), proof) = tokio::time::timeout(GREETING_TIMEOUT, greeting).await??;
    let is_guest = matches!(entry, Entry::Guest(_));
    let caller = Caller { node, channel, from, fence: theirs.fence, proof, entry, live };
    tokio::select! {
        served = serve(stream, caller, server.clone()) => served,
        reason = refused_later(node, &channel, is_guest, &server) => {
            server.refusal_log.note("certificate", from, &reason);
            Err(invalid(reason))
        }
    }
}

/// Waits until the certificate of an open connection is refused; returns why.
async fn refused_later(node: NodeId, channel: &PeerChannel, is_guest: bool, server: &PeerServer) -> String {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match server.local.keys.judge(node, channel) {
            Entry::Refused(reason) | Entry::Removed(reason) => return reason,
            Entry::Guest(reason) if !is_guest => return reason,
            Entry::Node | Entry::Witness(_) | Entry::Unsure(_) | Entry::Guest(_) => {}
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, error)
}

/// Answers the peer's hello with this node's own before it decides, so that each side can tell what
/// is wrong. `proof` is the verdict on a proof that came before.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    node: NodeId,
    channel: &PeerChannel,
    proof: Result<(), ProofRefusal>,
    (from, recalled): (SocketAddr, &Recalled),
    server: &PeerServer,
) -> std::io::Result<(Hello, Option<Arc<LiveSession>>, Entry)> {
    let version = channel.version;
    let frame = frame::read(stream).await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let greeting = Greeting::decode(version, &frame.body).map_err(invalid)?;
    let theirs = &greeting.hello;
    let level = &server.local.feature_level;
    let entry = server.local.keys.judge(node, channel);
    let removed = server.removed.contains(node) || matches!(entry, Entry::Removed(_));
    let ruled_out = rules_out(version, level).filter(|_| theirs.fence.is_some()).map(str::to_owned);
    // What a member says is remembered below.
    let is_witness = matches!(entry, Entry::Witness(_));
    let is_demanded =
        theirs.fence.is_some() && !is_witness && server.local.demands_proof(version, proof::DIALLER_PROVES);
    let unproven = proof.err().filter(|_| is_demanded).map(proof::proof_required);
    let unknown = match &entry {
        Entry::Node | Entry::Witness(_) | Entry::Unsure(_) => None,
        // A member has this fence; who asks to join has none yet, and what another one means is told below.
        Entry::Guest(_) if theirs.fence != Some(server.fence.current()) => None,
        Entry::Guest(reason) | Entry::Refused(reason) | Entry::Removed(reason) => Some(reason.clone()),
    };
    let refusal = refusal(theirs, node, removed, server).or(ruled_out).or(unproven).or(unknown);
    // The check comes before the answer: a node that belongs to no cluster answers with the fence
    // that it adopts now.
    let checked = match &refusal {
        None => {
            let peer = theirs.node.unwrap_or_default();
            server.fence.check_peer(peer, version, &greeting, recalled, Some(from))
        }
        Some(_) => Ok(()),
    };
    let ours = Hello { removed, ..server.local.hello() };
    let member = theirs.fence.and(theirs.node).filter(|_| refusal.is_none());
    let said = match (&refusal, &checked) {
        (Some(reason), _) | (None, Err(Refused::Peer(reason))) => Some(reason.clone()),
        _ => None,
    };
    let ours = Greeting { refusal: said, ..server.fence.greeting(ours, member).map_err(invalid)? };
    let body = ours.encode(version).map_err(invalid)?;
    frame::write(stream, &Frame { id: frame.id, body: body.into() }).await?;
    stream.flush().await?;
    if let Some(refusal) = refusal {
        server.refusal_log.log("greeting", from, &refusal);
        if !removed {
            server.fence.refusals().note(node, refusal.clone());
        }
        return Err(invalid(refusal));
    }
    checked.map_err(|refused| refused.into_error(&server.local.fatal, server.fence.is_accepted()))?;
    let live = member.and_then(|peer| server.fence.enter(peer, &greeting, from));
    Ok((greeting.hello, live, entry))
}

/// The reason to refuse a greeting, apart from its fence.
fn refusal(theirs: &Hello, node: NodeId, removed: bool, server: &PeerServer) -> Option<String> {
    if theirs.node != Some(node) {
        Some(format!("a peer claims to be {:?} but its certificate says node {node}", theirs.node))
    } else if theirs.cluster != server.local.cluster.as_str() {
        Some(format!("a peer belongs to the cluster {:?}", theirs.cluster))
    } else if theirs.protocol != PROTOCOL {
        Some(format!("a peer speaks protocol {}, not {PROTOCOL}", theirs.protocol))
    } else if removed {
        Some(format!("node {node} was removed from the cluster"))
    } else {
        // Whoever dials has proved nothing yet, and ends no node by what it says. This node dials the members, too,
        // and ends by what it hears of them.
        check_level(theirs.feature_level, FEATURE_LEVEL).err()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    caller: Caller,
    server: Arc<PeerServer>,
) -> std::io::Result<()> {
    let (reader, writer) = tokio::io::split(stream);
    let (replies, outbox) = mpsc::channel(CONCURRENT_REQUESTS_MAX);
    // Ends with this future: what waits to be answered must not keep a connection that was refused.
    let mut writing = JoinSet::new();
    writing.spawn(write_replies(writer, outbox));
    let mut session = Session::new(server, caller, replies);
    let mut reader = BufReader::with_capacity(64 * 1024, reader);
    loop {
        match frame::read(&mut reader).await {
            Ok(Some(frame)) => {
                if let Err(error) = session.handle(frame).await {
                    break Err(error);
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    }
}

async fn write_replies<W: AsyncWrite + Unpin>(writer: W, mut outbox: mpsc::Receiver<(u64, Reply)>) {
    let mut writer = BufWriter::with_capacity(64 * 1024, writer);
    while let Some(first) = outbox.recv().await {
        let mut next = Some(first);
        while let Some((id, reply)) = next {
            let body = match codec::encode(Kind::Frame, &reply) {
                Ok(body) => body,
                Err(error) => {
                    tracing::error!(%error, "a reply to a peer cannot be encoded");
                    return;
                }
            };
            if frame::write(&mut writer, &Frame { id, body: body.into() }).await.is_err() {
                return;
            }
            next = outbox.try_recv().ok();
        }
        if writer.flush().await.is_err() {
            return;
        }
    }
}
