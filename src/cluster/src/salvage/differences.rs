//! What one backup holds and another one lacks, by name. Two files are read side by side, in the order of
//! their records.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;

use keymoot_state::{RecordName, Table, record_name};

use crate::backup::{BackupError, BackupFile};

/// How a record differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Only the first file has it.
    OnlyHere,
    /// Both have it, with different contents.
    Differs,
}

/// A record of the first file that the second one lacks or has otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub how: How,
    pub name: RecordName,
}

/// The number of records that are different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Those with a name, by kind: only in the first file, and in both with different contents.
    pub named: BTreeMap<&'static str, (u64, u64)>,
    /// Those that follow from others, or that only the cluster's own work needs.
    pub other: u64,
    /// Records that only the second file has.
    pub only_there: u64,
}

impl Comparison {
    /// Whether the first file has nothing with a name that the second one lacks or has otherwise.
    pub fn holds_nothing_else(&self) -> bool {
        self.named.is_empty()
    }
}

type Record = (Table, Bytes, Bytes);

/// Calls `found` with every named record of `here` that `there` lacks or has otherwise.
///
/// # Errors
/// When a file cannot be read again, or a record does not decode.
pub fn compare(
    here: &BackupFile,
    there: &BackupFile,
    mut found: impl FnMut(Difference),
) -> Result<Comparison, BackupError> {
    let (mut left, mut right) = (here.records()?, there.records()?);
    let (mut ours, mut theirs) = (left.next().transpose()?, right.next().transpose()?);
    let mut comparison = Comparison::default();
    while let Some(record) = &ours {
        match order(record, theirs.as_ref()) {
            Ordering::Greater => {
                comparison.only_there += 1;
                theirs = right.next().transpose()?;
                continue;
            }
            Ordering::Equal => {
                if theirs.as_ref().is_some_and(|other| other.2 != record.2) {
                    note(here, record, How::Differs, &mut comparison, &mut found)?;
                }
                theirs = right.next().transpose()?;
            }
            Ordering::Less => note(here, record, How::OnlyHere, &mut comparison, &mut found)?,
        }
        ours = left.next().transpose()?;
    }
    while theirs.is_some() {
        comparison.only_there += 1;
        theirs = right.next().transpose()?;
    }
    Ok(comparison)
}

/// Where a record is before the other file's next one.
fn order(ours: &Record, theirs: Option<&Record>) -> Ordering {
    let Some(theirs) = theirs else { return Ordering::Less };
    (ours.0, &ours.1).cmp(&(theirs.0, &theirs.1))
}

fn note(
    here: &BackupFile,
    (table, key, value): &Record,
    how: How,
    comparison: &mut Comparison,
    found: &mut impl FnMut(Difference),
) -> Result<(), BackupError> {
    let name = record_name(*table, key, value)
        .map_err(|source| BackupError::Record { path: here.path(), source })?;
    match name {
        None => comparison.other += 1,
        Some(name) => {
            let (only_here, differs) = comparison.named.entry(name.kind).or_default();
            match how {
                How::OnlyHere => *only_here += 1,
                How::Differs => *differs += 1,
            }
            found(Difference { how, name });
        }
    }
    Ok(())
}
