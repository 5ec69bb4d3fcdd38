//! The messages between nodes and tools, and their forms in bytes: the bottom of the crate.

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
