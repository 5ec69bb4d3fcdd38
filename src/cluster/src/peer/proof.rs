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
//!
//! A witness holds no master key. It proves nothing: what it may do is registered, and little. What others prove to it
//! are the signatures that each proof has from the fourth version on; their public keys are in the replicated state.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{Challenge, Keyring, KeyringProof, ProofPurpose, ProofRefusal, ProofScope};
use keymoot_crypto::{PeerChannel, PeerVersion};
use keymoot_model::{ClusterName, MasterKeyVerifier};
use keymoot_state as state;
use keymoot_state::{PROVEN_PEERS, Tables};

use crate::peer::feature_level::FeatureLevel;
use crate::wire::frame::{self, Frame};
use crate::wire::join::{ProofDemand, Proofs, SignedDemand};

/// The largest challenge or proof: a MAC and a signature for each of a few master keys.
const BODY_BYTES_MAX: usize = 8 * 1024;

/// What a witness tells holders of a master key by. Cheap to clone.
#[derive(Clone)]
pub struct Verifiers(Arc<dyn Fn() -> Vec<MasterKeyVerifier> + Send + Sync>);

impl Verifiers {
    /// Those in these tables; `first` until there are any. A state that cannot be read has none, and nobody is
    /// believed.
    pub(crate) fn of<T: Tables + Send + Sync + 'static>(tables: T, first: Vec<MasterKeyVerifier>) -> Self {
        Self(Arc::new(move || match state::verifiers(&tables) {
            Ok(known) if known.is_empty() => first.clone(),
            known => known.unwrap_or_default(),
        }))
    }

    /// These alone.
    pub(crate) fn fixed(verifiers: Vec<MasterKeyVerifier>) -> Self {
        Self(Arc::new(move || verifiers.clone()))
    }
}

/// What one end proves itself with, and tells by who holds a master key.
#[derive(Clone)]
pub struct Prover {
    pub(crate) cluster: ClusterName,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) verifiers: Verifiers,
}

impl Prover {
    /// Whoever holds this keyring.
    pub fn holder(cluster: ClusterName, keyring: Arc<Keyring>) -> Self {
        Self { cluster, keyring, verifiers: Verifiers::fixed(Vec::new()) }
    }

    /// A witness that knows nothing but this of the master keys.
    pub fn witness(cluster: ClusterName, verifiers: Vec<MasterKeyVerifier>) -> Self {
        Self { cluster, keyring: Arc::new(Keyring::none()), verifiers: Verifiers::fixed(verifiers) }
    }

    /// The master keys of this end.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Whether it is a witness, which holds no master key.
    pub fn is_witness(&self) -> bool {
        self.keyring.is_empty()
    }

    fn scope<'a>(
        &'a self,
        channel: &'a PeerChannel,
        challenge: &'a Challenge,
        purpose: ProofPurpose<'a>,
    ) -> ProofScope<'a> {
        ProofScope { cluster: &self.cluster, channel, challenge, purpose }
    }

    fn prove(&self, scope: &ProofScope<'_>) -> Proofs {
        Proofs { macs: self.keyring.prove(scope), signature: self.keyring.sign(scope) }
    }

    fn verify(&self, scope: &ProofScope<'_>, proofs: &Proofs) -> Result<(), ProofRefusal> {
        match self.is_witness() {
            true => proofs.signature.verify(scope, &(self.verifiers.0)()),
            false => self.keyring.verify_proof(scope, &proofs.macs),
        }
    }
}

/// The proof of a master key that a peer sent.
pub(crate) struct PeerProof {
    channel: PeerChannel,
    /// The challenge and the peer's proofs; `None` from a peer that knows only the first version.
    shown: Option<(Challenge, Proofs)>,
    accepted: bool,
}

impl PeerProof {
    /// Whether it proves a master key of this node. A positive verdict is kept: a key that is
    /// removed from the keyring later does not end the connections of the nodes that held it.
    pub(crate) fn verdict(&mut self, own: &Prover) -> Result<(), ProofRefusal> {
        let (challenge, proofs) = self.shown.as_ref().ok_or(ProofRefusal::Unable)?;
        if !self.accepted {
            own.verify(&own.scope(&self.channel, challenge, ProofPurpose::Peer), proofs)?;
            self.accepted = true;
        }
        Ok(())
    }
}

/// The listening side: sends a challenge and receives the proof.
pub(crate) async fn request_proof<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    channel: PeerChannel,
    own: &Prover,
) -> std::io::Result<PeerProof> {
    let shown = match channel.version {
        PeerVersion::First => return Ok(PeerProof { channel, shown: None, accepted: false }),
        PeerVersion::Second | PeerVersion::Third => {
            let challenge = Challenge::draw().map_err(std::io::Error::other)?;
            send(stream, &challenge).await?;
            (challenge, Proofs { macs: receive(stream).await?, ..Proofs::default() })
        }
        PeerVersion::Fourth => {
            let challenge = demand(stream, &channel, own).await?;
            (challenge, receive(stream).await?)
        }
    };
    Ok(PeerProof { channel, shown: Some(shown), accepted: false })
}

/// The listening side: sends a challenge, and with it its own proof.
pub(crate) async fn demand<S: AsyncWrite + Unpin>(
    stream: &mut S,
    channel: &PeerChannel,
    own: &Prover,
) -> std::io::Result<Challenge> {
    let challenge = Challenge::draw().map_err(std::io::Error::other)?;
    let proofs = own.prove(&own.scope(channel, &challenge, ProofPurpose::Member));
    match channel.version {
        PeerVersion::Fourth => send(stream, &SignedDemand { challenge, proofs }).await?,
        _ => send(stream, &ProofDemand { challenge, proof: proofs.macs }).await?,
    }
    Ok(challenge)
}

/// A listening side that was heard.
pub(crate) struct Demanded {
    challenge: Challenge,
    /// Whether it proved a master key.
    pub(crate) verdict: Result<(), ProofRefusal>,
}

impl Demanded {
    /// The proof of a master key for this purpose, without signatures: a listening side that holds none is not asked.
    pub(crate) fn proof(
        &self,
        channel: &PeerChannel,
        own: &Prover,
        purpose: ProofPurpose<'_>,
    ) -> KeyringProof {
        own.keyring.prove(&own.scope(channel, &self.challenge, purpose))
    }
}

/// The dialling side: receives a challenge with the proof of the listening side.
pub(crate) async fn hear_demand<S: AsyncRead + Unpin>(
    stream: &mut S,
    channel: &PeerChannel,
    own: &Prover,
) -> std::io::Result<Demanded> {
    let SignedDemand { challenge, proofs } = match channel.version {
        PeerVersion::Fourth => receive(stream).await?,
        _ => {
            let ProofDemand { challenge, proof } = receive(stream).await?;
            SignedDemand { challenge, proofs: Proofs { macs: proof, ..Proofs::default() } }
        }
    };
    let verdict = own.verify(&own.scope(channel, &challenge, ProofPurpose::Member), &proofs);
    Ok(Demanded { challenge, verdict })
}

/// The dialling side: answers the challenge with a proof. If it `demands` that, the listening side must have proved
/// itself first.
pub(crate) async fn answer_challenge<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    channel: &PeerChannel,
    own: &Prover,
    demands: bool,
) -> std::io::Result<()> {
    match channel.version {
        PeerVersion::First => Ok(()),
        PeerVersion::Second | PeerVersion::Third => {
            let challenge = receive(stream).await?;
            send(stream, &own.prove(&own.scope(channel, &challenge, ProofPurpose::Peer)).macs).await
        }
        PeerVersion::Fourth => {
            let heard = hear_demand(stream, channel, own).await?;
            if demands && heard.verdict.is_err() {
                let denied = std::io::ErrorKind::PermissionDenied;
                return Err(match own.is_witness() {
                    true => std::io::Error::new(denied, UnprovenToWitness),
                    false => std::io::Error::new(denied, Unproven),
                });
            }
            send(stream, &own.prove(&own.scope(channel, &heard.challenge, ProofPurpose::Peer))).await
        }
    }
}

/// The error of a listening side without a valid proof.
#[derive(Debug, thiserror::Error)]
#[error(
    "what answers there shows the node's certificate, and proves no master key of this keyring: use a copy of the \
     keyring that the nodes use; if this is one, somebody else has that node's TLS key"
)]
pub(crate) struct Unproven;

/// The same, at a witness.
#[derive(Debug, thiserror::Error)]
#[error(
    "what answers there shows the node's certificate, and proves no master key that this witness knows of: if the master \
     key was changed and the old one removed while the witness was off, remove the witness and join its machine anew, with \
     a new token; if not, somebody else has that node's TLS key"
)]
struct UnprovenToWitness;

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
        own: &Prover,
        theirs: &Prover,
        version: PeerVersion,
        demands: bool,
    ) -> (Result<(), String>, Option<Result<(), ProofRefusal>>) {
        let (mut near, mut far) = tokio::io::duplex(64 * 1024);
        let channel = PeerChannel { version, ..CHANNEL };
        let dial = async {
            let answered = answer_challenge(&mut near, &channel, own, demands).await;
            drop(near);
            answered.map_err(|error| error.to_string())
        };
        let (dialled, listened) = tokio::join!(dial, request_proof(&mut far, channel, theirs));
        (dialled, listened.ok().map(|mut proof| proof.verdict(theirs)))
    }

    fn holder() -> Prover {
        Prover::holder("moot".parse().unwrap(), Arc::new(Keyring::generate().unwrap()))
    }

    #[tokio::test]
    async fn a_witness_tells_holders_of_a_master_key_and_passes_for_none() {
        let (ring, other) = (holder(), holder());
        let witness = Prover::witness("moot".parse().unwrap(), ring.keyring.verifiers());
        let fourth = PeerVersion::Fourth;
        assert_eq!(meet(&ring, &witness, fourth, false).await, (Ok(()), Some(Ok(()))));
        assert_eq!(meet(&other, &witness, fourth, false).await.1, Some(Err(ProofRefusal::Wrong)));
        assert_eq!(meet(&ring, &witness, fourth, true).await.1, None, "it is known for none before");
        assert_eq!(meet(&witness, &ring, fourth, true).await, (Ok(()), Some(Err(ProofRefusal::Empty))));
        assert!(meet(&witness, &other, fourth, true).await.0.unwrap_err().contains("proves no master key"));
        // Versions before have no signatures.
        assert_eq!(meet(&ring, &witness, PeerVersion::Third, true).await.1, Some(Err(ProofRefusal::Empty)));
        let strange = Prover::witness("moot".parse().unwrap(), Vec::new());
        assert_eq!(meet(&ring, &strange, fourth, false).await.1, Some(Err(ProofRefusal::UnknownKey)));
    }

    #[tokio::test]
    async fn neither_side_of_a_connection_is_trusted_without_a_master_key() {
        let (ring, other) = (holder(), holder());
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
