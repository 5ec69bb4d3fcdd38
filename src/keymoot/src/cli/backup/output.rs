//! Where a backup is written: a file that has its name only once it is complete and on the disk, or
//! standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use keymoot_cluster::backup::BackupFile;
use keymoot_command::Failure;

/// A backup being written. Dropped unfinished, its file is removed.
pub(super) enum Output {
    /// Somebody else's to keep.
    Stdout,
    /// Beside the file that it shall become.
    File { file: File, beside: Beside, path: PathBuf, force: bool },
}

/// The unfinished file.
pub(super) struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // After the rename there is nothing of this name any more.
        let _removed = fs::remove_file(&self.0);
    }
}

impl Output {
    /// Begins; `-` is standard output. A file that exists is refused without `force`.
    pub(super) fn begin(path: &Path, force: bool) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        refuse_existing(path, force)?;
        let name = path.file_name().ok_or_else(|| Failure::because("--output must name a file"))?;
        let beside = path.with_file_name(format!(".{}.{}.part", name.display(), std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let file = file.map_err(|error| failed("make", &beside, &error))?;
        Ok(Self::File { file, beside: Beside(beside), path: path.to_owned(), force })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout => io::stdout()
                .write_all(bytes)
                .map_err(|error| failed("write", Path::new("standard output"), &error)),
            Self::File { file, beside, .. } => {
                file.write_all(bytes).map_err(|error| failed("write", &beside.0, &error))
            }
        }
    }

    /// Puts it on the disk, reads it back and checks it, and only then gives it its name.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Self::File { file, beside, path, force } = self else {
            return io::stdout()
                .flush()
                .map_err(|error| failed("write", Path::new("standard output"), &error));
        };
        file.sync_all().map_err(|error| failed("sync", &beside.0, &error))?;
        BackupFile::open(&beside.0).map_err(Failure::runtime)?;
        refuse_existing(&path, force)?;
        fs::rename(&beside.0, &path).map_err(|error| failed("make", &path, &error))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| failed("sync", parent, &error))
    }
}

fn refuse_existing(path: &Path, force: bool) -> Result<(), Failure> {
    if !force && path.exists() {
        let exists = Failure::because(format!("{} exists", path.display()));
        return Err(exists.hint("give another --output, or --force to replace it"));
    }
    Ok(())
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::because(format!("cannot {verb} {}: {error}", path.display()))
}
