//! What nodes and tools say to each other, and the forms it has in bytes: the bottom of the crate.

pub mod admin;
pub mod fitness;
pub mod frame;
pub mod greeting;
pub mod join;
pub mod membership_change;
pub mod message;
pub mod raft_codec;
pub mod raft_types;
pub mod rewrap;
