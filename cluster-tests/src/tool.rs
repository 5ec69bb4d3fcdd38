//! Programs of the system that the rig runs to their end; every failure carries their output.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::RigError;

/// Where `scripts/real-clients` installs Python's packages.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/real-clients/python");

/// Runs a program and returns its output.
///
/// # Errors
/// [`RigError::Program`] with its messages when it is missing or fails.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, RigError> {
    run_with_input(program, arguments, "")
}

/// The same with `input` on its standard input.
///
/// # Errors
/// As for [`run`].
pub fn run_with_input(program: &str, arguments: &[&str], input: &str) -> Result<String, RigError> {
    let failed =
        |why: &str| RigError::Program(format!("{program} {} failed: {}", arguments.join(" "), why.trim()));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends before it has read everything reports the reason itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(&error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(&String::from_utf8_lossy(&output.stderr)))
}

/// Runs a script of Python with the packages that `scripts/real-clients` installs.
///
/// # Errors
/// As for [`run`]; when the packages are missing.
pub fn python(arguments: &[&str]) -> Result<String, RigError> {
    if !Path::new(PYTHON).is_dir() {
        return Err(RigError::Program(format!("there is no {PYTHON}: run scripts/real-clients")));
    }
    let path = format!("PYTHONPATH={PYTHON}");
    let python = [path.as_str(), "python3", "-B"];
    run("env", &[&python[..], arguments].concat())
}

/// Runs a program in a network namespace.
///
/// # Errors
/// As for [`run`].
pub fn run_inside(namespace: &str, program: &str, arguments: &[&str]) -> Result<String, RigError> {
    run_inside_with_input(namespace, program, arguments, "")
}

/// The same with `input` on its standard input.
///
/// # Errors
/// As for [`run`].
pub fn run_inside_with_input(
    namespace: &str,
    program: &str,
    arguments: &[&str],
    input: &str,
) -> Result<String, RigError> {
    let enter = enter(namespace);
    let whole: Vec<&str> = [enter.as_str(), program].into_iter().chain(arguments.iter().copied()).collect();
    run_with_input("nsenter", &whole, input)
}

/// The arguments of `nsenter` for a network namespace. Unlike `ip netns exec` it leaves the mounts
/// alone: a process with mounts of its own would keep another node's disk mounted.
pub fn enter(namespace: &str) -> String {
    format!("--net=/run/netns/{namespace}")
}
