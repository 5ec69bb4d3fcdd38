//! The keyring: every master key this node holds, and wrapping under them.
//!
//! New secrets are wrapped under the one active key; the other keys of the ring still open what they wrapped
//! earlier. Each wrapping draws a random 96-bit nonce, which is safe for [`WRAPS_MAX`] wrappings under one
//! master key; they are counted, and the cluster keeps the sum. The AES key schedules are computed once, when the ring is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};

use super::backup_signature::{BackupKey, backup_key};
use super::keyring_file::{self, KeyEntry, KeyringFile, KeyringFileError, MasterSecret};
use super::keyring_proof::{ProofKey, proof_key};
use super::keyring_signature::{SigningKey, signing_key};
use super::random::{RandomError, fill, random_bytes};
use super::{SecretBytes, locked_page, secret_file, stack};
use keymoot_model::{MasterKeyId, Wrapped};

/// The most times that one key may wrap under random nonces of 96 bits: NIST SP 800-38D, section 8.3.
pub const WRAPS_MAX: u64 = 1 << 32;

/// The domain of a fingerprint.
const FINGERPRINT: &str = "keymoot/master-key-fingerprint/1";

/// Why a secret was not wrapped.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// No nonce or key could be drawn.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The cipher refused the secret, which is only possible beyond 64 GiB.
    #[error("the secret is too large to wrap")]
    TooLarge,
    /// The ring has no key, as on a witness.
    #[error("this node is a witness and holds no master key, so it wraps nothing")]
    NoMasterKey,
}

/// Why a wrapped secret did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// The keyring does not hold the master key.
    #[error("the keyring holds no master key `{0}`; add it to the keyring file of this node")]
    MissingMasterKey(MasterKeyId),
    /// The tag does not verify: another key of the same id, another place, or damaged bytes.
    #[error(
        "a secret wrapped under master key `{0}` does not open: the keyring holds another key of that id, \
         or the record is damaged or was moved"
    )]
    Refused(MasterKeyId),
    /// The secret opened, but has another length than its kind requires.
    #[error("a secret wrapped under master key `{0}` opens to something of the wrong length")]
    WrongLength(MasterKeyId),
}

/// A master key with its key schedule.
struct MasterKey {
    id: MasterKeyId,
    fingerprint: String,
    cipher: Aes256Gcm,
    proof: ProofKey,
    signing: Arc<SigningKey>,
    backup: BackupKey,
}

impl MasterKey {
    fn new(id: MasterKeyId, secret: &MasterSecret) -> Self {
        let cipher = Aes256Gcm::new((&***secret).into());
        Self {
            id,
            fingerprint: fingerprint(secret),
            cipher,
            proof: proof_key(secret),
            signing: Arc::new(signing_key(secret)),
            backup: backup_key(secret),
        }
    }
}

/// The master keys from one read of the file.
struct Ring {
    /// `None` in a ring without keys.
    active: Option<Arc<MasterKey>>,
    keys: BTreeMap<MasterKeyId, Arc<MasterKey>>,
    /// Why the system let a key lie where it may be swapped out.
    unlocked: Option<io::Error>,
}

impl Ring {
    fn of(file: &KeyringFile) -> Option<Self> {
        let key =
            |entry: &KeyEntry| (entry.id.clone(), Arc::new(MasterKey::new(entry.id.clone(), &entry.secret)));
        let keys: BTreeMap<_, _> = file.keys.iter().map(key).collect();
        Some(Self::locked(Some(keys.get(&file.active)?.clone()), keys))
    }

    fn locked(active: Option<Arc<MasterKey>>, keys: BTreeMap<MasterKeyId, Arc<MasterKey>>) -> Self {
        // Where they are for good: behind their pointers.
        let unlocked = keys.values().find_map(|key| locked_page::lock(&**key).err());
        Self { active, keys, unlocked }
    }

    fn load(path: &Path) -> Result<Self, KeyringFileError> {
        Self::of(&keyring_file::read(path)?)
            .ok_or_else(|| KeyringFileError::NoActiveKey { path: path.to_owned() })
    }
}

/// The master keys of this node, one of them active. They can be reloaded while they are in use.
pub struct Keyring {
    ring: ArcSwap<Ring>,
    /// Keys that it was asked for and did not hold.
    missed: Mutex<BTreeSet<MasterKeyId>>,
    /// How many times each key wrapped since the ring was loaded.
    wraps: Mutex<BTreeMap<MasterKeyId, u64>>,
    file: Option<Watched>,
}

/// The file that a keyring came from, and its stamp when it was last checked.
struct Watched {
    path: PathBuf,
    seen: Mutex<Option<Stamp>>,
}

/// Identifies a version of a file: time of change, inode and length. The time alone is not enough: two
/// changes may fall into one tick of the kernel's clock.
type Stamp = (SystemTime, u64, u64);

impl Keyring {
    /// Reads a keyring file, which only its owner may reach.
    ///
    /// # Errors
    /// [`KeyringFileError`], which names the file and, if a key is at fault, its id.
    pub fn load(path: &Path) -> Result<Self, KeyringFileError> {
        let seen = Mutex::new(stamp(path));
        let ring = ArcSwap::from_pointee(Ring::load(path)?);
        Ok(Self {
            ring,
            missed: Mutex::default(),
            wraps: Mutex::default(),
            file: Some(Watched { path: path.to_owned(), seen }),
        })
    }

    /// Reloads the file if it changed since the last check, and returns whether it did. The new keys must
    /// satisfy `fits`, which receives them as a ring of their own.
    ///
    /// # Errors
    /// [`KeyringFileError`] when the new keys cannot be read or `fits` refuses them. The old keys stay in use
    /// until the file changes again.
    pub fn reload(
        &self,
        fits: impl FnOnce(&Self) -> Result<(), UnwrapError>,
    ) -> Result<bool, KeyringFileError> {
        let Some(Watched { path, seen }) = &self.file else { return Ok(false) };
        let changed = stamp(path);
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == changed {
                return Ok(false);
            }
            *seen = changed;
        }
        let read = Self::in_memory(Ring::load(path)?);
        fits(&read).map_err(|source| KeyringFileError::Unfit { path: path.clone(), source })?;
        self.ring.store(read.ring.load_full());
        Ok(true)
    }

    /// A ring of one new key in memory only. [`Keyring::save_new`] also writes the file.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system's source fails.
    pub fn generate() -> Result<Self, RandomError> {
        let active = Arc::new(MasterKey::new(MasterKeyId("mk1".to_owned()), &generate_secret()?));
        let keys = BTreeMap::from([(active.id.clone(), active.clone())]);
        Ok(Self::in_memory(Ring::locked(Some(active), keys)))
    }

    /// The ring of a witness, which has no key: it wraps, opens and proves nothing.
    pub fn none() -> Self {
        Self::in_memory(Ring::locked(None, BTreeMap::new()))
    }

    /// Whether it has no key.
    pub fn is_empty(&self) -> bool {
        self.ring.load().keys.is_empty()
    }

    fn in_memory(ring: Ring) -> Self {
        Self {
            ring: ArcSwap::from_pointee(ring),
            missed: Mutex::default(),
            wraps: Mutex::default(),
            file: None,
        }
    }

    /// Makes a keyring file with one new key `mk1`, mode 0600, and loads it. An existing file is never
    /// overwritten: it may be the only one that opens a cluster's keys.
    ///
    /// # Errors
    /// [`KeyringFileError`] when a file is there already, or cannot be written or read back.
    pub fn save_new(path: &Path) -> Result<Self, KeyringFileError> {
        let secret = generate_secret().map_err(KeyringFileError::Random)?;
        let text = keyring_file::text_of(&MasterKeyId("mk1".to_owned()), &secret);
        secret_file::create(path, text.as_bytes())?;
        Self::load(path)
    }

    /// The id of the key that wraps new secrets; an empty one where there is no key.
    pub fn active(&self) -> MasterKeyId {
        let ring = self.ring.load();
        ring.active.as_ref().map_or_else(|| MasterKeyId(String::new()), |active| active.id.clone())
    }

    /// The ids of all keys, in order, each with its fingerprint. Nodes that hold the same key have the same
    /// fingerprint, and it reveals nothing about the key.
    pub fn fingerprints(&self) -> BTreeMap<MasterKeyId, String> {
        let ring = self.ring.load();
        ring.keys.iter().map(|(id, key)| (id.clone(), key.fingerprint.clone())).collect()
    }

    /// Whether the system keeps the keys in memory; if not, it may write them to a swap device, and says why.
    ///
    /// # Errors
    /// What the system said when a key was to be locked.
    pub fn is_locked(&self) -> Result<(), String> {
        self.ring.load().unlocked.as_ref().map_or(Ok(()), |error| Err(error.to_string()))
    }

    /// Whether the ring holds the key of that id.
    pub fn contains(&self, id: &MasterKeyId) -> bool {
        self.ring.load().keys.contains_key(id)
    }

    /// The keys that a secret was to be opened with and that the ring still does not hold.
    pub fn missing(&self) -> BTreeSet<MasterKeyId> {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        missed.retain(|id| !self.contains(id));
        missed.clone()
    }

    fn miss(&self, id: &MasterKeyId) -> UnwrapError {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        UnwrapError::MissingMasterKey(id.clone())
    }

    /// The proof key of each master key, the active one first.
    pub(super) fn proof_keys(&self) -> Vec<(MasterKeyId, ProofKey)> {
        self.active_first(|key| (key.id.clone(), key.proof.clone()))
    }

    /// The signing key of each master key, the active one first.
    pub(super) fn signing_keys(&self) -> Vec<(MasterKeyId, Arc<SigningKey>)> {
        self.active_first(|key| (key.id.clone(), key.signing.clone()))
    }

    fn active_first<T>(&self, part: impl Fn(&MasterKey) -> T) -> Vec<T> {
        let ring = self.ring.load();
        let active = ring.active.as_ref();
        let others = ring.keys.values().filter(|key| active.is_none_or(|active| active.id != key.id));
        active.into_iter().chain(others).map(|key| part(key)).collect()
    }

    /// The active key's id, and its key for the signatures of backups.
    pub(super) fn active_backup_key(&self) -> Option<(MasterKeyId, BackupKey)> {
        self.ring.load().active.as_ref().map(|active| (active.id.clone(), active.backup.clone()))
    }

    /// The key for the signatures of backups of the master key with that id.
    pub(super) fn backup_key_of(&self, id: &MasterKeyId) -> Option<BackupKey> {
        self.ring.load().keys.get(id).map(|key| key.backup.clone())
    }

    /// Encrypts `secret` under the active key, bound to `aad`.
    ///
    /// # Errors
    /// [`WrapError::Random`] when no nonce could be drawn, [`WrapError::NoMasterKey`] when there is no key.
    pub fn wrap(&self, secret: &[u8], aad: &[u8]) -> Result<Wrapped, WrapError> {
        let active = self.ring.load().active.clone().ok_or(WrapError::NoMasterKey)?;
        let nonce: [u8; 12] = random_bytes()?;
        self.count_wrap(&active.id);
        let encrypt = || active.cipher.encrypt(&Nonce::from(nonce), Payload { msg: secret, aad });
        let ciphertext = stack::wiped_after(encrypt).map_err(|_| WrapError::TooLarge)?;
        Ok(Wrapped { master_key: active.id.clone(), nonce, ciphertext })
    }

    /// How many times each key wrapped since the ring was loaded, through reloads of its file.
    pub fn wraps(&self) -> BTreeMap<MasterKeyId, u64> {
        self.wraps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count_wrap(&self, id: &MasterKeyId) {
        let mut wraps = self.wraps.lock().unwrap_or_else(PoisonError::into_inner);
        match wraps.get_mut(id) {
            Some(count) => *count = count.saturating_add(1),
            None => drop(wraps.insert(id.clone(), 1)),
        }
    }

    /// Decrypts what was wrapped with the same `aad`.
    ///
    /// # Errors
    /// [`UnwrapError`], with the id of the master key, when the ring lacks that key or the tag does not
    /// verify.
    pub(crate) fn unwrap_secret(&self, wrapped: &Wrapped, aad: &[u8]) -> Result<SecretBytes, UnwrapError> {
        let ring = self.ring.load();
        let key = ring.keys.get(&wrapped.master_key).ok_or_else(|| self.miss(&wrapped.master_key))?;
        let sealed = Payload { msg: &wrapped.ciphertext, aad };
        stack::wiped_after(|| key.cipher.decrypt(&Nonce::from(wrapped.nonce), sealed))
            .map(SecretBytes::new)
            .map_err(|_| UnwrapError::Refused(wrapped.master_key.clone()))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ring = self.ring.load();
        write!(f, "Keyring(active {}, {} keys)", self.active(), ring.keys.len())
    }
}

/// Eight bytes of a hash, from which a random key of 32 bytes cannot be found.
fn fingerprint(secret: &MasterSecret) -> String {
    let hash = Sha256::new().chain_update(FINGERPRINT).chain_update(secret.as_slice()).finalize();
    base16ct::lower::encode_string(hash.first_chunk::<8>().map_or(&[], <[u8; 8]>::as_slice))
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.ino(), file.len()))
}

pub(super) fn generate_secret() -> Result<MasterSecret, RandomError> {
    let mut secret = MasterSecret::default();
    fill(secret.as_mut_slice())?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_ring_opens_what_it_wrapped_after_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyring.toml");
        let ring = Keyring::save_new(&path).unwrap();
        let wrapped = ring.wrap(b"secret", b"place").unwrap();
        let again = Keyring::load(&path).unwrap();
        assert_eq!(again.unwrap_secret(&wrapped, b"place").unwrap().expose(), b"secret");
        assert!(Keyring::save_new(&path).is_err(), "an existing keyring was overwritten");
    }

    #[test]
    fn a_missing_master_key_is_named() {
        let ring = Keyring::generate().unwrap();
        let mut wrapped = ring.wrap(b"secret", b"").unwrap();
        wrapped.master_key = MasterKeyId("mk7".to_owned());
        let error = ring.unwrap_secret(&wrapped, b"").unwrap_err();
        assert_eq!(error, UnwrapError::MissingMasterKey(MasterKeyId("mk7".to_owned())));
        assert!(error.to_string().contains("`mk7`"));
        assert_eq!(ring.missing(), BTreeSet::from([MasterKeyId("mk7".to_owned())]));
    }

    #[test]
    fn another_key_of_the_same_id_is_refused() {
        let (one, two) = (Keyring::generate().unwrap(), Keyring::generate().unwrap());
        let wrapped = one.wrap(b"secret", b"").unwrap();
        assert!(matches!(two.unwrap_secret(&wrapped, b""), Err(UnwrapError::Refused(_))));
    }

    #[test]
    fn wrapping_the_same_secret_twice_gives_different_bytes() {
        let ring = Keyring::generate().unwrap();
        assert_ne!(ring.wrap(b"s", b"").unwrap(), ring.wrap(b"s", b"").unwrap());
    }

    #[test]
    fn a_changed_file_is_read_anew_unless_it_does_not_fit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyring.toml");
        let ring = Keyring::save_new(&path).unwrap();
        let wrapped = ring.wrap(b"secret", b"place").unwrap();
        assert!(!ring.reload(|_| Ok(())).unwrap(), "nothing had changed");
        let opens = |ring: &Keyring| ring.unwrap_secret(&wrapped, b"place").map(drop);
        let unopened = Wrapped { master_key: MasterKeyId("mk2".to_owned()), ..wrapped.clone() };
        assert!(ring.unwrap_secret(&unopened, b"place").is_err() && !ring.missing().is_empty());

        super::super::keyring_edit::add(&path, None).unwrap();
        assert!(ring.reload(opens).unwrap());
        assert!(ring.missing().is_empty(), "it was added meanwhile");
        assert_eq!((ring.active().0.as_str(), ring.fingerprints().len()), ("mk1", 2));
        super::super::keyring_edit::activate(&path, &MasterKeyId("mk2".to_owned())).unwrap();
        assert!(ring.reload(opens).unwrap());
        assert_eq!(ring.wrap(b"s", b"").unwrap().master_key.0, "mk2");
        assert!(opens(&ring).is_ok());

        super::super::keyring_edit::remove(&path, &MasterKeyId("mk1".to_owned())).unwrap();
        assert!(matches!(ring.reload(opens), Err(KeyringFileError::Unfit { .. })));
        assert!(opens(&ring).is_ok(), "an unfit file was used");
    }

    #[test]
    fn a_ring_without_keys_wraps_and_opens_nothing() {
        let (ring, none) = (Keyring::generate().unwrap(), Keyring::none());
        assert!(none.is_empty() && !ring.is_empty());
        assert!(matches!(none.wrap(b"secret", b""), Err(WrapError::NoMasterKey)));
        let wrapped = ring.wrap(b"secret", b"").unwrap();
        assert!(matches!(none.unwrap_secret(&wrapped, b""), Err(UnwrapError::MissingMasterKey(_))));
        assert!(none.fingerprints().is_empty() && none.verifiers().is_empty());
    }

    #[test]
    fn wraps_are_counted_for_each_key_through_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyring.toml");
        let ring = Keyring::save_new(&path).unwrap();
        assert!(ring.wraps().is_empty());
        for _ in 0..3 {
            ring.wrap(b"s", b"").unwrap();
        }
        super::super::keyring_edit::add(&path, None).unwrap();
        super::super::keyring_edit::activate(&path, &MasterKeyId("mk2".to_owned())).unwrap();
        assert!(ring.reload(|_| Ok(())).unwrap());
        ring.wrap(b"s", b"").unwrap();
        let counts: Vec<u64> = ring.wraps().into_values().collect();
        assert_eq!(counts, [3, 1]);
    }

    #[test]
    fn debug_shows_ids_only() {
        let ring = Keyring::generate().unwrap();
        assert_eq!(format!("{ring:?}"), "Keyring(active mk1, 1 keys)");
    }

    proptest! {
        #[test]
        fn any_change_to_bytes_or_place_is_refused(
            secret in prop::collection::vec(any::<u8>(), 0..48),
            aad in prop::collection::vec(any::<u8>(), 0..48),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            let ring = Keyring::generate().unwrap();
            let wrapped = ring.wrap(&secret, &aad).unwrap();
            let opened = ring.unwrap_secret(&wrapped, &aad).unwrap();
            prop_assert_eq!(opened.expose(), secret.as_slice());

            let mut bent = wrapped.clone();
            let at = at.index(bent.ciphertext.len());
            bent.ciphertext[at] ^= flip;
            prop_assert!(ring.unwrap_secret(&bent, &aad).is_err());

            let mut moved = aad.clone();
            moved.push(flip);
            prop_assert!(ring.unwrap_secret(&wrapped, &moved).is_err());
        }
    }
}
