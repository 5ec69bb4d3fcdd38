//! `keymoot cluster`.

use super::Failure;
use super::args::ClusterCommand;

/// Runs the command.
///
/// # Errors
/// [`Failure`], always: this build has no node.
pub fn run(_args: ClusterCommand) -> Result<(), Failure> {
    Err(Failure::because("this build cannot run or reach a node"))
}
