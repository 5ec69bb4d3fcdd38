//! CPIX documents as SPEKE 1, 2.0 and 2.1 and plain CPIX 2.0 to 2.4 send them: read, checked, filled in.
//!
//! A packager or encryptor sends a document with key ids, systems and rules, and gets the same document back with keys
//! and system data in it. This crate does what is between: pure, no I/O, no clock. It knows neither accounts nor
//! stores, and no web framework; `keymoot-drm` makes the systems' data, `keymoot-crypto` encrypts.
//!
//! How it is used: document in, [`Wanted`], keys, document out.
//!
//! ```text
//! let protocol = Protocol::of_speke_version(header).ok_or_else(Fault::unsupported_speke_version)?;
//! let request = Request::parse(body, protocol, &settings)?;      // refuses all that can be refused
//! for wanted in &request.wanted().keys { … }                      // a SuppliedKey for each, in this order
//! let answer = request.answer(&keys, &settings)?;                 // bytes, wiped when dropped
//! ```
//!
//! The protocol follows from the path and `X-Speke-Version`; plain CPIX has a path of its own. Between the second step and
//! the third the caller says who may have which content. [`WantedKey::kind`] says in which context a key is derived,
//! [`WantedKey::explicit_iv`] which IV its licenses must announce.
//!
//! An HTTP front end sends `application/xml`, the headers that [`Protocol::speke_version`] and
//! [`Protocol::user_agent_header`] name, and of a [`Fault`] its `status` and its `text`, as the body and in a header; its
//! `Display` goes to the log. A GET makes its document by [`Composition`] and goes on as above.
//!
//! Invariants: an answer is well-formed and has the request's elements in the request's order; a key is in the clear only
//! if the document asked for no encryption; no fault, note or `Debug` text shows a key.

mod answer;
mod compose;
mod fault;
mod protocol;
mod read;
mod request;
mod settings;
mod signalling;
mod signals;
mod system;
#[cfg(test)]
mod tests;
mod track_type;
mod wanted;
mod xml;

pub use answer::SuppliedKey;
pub use compose::Composition;
pub use fault::{Fault, FaultKind};
pub use keymoot_model::KeyKind;
pub use protocol::Protocol;
pub use read::{RECIPIENTS_MAX, Recipient};
pub use request::{Request, likely_protocol};
pub use settings::{Aes128Uri, ContractRule, FairPlayUri, Settings, UriError};
pub use signals::{Hdcp, PolicySignals, SystemSignals};
pub use system::{DrmSystem, SystemElement};
pub use track_type::{TrackPreset, TrackType};
pub use wanted::{
    AudioFilter, KEYS_MAX, KeyPeriod, Note, PERIODS_MAX, PeriodSpan, SYSTEMS_MAX, UsageRule, VideoFilter,
    Wanted, WantedKey, WantedSystem,
};
pub use xml::{ATTRIBUTES_MAX, BYTES_MAX, DEPTH_MAX, ELEMENTS_MAX, Place};
