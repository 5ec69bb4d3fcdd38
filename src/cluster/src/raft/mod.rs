//! openraft on this project's log, tables and links.

use crate::wire::raft_types::TypeConfig;

pub mod config;
pub mod log_check;
pub mod log_retention;
pub mod log_storage;
pub mod network;
pub mod rebuild;
pub mod snapshot_schedule;
pub mod snapshot_transfer;
pub mod state_machine;
pub mod state_view;
pub mod vote_ledger;

/// The Raft of this program.
pub type Raft = openraft::Raft<TypeConfig, state_machine::StateMachine>;
