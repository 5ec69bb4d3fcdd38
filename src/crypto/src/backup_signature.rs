//! The signature of a backup: a MAC under a key that is derived from a master key for this purpose only.
//!
//! Whoever restores a backup holds the keyring, for nothing in it opens otherwise; so the keyring is what the
//! signature is checked with. Only holders of the keyring can make one, and whoever has only the backup cannot.

use std::fmt;

use aws_lc_rs::hmac;

use super::binding;
use super::keyring::Keyring;
use super::keyring_file::MasterSecret;
use super::keyring_proof::mac_key;
use keymoot_model::MasterKeyId;

/// The HKDF info of the MAC key.
const KEY_CONTEXT: &[u8] = b"keymoot/backup-signature-key/1";
/// The length of a signature.
pub const SIGNATURE_BYTES: usize = 32;

/// The key for signatures that is derived from one master key.
pub(super) type BackupKey = hmac::Key;

pub(super) fn backup_key(secret: &MasterSecret) -> BackupKey {
    mac_key(secret, KEY_CONTEXT)
}

/// What a signature covers.
#[derive(Clone, Copy, Debug)]
pub struct SignedBackup<'a> {
    /// The bytes before the records: format, header and the id of the master key.
    pub first: &'a [u8],
    /// The length of the records.
    pub bytes: u64,
    /// SHA-256 of the records.
    pub digest: [u8; 32],
}

impl SignedBackup<'_> {
    fn encoded(&self) -> Vec<u8> {
        binding::backup_signature(&[self.first, &self.bytes.to_be_bytes(), &self.digest])
    }
}

/// Signs one backup, with the master key that was active when it was begun.
#[derive(Clone)]
pub struct BackupSigner {
    id: MasterKeyId,
    key: BackupKey,
}

impl fmt::Debug for BackupSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackupSigner({})", self.id)
    }
}

impl BackupSigner {
    /// The master key.
    pub const fn master_key(&self) -> &MasterKeyId {
        &self.id
    }

    /// The signature.
    pub fn sign(&self, backup: &SignedBackup<'_>) -> Vec<u8> {
        hmac::sign(&self.key, &backup.encoded()).as_ref().to_vec()
    }
}

/// Why a signature is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// The keyring does not hold the master key.
    #[error(
        "it is signed under master key `{0}`, which the keyring lacks; use the keyring that was in use when the backup was taken"
    )]
    MissingMasterKey(MasterKeyId),
    /// The backup was altered, or signed under another master key of that id.
    #[error(
        "its signature does not fit master key `{0}` of the keyring: the backup was altered after it was taken, or is of another cluster; use another backup, or the keyring that was in use when this one was taken"
    )]
    Wrong(MasterKeyId),
}

impl Keyring {
    /// A signer with the active key; `None` when the ring has no key.
    pub fn backup_signer(&self) -> Option<BackupSigner> {
        self.active_backup_key().map(|(id, key)| BackupSigner { id, key })
    }

    /// Whether `signature` was made over `backup` under the master key `id`. Compared in constant time.
    ///
    /// # Errors
    /// [`SignatureFault`] when the ring lacks the key, or the signature is not its own.
    pub fn verify_backup(
        &self,
        id: &MasterKeyId,
        backup: &SignedBackup<'_>,
        signature: &[u8],
    ) -> Result<(), SignatureFault> {
        let key = self.backup_key_of(id).ok_or_else(|| SignatureFault::MissingMasterKey(id.clone()))?;
        hmac::verify(&key, &backup.encoded(), signature).map_err(|_| SignatureFault::Wrong(id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    const BACKUP: SignedBackup<'static> = SignedBackup { first: b"first", bytes: 5, digest: [9; 32] };

    #[test]
    fn the_derivation_does_not_change() {
        // HKDF-SHA-256 and HMAC-SHA-256 by an independent implementation (Python's hmac and hashlib).
        let key = backup_key(&Box::new(Zeroizing::new([1; 32])));
        let tag = base16ct::lower::encode_string(hmac::sign(&key, &BACKUP.encoded()).as_ref());
        assert_eq!(tag, "9e1bdf8ad945cc587157fb97f9e23359bcadadc8ebb9cad1692e9a5bc3e89754");
    }

    #[test]
    fn a_signature_holds_for_its_backup_and_its_keyring_only() {
        let ring = Keyring::generate().unwrap();
        let signer = ring.backup_signer().unwrap();
        let (id, signature) = (signer.master_key().clone(), signer.sign(&BACKUP));
        assert_eq!(signature.len(), SIGNATURE_BYTES);
        assert_eq!(ring.verify_backup(&id, &BACKUP, &signature), Ok(()));
        let wrong = Err(SignatureFault::Wrong(id.clone()));
        for other in [
            SignedBackup { first: b"firsT", ..BACKUP },
            SignedBackup { bytes: 6, ..BACKUP },
            SignedBackup { digest: [8; 32], ..BACKUP },
        ] {
            assert_eq!(ring.verify_backup(&id, &other, &signature), wrong);
        }
        assert_eq!(ring.verify_backup(&id, &BACKUP, &signature[..31]), wrong);
        assert_eq!(ring.verify_backup(&id, &BACKUP, b""), wrong);
        assert_eq!(Keyring::generate().unwrap().verify_backup(&id, &BACKUP, &signature), wrong);
        let missing = MasterKeyId("mk9".to_owned());
        let refused = ring.verify_backup(&missing, &BACKUP, &signature);
        assert_eq!(refused, Err(SignatureFault::MissingMasterKey(missing)));
    }

    #[test]
    fn debug_shows_the_id_only() {
        assert_eq!(
            format!("{:?}", Keyring::generate().unwrap().backup_signer().unwrap()),
            "BackupSigner(mk1)"
        );
    }
}
