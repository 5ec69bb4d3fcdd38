//! The staging of a tool's output, and the move to its final name.
//!
//! A tool writes beside the final place, under a hidden name that is removed when anything fails.
//! Only the complete result is moved to its name. Another file is replaced only when the caller
//! asked for it; the files of a directory are moved one by one into a directory that has no such
//! files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ScrambleError;
use keymoot_crypto::random_bytes;

/// The place of a result that is not complete yet; removed unless committed.
pub(super) struct Staging {
    place: PathBuf,
    output: PathBuf,
    is_directory: bool,
}

/// Refuses an output that would overwrite something without the caller's consent.
pub(super) fn check(output: &Path, is_directory: bool, replace: bool) -> Result<(), ScrambleError> {
    let exists = || ScrambleError::Exists(output.to_owned());
    match (fs::symlink_metadata(output), is_directory) {
        (Err(_), _) => Ok(()),
        (Ok(found), false) if replace && !found.is_dir() => Ok(()),
        (Ok(found), true) if found.is_dir() => {
            let empty = fs::read_dir(output).map_err(failed(output))?.next().is_none();
            if empty || replace { Ok(()) } else { Err(exists()) }
        }
        _ => Err(exists()),
    }
}

impl Staging {
    pub(super) fn begin(output: &Path, is_directory: bool) -> Result<Self, ScrambleError> {
        let draw = random_bytes().map_err(|error| failed(output)(io::Error::other(error)))?;
        let mut name = std::ffi::OsString::from(".");
        name.push(output.file_name().unwrap_or_default());
        name.push(format!(".keymoot-{:016x}", u64::from_ne_bytes(draw)));
        let place = output.with_file_name(name);
        if is_directory {
            fs::create_dir(&place).map_err(failed(&place))?;
        }
        Ok(Self { place, output: output.to_owned(), is_directory })
    }

    /// The path the tool writes to.
    pub(super) fn path(&self) -> &Path {
        &self.place
    }

    /// Bytes written so far.
    pub(super) fn bytes(&self) -> u64 {
        let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        match self.is_directory {
            false => size(&self.place),
            true => files_in(&self.place).unwrap_or_default().iter().map(|path| size(path)).sum(),
        }
    }

    /// Moves the result to its name, and returns the files that were made.
    pub(super) fn commit(self, replace: bool) -> Result<Vec<PathBuf>, ScrambleError> {
        match self.is_directory {
            false => {
                name(&self.place, &self.output, replace)?;
                Ok(vec![self.output.clone()])
            }
            true => {
                match fs::create_dir(&self.output) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(failed(&self.output)(error));
                    }
                    _ => {}
                }
                let made = files_in(&self.place).map_err(failed(&self.place))?;
                let named = made.iter().map(|path| {
                    let target = self.output.join(path.file_name().unwrap_or_default());
                    name(path, &target, replace).map(|()| target)
                });
                named.collect()
            }
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After a commit nothing is left to remove; after a failure, an error here would hide the
        // first one.
        let _ = match self.is_directory {
            false => fs::remove_file(&self.place),
            true => fs::remove_dir_all(&self.place),
        };
    }
}

/// Moves a file to its name. A hard link never replaces a file, even one that was created
/// meanwhile.
fn name(from: &Path, to: &Path, replace: bool) -> Result<(), ScrambleError> {
    if replace {
        return fs::rename(from, to).map_err(failed(to));
    }
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from).map_err(failed(from)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(ScrambleError::Exists(to.to_owned()))
        }
        Err(error) => Err(failed(to)(error)),
    }
}

fn files_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files =
        fs::read_dir(directory)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ScrambleError + use<> {
    let path = path.to_owned();
    move |source| ScrambleError::Output { path: path.clone(), source }
}
