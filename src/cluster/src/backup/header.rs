//! The header of a backup file.

use std::io::Read;

use serde::{Deserialize, Serialize};

use keymoot_codec as codec;
use keymoot_codec::{HEADER_BYTES, Kind};
use keymoot_model::{MasterKeyId, NodeId};
use keymoot_state::{Survey, Table};
use keymoot_store::LogPosition;

use super::error::HeaderFault;

/// The first bytes of every backup.
const MAGIC: [u8; 7] = *b"KMBKUP\0";
/// The format without a signature, of earlier versions and of salvaged directories.
const UNSIGNED: u8 = 1;
/// The format with a signature. The id of its master key follows the header.
const SIGNED: u8 = 2;
/// The length of magic and format together.
pub(super) const MAGIC_BYTES: usize = 8;
/// The longest header that is accepted.
const HEADER_BYTES_MAX: usize = 1024 * 1024;

/// Names with their counts.
type Counts = Vec<(String, u64)>;

/// The header of a backup. A further field needs another version of the codec's kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupHeader {
    pub cluster: String,
    /// The fence of the node that made the backup.
    pub fence: u64,
    /// The node that made the backup.
    pub node: NodeId,
    /// The position of the last applied entry.
    pub applied: LogPosition,
    /// When the backup was made: milliseconds since 1970 UTC, by that node's clock.
    pub made_at_ms: u64,
    /// The version of the program that made the backup.
    pub program: String,
    /// The digest of the state, as a text.
    pub digest: String,
    /// The master keys that wrap secrets, with the number of secrets.
    pub master_keys: Counts,
    /// The tables, with the number of their records.
    pub tables: Counts,
    /// The master key that the backup is signed under; `None` when it is not signed.
    #[serde(skip)]
    pub signed_under: Option<MasterKeyId>,
}

impl BackupHeader {
    /// The header's last two fields, from a survey of the state.
    pub(super) fn counts(survey: &Survey) -> (Counts, Counts) {
        let master_keys = survey.secrets().iter().map(|(id, count)| (id.0.clone(), *count)).collect();
        let tables = survey.records().map(|(table, count)| (table.name().to_owned(), count)).collect();
        (master_keys, tables)
    }

    /// The number of records in the backup.
    pub fn record_count(&self) -> u64 {
        self.tables.iter().map(|(_, count)| count).sum()
    }

    /// The number of content keys in the backup: each has a key id.
    pub fn key_count(&self) -> u64 {
        let kids = self.tables.iter().find(|(name, _)| name == Table::Kids.name());
        kids.map_or(0, |(_, count)| *count)
    }

    /// The bytes that precede the snapshot.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, codec::CodecError> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(if self.signed_under.is_some() { SIGNED } else { UNSIGNED });
        bytes.extend(codec::encode(Kind::Backup, self)?);
        if let Some(MasterKeyId(id)) = &self.signed_under {
            // The id of a master key has at most 64 bytes.
            bytes.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
            bytes.extend(id.bytes().take(u8::MAX.into()));
        }
        Ok(bytes)
    }

    /// Reads the bytes that precede the snapshot; returns the header and those bytes.
    ///
    /// # Errors
    /// [`HeaderFault`] when there is no valid header or the file cannot be read.
    pub fn read(from: &mut impl Read) -> Result<(Self, Vec<u8>), HeaderFault> {
        let [magic @ .., format] = array::<MAGIC_BYTES>(from)?;
        if magic != MAGIC {
            return Err(HeaderFault::Magic);
        }
        if !(UNSIGNED..=SIGNED).contains(&format) {
            return Err(HeaderFault::Format { found: format, known: SIGNED });
        }
        let envelope = array::<HEADER_BYTES>(from)?;
        let [_, _, _, _, l0, l1, l2, l3, ..] = envelope;
        let body_bytes = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if body_bytes > HEADER_BYTES_MAX {
            return Err(HeaderFault::TooLong { bytes: body_bytes, bytes_max: HEADER_BYTES_MAX });
        }
        let mut encoded = envelope.to_vec();
        encoded.resize(HEADER_BYTES + body_bytes, 0);
        let (_, body) = encoded.split_at_mut(HEADER_BYTES);
        from.read_exact(body).map_err(HeaderFault::of_reading)?;
        let mut header: Self = codec::decode(Kind::Backup, &encoded)?;
        let mut bytes = [magic.as_slice(), &[format], &encoded].concat();
        if format == SIGNED {
            let [length] = array::<1>(from)?;
            let mut id = vec![0; length.into()];
            from.read_exact(&mut id).map_err(HeaderFault::of_reading)?;
            bytes.push(length);
            bytes.extend(&id);
            header.signed_under =
                Some(MasterKeyId(String::from_utf8(id).map_err(|_| HeaderFault::MasterKey)?));
        }
        Ok((header, bytes))
    }
}

fn array<const N: usize>(from: &mut impl Read) -> Result<[u8; N], HeaderFault> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(HeaderFault::of_reading)?;
    Ok(bytes)
}
