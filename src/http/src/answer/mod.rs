//! What all answers share: the one error and its forms, JSON and SOAP, signatures, long bodies.
//!
//! An answer of one protocol alone stands with its front end. Nothing here knows a front end.

pub mod auxiliary;
pub mod challenges;
pub mod error;
pub mod key_answer;
pub mod license_url;
mod mapping;
pub mod signed_answer;
pub mod sliced_body;
pub mod soap;
pub mod system_data;
pub mod wiped_json;

/// The type of bodies whose every line is a JSON object.
pub const NDJSON: &str = "application/x-ndjson";
