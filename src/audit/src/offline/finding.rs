//! What verifying a log finds.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::Predecessor;

/// By whom a checkpoint was signed beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenBy {
    /// The cosigner's origin.
    pub name: String,
    /// When, in seconds since 1970 UTC.
    pub time_s: u64,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "finding")]
#[non_exhaustive]
pub enum Finding {
    /// The bytes of an event are not those that were hashed.
    Changed { number: u64 },
    /// Events are not where they were.
    Removed { first: u64, last: u64 },
    /// An event is there that was not.
    Inserted { number: u64 },
    /// An event stands in another's place.
    Moved { number: u64, from: u64 },
    /// Neither events nor a deletion that was noted.
    Missing { first: u64, last: u64 },
    /// A record cannot be read.
    Damaged { number: u64, file: String, offset: u64 },
    /// The events of the beginning are gone, and no event says that the log deleted them.
    DeletedUnsaid { first_kept: u64 },
    /// A checkpoint covers more events than there are.
    CutOff { first: u64, last: u64, seen_by: Vec<SeenBy> },
    /// A checkpoint has another root: some event before it is not what it was.
    OtherRoot { size: u64, after: u64, seen_by: Vec<SeenBy> },
    /// The hashes that are kept do not fit the events.
    Hashes { level: u32, index: u64 },
    /// Hashes are missing that are needed.
    HashesMissing { first: u64, last: u64 },
    /// A signature does not hold.
    Signature { size: u64, why: String },
    /// A file of checkpoints cannot be read.
    Checkpoint { file: String, why: String },
    /// The log's key is not one of those that are believed.
    UnknownKey { origin: String },
    /// An index does not fit its segment.
    Index { first: u64 },
    /// A segment is another log's.
    Foreign { file: String },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { number } => write!(f, "event {number} was changed"),
            Self::Removed { first, last } => write!(f, "{} removed", events(*first, *last)),
            Self::Inserted { number } => write!(f, "event {number} was inserted"),
            Self::Moved { number, from } => {
                write!(f, "event {from} was moved to the place of event {number}")
            }
            Self::Missing { first, last } => write!(f, "{} missing", events(*first, *last)),
            Self::Damaged { number, file, offset } => {
                write!(f, "event {number} is damaged, or stands in another's place: {file}, offset {offset}")
            }
            Self::DeletedUnsaid { first_kept } => {
                let gone = events(0, first_kept.saturating_sub(1));
                write!(f, "{gone} gone, and no event says that the log deleted them")
            }
            Self::CutOff { first, last, seen_by } => {
                write!(
                    f,
                    "the tail was cut off: {} gone, and covered by {}",
                    events(*first, *last),
                    seen(seen_by)
                )
            }
            Self::OtherRoot { size, after, seen_by } => write!(
                f,
                "the log departs from {}, of {size} events: among events {after} to {} some were changed, removed or \
                 moved",
                seen(seen_by),
                size.saturating_sub(1)
            ),
            Self::Hashes { level, index } => {
                write!(f, "hash {index} in hashes/{level} is not that of the events under it")
            }
            Self::HashesMissing { first, last } => {
                write!(f, "the hashes of {} missing in hashes/0", events(*first, *last))
            }
            Self::Signature { size, why } => write!(f, "the checkpoint of {size} events is not sound: {why}"),
            Self::Checkpoint { file, why } => write!(f, "{file} cannot be read: {why}"),
            Self::UnknownKey { origin } => {
                write!(f, "the key of {origin} is not among those that are believed")
            }
            Self::Index { first } => write!(
                f,
                "the index of the segment that begins with event {first} does not fit it, so that searches may miss \
                 events; delete segments/{first:020}.index and restart the node, which makes it anew"
            ),
            Self::Foreign { file } => write!(f, "{file} is damaged at its beginning, or another log's"),
        }
    }
}

fn events(first: u64, last: u64) -> String {
    match first == last {
        true => format!("event {first} is"),
        false => format!("events {first} to {last} are"),
    }
}

fn seen(by: &[SeenBy]) -> String {
    match by {
        [] => "its own checkpoint".to_owned(),
        by => format!(
            "the checkpoint cosigned by {}",
            by.iter().map(|by| by.name.as_str()).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// What verifying a log found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub origin: String,
    /// Events, with those that were deleted.
    pub events: u64,
    pub first_kept: u64,
    /// How many of them the log's newest checkpoint covers.
    pub signed: u64,
    /// How many the newest checkpoint covers that others cosigned, and who. Nobody but them vouches for the log
    /// against whoever has its key.
    pub cosigned: u64,
    pub seen_by: Vec<SeenBy>,
    /// How many checkpoints the log was held to.
    pub checkpoints: usize,
    /// The key was taken from the log's own directory, so nothing tells a log that somebody made up as a whole.
    pub key_is_its_own: bool,
    /// Bytes at the end that are no whole event: the node is writing it, or was killed when it did.
    pub half_written: u64,
    /// The log that this one goes on from.
    pub predecessor: Option<Predecessor>,
    /// Below which number the log says that events of logs which ended beside it were deleted, by their origins.
    #[serde(skip)]
    pub deleted_of_others: BTreeMap<String, u64>,
    /// What is wrong, at most [`Self::FINDINGS_MAX`] of it.
    pub findings: Vec<Finding>,
    /// How much more.
    pub more: u64,
}

impl Report {
    /// How many findings are told.
    pub const FINDINGS_MAX: usize = 100;

    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn find(&mut self, finding: Finding) {
        match self.findings.len() < Self::FINDINGS_MAX {
            true => self.findings.push(finding),
            false => self.more += 1,
        }
    }
}
