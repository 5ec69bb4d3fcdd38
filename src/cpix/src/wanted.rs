//! What a document asks for, typed: what a caller needs to know before it makes or looks up keys.

use keymoot_drm::ProtectionScheme;
use keymoot_model::{ContentId, KeyKind, Kid};
use time::{Duration, OffsetDateTime};

use super::xml::Place;
use super::{DrmSystem, Protocol, Recipient, SystemElement, TrackType};

/// The most keys of one document.
pub const KEYS_MAX: usize = 1024;
/// The most `DRMSystem` elements.
pub const SYSTEMS_MAX: usize = 8192;
/// The most periods, and the most rules.
pub const PERIODS_MAX: usize = 4096;

/// All that a document asks for.
#[derive(Debug)]
pub struct Wanted {
    pub protocol: Protocol,
    /// In the document's order; a supplied key stands at the same place.
    pub keys: Vec<WantedKey>,
    pub systems: Vec<WantedSystem>,
    pub periods: Vec<KeyPeriod>,
    pub rules: Vec<UsageRule>,
    /// To whom the keys are encrypted; empty when they are wanted in the clear.
    pub recipients: Vec<Recipient>,
    /// What is unusual about the document, and what becomes of it.
    pub notes: Vec<Note>,
}

/// A key that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedKey {
    pub content: ContentId,
    /// The key id, which the encryptor made.
    pub kid: Kid,
    /// How samples are encrypted. Where the document does not say it, what its systems play.
    pub scheme: ProtectionScheme,
    /// The IV that the document gives. A license that announces an IV must announce this one.
    pub explicit_iv: Option<[u8; 16]>,
    /// What the key is for. Keys of the two kinds must never be the same.
    pub kind: KeyKind,
    /// The systems that are asked about it.
    pub systems: Vec<DrmSystem>,
    /// The tracks that it encrypts, as its rules name them.
    pub track_types: Vec<TrackType>,
    /// The ids of the periods that it holds in; empty for a key that holds throughout.
    pub period_ids: Vec<String>,
    /// Whether the document asks which HDCP is demanded.
    pub asks_hdcp: bool,
}

/// What is asked about a key for one system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSystem {
    pub kid: Kid,
    pub system: DrmSystem,
    /// What the answer gets values for, in the document's order.
    pub elements: Vec<SystemElement>,
}

/// A crypto period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPeriod {
    pub id: String,
    /// Its number, which goes on with 0 after 2^32 - 1.
    pub index: Option<u32>,
    pub span: Option<PeriodSpan>,
}

/// When a period holds: from its start until just before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodSpan {
    /// Of a live stream.
    Instants { start: OffsetDateTime, end: OffsetDateTime },
    /// Of a file, from its beginning.
    Offsets { start: Duration, end: Duration },
}

/// Which tracks a key is for. Filters of one kind are alternatives, those of different kinds hold together; of rules
/// that both match a track, the last wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRule {
    pub kid: Kid,
    pub track_type: Option<TrackType>,
    pub period_ids: Vec<String>,
    pub video: Vec<VideoFilter>,
    pub audio: Vec<AudioFilter>,
    /// Whether there is a filter that this server does not know: then nobody may choose tracks by the rule.
    pub has_unknown_filter: bool,
}

/// Video tracks: pixels from and to, both inclusive, of a picture; frames a second above and up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoFilter {
    pub min_pixels: Option<u64>,
    pub max_pixels: Option<u64>,
    pub hdr: Option<bool>,
    /// Exclusive.
    pub min_fps: Option<u64>,
    /// Inclusive.
    pub max_fps: Option<u64>,
}

/// Audio tracks: numbers of channels, inclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioFilter {
    pub min_channels: Option<u64>,
    pub max_channels: Option<u64>,
}

/// Something that is answered though it is unusual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub place: Place,
    pub text: String,
}
