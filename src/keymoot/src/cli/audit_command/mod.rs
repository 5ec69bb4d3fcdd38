//! `keymoot audit`: what happened to every key, and the proof that nobody has changed the answer.

pub mod args;
mod event_text;
mod export;
mod log_check;
mod logs;
mod search;
mod verify;

use super::Failure;
use super::operator::block_on;
use args::AuditCommand;

/// Runs the command.
///
/// # Errors
/// [`Failure`] when a node cannot be reached or refuses, or when a log is not what it was.
pub fn run(command: AuditCommand) -> Result<(), Failure> {
    block_on(async {
        match command {
            AuditCommand::Search(args) => search::search(args).await,
            AuditCommand::Tail(args) => search::tail(args).await,
            AuditCommand::Logs(args) => logs::run(args).await,
            AuditCommand::Verify(args) => verify::run(args).await,
            AuditCommand::Export(args) => export::run(args).await,
        }
    })
}
