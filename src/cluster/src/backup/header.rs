//! What a backup file says about itself, before its records.

use std::io::Read;

use serde::{Deserialize, Serialize};

use keymoot_codec as codec;
use keymoot_codec::{HEADER_BYTES, Kind};
use keymoot_model::NodeId;
use keymoot_state::{Survey, Table};
use keymoot_store::LogPosition;

use super::error::HeaderFault;

/// What every backup begins with.
const MAGIC: [u8; 7] = *b"KMBKUP\0";
/// The format that this build writes and reads.
const FORMAT: u8 = 1;
/// The length of the magic with the format behind it.
pub(super) const MAGIC_BYTES: usize = 8;
/// The longest header that is read.
const HEADER_BYTES_MAX: usize = 1024 * 1024;

/// Names, each with how many there are.
type Counts = Vec<(String, u64)>;

/// What a backup says about itself. Another field is another version of the codec's kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupHeader {
    pub cluster: String,
    /// The fence of the node it was taken from.
    pub fence: u64,
    /// The node it was taken from.
    pub node: NodeId,
    /// The last applied entry.
    pub applied: LogPosition,
    /// When it was taken: milliseconds since 1970 UTC, by that node's clock.
    pub made_at_ms: u64,
    /// The version of the program that made it.
    pub program: String,
    /// The digest of the state.
    pub digest: String,
    /// The master keys that secrets stand under, with the number of secrets.
    pub master_keys: Counts,
    /// The tables, with the number of their records.
    pub tables: Counts,
}

impl BackupHeader {
    /// The header's last two fields, as a survey of the state gives them.
    pub(super) fn counts(survey: &Survey) -> (Counts, Counts) {
        let master_keys = survey.secrets().iter().map(|(id, count)| (id.0.clone(), *count)).collect();
        let tables = survey.records().map(|(table, count)| (table.name().to_owned(), count)).collect();
        (master_keys, tables)
    }

    /// How many records it holds.
    pub fn record_count(&self) -> u64 {
        self.tables.iter().map(|(_, count)| count).sum()
    }

    /// How many content keys it holds: each has a key id.
    pub fn key_count(&self) -> u64 {
        let kids = self.tables.iter().find(|(name, _)| name == Table::Kids.name());
        kids.map_or(0, |(_, count)| *count)
    }

    /// The bytes before the snapshot.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, codec::CodecError> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(FORMAT);
        bytes.extend(codec::encode(Kind::Backup, self)?);
        Ok(bytes)
    }

    /// Reads what stands before the snapshot, and says how long it is.
    ///
    /// # Errors
    /// [`HeaderFault`], or an I/O error in it.
    pub fn read(from: &mut impl Read) -> Result<(Self, u64), HeaderFault> {
        let [magic @ .., format] = array::<MAGIC_BYTES>(from)?;
        if magic != MAGIC {
            return Err(HeaderFault::Magic);
        }
        if format != FORMAT {
            return Err(HeaderFault::Format { found: format, known: FORMAT });
        }
        let envelope = array::<HEADER_BYTES>(from)?;
        let [_, _, _, _, l0, l1, l2, l3, ..] = envelope;
        let body_bytes = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if body_bytes > HEADER_BYTES_MAX {
            return Err(HeaderFault::TooLong { bytes: body_bytes, bytes_max: HEADER_BYTES_MAX });
        }
        let mut bytes = envelope.to_vec();
        bytes.resize(HEADER_BYTES + body_bytes, 0);
        let (_, body) = bytes.split_at_mut(HEADER_BYTES);
        from.read_exact(body).map_err(HeaderFault::of_reading)?;
        let header = codec::decode(Kind::Backup, &bytes)?;
        Ok((header, (MAGIC_BYTES + bytes.len()) as u64))
    }
}

fn array<const N: usize>(from: &mut impl Read) -> Result<[u8; N], HeaderFault> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(HeaderFault::of_reading)?;
    Ok(bytes)
}
