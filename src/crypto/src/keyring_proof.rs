//! Proof of possession of a master key of the cluster, without showing the key.
//!
//! The proof is a MAC under a key that is derived from the master key for this purpose only. It covers the
//! verifier's challenge and the binding of the TLS session, so that it proves nothing on another connection.
//! It also covers its purpose, so that no proof of one kind passes as another. During a rotation two holders
//! may have different active keys: a proof has a MAC for each key of the prover's ring, with the key's id,
//! and one that verifies is enough.

use aws_lc_rs::hmac;
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::keyring::Keyring;
use super::keyring_file::MasterSecret;
use keymoot_model::{ClusterName, MasterKeyId};

use super::{PeerChannel, RandomError, binding, random_bytes};

/// The HKDF info of the MAC key.
const KEY_CONTEXT: &[u8] = b"keymoot/keyring-proof-key/1";
/// The most MACs in a proof. A ring has more keys only when old ones are never removed.
pub(super) const MACS_MAX: usize = 16;

/// The MAC key derived from one master key.
pub(super) type ProofKey = hmac::Key;

pub(super) fn proof_key(secret: &MasterSecret) -> ProofKey {
    mac_key(secret, KEY_CONTEXT)
}

/// The MAC key that is derived from a master key for the purpose that `context` names.
pub(super) fn mac_key(secret: &MasterSecret, context: &[u8]) -> hmac::Key {
    let mut key = Zeroizing::new([0_u8; 32]);
    if Hkdf::<Sha256>::new(None, secret.as_slice()).expand(context, key.as_mut_slice()).is_err() {
        // HKDF refuses more than 255 hashes of output; this is one.
        unreachable!("32 bytes are never too many for HKDF");
    }
    hmac::Key::new(hmac::HMAC_SHA256, key.as_slice())
}

/// A random number that the verifier draws for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// Draws a challenge.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system's source fails.
    pub fn draw() -> Result<Self, RandomError> {
        random_bytes().map(Self)
    }
}

/// The purpose of a proof.
#[derive(Clone, Copy, Debug)]
pub enum ProofPurpose<'a> {
    /// The dialling side of a connection between nodes, or from an operator's tool.
    Peer,
    /// A node that asks to join, with its certificate request.
    Join(&'a [u8]),
    /// A node whose certificate ended and that asks for the next one, with its certificate request.
    Renew(&'a [u8]),
    /// The member that is asked to admit a node.
    Member,
}

/// The data that a proof covers.
#[derive(Clone, Copy, Debug)]
pub struct ProofScope<'a> {
    pub cluster: &'a ClusterName,
    /// The connection: protocol version and binding.
    pub channel: &'a PeerChannel,
    pub challenge: &'a Challenge,
    pub purpose: ProofPurpose<'a>,
}

impl ProofScope<'_> {
    pub(super) fn encoded(&self) -> Vec<u8> {
        let (purpose, digest): (&[u8], Vec<u8>) = match self.purpose {
            ProofPurpose::Peer => (b"peer", Vec::new()),
            ProofPurpose::Join(request) => (b"join", Sha256::digest(request).to_vec()),
            ProofPurpose::Renew(request) => (b"renew", Sha256::digest(request).to_vec()),
            ProofPurpose::Member => (b"member", Vec::new()),
        };
        let (cluster, channel) = (self.cluster.as_str().as_bytes(), &self.channel.binding);
        binding::keyring_proof(&[purpose, cluster, channel, &self.challenge.0, &digest])
    }
}

/// A proof. It is not secret, because it proves nothing outside its scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyringProof {
    /// For each master key of the prover, the active one first: its id and the MAC.
    macs: Vec<(MasterKeyId, [u8; 32])>,
}

impl KeyringProof {
    /// Whether it proves nothing: it is of one without a keyring.
    pub const fn is_empty(&self) -> bool {
        self.macs.is_empty()
    }
}

/// Why a proof is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofRefusal {
    /// The peer speaks a version of the protocol that has no proof.
    #[error(
        "a program of an earlier version cannot prove it: use the version of Keymoot that this node runs"
    )]
    Unable,
    /// The proof holds no MAC.
    #[error("no proof was given")]
    Empty,
    /// The proof names no key that the verifier holds.
    #[error(
        "the proof names no master key that this node holds: use a copy of the keyring that the nodes use"
    )]
    UnknownKey,
    /// The proof was made with another key, for another connection, or for another purpose.
    #[error("the proof is wrong: use a copy of the keyring that the nodes use")]
    Wrong,
}

impl Keyring {
    /// Proves possession of this ring's master keys.
    pub fn prove(&self, scope: &ProofScope<'_>) -> KeyringProof {
        let text = scope.encoded();
        let mac = |(id, key): (MasterKeyId, ProofKey)| {
            let tag = hmac::sign(&key, &text);
            Some((id, tag.as_ref().try_into().ok()?))
        };
        KeyringProof { macs: self.proof_keys().into_iter().take(MACS_MAX).filter_map(mac).collect() }
    }

    /// Whether the proof was made within `scope` by a holder of one of this ring's master keys. MACs are
    /// compared in constant time.
    ///
    /// # Errors
    /// [`ProofRefusal`] when the proof is empty, names no key of this ring, or does not verify.
    pub fn verify_proof(&self, scope: &ProofScope<'_>, proof: &KeyringProof) -> Result<(), ProofRefusal> {
        let (text, keys) = (scope.encoded(), self.proof_keys());
        let mut refusal = if proof.macs.is_empty() { ProofRefusal::Empty } else { ProofRefusal::UnknownKey };
        for (id, mac) in proof.macs.iter().take(MACS_MAX) {
            let Some((_, key)) = keys.iter().find(|(own, _)| own == id) else { continue };
            if hmac::verify(key, &text, mac).is_ok() {
                return Ok(());
            }
            refusal = ProofRefusal::Wrong;
        }
        Err(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::super::PeerVersion;
    use super::super::keyring_edit;
    use super::*;

    const CHALLENGE: Challenge = Challenge([7; 32]);

    fn channel(binding: u8) -> PeerChannel {
        PeerChannel { version: PeerVersion::Second, binding: [binding; 32], peer_key: None }
    }

    #[test]
    fn the_derivation_does_not_change() {
        // HKDF-SHA-256 and HMAC-SHA-256 by an independent implementation (Python's hmac and hashlib).
        let key = proof_key(&Box::new(Zeroizing::new([1; 32])));
        let tag = base16ct::lower::encode_string(hmac::sign(&key, b"text").as_ref());
        assert_eq!(tag, "95efcc8c6f619c1d041ce0d47a10e83e29f3c0036a3e4ef699a8037b349c7a2c");
    }

    #[test]
    fn a_proof_holds_in_its_own_scope_only() {
        let (ring, cluster, other) = (Keyring::generate().unwrap(), "moot", "other");
        let (cluster, other) = (cluster.parse().unwrap(), other.parse().unwrap());
        let (here, there, late) = (channel(1), channel(2), Challenge([8; 32]));
        let scope =
            |cluster, channel, challenge, purpose| ProofScope { cluster, channel, challenge, purpose };
        let made = scope(&cluster, &here, &CHALLENGE, ProofPurpose::Join(b"request"));
        let proof = ring.prove(&made);
        assert_eq!(ring.verify_proof(&made, &proof), Ok(()));
        for wrong in [
            scope(&other, &here, &CHALLENGE, ProofPurpose::Join(b"request")),
            scope(&cluster, &there, &CHALLENGE, ProofPurpose::Join(b"request")),
            scope(&cluster, &here, &late, ProofPurpose::Join(b"request")),
            scope(&cluster, &here, &CHALLENGE, ProofPurpose::Join(b"another")),
            scope(&cluster, &here, &CHALLENGE, ProofPurpose::Peer),
            scope(&cluster, &here, &CHALLENGE, ProofPurpose::Member),
        ] {
            assert_eq!(ring.verify_proof(&wrong, &proof), Err(ProofRefusal::Wrong), "{wrong:?}");
        }
    }

    #[test]
    fn one_key_in_common_is_enough_and_none_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyring.toml");
        let old = Keyring::save_new(&path).unwrap();
        keyring_edit::add(&path, None).unwrap();
        keyring_edit::activate(&path, &MasterKeyId("mk2".to_owned())).unwrap();
        let new = Keyring::load(&path).unwrap();
        keyring_edit::remove(&path, &MasterKeyId("mk1".to_owned())).unwrap();
        let newest = Keyring::load(&path).unwrap();

        let (cluster, channel) = ("moot".parse().unwrap(), channel(1));
        let scope = ProofScope {
            cluster: &cluster,
            channel: &channel,
            challenge: &CHALLENGE,
            purpose: ProofPurpose::Peer,
        };
        assert_eq!(old.verify_proof(&scope, &new.prove(&scope)), Ok(()));
        assert_eq!(new.verify_proof(&scope, &old.prove(&scope)), Ok(()));
        assert_eq!(new.verify_proof(&scope, &newest.prove(&scope)), Ok(()));
        assert_eq!(newest.verify_proof(&scope, &old.prove(&scope)), Err(ProofRefusal::UnknownKey));
        let stranger = Keyring::generate().unwrap();
        assert_eq!(old.verify_proof(&scope, &stranger.prove(&scope)), Err(ProofRefusal::Wrong));
        assert_eq!(old.verify_proof(&scope, &KeyringProof::default()), Err(ProofRefusal::Empty));
    }

    #[test]
    fn any_flipped_bit_is_refused() {
        let (ring, cluster, channel) = (Keyring::generate().unwrap(), "moot".parse().unwrap(), channel(1));
        let scope = ProofScope {
            cluster: &cluster,
            channel: &channel,
            challenge: &CHALLENGE,
            purpose: ProofPurpose::Peer,
        };
        let proof = ring.prove(&scope);
        for at in 0..256 {
            let mut bent = proof.clone();
            bent.macs[0].1[at / 8] ^= 1 << (at % 8);
            assert_eq!(ring.verify_proof(&scope, &bent), Err(ProofRefusal::Wrong));
        }
    }
}
