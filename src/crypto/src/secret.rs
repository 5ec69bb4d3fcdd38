//! Bytes that must not be copied, printed or written.
//!
//! [`SecretBytes`] has no `Clone`, `Serialize` or `Display` on purpose: code that needs the bytes calls
//! [`SecretBytes::expose`], which a reviewer can search for.

use std::fmt;

use zeroize::Zeroize;

/// A secret of any length, zeroized on drop.
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes ownership of `bytes`. The caller must hold no other copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The plaintext. Do not copy it into anything that is not zeroized.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether these are the bytes, compared in constant time.
    pub fn same_as(&self, bytes: &[u8]) -> bool {
        use subtle::ConstantTimeEq as _;
        self.0.as_slice().ct_eq(bytes).into()
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(redacted)")
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_bytes_are_the_same() {
        let secret = SecretBytes::new(b"hunter2".to_vec());
        assert!(secret.same_as(b"hunter2") && !secret.same_as(b"hunter3") && !secret.same_as(b"hunter"));
    }

    #[test]
    fn debug_shows_neither_the_bytes_nor_their_number() {
        assert_eq!(format!("{:?}", SecretBytes::new(b"hunter2".to_vec())), "SecretBytes(redacted)");
    }
}
