//! `keymoot serve`.

use super::Failure;
use super::args::ServeArgs;

/// Runs the command.
///
/// # Errors
/// [`Failure`], always: this build has no node.
pub fn run(_args: ServeArgs) -> Result<(), Failure> {
    Err(Failure::because("this build cannot run or reach a node"))
}
