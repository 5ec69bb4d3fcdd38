//! What all requests share: path, query, body and caller are read, proofs gathered and held against the
//! accounts. Nothing here knows a front end.

pub(crate) mod answering;
pub(crate) mod authentication;
pub(crate) mod authority;
pub(crate) mod caller;
pub(crate) mod clock;
pub(crate) mod conditions;
pub(crate) mod custom_data;
pub(crate) mod host;
pub(crate) mod incoming_body;
pub(crate) mod method_label;
pub(crate) mod own_url;
pub mod path;
pub(crate) mod proofs;
pub(crate) mod schemes;
