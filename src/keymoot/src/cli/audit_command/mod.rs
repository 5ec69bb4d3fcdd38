//! `keymoot audit`: what happened to every key, and the proof that nobody has changed the answer.

pub mod args;
mod copy;
mod digest;
mod event_text;
mod export;
mod files;
mod log_check;
mod logs;
mod receivers;
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
            AuditCommand::Receivers(args) => receivers::run(args).await,
            AuditCommand::Digest(args) => digest::run(args).await,
            AuditCommand::Verify(args) => match &args.files {
                Some(dir) if dir.join(copy::KEYS).exists() => copy::verify(dir, &args),
                Some(dir) => files::verify(dir, &args),
                None => verify::run(args).await,
            },
            AuditCommand::Prove(args) => files::prove(&args),
            AuditCommand::Tiles(args) => files::tiles(&args),
            AuditCommand::Export(args) => export::run(args).await,
        }
    })
}
