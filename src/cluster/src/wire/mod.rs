//! The messages between nodes and tools, and their encodings: the bottom of the crate.

pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod authority;
pub(crate) mod fitness;
pub(crate) mod frame;
pub(crate) mod greeting;
pub(crate) mod join;
pub(crate) mod membership_change;
pub(crate) mod message;
pub(crate) mod operators;
pub(crate) mod raft_codec;
pub(crate) mod raft_types;
pub(crate) mod report;
pub(crate) mod rewrap;
