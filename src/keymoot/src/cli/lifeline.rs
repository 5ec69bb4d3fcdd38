//! Ends this process with its parent, even when the parent is killed and can tell nobody.

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::Failure;

/// Asks the kernel to kill this process when its parent `pid` ends. Call it first: whatever was
/// started before would outlive the parent for as long.
pub(super) fn tie_to(pid: i32) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Failure::because(format!("cannot be tied to process {pid}: {error}")))?;
    // The parent may have ended before the kernel was asked; then another process is the parent now.
    match getppid().map(Pid::as_raw_pid) {
        Some(parent) if parent == pid => Ok(()),
        _ => Err(Failure::because(format!("process {pid}, which this one belongs to, has ended"))),
    }
}
