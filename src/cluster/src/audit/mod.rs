//! The audit logs of all nodes: each node says how far its own has grown, checks those of the others, and cosigns what
//! it has checked.
//!
//! Nobody who owns one node can rewrite or cut that node's past unseen: the others hold what it had said before, in the
//! replicated state and each in a file of its own, and sign nothing that does not follow from it.

mod cosigner;
mod finding;
mod gap;
mod gather;
mod merge;
mod own_log;
mod reader;
mod reads;
mod records;
mod worker;

pub(crate) use finding::AuditReport;
pub(crate) use gather::AuditGathering;
pub(crate) use own_log::OwnLog;
pub(crate) use reader::{AuditReader, ReceiverStates};
pub(crate) use reads::RecentReads;
pub(crate) use records::predecessor;
pub(crate) use worker::AuditWorker;
