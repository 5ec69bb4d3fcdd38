//! Keymoot's tests and measurements with real processes.
//!
//! The tests in `tests/it` check one promise per file. This library is their shared part: a cluster
//! of real processes on loopback, a signing client written from the specification instead of
//! Keymoot's own code, load generators, and tools that inspect what the processes leave behind.
//! Every wait has a deadline, and every process started here is ended here.
#![deny(unreachable_pub)]

pub mod audit;
pub mod authority;
pub mod bench;
pub mod binary;
pub mod capture;
pub mod chart;
pub mod cluster;
pub mod creating;
pub mod crowd;
pub mod curves;
pub mod dev_file;
#[cfg(test)]
mod documents;
pub mod drill;
pub mod elsewhere;
pub mod error;
pub mod faketime;
pub mod frames;
pub mod grown;
pub mod ledger;
pub mod license;
pub mod license_server;
pub mod logs;
pub mod loop_disk;
pub mod media;
pub mod memory;
pub mod metrics;
pub mod nemesis;
pub mod operator;
pub mod player;
pub mod policy;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod purge;
pub mod raw;
pub mod report;
pub mod rogue;
pub mod scrambler;
pub mod sealing;
pub mod search;
pub mod secret_file;
pub mod signed;
pub mod speke;
pub mod stats;
pub mod syslog_server;
pub mod tool;
pub mod wait;
pub mod web;
pub mod widevine;

pub use cluster::{Cluster, Options};
pub use error::RigError;
pub use grown::Grown;
pub use signed::{KeyAnswer, Signer};
