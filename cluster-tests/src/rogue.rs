//! An attacker with a certificate of the cluster's authority and its TLS key, who writes to the peer port
//! directly: a stolen one, or one made with the authority's key, which every node can unwrap.
//!
//! The messages are defined here a second time, so that a test can send what the program itself
//! never sends. Variants are in the order of their numbers on the wire.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keymoot_cluster::{
    AdminRequest, AdminResponse, ChangePlan, ChangeRequest, JoinReply, JoinRequest, PROTOCOL, open_authority,
};
use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{Challenge, Keyring, KeyringProof, KeyringSignature, ProofPurpose, ProofScope};
use keymoot_model::ClusterName;
use keymoot_state::{AuthorityRecord, Response, TABLE_NAMES, Table};
use keymoot_store::{Incarnation, LogPosition, Start, StoredVote, Tables, TablesOptions};
use keymoot_tls::{
    ClusterCa, Issued, PEER_ALPN, PEER_ALPN_3, PEER_ALPN_4, PeerCredentials, RENEW_ALPN, WITNESS_ALPN,
    peer_client_config, server_name_of,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::RigError;

/// The time limit for any answer.
const WITHIN: Duration = Duration::from_secs(30);

/// The first message on a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    protocol: u32,
    cluster: String,
    node: Option<u64>,
    /// The fence of the sender's data directory.
    pub fence: Option<u64>,
    feature_level: u32,
    expelled: bool,
}

/// The first message from the third version on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Greeting {
    hello: Hello,
    incarnation: Option<Incarnation>,
    remembered: Option<Incarnation>,
    claim: Option<Claim>,
    memory: Option<Memory>,
    refusal: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claim {
    start: Start,
    vote: Option<StoredVote>,
    log_end: Option<LogPosition>,
    address: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Memory {
    start: Start,
    vote: Option<StoredVote>,
    held: Option<LogPosition>,
    address: Option<String>,
}

/// The data directory of the stolen node, as it is known to its peers.
#[derive(Clone, Copy, Debug)]
pub struct StolenDirectory {
    incarnation: Incarnation,
    start: Start,
    address: SocketAddr,
}

impl StolenDirectory {
    /// Reads it from the data directory `root`, which a running node may use.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(root: &Path) -> Result<Self, RigError> {
        let none = || RigError::Answer(format!("{} was never used", root.display()));
        let incarnation = Incarnation::read(root).map_err(refused)?.ok_or_else(none)?;
        let start = Start::read(root).map_err(refused)?.ok_or_else(none)?;
        Ok(Self { incarnation, start, address: SocketAddr::from(([127, 0, 0, 1], 1)) })
    }

    /// The same started once more, at this address: what a process says that takes the node's place.
    #[must_use]
    pub fn started_again(self, address: SocketAddr) -> Self {
        let start = Start { number: self.start.number + 1, id: !self.start.id };
        Self { start, address, ..self }
    }

    /// What is claimed: to be ahead of all that anybody remembers.
    fn claim(self) -> Claim {
        let vote = Some(StoredVote { term: 1 << 40, node: 1, committed: false });
        let log_end = Some(LogPosition { term: 1 << 40, node: 1, index: 1 << 40 });
        Claim { start: self.start, vote, log_end, address: self.address.to_string() }
    }
}

/// Requests; those that no test sends only stand for their numbers.
#[derive(Clone, Debug, Serialize)]
pub enum Ask {
    Append,
    Vote { pre_vote: bool, vote: StoredVote, last: Option<LogPosition>, transfer: bool },
    TransferLeader { from: StoredVote, to: u64, last: Option<LogPosition> },
    SnapshotBegin,
    SnapshotChunk,
    SnapshotEnd,
    Propose(Vec<u8>),
    ReadIndex,
    Admin(AdminRequest),
    BackupBegin { local: bool },
    BackupNext,
    ChangeMembers(ChangeRequest),
    Ping,
    Join(Box<JoinRequest>),
}

/// Replies; those that no test receives only stand for their numbers.
#[derive(Clone, Debug, Deserialize)]
pub enum Reply {
    Appended,
    Voted { vote: StoredVote, granted: bool, last: Option<LogPosition> },
    Transferred(bool),
    SnapshotReceived,
    SnapshotInstalled,
    Applied(Vec<Response>),
    ReadIndex { index: u64 },
    NotLeader,
    Admin(AdminResponse),
    Failed(String),
    BackupBegun(Vec<u8>),
    BackupPiece(Option<Vec<u8>>),
    Planned(Box<ChangePlan>),
    Pong,
    Joined(Box<JoinReply>),
}

/// The certificate and key of the node in this directory.
pub struct Stolen {
    /// The cluster's name.
    pub cluster: ClusterName,
    tls: ClientConfig,
}

impl Stolen {
    /// Reads certificate and key, and no keyring.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn from(dir: &Path, cluster: &str) -> Result<Self, RigError> {
        let cluster: ClusterName = cluster.parse().map_err(refused)?;
        let [ca, cert, key] = ["ca.pem", "node.pem", "node-key.pem"].map(|name| dir.join(name));
        Self::with(PeerCredentials::load(&ca, &cert, &key, &cluster).map_err(refused)?)
    }

    /// A certificate that this authority made.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn made(authority: &ClusterCa, issued: &Issued) -> Result<Self, RigError> {
        Self::made_for(authority, issued, "")
    }

    /// The same for servers of these authorities too, PEM.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn made_for(authority: &ClusterCa, issued: &Issued, others: &str) -> Result<Self, RigError> {
        let roots = format!("{}{others}", authority.certificate_pem());
        let roots = CertificateDer::pem_slice_iter(roots.as_bytes()).collect::<Result<Vec<_>, _>>();
        let (roots, chain) = (roots.map_err(refused)?, vec![issued.certificate()]);
        let made = PeerCredentials::new(roots, chain, issued.private_key(), authority.cluster());
        Self::with(made.map_err(refused)?)
    }

    fn with(credentials: PeerCredentials) -> Result<Self, RigError> {
        let tls = peer_client_config(&credentials).map_err(refused)?;
        Ok(Self { cluster: credentials.cluster().clone(), tls: (*tls).clone() })
    }

    /// Connects to node `id` with this version of the protocol.
    ///
    /// # Errors
    /// When that fails.
    pub fn connect(&self, id: u64, at: SocketAddr, alpn: &[u8]) -> Result<Rogue, RigError> {
        Rogue::connect(self.tls.clone(), &self.cluster, id, at, alpn)
    }
}

/// The cluster's authority with its key, out of the data directory of a node that does not run.
///
/// # Errors
/// When the state holds none, or the keyring does not open its key.
pub fn stolen_authority(data: &Path, keyring: &Path, cluster: &str) -> Result<ClusterCa, RigError> {
    let tables = Tables::open(data, TABLE_NAMES, TablesOptions::default()).map_err(refused)?;
    let bytes = tables.get(Table::Meta as usize, b"authority").map_err(refused)?;
    let bytes = bytes.ok_or_else(|| RigError::Answer("the state holds no authority".to_owned()))?;
    let record: AuthorityRecord = codec::decode(Kind::Record, &bytes).map_err(refused)?;
    let keyring = Keyring::load(keyring).map_err(refused)?;
    open_authority(&record, &cluster.parse().map_err(refused)?, &keyring).map_err(refused)
}

/// A connection.
pub struct Rogue {
    cluster: ClusterName,
    /// The stolen node's data directory; without it, no member is accepted from the third version on.
    pub directory: Option<StolenDirectory>,
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Rogue {
    /// Connects with this TLS configuration, whatever certificate it has.
    ///
    /// # Errors
    /// When that fails.
    pub fn connect(
        mut tls: ClientConfig,
        cluster: &ClusterName,
        id: u64,
        at: SocketAddr,
        alpn: &[u8],
    ) -> Result<Self, RigError> {
        // A build from before knows no fourth version: against it, too, the attacks are what they are.
        let earlier = (alpn == PEER_ALPN_4).then(|| PEER_ALPN_3.to_vec());
        tls.alpn_protocols = std::iter::once(alpn.to_vec()).chain(earlier).collect();
        let name = server_name_of(id, cluster).map_err(refused)?;
        let session = ClientConnection::new(Arc::new(tls), name).map_err(refused)?;
        let socket = TcpStream::connect(at).map_err(RigError::io("cannot connect"))?;
        socket.set_read_timeout(Some(WITHIN)).map_err(RigError::io("cannot set a time-out"))?;
        let mut stream = StreamOwned::new(session, socket);
        stream.conn.complete_io(&mut stream.sock).map_err(RigError::io("cannot shake hands"))?;
        Ok(Self { cluster: cluster.clone(), directory: None, stream })
    }

    /// Opens the connection: proves what `prove` makes of the challenge, and claims to be this node, or a tool;
    /// returns the other side's greeting. Up to the third version the greeting comes first, and the first version
    /// has no proof.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn open(
        &mut self,
        (node, fence): (Option<u64>, Option<u64>),
        prove: impl FnOnce(&Self, &Challenge) -> Result<KeyringProof, RigError>,
    ) -> Result<Hello, RigError> {
        let alpn = self.stream.conn.alpn_protocol().map(<[u8]>::to_vec);
        let proves_first = alpn.as_deref() == Some(PEER_ALPN_4);
        if alpn.as_deref() == Some(PEER_ALPN) {
            return self.greet(node, fence);
        }
        let greeted = if proves_first { None } else { Some(self.greet(node, fence)?) };
        let challenge = self.challenge()?;
        let proof = prove(self, &challenge)?;
        match proves_first {
            true => self.send(0, Kind::Hello, &(proof, KeyringSignature::default()))?,
            false => self.send(0, Kind::Hello, &proof)?,
        }
        greeted.map_or_else(|| self.greet(node, fence), Ok)
    }

    /// The same without a master key.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn open_unproven(&mut self, claim: (Option<u64>, Option<u64>)) -> Result<Hello, RigError> {
        self.open(claim, |_, _| Ok(KeyringProof::default()))
    }

    /// Greets before anything is proved, whatever the version.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn greet(&mut self, node: Option<u64>, fence: Option<u64>) -> Result<Hello, RigError> {
        let cluster = self.cluster.as_str().to_owned();
        let hello = Hello { protocol: PROTOCOL, cluster, node, fence, feature_level: 0, expelled: false };
        if !matches!(self.stream.conn.alpn_protocol(), Some(PEER_ALPN_3 | PEER_ALPN_4)) {
            self.send(0, Kind::Hello, &hello)?;
            return self.receive(Kind::Hello);
        }
        let directory = self.directory.filter(|_| fence.is_some());
        let greeting = Greeting {
            hello,
            incarnation: directory.map(|directory| directory.incarnation),
            remembered: None,
            claim: directory.map(StolenDirectory::claim),
            memory: None,
            refusal: None,
        };
        self.send(0, Kind::DirectoryGreeting, &greeting)?;
        self.receive::<Greeting>(Kind::DirectoryGreeting).map(|theirs| theirs.hello)
    }

    /// Receives the challenge of the listening side.
    ///
    /// # Errors
    /// When none comes.
    pub fn challenge(&mut self) -> Result<Challenge, RigError> {
        if !matches!(self.stream.conn.alpn_protocol(), Some(PEER_ALPN_4 | RENEW_ALPN | WITNESS_ALPN)) {
            return self.receive(Kind::Hello);
        }
        // The node proves itself, too.
        let (challenge, _): (Challenge, (KeyringProof, KeyringSignature)) = self.receive(Kind::Hello)?;
        Ok(challenge)
    }

    /// A proof for this connection.
    ///
    /// # Errors
    /// When the handshake is not finished.
    pub fn proof(
        &self,
        keyring: &Keyring,
        challenge: &Challenge,
        purpose: ProofPurpose<'_>,
    ) -> Result<KeyringProof, RigError> {
        let channel = keymoot_tls::peer_channel(&self.stream.conn).map_err(refused)?;
        Ok(keyring.prove(&ProofScope { cluster: &self.cluster, channel: &channel, challenge, purpose }))
    }

    /// Sends a request and waits for the reply.
    ///
    /// # Errors
    /// When there is none.
    pub fn ask(&mut self, ask: &Ask) -> Result<Reply, RigError> {
        self.send(1, Kind::Frame, ask)?;
        self.receive(Kind::Frame)
    }

    /// Sends any message.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send<T: Serialize>(&mut self, id: u64, kind: Kind, message: &T) -> Result<(), RigError> {
        self.send_bytes(id, &codec::encode(kind, message).map_err(refused)?)
    }

    /// Sends a frame of these bytes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send_bytes(&mut self, id: u64, body: &[u8]) -> Result<(), RigError> {
        let length = u32::try_from(body.len()).map_err(refused)?;
        let frame = [&length.to_be_bytes()[..], &id.to_be_bytes(), body].concat();
        let sent = self.stream.write_all(&frame).and_then(|()| self.stream.flush());
        sent.map_err(RigError::io("cannot send"))
    }

    /// Receives the next message.
    ///
    /// # Errors
    /// When none comes, or one of another kind.
    pub fn receive<T: DeserializeOwned>(&mut self, kind: Kind) -> Result<T, RigError> {
        let mut head = [0; 12];
        self.stream.read_exact(&mut head).map_err(RigError::io("no answer"))?;
        let [l0, l1, l2, l3, ..] = head;
        let mut body = vec![0; u32::from_be_bytes([l0, l1, l2, l3]) as usize];
        self.stream.read_exact(&mut body).map_err(RigError::io("half an answer"))?;
        codec::decode(kind, &body).map_err(refused)
    }
}

fn refused(error: impl std::fmt::Display) -> RigError {
    RigError::Answer(error.to_string())
}
