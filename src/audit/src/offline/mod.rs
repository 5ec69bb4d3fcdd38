//! What can be done with the files of a log alone, also with copies of them and while a node writes it: verify it,
//! prove an event, and lay it out as tiles for programs of others.

mod check;
mod export;
mod finding;
mod prove;
mod stored;
#[cfg(test)]
mod tests;
mod verify;

pub use check::LogCheck;
pub use export::{Exported, export_tiles};
pub use finding::{Finding, Report, SeenBy};
pub use prove::{ProveError, Proved, prove};
pub use verify::{Trust, logs_in, verify};
