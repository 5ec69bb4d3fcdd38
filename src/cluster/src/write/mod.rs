//! The write path: commands are batched, sent to the leader and appended to its log.

pub(crate) mod appender;
pub(crate) mod batcher;
pub(crate) mod clock;
pub(crate) mod command_rights;
pub(crate) mod committed;
pub(crate) mod disk;
pub(crate) mod forwarder;
pub(crate) mod hold;
pub(crate) mod log_index;
pub(crate) mod proposer;
