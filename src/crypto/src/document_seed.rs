//! The keys of documents, derived from a seed of their account.
//!
//! HKDF-SHA-256 over the seed; the info binds each key to its kind, account, content, the content's version and the key
//! id. Keys of the two kinds have contexts of their own, so that a clear key says nothing of a protected one under the
//! same key id. A holder of some keys learns nothing about the seed or the other keys.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::seed::{Seed, SeedKind, expand};
use super::{ContentKey, binding, stack};
use keymoot_model::{AccountId, ContentId, KeyKind, Kid};

/// The last six bytes of a replaced key id before it is encrypted. Part of the format; never changes.
const CHECK: [u8; 6] = *b"KMdoc1";

/// Keys of documents are derived from it.
#[derive(Debug)]
pub enum OfDocuments {}

impl SeedKind for OfDocuments {
    const NAME: &'static str = "DocumentSeed";
}

/// A seed of an account's documents.
pub type DocumentSeed = Seed<OfDocuments>;

/// Derives the keys of one version of a content.
pub struct DocumentKeys<'a> {
    hkdf: Hkdf<Sha256>,
    account: &'a AccountId,
    content: &'a ContentId,
    version: u32,
}

impl<'a> DocumentKeys<'a> {
    /// The keys of this version of the content.
    pub fn new(seed: &DocumentSeed, account: &'a AccountId, content: &'a ContentId, version: u32) -> Self {
        Self { hkdf: seed.hkdf(), account, content, version }
    }

    /// The key under this key id. It is the same on every node and never changes.
    pub fn key(&self, kind: KeyKind, kid: &Kid) -> ContentKey {
        let info = binding::document_key(kind, self.account, self.content, self.version, kid);
        stack::wiped_after(|| {
            let mut key = Zeroizing::new([0_u8; 16]);
            expand(&self.hkdf, &info, key.as_mut_slice());
            ContentKey::from_bytes(&key)
        })
    }
}

/// Makes the key ids that stand in place of encryptors' own once a content was rotated, and knows them again: one
/// AES-256 block each, of a digest of the key id that was asked for, the version that it is of, and a check.
pub struct DocumentKids(Aes256);

impl DocumentKids {
    /// Those of a content whose first version is this one, with its seed.
    pub fn new(seed: &DocumentSeed, account: &AccountId, content: &ContentId, first: u32) -> Self {
        let hkdf = seed.hkdf();
        let info = binding::document_kid(account, content, first);
        stack::wiped_after(|| {
            let mut key = Zeroizing::new([0_u8; 32]);
            expand(&hkdf, &info, key.as_mut_slice());
            Self(Aes256::new(&Array::from(*key)))
        })
    }

    /// The key id that stands in place of `kid` in this version of the content.
    pub fn replaced(&self, kid: &Kid, version: u16) -> Kid {
        let digest = Sha256::digest(kid.as_bytes());
        let mut block = [0; 16];
        let bytes = digest.iter().take(8).copied().chain(version.to_be_bytes()).chain(CHECK);
        block.iter_mut().zip(bytes).for_each(|(byte, new)| *byte = new);
        let mut block = Array::from(block);
        self.0.encrypt_block(&mut block);
        Kid::from_bytes(block.into())
    }

    /// The version that made the key id, by [`Self::replaced`]. An encryptor's own passes once in 2^48 times.
    pub fn version_of(&self, kid: &Kid) -> Option<u16> {
        let mut block = Array::from(*kid.as_bytes());
        self.0.decrypt_block(&mut block);
        let version = block.as_slice().strip_suffix(&CHECK)?.last_chunk()?;
        Some(u16::from_be_bytes(*version))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Seed, kind, account, content, version, key id.
    type Place<'a> = (u8, KeyKind, &'a str, &'a str, u32, [u8; 16]);

    const BASE: Place<'static> = (1, KeyKind::Protected, "a", "c", 1, [7; 16]);

    fn with<T>(
        (seed, _, account, content, version, _): Place<'_>,
        f: impl FnOnce(DocumentKeys<'_>) -> T,
    ) -> T {
        let seed = DocumentSeed::from_slice(&[seed; 32]).unwrap();
        let (account, content) = (AccountId::new(account).unwrap(), ContentId::new(content).unwrap());
        f(DocumentKeys::new(&seed, &account, &content, version))
    }

    fn key(place: Place<'_>) -> [u8; 16] {
        with(place, |keys| *keys.key(place.1, &Kid::from_bytes(place.5)).expose())
    }

    fn kids(content: &str) -> DocumentKids {
        let seed = DocumentSeed::from_slice(&[1; 32]).unwrap();
        DocumentKids::new(&seed, &AccountId::new("a").unwrap(), &ContentId::new(content).unwrap(), 1)
    }

    #[test]
    fn the_derivation_does_not_change() {
        // HKDF-SHA-256 and AES by independent implementations: no salt, the info as `binding` encodes it.
        let hex = |place| base16ct::lower::encode_string(&key(place));
        assert_eq!(hex(BASE), "fdbd2c07e862aae42bed6839775e4984");
        assert_eq!(hex((1, KeyKind::Clear, "a", "c", 1, [7; 16])), "48a43b3a396e2440c62b1a68710a5d2c");
        assert_eq!(
            kids("c").replaced(&Kid::from_bytes([7; 16]), 2).to_hex(),
            "7eeeb6e9019f4f8fc13cf0f6d1029488"
        );
    }

    #[test]
    fn everything_that_names_a_key_changes_it() {
        let others: [Place<'_>; 6] = [
            (2, KeyKind::Protected, "a", "c", 1, [7; 16]),
            (1, KeyKind::Clear, "a", "c", 1, [7; 16]),
            (1, KeyKind::Protected, "b", "c", 1, [7; 16]),
            (1, KeyKind::Protected, "a", "d", 1, [7; 16]),
            (1, KeyKind::Protected, "a", "c", 2, [7; 16]),
            (1, KeyKind::Protected, "a", "c", 1, [8; 16]),
        ];
        assert_eq!(key(BASE), key(BASE));
        for (number, other) in others.iter().enumerate() {
            assert_ne!(key(*other), key(BASE), "{other:?}");
            assert!(others[number + 1..].iter().all(|another| key(*another) != key(*other)), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn no_two_key_ids_share_a_key(one: [u8; 16], other: [u8; 16], kind: bool) {
            let kind = if kind { KeyKind::Clear } else { KeyKind::Protected };
            let key = |kid| key((9, kind, "a", "c", 3, kid));
            prop_assert_eq!(key(one) == key(other), one == other);
        }

        #[test]
        fn a_replaced_key_id_is_known_again_and_is_of_its_version(kid: [u8; 16], version: u16) {
            let kid = Kid::from_bytes(kid);
            let made = kids("c").replaced(&kid, version);
            prop_assert_eq!(kids("c").version_of(&made), Some(version));
            prop_assert_eq!(kids("d").version_of(&made), None);
            prop_assert_eq!(kids("c").version_of(&kid), None);
            prop_assert_ne!(kids("c").replaced(&kid, version.wrapping_add(1)), made);
        }
    }

    #[test]
    fn debug_hides_the_seed() {
        assert_eq!(format!("{:?}", DocumentSeed::generate().unwrap()), "DocumentSeed(redacted)");
    }
}
