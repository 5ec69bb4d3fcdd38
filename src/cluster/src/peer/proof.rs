//! Proof of the master key on a connection to the peer port: a node's certificate and TLS key alone
//! permit no administration.
//!
//! After the greeting, if both sides know the second version of the protocol, the listening side
//! sends a challenge and the dialling side a proof bound to it and to the TLS session. Neither
//! waits for a verdict: the proof is checked at the first request that needs it, and the verdict
//! holds for the rest of the connection. Raft's own messages do not need it, so nodes whose
//! keyrings differ for a while still replicate.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{Challenge, Keyring, KeyringProof, ProofPurpose, ProofRefusal, ProofScope};
use keymoot_crypto::{PeerChannel, PeerVersion};
use keymoot_model::ClusterName;

use crate::wire::frame::{self, Frame};

/// The largest challenge or proof: a MAC for each of a few master keys.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// The proof of a master key that a peer sent.
pub(crate) struct PeerProof {
    channel: PeerChannel,
    /// The challenge and the peer's proof; `None` from a peer that knows only the first version.
    shown: Option<(Challenge, KeyringProof)>,
    accepted: bool,
}

impl PeerProof {
    /// Whether it proves a master key of this node. A positive verdict is kept: a key that is
    /// removed from the keyring later does not end the connections of the nodes that held it.
    pub(crate) fn verdict(&mut self, cluster: &ClusterName, keyring: &Keyring) -> Result<(), ProofRefusal> {
        let (challenge, proof) = self.shown.as_ref().ok_or(ProofRefusal::Unable)?;
        if !self.accepted {
            let scope =
                ProofScope { cluster, channel: &self.channel, challenge, purpose: ProofPurpose::Peer };
            keyring.verify_proof(&scope, proof)?;
            self.accepted = true;
        }
        Ok(())
    }
}

/// The listening side: sends a challenge and receives the proof.
pub(crate) async fn request_proof<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    channel: PeerChannel,
) -> std::io::Result<PeerProof> {
    let shown = match channel.version {
        PeerVersion::First => None,
        PeerVersion::Second | PeerVersion::Third => {
            let challenge = Challenge::draw().map_err(std::io::Error::other)?;
            send(stream, &challenge).await?;
            Some((challenge, receive(stream).await?))
        }
    };
    Ok(PeerProof { channel, shown, accepted: false })
}

/// The dialling side: answers the challenge with a proof.
pub(crate) async fn answer_challenge<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    channel: &PeerChannel,
    cluster: &ClusterName,
    keyring: &Keyring,
) -> std::io::Result<()> {
    if channel.version == PeerVersion::First {
        return Ok(());
    }
    let challenge: Challenge = receive(stream).await?;
    let scope = ProofScope { cluster, channel, challenge: &challenge, purpose: ProofPurpose::Peer };
    send(stream, &keyring.prove(&scope)).await
}

/// Sends a part of the greeting.
pub(crate) async fn send<S: AsyncWrite + Unpin, T: Serialize>(
    stream: &mut S,
    part: &T,
) -> std::io::Result<()> {
    let body = codec::encode(Kind::Hello, part).map_err(std::io::Error::other)?;
    frame::write(stream, &Frame { id: 0, body: body.into() }).await?;
    stream.flush().await
}

/// Receives a part of the greeting.
pub(crate) async fn receive<S: AsyncRead + Unpin, T: DeserializeOwned>(stream: &mut S) -> std::io::Result<T> {
    let closed =
        || std::io::Error::other("it closed the connection behind the greeting; its log may say why");
    let frame = frame::read_up_to(stream, BODY_BYTES_MAX).await?.ok_or_else(closed)?;
    codec::decode(Kind::Hello, &frame.body).map_err(std::io::Error::other)
}

/// The start of each refusal for a missing proof, by which tools recognise it.
pub(crate) const PROOF_REQUIRED: &str = "only holders of the cluster's master key may ask this";

/// The refusal of a request without a valid proof.
pub(crate) fn proof_required(refusal: ProofRefusal) -> String {
    format!("{PROOF_REQUIRED}: {refusal}")
}
