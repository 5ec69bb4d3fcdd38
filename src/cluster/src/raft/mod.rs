//! openraft on the project's own log, tables and links.

use crate::wire::raft_types::TypeConfig;

pub(crate) mod config;
pub(crate) mod log_check;
pub(crate) mod log_retention;
pub(crate) mod log_storage;
pub(crate) mod network;
pub(crate) mod rebuild;
pub(crate) mod snapshot_schedule;
pub(crate) mod snapshot_transfer;
pub(crate) mod state_machine;
pub(crate) mod state_view;

/// The Raft of this program.
pub(crate) type Raft = openraft::Raft<TypeConfig, state_machine::StateMachine>;
