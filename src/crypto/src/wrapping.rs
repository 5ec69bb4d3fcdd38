//! Wrapping of each kind of replicated secret, bound to its place.

use super::keyring::{Keyring, UnwrapError, WrapError};
use super::{ContentKey, DocumentSeed, KidKey, PeriodSeed, SecretBytes, binding};
use keymoot_model::{
    AccountId, KeyPath, KeyRecord, Kid, OperatorName, Period, Scope, SeedRecord, SignInSecret, Wrapped,
};

/// The text that a check value encrypts. Not secret: it only shows whether the keyring opens it.
pub(super) const CHECK_TEXT: &[u8] = b"keymoot check value";

/// The account, name and scope of a signing key.
#[derive(Clone, Copy, Debug)]
pub struct CredentialPlace<'a> {
    pub account: &'a AccountId,
    /// The credential's name within the account.
    pub name: &'a str,
    /// The scope of the credential: a key wrapped for one scope does not open for another.
    pub scope: Scope,
}

impl Keyring {
    /// Wraps a content key, bound to its place, version and key id.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub fn wrap_content_key(
        &self,
        key: &ContentKey,
        place: &KeyPath,
        version: u32,
        kid: &Kid,
    ) -> Result<Wrapped, WrapError> {
        self.wrap(key.expose(), &binding::content_key(place, version, kid))
    }

    /// Opens the content key of a record.
    ///
    /// # Errors
    /// [`UnwrapError`] when the key does not open, also because the record was moved to another place,
    /// version or key id.
    pub fn unwrap_content_key(&self, record: &KeyRecord) -> Result<ContentKey, UnwrapError> {
        let secret = self.unwrap_secret(&record.key, &binding::key_of(record))?;
        ContentKey::from_slice(secret.expose())
            .ok_or_else(|| UnwrapError::WrongLength(record.key.master_key.clone()))
    }

    /// Wraps a key that was supplied for one period, bound to its place, version, key id and period.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub fn wrap_period_key(
        &self,
        key: &ContentKey,
        place: &KeyPath,
        version: u32,
        kid: &Kid,
        period: Period,
    ) -> Result<Wrapped, WrapError> {
        self.wrap(key.expose(), &binding::period_key(place, version, kid, period))
    }

    /// Wraps the seed of a rotating track, bound to its place, version and period length.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub fn wrap_period_seed(
        &self,
        seed: &PeriodSeed,
        place: &KeyPath,
        version: u32,
        length_s: u32,
    ) -> Result<Wrapped, WrapError> {
        self.wrap(seed.expose(), &binding::period_seed(place, version, length_s))
    }

    /// Opens the seed of a rotating track.
    ///
    /// # Errors
    /// [`UnwrapError`] when the seed does not open, also because the record was moved to another place,
    /// version or period length.
    pub fn unwrap_period_seed(&self, record: &SeedRecord) -> Result<PeriodSeed, UnwrapError> {
        let aad = binding::period_seed(&record.place, record.id.version.into(), record.length_s);
        let secret = self.unwrap_secret(&record.seed, &aad)?;
        PeriodSeed::from_slice(secret.expose())
            .ok_or_else(|| UnwrapError::WrongLength(record.seed.master_key.clone()))
    }

    /// Wraps a seed of an account's documents, bound to the account and to its own number.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub fn wrap_document_seed(
        &self,
        seed: &DocumentSeed,
        account: &AccountId,
        id: u64,
    ) -> Result<Wrapped, WrapError> {
        self.wrap(seed.expose(), &binding::document_seed(account, id))
    }

    /// Opens a seed of an account's documents.
    ///
    /// # Errors
    /// [`UnwrapError`] when it does not open, also because it was wrapped for another account or number.
    pub fn unwrap_document_seed(
        &self,
        account: &AccountId,
        id: u64,
        wrapped: &Wrapped,
    ) -> Result<DocumentSeed, UnwrapError> {
        let secret = self.unwrap_secret(wrapped, &binding::document_seed(account, id))?;
        DocumentSeed::from_slice(secret.expose())
            .ok_or_else(|| UnwrapError::WrongLength(wrapped.master_key.clone()))
    }

    /// Draws and wraps the key that encrypts places into key ids.
    ///
    /// # Errors
    /// [`WrapError`] when no randomness could be drawn.
    pub fn new_kid_key(&self) -> Result<Wrapped, WrapError> {
        // A seed and this key are both 32 random bytes, zeroized on drop.
        self.wrap(PeriodSeed::generate()?.expose(), &binding::kid_key())
    }

    /// Opens the key that encrypts places into key ids.
    ///
    /// # Errors
    /// [`UnwrapError`] when this ring does not open it.
    pub fn unwrap_kid_key(&self, wrapped: &Wrapped) -> Result<KidKey, UnwrapError> {
        let secret = self.unwrap_secret(wrapped, &binding::kid_key())?;
        KidKey::from_slice(secret.expose())
            .ok_or_else(|| UnwrapError::WrongLength(wrapped.master_key.clone()))
    }

    /// Wraps an account's signing key, bound to account, credential and scope.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub fn wrap_credential(
        &self,
        key: &SecretBytes,
        place: CredentialPlace<'_>,
    ) -> Result<Wrapped, WrapError> {
        self.wrap(key.expose(), &binding::credential(place.account, place.name, place.scope))
    }

    /// Opens an account's signing key.
    ///
    /// # Errors
    /// [`UnwrapError`] when the key does not open, also because it was wrapped for another account,
    /// credential or scope.
    pub fn unwrap_credential(
        &self,
        wrapped: &Wrapped,
        place: CredentialPlace<'_>,
    ) -> Result<SecretBytes, UnwrapError> {
        self.unwrap_secret(wrapped, &binding::credential(place.account, place.name, place.scope))
    }

    /// Wraps the secret that a cluster's servers prove themselves with.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub fn wrap_server_secret(&self, secret: &[u8; 32]) -> Result<Wrapped, WrapError> {
        self.wrap(secret, &binding::server_secret())
    }

    /// Opens the secret that a cluster's servers prove themselves with.
    ///
    /// # Errors
    /// [`UnwrapError`], with the id of the master key, when this ring does not open it.
    pub fn unwrap_server_secret(&self, wrapped: &Wrapped) -> Result<SecretBytes, UnwrapError> {
        self.unwrap_secret(wrapped, &binding::server_secret())
    }

    /// Wraps the private key of the cluster's certificate authority.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub fn wrap_authority(&self, cluster: &str, key_pem: &SecretBytes) -> Result<Wrapped, WrapError> {
        self.wrap(key_pem.expose(), &binding::authority(cluster))
    }

    /// Opens the private key of the cluster's certificate authority.
    ///
    /// # Errors
    /// [`UnwrapError`] when the key does not open, also because it was wrapped for another cluster.
    pub fn unwrap_authority(&self, cluster: &str, wrapped: &Wrapped) -> Result<SecretBytes, UnwrapError> {
        self.unwrap_secret(wrapped, &binding::authority(cluster))
    }

    /// Wraps what an operator signs in with, bound to the operator and its kind.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub fn wrap_sign_in(
        &self,
        operator: &OperatorName,
        kind: SignInSecret,
        secret: &SecretBytes,
    ) -> Result<Wrapped, WrapError> {
        self.wrap(secret.expose(), &binding::sign_in(operator, kind))
    }

    /// Opens what an operator signs in with.
    ///
    /// # Errors
    /// [`UnwrapError`] when it does not open, also because it was wrapped for another operator or as another kind.
    pub fn unwrap_sign_in(
        &self,
        operator: &OperatorName,
        kind: SignInSecret,
        wrapped: &Wrapped,
    ) -> Result<SecretBytes, UnwrapError> {
        self.unwrap_secret(wrapped, &binding::sign_in(operator, kind))
    }

    /// A value that only this cluster's active master key opens. It is replicated when the cluster is made,
    /// so that a node with another keyring is detected before it serves.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub fn check_value(&self, cluster_id: &str) -> Result<Wrapped, WrapError> {
        self.wrap(CHECK_TEXT, &binding::check_value(cluster_id))
    }

    /// Checks that this ring opens the cluster's check value.
    ///
    /// # Errors
    /// [`UnwrapError`], with the id of the master key that is missing or has another value.
    pub fn verify_check(&self, cluster_id: &str, check: &Wrapped) -> Result<(), UnwrapError> {
        let opened = self.unwrap_secret(check, &binding::check_value(cluster_id))?;
        if opened.expose() == CHECK_TEXT {
            Ok(())
        } else {
            Err(UnwrapError::Refused(check.master_key.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random_kid;
    use keymoot_model::{ContentId, KeyOrigin, MasterKeyId, TrackName};

    fn record(ring: &Keyring, key: &ContentKey) -> KeyRecord {
        let place = KeyPath {
            account: AccountId::new("a").unwrap(),
            content: ContentId::new("c").unwrap(),
            track: TrackName::default_track(),
        };
        let kid = random_kid().unwrap();
        let wrapped = ring.wrap_content_key(key, &place, 1, &kid).unwrap();
        KeyRecord {
            place,
            version: 1,
            kid,
            key: wrapped,
            origin: KeyOrigin::Generated,
            created_at_ms: 0,
            period: None,
        }
    }

    #[test]
    fn a_content_key_opens_only_in_its_own_place() {
        let ring = Keyring::generate().unwrap();
        let key = ContentKey::generate().unwrap();
        let good = record(&ring, &key);
        assert_eq!(ring.unwrap_content_key(&good).unwrap().expose(), key.expose());
        let moved: [fn(&mut KeyRecord); 5] = [
            |r| r.place.account = AccountId::new("b").unwrap(),
            |r| r.place.content = ContentId::new("d").unwrap(),
            |r| r.place.track = TrackName::new("HD").unwrap(),
            |r| r.version = 2,
            |r| r.kid = random_kid().unwrap(),
        ];
        for change in moved {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(matches!(ring.unwrap_content_key(&bad), Err(UnwrapError::Refused(_))), "{bad:?}");
        }
    }

    #[test]
    fn the_ciphertext_does_not_hold_the_key() {
        let ring = Keyring::generate().unwrap();
        let key = ContentKey::generate().unwrap();
        let wrapped = record(&ring, &key).key;
        assert_eq!(wrapped.ciphertext.len(), 32);
        assert!(!wrapped.ciphertext.windows(16).any(|window| window == key.expose()));
    }

    #[test]
    fn a_signing_key_of_one_scope_does_not_open_as_another() {
        let ring = Keyring::generate().unwrap();
        let account = AccountId::new("a").unwrap();
        let place = CredentialPlace { account: &account, name: "k", scope: Scope::License };
        let wrapped = ring.wrap_credential(&SecretBytes::new(b"text".to_vec()), place).unwrap();
        assert_eq!(ring.unwrap_credential(&wrapped, place).unwrap().expose(), b"text");
        for wrong in [
            CredentialPlace { scope: Scope::Encryption, ..place },
            CredentialPlace { name: "l", ..place },
            CredentialPlace { account: &AccountId::new("b").unwrap(), ..place },
        ] {
            assert!(ring.unwrap_credential(&wrapped, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_an_operator_signs_in_with_opens_for_nobody_else_and_as_nothing_else() {
        let ring = Keyring::generate().unwrap();
        let (alice, bob) = (OperatorName::new("alice").unwrap(), OperatorName::new("bob").unwrap());
        let secret = SecretBytes::new(b"hash".to_vec());
        let wrapped = ring.wrap_sign_in(&alice, SignInSecret::Password, &secret).unwrap();
        let opened = ring.unwrap_sign_in(&alice, SignInSecret::Password, &wrapped).unwrap();
        assert_eq!(opened.expose(), b"hash");
        assert!(ring.unwrap_sign_in(&bob, SignInSecret::Password, &wrapped).is_err());
        assert!(ring.unwrap_sign_in(&alice, SignInSecret::Codes, &wrapped).is_err());
        let again = ring.rewrap_sign_in(&alice, SignInSecret::Password, &wrapped).unwrap();
        assert_eq!(ring.unwrap_sign_in(&alice, SignInSecret::Password, &again).unwrap().expose(), b"hash");
    }

    #[test]
    fn a_check_value_tells_another_keyring_and_another_cluster() {
        let (ring, other) = (Keyring::generate().unwrap(), Keyring::generate().unwrap());
        let mut check = ring.check_value("cluster-1").unwrap();
        assert_eq!(ring.verify_check("cluster-1", &check), Ok(()));
        assert!(matches!(other.verify_check("cluster-1", &check), Err(UnwrapError::Refused(_))));
        assert!(matches!(ring.verify_check("cluster-2", &check), Err(UnwrapError::Refused(_))));
        check.master_key = MasterKeyId("mk9".to_owned());
        assert_eq!(
            ring.verify_check("cluster-1", &check),
            Err(UnwrapError::MissingMasterKey(MasterKeyId("mk9".to_owned())))
        );
    }
}
