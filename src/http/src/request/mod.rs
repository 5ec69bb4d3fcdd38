//! What all requests share: path, query, body and caller are read, proofs gathered and held against the
//! accounts. Nothing here knows a front end.

pub mod authentication;
pub mod caller;
pub mod clock;
pub mod conditions;
pub mod custom_data;
pub mod incoming_body;
pub mod path;
pub mod proofs;
pub mod query;
pub mod schemes;
pub mod track_types;
