//! Seeds: secrets that keys are derived from by HKDF-SHA-256.

use std::fmt;
use std::marker::PhantomData;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize as _;

use super::random::{RandomError, fill};

/// What is derived from a seed. Seeds of different kinds are different types.
pub trait SeedKind {
    /// The type's name in debug texts, which show no secret.
    const NAME: &'static str;
}

/// A seed, zeroized on drop. On the heap, so that moving leaves no copy behind.
pub struct Seed<K>(Box<[u8; 32]>, PhantomData<K>);

impl<K> Seed<K> {
    fn empty() -> Self {
        Self(Box::new([0; 32]), PhantomData)
    }

    /// Draws a seed from the operating system's randomness.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system's source fails; there is no fallback.
    pub fn generate() -> Result<Self, RandomError> {
        let mut seed = Self::empty();
        fill(seed.0.as_mut_slice())?;
        Ok(seed)
    }

    /// Copies exactly 32 bytes; the caller zeroizes its own copy.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut seed = Self::empty();
        if bytes.len() != seed.0.len() {
            return None;
        }
        seed.0.copy_from_slice(bytes);
        Some(seed)
    }

    /// The seed itself, to be wrapped.
    pub(super) fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// What keys are expanded from.
    pub(super) fn hkdf(&self) -> Hkdf<Sha256> {
        Hkdf::new(None, self.expose())
    }
}

impl<K: SeedKind> fmt::Debug for Seed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(redacted)", K::NAME)
    }
}

impl<K> Drop for Seed<K> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Derives at most 32 bytes, bound to `info`.
pub(super) fn expand(hkdf: &Hkdf<Sha256>, info: &[u8], into: &mut [u8]) {
    if hkdf.expand(info, into).is_err() {
        // HKDF refuses more than 255 hashes of output; this is one at most.
        unreachable!("thirty-two bytes are never too many for HKDF");
    }
}
