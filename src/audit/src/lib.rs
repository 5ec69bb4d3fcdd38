//! Who got which key, when, from where, by which credential; and what operators and nodes did.
//!
//! An [`Event`] is one answer to that. Each node appends its own to an [`AuditLog`], which numbers them. What
//! lets a key out, or has a change proposed, calls [`AuditLog::append`] and then waits on
//! [`AuditLog::written`]: no key leaves and nothing changes before its event is written, and where it cannot be
//! written, nothing is granted. A change writes two events: its intent before it is proposed, and its outcome
//! with the log index once that is known.

mod action;
mod clock;
mod codec;
mod cosigned;
mod disk;
mod event;
mod files;
pub mod fuzzing;
mod hashes;
mod identity;
mod log;
mod memory;
pub mod note;
pub mod offline;
mod pending;
mod query;
mod segment;
mod settings;
mod trail;
pub mod tree;

pub use action::Action;
pub use codec::{EventError, TooLong, ascii};
pub use cosigned::{Cosigned, CosignedError};
pub use disk::{EndedLog, ended_logs};
pub use event::{Actor, ActorKind, DrmUse, Event, KeyName, Outcome};
pub use files::FileError;
pub use identity::{LogIdentity, Predecessor, Usage, origin, parse_origin};
pub use log::{AuditLog, LogReader, OpenError, ReadError, Unwritable};
pub use note::{
    Checkpoint, CheckpointError, LogKey, NoteSignature, ProofFile, SignedCheckpoint, VerifierKey,
};
pub use pending::Pending;
pub use query::{Found, Page, Query};
pub use segment::SegmentFault;
pub use settings::{AuditSettings, Sync};
pub use trail::{Admitted, Change, Intents, NodeAudit, Settled, Trail, Verdict};
pub use tree::{Hash, ProofError, leaf_hash, verify_consistency, verify_inclusion};
