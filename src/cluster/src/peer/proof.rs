//! Proof of the master key on a connection to the peer port: a node's certificate and TLS key alone
//! permit nothing.
//!
//! If both sides know the second version of the protocol, the listening side sends a challenge and the
//! dialling side a proof bound to it and to the TLS session. The dialling side waits for no verdict, which holds for
//! the rest of the connection. From feature level 4 on every request needs it, Raft's own messages too;
//! below, Raft's messages do not.
//!
//! Up to the third version the proof follows the greeting. From the fourth on it comes first, because a greeting is
//! remembered: nothing that is said without a proof may cost the true node its place. The listening side proves
//! itself with its challenge then, and is sent nothing without. One master key in common is enough, so nodes
//! replicate while a new one is brought to them one by one.

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
                Err(_) if demands => {
                    return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, Unproven));
                }
                _ => challenge,
            }
        }
    };
    let scope = ProofScope { cluster, channel, challenge: &challenge, purpose: ProofPurpose::Peer };
    send(stream, &keyring.prove(&scope)).await
}

/// The error of a listening side without a valid proof.
#[derive(Debug, thiserror::Error)]
#[error(
    "what answers there shows the node's certificate, and proves no master key of this keyring: use a copy of the \
     keyring that the nodes use; if this is one, somebody else has that node's TLS key"
)]
pub(crate) struct Unproven;

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

/// From this version on the dialling side can prove itself.
pub(crate) const DIALLER_PROVES: PeerVersion = PeerVersion::Second;
/// From this version on the listening side proves itself, and the proofs come before the greeting.
pub(crate) const PROOF_FIRST: PeerVersion = PeerVersion::Fourth;

/// Whether nothing goes without the proof of the other end of a connection, which can prove itself from the version
/// `able` on. If the level cannot be read nothing does, because the level may be high.
pub(crate) fn is_demanded(level: &FeatureLevel, version: PeerVersion, able: PeerVersion) -> bool {
    match level.current() {
        // A new node does not know the cluster's level, and a tool neither. Whoever can prove itself must.
        Ok(0) => version >= able,
        Ok(level) => level >= PROVEN_PEERS,
        Err(_) => true,
    }
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
        // Below the level the listening side alone decides.
        let (dialled, listened) = meet(&ring, &other, PeerVersion::Fourth, false).await;
        assert_eq!((dialled, listened), (Ok(()), Some(Err(ProofRefusal::Wrong))));
    }

    #[test]
    fn whoever_knows_no_level_yet_demands_the_proof_of_all_that_can_prove_themselves() {
        let all = [PeerVersion::First, PeerVersion::Second, PeerVersion::Third, PeerVersion::Fourth];
        let demanded = |level: &FeatureLevel, able| all.map(|version| is_demanded(level, version, able));
        let tool = FeatureLevel::unknown();
        assert_eq!(demanded(&tool, DIALLER_PROVES), [false, true, true, true]);
        assert_eq!(demanded(&tool, PROOF_FIRST), [false, false, false, true]);
        for level in 1..PROVEN_PEERS {
            assert_eq!(demanded(&FeatureLevel::fixed(level), DIALLER_PROVES), [false; 4]);
        }
        assert_eq!(demanded(&FeatureLevel::fixed(PROVEN_PEERS), DIALLER_PROVES), [true; 4]);
    }
}
