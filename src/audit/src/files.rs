//! Files that survive a power cut, and are their owner's alone from the start.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// What could not be done with a file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", path.display())]
pub struct FileError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    pub(crate) fn new(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { what, path, source }
    }

    /// Whether the file is not there.
    pub(crate) fn is_missing(&self) -> bool {
        self.source.kind() == ErrorKind::NotFound
    }

    /// It and its cause, in one line.
    pub(crate) fn in_words(&self) -> String {
        format!("{self}: {}", self.source)
    }
}

/// Creates a directory and its missing parents.
pub(crate) fn create_directory(path: &Path) -> Result<(), FileError> {
    let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path);
    made.map_err(FileError::new("create", path))?;
    // It may have been made by hand, with the usual looser mode.
    fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))
        .map_err(FileError::new("restrict", path))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Opens a file for reading and writing, and creates it where it is missing.
pub(crate) fn open_file(path: &Path) -> Result<File, FileError> {
    let options =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path);
    options.map_err(FileError::new("open", path))
}

/// Replaces the content of a file. After a crash at any point it holds either its old content or all of `bytes`.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let beside = path.with_extension("new");
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&beside);
    let mut file = opened.map_err(FileError::new("create", &beside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(FileError::new("write", &beside))?;
    fs::rename(&beside, path).map_err(FileError::new("replace", path))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Makes created, renamed and removed names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), FileError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|directory| directory.sync_all()).map_err(FileError::new("sync", path))
}

/// Reads a text file; `None` when there is none.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<Option<String>, FileError> {
    let read = match fs::metadata(path) {
        Ok(found) if found.len() > bytes_max => Err(io::Error::from(ErrorKind::FileTooLarge)),
        Ok(_) => fs::read_to_string(path),
        Err(error) => Err(error),
    };
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(FileError::new("read", path)),
    }
}
