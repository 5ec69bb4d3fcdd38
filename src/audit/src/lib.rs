//! Who got which key, when, from where, by which credential; and what operators and nodes did.
//!
//! An [`Event`] is one answer to that. Each node appends its own to an [`AuditLog`], which numbers them. What
//! lets a key out, or has a change proposed, calls [`AuditLog::append`] and then waits on
//! [`AuditLog::written`]: no key leaves and nothing changes before its event is written, and where it cannot be
//! written, nothing is granted. A change writes two events: its intent before it is proposed, and its outcome
//! with the log index once that is known.

mod action;
mod event;
mod log;

pub use action::Action;
pub use event::{Actor, ActorKind, DrmUse, Event, KeyName, Outcome};
pub use log::{AuditLog, Unwritable};
