//! The state machine whole: commands in, records, answers and digests out.

mod accounts;
pub(crate) mod apply;
mod approvals;
mod audit_logs;
mod backups;
mod bounded_work;
mod bytes;
mod documents;
mod histories;
mod kids;
mod leases;
mod nodes;
mod nodes_bytes;
mod operators;
mod policies;
mod recorded;
mod rewrap;
pub(crate) mod rotation;
mod sessions;
mod sign_in;
mod wraps;
