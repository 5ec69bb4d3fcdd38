//! Proof of possession of a master key for those who must hold none: a signature in place of a MAC.
//!
//! The signing key is derived from the master key for this purpose only. What verifies it is public and opens
//! nothing, so a witness can tell who holds a master key and hold none itself. A signature covers the same scope
//! as a [`super::KeyringProof`].

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use keymoot_model::{MasterKeyId, MasterKeyVerifier};

use super::keyring::Keyring;
use super::keyring_file::MasterSecret;
use super::keyring_proof::{MACS_MAX, ProofRefusal, ProofScope};

/// The HKDF info of the seed of the signing key.
const KEY_CONTEXT: &[u8] = b"keymoot/keyring-signing-key/1";

/// The Ed25519 key derived from one master key.
pub(super) type SigningKey = Ed25519KeyPair;

pub(super) fn signing_key(secret: &MasterSecret) -> SigningKey {
    let mut seed = Zeroizing::new([0_u8; 32]);
    let expanded = Hkdf::<Sha256>::new(None, secret.as_slice()).expand(KEY_CONTEXT, seed.as_mut_slice());
    match expanded.ok().and_then(|()| Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).ok()) {
        Some(key) => key,
        // HKDF refuses more than 255 hashes of output, and Ed25519 takes any seed of 32 bytes.
        None => unreachable!("every 32 bytes are a seed"),
    }
}

/// Signatures within a scope. They are not secret, because they prove nothing outside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyringSignature {
    /// For each master key of the signer, the active one first: its id and the signature.
    signatures: Vec<(MasterKeyId, Vec<u8>)>,
}

impl Keyring {
    /// Proves possession of this ring's master keys to one who may hold none.
    pub fn sign(&self, scope: &ProofScope<'_>) -> KeyringSignature {
        let text = scope.encoded();
        let sign =
            |(id, key): (MasterKeyId, std::sync::Arc<SigningKey>)| (id, key.sign(&text).as_ref().to_vec());
        KeyringSignature { signatures: self.signing_keys().into_iter().take(MACS_MAX).map(sign).collect() }
    }

    /// What verifies this ring's signatures: one for each master key, the active one first.
    pub fn verifiers(&self) -> Vec<MasterKeyVerifier> {
        let verifier = |(master_key, key): (MasterKeyId, std::sync::Arc<SigningKey>)| {
            let public_key = key.public_key().as_ref().try_into().ok()?;
            Some(MasterKeyVerifier { master_key, public_key })
        };
        self.signing_keys().into_iter().take(MACS_MAX).filter_map(verifier).collect()
    }
}

impl KeyringSignature {
    /// Whether it was made within `scope` by a holder of a master key that one of these is of.
    ///
    /// # Errors
    /// [`ProofRefusal`] when it is empty, names no key of these, or does not verify.
    pub fn verify(
        &self,
        scope: &ProofScope<'_>,
        verifiers: &[MasterKeyVerifier],
    ) -> Result<(), ProofRefusal> {
        let text = scope.encoded();
        let mut refusal =
            if self.signatures.is_empty() { ProofRefusal::Empty } else { ProofRefusal::UnknownKey };
        for (id, signature) in self.signatures.iter().take(MACS_MAX) {
            for verifier in verifiers.iter().filter(|verifier| verifier.master_key == *id) {
                let public = UnparsedPublicKey::new(&ED25519, &verifier.public_key);
                if public.verify(&text, signature).is_ok() {
                    return Ok(());
                }
                refusal = ProofRefusal::Wrong;
            }
        }
        Err(refusal)
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::{Challenge, PeerChannel, PeerVersion, ProofPurpose};
    use super::*;

    #[test]
    fn the_derivation_does_not_change() {
        let key = signing_key(&Box::new(Zeroizing::new([1; 32])));
        let public = base16ct::lower::encode_string(key.public_key().as_ref());
        assert_eq!(public, "92c0a9a2def99f45f74c167909fcbebba11cd6cd3f6c10a85b3fabe10c445c4c");
    }

    #[test]
    fn a_signature_holds_in_its_own_scope_and_for_its_own_master_key_only() {
        let (ring, other, none) =
            (Keyring::generate().unwrap(), Keyring::generate().unwrap(), Keyring::none());
        let cluster = "moot".parse().unwrap();
        let channel =
            |binding| PeerChannel { version: PeerVersion::Fourth, binding: [binding; 32], peer_key: None };
        let (here, there, challenge) = (channel(1), channel(2), Challenge::draw().unwrap());
        let scope =
            |channel, purpose| ProofScope { cluster: &cluster, channel, challenge: &challenge, purpose };
        let made = scope(&here, ProofPurpose::Peer);
        let (signature, verifiers) = (ring.sign(&made), ring.verifiers());
        assert_eq!(signature.verify(&made, &verifiers), Ok(()));
        for wrong in [scope(&there, ProofPurpose::Peer), scope(&here, ProofPurpose::Member)] {
            assert_eq!(signature.verify(&wrong, &verifiers), Err(ProofRefusal::Wrong), "{wrong:?}");
        }
        assert_eq!(other.sign(&made).verify(&made, &verifiers), Err(ProofRefusal::Wrong), "of the same id");
        assert_eq!(signature.verify(&made, &[]), Err(ProofRefusal::UnknownKey));
        assert_eq!(none.sign(&made).verify(&made, &verifiers), Err(ProofRefusal::Empty));
        assert!(none.prove(&made).is_empty());
    }
}
