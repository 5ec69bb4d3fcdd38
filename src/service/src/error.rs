//! Why a use case did not do what was asked.

use super::account_limits::OverLimit;
use keymoot_cluster::ClusterError;
use keymoot_crypto::UnwrapError;

/// The kinds are mapped to status codes once, at the HTTP edge.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The cluster did not answer, or not in time.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A stored secret cannot be opened on this node.
    #[error("a stored key cannot be opened")]
    Unwrap(#[from] UnwrapError),
    /// A key or its wrapping could not be made.
    #[error("a key cannot be made: {0}")]
    Making(String),
    /// The state could not be read.
    #[error("the state cannot be read")]
    State(#[from] keymoot_state::StateError),
    /// The request contradicts what is stored; the text says how and what to do.
    #[error("{0}")]
    Conflict(String),
    /// Two operators must agree before keys leave.
    #[error(
        "the export of keys takes two operators here, and they did not open that of account {account}: keymoot account \
         open-export {account}"
    )]
    ExportShut { account: keymoot_model::AccountId },
    /// What was asked for cannot be written to the audit, so it is not done.
    #[error(transparent)]
    Unaudited(#[from] keymoot_audit::Unwritable),
    /// The account has no policy of this name.
    #[error("there is no policy {name}; names are exact, capitals included")]
    UnknownPolicy { name: keymoot_model::PolicyName },
    /// The account has had as many new keys as it may.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
    /// Other writers of the same track kept coming first.
    #[error("the key changed {attempts} times while this request tried to change it")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// The state answered a command with something that command cannot have.
    #[error("the state answered out of protocol to {command}")]
    Protocol { command: &'static str },
}
