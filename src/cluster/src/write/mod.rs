//! The write path: commands are batched, brought to the leader and appended to its log.

pub mod appender;
pub mod batcher;
pub mod clock;
pub mod command_rights;
pub mod disk;
pub mod forwarder;
pub mod proposer;
