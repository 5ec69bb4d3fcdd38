//! Proof of the master key on a connection to the peer port: a node's certificate and TLS key alone
//! permit nothing.
//!
//! After the greeting, if both sides know the second version of the protocol, the listening side
//! sends a challenge and the dialling side a proof bound to it and to the TLS session. The dialling side
//! waits for no verdict: the proof is checked at the first request that needs it, and the verdict
//! holds for the rest of the connection. From feature level 4 on every request needs it, Raft's own
//! messages too; below, Raft's messages do not. From the fourth version of the protocol on the listening
//! side proves itself with its challenge, and from feature level 4 on it is sent nothing without. One
//! master key in common is enough, so nodes replicate while a new one is brought to them one by one.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{Challenge, Keyring, KeyringProof, ProofPurpose, ProofRefusal, ProofScope};
use keymoot_crypto::{PeerChannel, PeerVersion};
use keymoot_model::ClusterName;
use keymoot_state::PROVEN_PEERS;

use crate::peer::feature_level::FeatureLevel;
use crate::wire::frame::{self, Frame};
use crate::wire::join::ProofDemand;

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
    cluster: &ClusterName,
    keyring: &Keyring,
) -> std::io::Result<PeerProof> {
    let challenge = match channel.version {
        PeerVersion::First => return Ok(PeerProof { channel, shown: None, accepted: false }),
        PeerVersion::Second | PeerVersion::Third => {
            let challenge = Challenge::draw().map_err(std::io::Error::other)?;
            send(stream, &challenge).await?;
            challenge
        }
        PeerVersion::Fourth => demand(stream, &channel, cluster, keyring).await?,
    };
    Ok(PeerProof { channel, shown: Some((challenge, receive(stream).await?)), accepted: false })
}

/// The listening side: sends a challenge, and with it its own proof.
pub(crate) async fn demand<S: AsyncWrite + Unpin>(
    stream: &mut S,
    channel: &PeerChannel,
    cluster: &ClusterName,
    keyring: &Keyring,
) -> std::io::Result<Challenge> {
    let challenge = Challenge::draw().map_err(std::io::Error::other)?;
    let scope = ProofScope { cluster, channel, challenge: &challenge, purpose: ProofPurpose::Member };
    send(stream, &ProofDemand { challenge, proof: keyring.prove(&scope) }).await?;
    Ok(challenge)
}

/// The dialling side: answers the challenge with a proof. If it `demands` that, the listening side must have proved
/// itself first.
pub(crate) async fn answer_challenge<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    channel: &PeerChannel,
    cluster: &ClusterName,
    keyring: &Keyring,
    demands: bool,
) -> std::io::Result<()> {
    let challenge: Challenge = match channel.version {
        PeerVersion::First => return Ok(()),
        PeerVersion::Second | PeerVersion::Third => receive(stream).await?,
        PeerVersion::Fourth => {
            let ProofDemand { challenge, proof } = receive(stream).await?;
            let scope = ProofScope { cluster, channel, challenge: &challenge, purpose: ProofPurpose::Member };
            match keyring.verify_proof(&scope, &proof) {
                Err(refusal) if demands => return Err(unproven(refusal)),
                _ => challenge,
            }
        }
    };
    let scope = ProofScope { cluster, channel, challenge: &challenge, purpose: ProofPurpose::Peer };
    send(stream, &keyring.prove(&scope)).await
}

/// The error of a listening side without a valid proof.
fn unproven(refusal: ProofRefusal) -> std::io::Error {
    let text =
        format!("what answers there shows the node's certificate, and proves no master key: {refusal}");
    std::io::Error::new(std::io::ErrorKind::PermissionDenied, text)
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

/// Whether every request on a peer connection needs the proof. If the level cannot be read it does, because
/// the level may be high.
pub(crate) fn is_demanded(level: &FeatureLevel) -> bool {
    level.current().unwrap_or(u32::MAX) >= PROVEN_PEERS
}

/// The start of each refusal for a missing proof, by which tools recognise it.
pub(crate) const PROOF_REQUIRED: &str = "only holders of the cluster's master key may ask this";

/// The refusal of a request without a valid proof.
pub(crate) fn proof_required(refusal: ProofRefusal) -> String {
    format!("{PROOF_REQUIRED}: {refusal}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: PeerChannel =
        PeerChannel { version: PeerVersion::Fourth, binding: [3; 32], peer_key: None };

    /// A node with `own` dials one with `theirs`: what became of it on either side.
    async fn meet(
        own: &Keyring,
        theirs: &Keyring,
        version: PeerVersion,
        demands: bool,
    ) -> (Result<(), String>, Option<Result<(), ProofRefusal>>) {
        let (mut near, mut far) = tokio::io::duplex(64 * 1024);
        let (cluster, channel): (ClusterName, _) =
            ("moot".parse().unwrap(), PeerChannel { version, ..CHANNEL });
        let dial = async {
            let answered = answer_challenge(&mut near, &channel, &cluster, own, demands).await;
            drop(near);
            answered.map_err(|error| error.to_string())
        };
        let (dialled, listened) = tokio::join!(dial, request_proof(&mut far, channel, &cluster, theirs));
        (dialled, listened.ok().map(|mut proof| proof.verdict(&cluster, theirs)))
    }

    #[tokio::test]
    async fn neither_side_of_a_connection_is_trusted_without_a_master_key() {
        let (ring, other) = (Keyring::generate().unwrap(), Keyring::generate().unwrap());
        for version in [PeerVersion::Second, PeerVersion::Third, PeerVersion::Fourth] {
            assert_eq!(meet(&ring, &ring, version, true).await, (Ok(()), Some(Ok(()))), "{version:?}");
        }
        // Whoever took a node's address and TLS key over is sent nothing, not even the own proof.
        let (dialled, listened) = meet(&ring, &other, PeerVersion::Fourth, true).await;
        assert!(dialled.unwrap_err().contains("proves no master key"));
        assert_eq!(listened, None);
        // Below the level, and for tools, the listening side alone decides.
        let (dialled, listened) = meet(&ring, &other, PeerVersion::Fourth, false).await;
        assert_eq!((dialled, listened), (Ok(()), Some(Err(ProofRefusal::Wrong))));
    }
}
