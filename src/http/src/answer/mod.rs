//! What all answers share: the one error and its forms, JSON and SOAP, signatures, long bodies.
//!
//! An answer of one protocol alone stands with its front end. Nothing here knows a front end.

pub(crate) mod audited;
pub(crate) mod auxiliary;
pub(crate) mod challenges;
pub(crate) mod cors;
pub(crate) mod error;
pub(crate) mod key_answer;
pub(crate) mod license_url;
mod mapping;
pub(crate) mod signed_answer;
pub(crate) mod sliced_body;
pub(crate) mod soap;
pub(crate) mod system_data;
pub(crate) mod wiped_json;

/// The type of bodies whose every line is a JSON object.
pub(crate) const NDJSON: &str = "application/x-ndjson";
