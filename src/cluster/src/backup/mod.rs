//! Backups: the whole applied state of one moment in one file, with every key still wrapped. An operator
//! takes them, or the cluster itself by a schedule.
//!
//! ```text
//! file  = "KMBKUP" 0 format   header   signed-under   snapshot   signature
//! header                      what the file says about itself, in the codec's envelope
//! signed-under                length:u8 and id of the master key of the signature; not in format 1
//! snapshot                    the store's snapshot format, checked from the first byte to the last
//! signature                   a MAC over all of the above; not in format 1
//! ```
//!
//! Invariants: a backup is of one applied position, and of one whose records agree with the digest that
//! the state keeps of itself; a [`BackupFile`] exists only for a file that was verified whole; nothing is
//! restored from one that was not. Format 1 has no signature, and is restored only when somebody says so. Nothing here opens a secret but [`BackupFile::open_secrets`], which
//! counts those that open and keeps none.

mod download;
mod error;
mod file;
mod header;
mod kept;
mod restore;
mod scheduled;
pub(crate) mod source;
#[cfg(test)]
pub(crate) mod tests;
mod turns;
mod writer;

pub use download::BackupDownload;
pub use error::{BackupError, HeaderFault};
pub use file::{BackupFile, OpenedSecrets};
pub use header::BackupHeader;
pub use restore::{Restore, Restored, restore};
pub(crate) use scheduled::ScheduledBackups;
pub(crate) use source::{BackupService, BackupSource};
pub use writer::BackupWriter;
