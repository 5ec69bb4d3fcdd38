//! The path of the `keymoot` program under test.
//!
//! `KEYMOOT_BIN` names it; otherwise cargo builds it in the profile of the running test, into the
//! same target directory, so that a test never runs a stale program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::RigError;

/// The path of the `keymoot` program, built if necessary.
///
/// # Errors
/// [`RigError::Program`] when `KEYMOOT_BIN` names no file or the build fails.
pub fn keymoot() -> Result<PathBuf, RigError> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = FOUND.get() {
        return Ok(path.clone());
    }
    let path = match std::env::var_os("KEYMOOT_BIN") {
        Some(path) => named(PathBuf::from(path))?,
        None => built()?,
    };
    Ok(FOUND.get_or_init(|| path).clone())
}

fn named(path: PathBuf) -> Result<PathBuf, RigError> {
    let path = std::path::absolute(&path).map_err(RigError::at("resolve", &path))?;
    if path.is_file() {
        return Ok(path);
    }
    Err(RigError::Program(format!(
        "KEYMOOT_BIN names {}, which is no file: build it, or unset the variable",
        path.display()
    )))
}

fn built() -> Result<PathBuf, RigError> {
    let exe = std::env::current_exe().map_err(RigError::io("cannot find the running program's own path"))?;
    let profile_dir = profile_dir(&exe).ok_or_else(|| {
        RigError::Program(format!(
            "{} is in no cargo target directory: set KEYMOOT_BIN to the keymoot program",
            exe.display()
        ))
    })?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--package", "keymoot", "--bin", "keymoot"]);
    build.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")]);
    if profile_dir.ends_with("release") {
        build.arg("--release");
    }
    if let Some(target_dir) = profile_dir.parent() {
        build.arg("--target-dir").arg(target_dir);
    }
    let status = build.status().map_err(RigError::io("cannot run cargo build"))?;
    if !status.success() {
        return Err(RigError::Program("cargo could not build keymoot; its errors are above".to_owned()));
    }
    Ok(profile_dir.join("keymoot"))
}

/// Cargo's target directory, for files that tests make; the system's directory for temporary files
/// when the running program is not in a target directory.
pub fn target_dir() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    let target = profile_dir(&exe).and_then(|profile| profile.parent().map(Path::to_owned));
    target.unwrap_or_else(std::env::temp_dir)
}

/// The directory `target/<profile>` that holds `exe`, itself or in its `deps`.
fn profile_dir(exe: &Path) -> Option<PathBuf> {
    let dir = exe.parent()?;
    let dir = if dir.ends_with("deps") { dir.parent()? } else { dir };
    (dir.ends_with("debug") || dir.ends_with("release")).then(|| dir.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_programs_find_the_profile_they_were_built_in() {
        let found = |path: &str| profile_dir(Path::new(path));
        assert_eq!(found("/t/debug/deps/failover-1"), Some("/t/debug".into()));
        assert_eq!(found("/t/release/bench"), Some("/t/release".into()));
        assert_eq!(found("/usr/bin/bench"), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = named("/nowhere/keymoot".into()).unwrap_err().to_string();
        assert!(error.contains("/nowhere/keymoot"), "{error}");
    }
}
