//! The peer port without a socket and without TLS, for fuzz targets: what a stranger, a node or a node that joins
//! may send, in any order, to a running node. Nothing here opens a door that is not open in this process already.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{Challenge, Keyring, PeerChannel, PeerVersion, ProofPurpose, ProofScope};
use keymoot_model::{ClusterName, NodeId};
use keymoot_state::{Command, FEATURE_LEVEL, NodeFacts};
use keymoot_store::Incarnation;

use crate::cluster::Cluster;
use crate::error::ClusterError;
use crate::node::Node;
use crate::peer::proof::{self, Prover};
use crate::server::join::{Door, JoinGate};
use crate::server::unproved::{UnprovedLimits, UnprovedPeers};
use crate::server::{self};
use crate::wire::frame::{self, Frame};
use crate::wire::greeting::Greeting;
use crate::wire::join::{ProofDemand, ProvenJoin, ProvenRenewal};
use crate::wire::message::{Hello, PROTOCOL, Request};

/// The most bytes on the way in one direction.
const PIPE_BYTES: usize = 1024 * 1024;
/// Where the peer dials from.
const FROM: ([u8; 4], u16) = ([127, 0, 0, 1], 1);
/// A node that the cluster knows, once [`describe_member`] was called.
const MEMBER: NodeId = 2;
/// A node that nobody ever admitted.
const STRANGER: NodeId = 77;
const BINDING: [u8; 32] = [7; 32];

/// What a peer does before it sends what the fuzzer made up.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    pub version: PeerVersion,
    /// Its certificate is that of a node which the cluster knows, and not of a stranger.
    pub is_member: bool,
    /// It proves the master key.
    pub proves: bool,
    /// It greets as a node does, or else as a tool.
    pub greets_as_node: bool,
    /// It makes no greeting and no proof at all: all it sends is made up.
    pub is_mute: bool,
}

impl Opening {
    /// The opening that a byte stands for.
    pub fn of(byte: u8) -> Self {
        let version = match byte & 3 {
            0 => PeerVersion::First,
            1 => PeerVersion::Second,
            2 => PeerVersion::Third,
            _ => PeerVersion::Fourth,
        };
        let is = |bit: u8| byte & (1 << bit) != 0;
        Self { version, is_member: is(2), proves: is(3), greets_as_node: is(4), is_mute: is(5) }
    }
}

/// A part of what a peer sends.
#[derive(Clone, Copy, Debug)]
pub enum Part<'i> {
    /// Bytes as they are.
    Raw(&'i [u8]),
    /// The body of a frame whose length and checksum are right.
    Body(&'i [u8]),
}

impl Part<'_> {
    async fn send(
        self,
        stream: &mut DuplexStream,
        id: u64,
        body: impl Fn(&[u8]) -> Vec<u8>,
    ) -> io::Result<()> {
        match self {
            Self::Raw(bytes) => stream.write_all(bytes).await,
            Self::Body(bytes) => frame::write(stream, &Frame { id, body: body(bytes).into() }).await,
        }
    }
}

/// Puts bytes into an envelope whose checksum is right.
fn sealed(kind: Kind, body: &[u8]) -> Vec<u8> {
    codec::enclose(kind, body).unwrap_or_default()
}

/// Makes the cluster know the node that peers with [`Opening::is_member`] claim to be.
///
/// # Errors
/// As for [`Cluster::propose`].
pub async fn describe_member(cluster: &Cluster) -> Result<(), ClusterError> {
    let facts = NodeFacts { zone: String::new(), version: String::new(), feature_level: FEATURE_LEVEL };
    cluster.propose(vec![Command::DescribeNode { id: MEMBER, facts }]).await.map(drop)
}

/// The term that a node is in: nobody but a member may raise it.
pub fn term(cluster: &Cluster) -> u64 {
    cluster.node().raft.metrics().borrow_watched().current_term
}

/// How many members there are, with those that do not vote: only who has a token is one more.
pub fn members(cluster: &Cluster) -> usize {
    cluster.node().raft.metrics().borrow_watched().membership_config.membership().nodes().count()
}

/// Has a node serve a peer that opens so and then sends these parts; returns what the node sent, once the
/// connection has ended.
///
/// # Errors
/// Why the node closed the connection, if it was not the peer that did.
pub async fn peer(cluster: &Cluster, opening: Opening, parts: &[Part<'_>]) -> (io::Result<()>, Vec<u8>) {
    let node = cluster.node().clone();
    let id = if opening.is_member { MEMBER } else { STRANGER };
    let channel = PeerChannel { version: opening.version, binding: BINDING, peer_key: Some([9; 32]) };
    let (mut near, far) = duplex(PIPE_BYTES);
    let recalled = node.server.fence.recall();
    let from = SocketAddr::from(FROM);
    // Boxed, because the future of a connection is nested too deeply for the compiler.
    let served = server::welcome(far, id, channel, (from, recalled), node.server.clone()).boxed();
    let client = async {
        let sent = async {
            if !opening.is_mute {
                open(&mut near, &node, opening, id, &channel).await?;
            }
            for (number, part) in parts.iter().enumerate() {
                part.send(&mut near, number as u64, |body| sealed(Kind::Frame, body)).await?;
            }
            Ok::<_, io::Error>(())
        };
        drop(sent.await);
        rest(near).await
    };
    // In one task: to take turns costs less than to wake a thread.
    tokio::join!(served, client)
}

/// The peer's part of proof and greeting.
async fn open(
    stream: &mut DuplexStream,
    node: &Node,
    opening: Opening,
    id: NodeId,
    channel: &PeerChannel,
) -> io::Result<()> {
    let own = node.local.prover();
    let own = match opening.proves {
        true => own,
        false => Prover { keyring: Arc::new(Keyring::generate().map_err(io::Error::other)?), ..own },
    };
    let name = &node.local.cluster;
    if channel.version >= proof::PROOF_FIRST {
        proof::answer_challenge(stream, channel, &own, false).await?;
    }
    let hello = Hello {
        protocol: PROTOCOL,
        cluster: name.as_str().to_owned(),
        node: Some(id),
        fence: opening.greets_as_node.then(|| node.server.fence.current()),
        feature_level: FEATURE_LEVEL,
        removed: false,
    };
    let incarnation = opening.greets_as_node.then(|| Incarnation::from_number(5));
    let greeting = Greeting { incarnation, ..Greeting::of_tool(hello) };
    let body = greeting.encode(channel.version).map_err(io::Error::other)?;
    frame::write(stream, &Frame { id: 0, body: body.into() }).await?;
    frame::read(stream).await?;
    if channel.version < proof::PROOF_FIRST {
        proof::answer_challenge(stream, channel, &own, false).await?;
    }
    Ok(())
}

/// Has a node serve one without a certificate that sends these parts: it asks to join, or if it `renews` for its next
/// certificate. With `proves`, each body that can be read is sent with a valid proof.
///
/// # Errors
/// Why the node closed the connection, if it was not the peer that did.
pub async fn join(
    cluster: &Cluster,
    (version, renews, proves): (PeerVersion, bool, bool),
    parts: &[Part<'_>],
) -> (io::Result<()>, Vec<u8>) {
    let node = cluster.node().clone();
    let channel = PeerChannel { version, binding: BINDING, peer_key: None };
    let (mut near, far) = duplex(PIPE_BYTES);
    let door = if renews { Door::Renewal } else { Door::Joining };
    let from = SocketAddr::from(FROM);
    // Of this connection alone, so that no input depends on those before it.
    let limits = UnprovedLimits { connections_max: 4, per_address_max: 4 };
    let unproved = Arc::new(UnprovedPeers::new(limits, node.metrics.clone()));
    let (gate, place) = (JoinGate::default(), unproved.enter(from.ip()));
    let served = server::join::serve(far, door, channel, (from, place), &gate, &node.server).boxed();
    let ring = proves.then_some(&*node.local.keyring);
    let client = async {
        let sent = async {
            let challenge = match version {
                PeerVersion::First => None,
                _ => Some(challenge(&mut near).await?),
            };
            for (number, part) in parts.iter().enumerate() {
                let body = |body: &[u8]| {
                    let made = ring.zip(challenge.as_ref()).and_then(|(ring, challenge)| {
                        proven(renews, body, ring, &node.local.cluster, &channel, challenge)
                    });
                    made.unwrap_or_else(|| sealed(Kind::Frame, body))
                };
                part.send(&mut near, number as u64, body).await?;
            }
            Ok::<_, io::Error>(())
        };
        drop(sent.await);
        rest(near).await
    };
    tokio::join!(served, client)
}

/// The member's challenge.
async fn challenge(stream: &mut DuplexStream) -> io::Result<Challenge> {
    let frame = frame::read(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let demand: ProofDemand = codec::decode(Kind::Hello, &frame.body).map_err(io::Error::other)?;
    Ok(demand.challenge)
}

/// The request in these bytes, with a proof that is right; `None` if there is none.
fn proven(
    renews: bool,
    body: &[u8],
    ring: &Keyring,
    cluster: &ClusterName,
    channel: &PeerChannel,
    challenge: &Challenge,
) -> Option<Vec<u8>> {
    let prove = |purpose| ring.prove(&ProofScope { cluster, channel, challenge, purpose });
    if renews {
        let mut asked: ProvenRenewal = codec::decode_body(Kind::Frame, body).ok()?;
        asked.proof = prove(ProofPurpose::Renew(&asked.certificate_request));
        return codec::encode(Kind::Frame, &asked).ok();
    }
    let mut asked: ProvenJoin = codec::decode_body(Kind::Frame, body).ok()?;
    asked.proof = prove(ProofPurpose::Join(asked.request.certificate_request.as_deref().unwrap_or_default()));
    codec::encode(Kind::Frame, &asked).ok()
}

/// Sends no more, and reads what is sent until the end.
async fn rest(mut stream: DuplexStream) -> Vec<u8> {
    let mut answers = Vec::new();
    drop(stream.shutdown().await);
    drop(stream.read_to_end(&mut answers).await);
    answers
}

/// Whether these bytes are a request by which a proved member changes what Raft does. What Raft hears of members it
/// believes, so that is for the simulation to try, which keeps to what members say.
pub fn is_believed(body: &[u8]) -> bool {
    codec::decode_body::<Request>(Kind::Frame, body).is_ok_and(|request| {
        let changes = matches!(&request, Request::ChangeMembers(change) if !change.dry_run);
        changes || (request.is_of_raft() && !matches!(request, Request::Ping | Request::Supports(_)))
    })
}
