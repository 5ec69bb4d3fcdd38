//! Signals and ends of processes that the rig started.
//!
//! Only a process whose command line names the rig's own directory is ever signalled by its
//! number, so that a reused number can end nobody else's process.

use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::RigError;

/// Sends a signal to the process `pid`, if it was started on `dir`.
///
/// A process that has ended already is a success.
///
/// # Errors
/// When the process runs but may not be signalled.
pub fn signal(pid: u32, signal: Signal, dir: &Path) -> Result<(), RigError> {
    if !is_ours(pid, dir) {
        return Ok(());
    }
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    match kill_process(raw, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(RigError::io(format!("cannot signal process {pid}"))(errno.into())),
    }
}

/// Whether `pid` runs, with `dir` in its command line. A process that has ended but was not reaped
/// has no command line and counts as ended.
pub fn is_ours(pid: u32, dir: &Path) -> bool {
    let needle = dir.as_os_str().as_encoded_bytes();
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| !needle.is_empty() && line.windows(needle.len()).any(|part| part == needle))
}

/// Waits for `child` to end by itself.
///
/// # Errors
/// [`RigError::Deadline`] when it still runs after `within`; it is left running.
pub fn wait_for_exit(child: &mut Child, within: Duration) -> Result<ExitStatus, RigError> {
    let deadline = Instant::now() + within;
    loop {
        let ended = child.try_wait().map_err(RigError::io("cannot wait for a process"))?;
        if let Some(status) = ended {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            return Err(RigError::Deadline {
                what: format!("process {} to end", child.id()),
                waited: within,
                last: "it still runs".to_owned(),
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends `child`: asks with SIGINT, and after `grace` kills it. Never leaves it running.
pub fn end(child: &mut Child, grace: Duration) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && matches!(child.try_wait(), Ok(None))
    {
        // A failure here only means that the kill below is needed.
        let _ = kill_process(pid, Signal::INT);
    }
    if wait_for_exit(child, grace).is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_started_elsewhere_is_left_alone() {
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        signal(child.id(), Signal::KILL, Path::new("/not/in/its/command/line")).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        end(&mut child, Duration::from_secs(5));
        assert!(child.try_wait().unwrap().is_some());
    }

    #[test]
    fn a_process_that_ignores_the_request_is_forced() {
        let script = "trap '' INT; echo ready; while :; do sleep 0.1; done";
        let mut child = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 6]).unwrap();
        end(&mut child, Duration::from_millis(200));
        assert!(child.try_wait().unwrap().is_some());
    }
}
