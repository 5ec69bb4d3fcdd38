//! `keymoot account`.

use super::Failure;
use super::args::AccountCommand;

/// Runs the command.
///
/// # Errors
/// [`Failure`], always: this build has no node.
pub fn run(_args: AccountCommand) -> Result<(), Failure> {
    Err(Failure::because("this build cannot run or reach a node"))
}
