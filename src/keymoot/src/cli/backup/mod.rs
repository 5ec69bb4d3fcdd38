//! `keymoot backup`: take a backup of a running cluster, have the cluster take them by itself, look at one,
//! check it, restore it.

mod args;
mod create;
mod growth;
mod inspect;
pub(super) mod output;
mod progress;
mod restore;
mod schedule;

pub use args::BackupCommand;

use super::Failure;
use super::certificates;
use super::operator::block_on;
use keymoot_cluster::backup::BackupError;

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node or the file cannot be used.
pub fn run(command: BackupCommand) -> Result<(), Failure> {
    match command {
        BackupCommand::Create(args) => block_on(create::run(args)),
        BackupCommand::Inspect(args) => inspect::inspect(&args),
        BackupCommand::Verify(args) => inspect::verify(&args),
        BackupCommand::Restore(args) => restore::run(&args),
        BackupCommand::Schedule(command) => block_on(schedule::run(command)),
    }
}

/// What is wrong with a file or an option is the caller's to mend; the rest is the world's.
fn failure(error: BackupError) -> Failure {
    match error {
        BackupError::Authority(error) => certificates::failure(error),
        BackupError::Open { .. }
        | BackupError::OtherCluster { .. }
        | BackupError::NotEmpty { .. }
        | BackupError::Keyring { .. }
        | BackupError::Signature { .. }
        | BackupError::Unsigned { .. }
        | BackupError::OtherRestore { .. } => Failure::usage(error),
        _ => Failure::runtime(error),
    }
}
