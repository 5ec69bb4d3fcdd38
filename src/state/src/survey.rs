//! Counts the content of a whole state record by record, from tables or from a file.

use std::collections::BTreeMap;

use keymoot_model::MasterKeyId;

use super::digest::Digest;
use super::layout::META_DIGEST;
use super::secrets::secrets_of;
use super::table::{TABLE_COUNT, Table};
use super::tables::StateError;
use super::transaction::decode;

/// The count of a state's records and secrets, and its recomputed digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    records: [u64; TABLE_COUNT],
    secrets: BTreeMap<MasterKeyId, u64>,
    digest: Digest,
    kept: Digest,
}

impl Survey {
    /// Counts a record. Keys of [`Table::Meta`] that the cluster keeps beside the state are skipped.
    ///
    /// # Errors
    /// When the record does not decode.
    pub fn add(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        if table == Table::Meta && key == META_DIGEST {
            self.kept = decode(table, value)?;
            return Ok(());
        }
        self.digest.add(table, key, value);
        for secret in secrets_of(table, key, value)? {
            *self.secrets.entry(secret.wrapped().master_key.clone()).or_default() += 1;
        }
        if let Some(records) = self.records.get_mut(table as usize) {
            *records += 1;
        }
        Ok(())
    }

    /// The number of records in each table.
    pub fn records(&self) -> impl Iterator<Item = (Table, u64)> {
        Table::ALL.into_iter().zip(self.records)
    }

    /// The number of secrets wrapped under each master key.
    pub fn secrets(&self) -> &BTreeMap<MasterKeyId, u64> {
        &self.secrets
    }

    /// The digest of the counted records.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The digest stored in the state.
    pub fn kept(&self) -> Digest {
        self.kept
    }

    /// Whether the digest stored in the state equals the digest of its records.
    pub fn is_sound(&self) -> bool {
        self.kept == self.digest
    }
}
