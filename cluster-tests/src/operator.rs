//! An operator's commands: `keymoot`, run to its end.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::{RigError, binary, process};

/// How long a command may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

/// The exit code and the output of a command.
#[derive(Clone, Debug)]
pub struct CommandOutput {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl CommandOutput {
    /// The standard output of a command that succeeded.
    ///
    /// # Errors
    /// When it failed; with its whole output.
    pub fn succeeded(self) -> Result<String, RigError> {
        match self.code {
            Some(0) => Ok(self.out),
            code => Err(RigError::Program(format!("exit code {code:?}\n{}{}", self.out, self.err))),
        }
    }

    /// The output of a command that failed with this exit code.
    ///
    /// # Errors
    /// When it ended otherwise.
    pub fn failed_with(self, code: i32) -> Result<Self, RigError> {
        match self.code {
            Some(found) if found == code => Ok(self),
            found => Err(RigError::Program(format!("exit code {found:?}\n{}{}", self.out, self.err))),
        }
    }
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs `keymoot` with these arguments, without a terminal.
///
/// # Errors
/// When it cannot be started, or has not ended in time; it is then killed.
pub fn keymoot<S: AsRef<OsStr>>(arguments: &[S]) -> Result<CommandOutput, RigError> {
    run(&binary::keymoot()?, arguments)
}

/// The same with another build of the program.
///
/// # Errors
/// As for [`keymoot()`].
pub fn run<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Result<CommandOutput, RigError> {
    run_with(program, arguments, &[])
}

/// The same with environment variables.
///
/// # Errors
/// As for [`keymoot()`].
pub fn run_with<S: AsRef<OsStr>>(
    program: &Path,
    arguments: &[S],
    env: &[(&str, &OsStr)],
) -> Result<CommandOutput, RigError> {
    let dir = tempfile::tempdir().map_err(RigError::io("cannot make a directory"))?;
    let [out, err] = ["out", "err"].map(|name| dir.path().join(name));
    let mut command = Command::new(program);
    command.args(arguments).envs(env.iter().copied()).stdin(Stdio::null());
    command.stdout(create(&out)?).stderr(create(&err)?);
    let mut child = command.spawn().map_err(RigError::io("cannot start keymoot"))?;
    let ended = process::wait_for_exit(&mut child, WITHIN);
    process::end(&mut child, Duration::from_secs(5));
    let status = ended?;
    Ok(CommandOutput { code: status.code(), out: read(&out)?, err: read(&err)? })
}

fn create(path: &Path) -> Result<std::fs::File, RigError> {
    std::fs::File::create(path).map_err(RigError::at("make", path))
}

fn read(path: &Path) -> Result<String, RigError> {
    let bytes = std::fs::read(path).map_err(RigError::at("read", path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
