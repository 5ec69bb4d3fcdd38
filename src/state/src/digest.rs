//! A digest of the whole state, kept as it changes.
//!
//! Each pair of a table hashes to a 128-bit number and the digest is their sum: adding and removing a pair
//! costs one hash, and the order of changes does not matter. Two replicas at the same index have equal
//! digests or have diverged. The digest detects faults; it is no defence against an attacker who can choose
//! records.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::table::Table;

/// The sum over all pairs of all tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest(u128);

impl Digest {
    /// The digest with this number.
    pub const fn from_number(number: u128) -> Self {
        Self(number)
    }

    /// The digest as a number, as nodes report it.
    pub const fn number(self) -> u128 {
        self.0
    }

    pub(super) fn add(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(pair(table, key, value));
    }

    pub(super) fn remove(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(pair(table, key, value));
    }
}

fn pair(table: Table, key: &[u8], value: &[u8]) -> u128 {
    let mut hash = Sha256::new();
    hash.update([table as u8]);
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(value);
    let hash = hash.finalize();
    hash.iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_removal_undoes() {
        let mut one = Digest::default();
        one.add(Table::Kids, b"a", b"1");
        one.add(Table::Kids, b"b", b"2");
        let mut other = Digest::default();
        other.add(Table::Kids, b"b", b"2");
        other.add(Table::Kids, b"c", b"3");
        other.add(Table::Kids, b"a", b"1");
        assert_ne!(one, other);
        other.remove(Table::Kids, b"c", b"3");
        assert_eq!(one, other);
    }

    #[test]
    fn key_and_value_do_not_run_together() {
        assert_ne!(pair(Table::Kids, b"ab", b"c"), pair(Table::Kids, b"a", b"bc"));
        assert_ne!(pair(Table::Kids, b"a", b"b"), pair(Table::Tracks, b"a", b"b"));
    }
}
