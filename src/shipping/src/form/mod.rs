//! How an event is written for a receiver: one line of ASCII, whatever names are in it.

mod cef;
mod json;
mod ocsf;
mod weight;

#[cfg(test)]
mod tests;

use keymoot_audit::Event;
pub(crate) use keymoot_audit::ascii;
use serde::{Deserialize, Serialize};

pub(crate) use weight::Weight;

/// The form of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The event as the node's own log has it, with its log and number.
    #[default]
    Json,
    /// The Open Cybersecurity Schema Framework.
    Ocsf,
    /// The Common Event Format of ArcSight.
    Cef,
}

/// An event on its way.
#[derive(Clone, Debug)]
pub(crate) struct Record<'r> {
    /// The log that it is of.
    pub(crate) log: &'r str,
    /// Its number there.
    pub(crate) number: u64,
    /// The bytes in that log.
    pub(crate) line: &'r str,
    /// What they say; none where another version of the program wrote them.
    pub(crate) event: Option<Event>,
    /// Whether it may have been sent before.
    pub(crate) is_resent: bool,
    /// The node's name.
    pub(crate) host: &'r str,
}

impl<'r> Record<'r> {
    pub(crate) fn new(log: &'r str, host: &'r str, number: u64, line: &'r str, is_resent: bool) -> Self {
        Self { log, number, line, event: serde_json::from_str(line).ok(), is_resent, host }
    }

    pub(crate) fn weight(&self) -> Weight {
        self.event.as_ref().map_or(Weight::Medium, Weight::of)
    }

    /// What happened, in the words of the action.
    pub(crate) fn summary(&self) -> &'static str {
        self.event
            .as_ref()
            .map_or("An event that another version of the program wrote.", |event| event.action.summary())
    }
}

impl Form {
    /// The record as one line without its end, of ASCII alone.
    pub(crate) fn write(self, record: &Record<'_>) -> String {
        match self {
            Self::Json => json::write(record),
            Self::Ocsf => ocsf::write(record),
            Self::Cef => cef::write(record),
        }
    }

    /// The media type of lines of it.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json | Self::Ocsf => "application/x-ndjson",
            Self::Cef => "text/plain; charset=us-ascii",
        }
    }
}
