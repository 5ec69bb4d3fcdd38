//! Operation of a node: its disk, damage, keyring and status, and the requests of operators.

mod account_notices;
pub(crate) mod admin;
pub(crate) mod admin_client;
pub(crate) mod audit_watch;
pub(crate) mod complaints;
pub(crate) mod credential_uses;
pub(crate) mod damage;
pub(crate) mod disk_watch;
pub(crate) mod lost_outcomes;
pub(crate) mod monitor;
pub(crate) mod operator_commands;
mod operator_rules;
pub(crate) mod operators;
pub(crate) mod peer_watch;
pub(crate) mod rewrap;
pub(crate) mod spare;
pub(crate) mod status;
pub(crate) mod wrap_count;
