//! Auxiliary data: what a client stores beside a content's keys and gets back unchanged.
//!
//! The server does not interpret it. It is bounded where it is parsed, because it travels in answers that
//! must stay short.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The auxiliary data of one content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auxiliary {
    /// Ratings, one per scheme or several.
    pub ratings: Vec<Rating>,
    /// Output protection: the value asked for, by the name of the control.
    pub output_protection: BTreeMap<String, String>,
    /// The Super CAS ID of DVB SimulCrypt: CA system and subsystem.
    pub super_cas_id: Option<u32>,
    /// Protection system specific headers, inserted into the content as they are.
    pub system_headers: Vec<SystemHeader>,
}

impl Auxiliary {
    /// The most bytes of text, names included, that the auxiliary data of a content may have.
    pub const TEXT_BYTES_MAX: usize = 1024;
    pub const RATINGS_MAX: usize = 8;
    pub const CONTROLS_MAX: usize = 16;
    pub const SYSTEM_HEADERS_MAX: usize = 4;

    /// Whether it keeps the limits that a request must keep.
    pub fn is_within_bounds(&self) -> bool {
        let ratings = self.ratings.iter().map(|rating| rating.scheme.len() + rating.value.len());
        let controls = self.output_protection.iter().map(|(name, value)| name.len() + value.len());
        let headers = self.system_headers.iter().map(|header| header.data.len());
        self.ratings.len() <= Self::RATINGS_MAX
            && self.output_protection.len() <= Self::CONTROLS_MAX
            && self.system_headers.len() <= Self::SYSTEM_HEADERS_MAX
            && ratings.chain(controls).chain(headers).sum::<usize>() <= Self::TEXT_BYTES_MAX
    }
}

/// The rating of a content under one scheme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// The rating scheme, such as `urn:mpaa`.
    pub scheme: String,
    /// The rating, such as `PG-13`.
    pub value: String,
}

/// The payload of a `pssh` box that the client made itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemHeader {
    /// The system's UUID, in the order of its text form.
    pub system: [u8; 16],
    /// The payload, without the header of the box.
    pub data: Vec<u8>,
}
