//! A file on this machine. Others may rotate it: once its name stands for another file, that one is appended to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{Delivery, Fault};

pub(crate) struct AppendedFile {
    path: PathBuf,
    open: Option<File>,
}

impl AppendedFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    /// Opens the file that the name stands for now.
    pub(super) async fn open(&mut self) -> Result<(), Fault> {
        let (path, open) = (self.path.clone(), self.open.take());
        let opened = tokio::task::spawn_blocking(move || match open {
            Some(file) if is_named(&file, &path) => Ok(file),
            _ => opened(&path),
        });
        match opened.await.map_err(io::Error::other).flatten() {
            Ok(file) => self.open = Some(file),
            Err(error) => {
                let reason = format!("cannot open {}: {error}", self.path.display());
                return Err(Fault::NotSent(reason));
            }
        }
        Ok(())
    }

    /// Whether the file can be appended to, or made.
    pub(super) fn look(&self) -> Result<(), Fault> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let looked = match OpenOptions::new().append(true).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::read_dir(directory.unwrap_or(Path::new("."))).map(drop)
            }
            opened => opened.map(drop),
        };
        looked.map_err(|error| Fault::NotSent(format!("cannot open {}: {error}", self.path.display())))
    }

    /// Appends lines durably.
    pub(super) async fn append(&mut self, lines: Vec<u8>) -> Result<Delivery, Fault> {
        let failed =
            |error: io::Error| Fault::Unknown(format!("cannot write {}: {error}", self.path.display()));
        let Some(mut file) = self.open.take() else {
            return Err(Fault::NotSent(format!("{} is not open", self.path.display())));
        };
        let written = tokio::task::spawn_blocking(move || {
            // What an earlier write left of a line is no part of the next one.
            if !ends_a_line(&file)? {
                file.write_all(b"\n")?;
            }
            file.write_all(&lines)?;
            file.sync_data()?;
            Ok(file)
        });
        self.open = Some(written.await.map_err(io::Error::other).flatten().map_err(failed)?);
        Ok(Delivery::Acknowledged)
    }
}

fn opened(path: &Path) -> io::Result<File> {
    // Read, too, to see how the file ends.
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

fn is_named(file: &File, path: &Path) -> bool {
    let of_file = file.metadata().map(|found| (found.dev(), found.ino()));
    let of_name = std::fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((of_file, of_name), (Ok(file), Ok(name)) if file == name)
}

fn ends_a_line(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let mut last = [0];
    match metadata.len() {
        0 => Ok(true),
        // A pipe has no end to look at.
        _ if !metadata.is_file() => Ok(true),
        length => file.read_at(&mut last, length - 1).map(|read| read == 0 || last == *b"\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_go_to_the_file_that_has_the_name_now_and_a_torn_one_stays_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let mut sink = AppendedFile::new(path.clone());
        let mut put = async |lines: &str| {
            sink.open().await.unwrap();
            sink.append(lines.as_bytes().to_vec()).await.unwrap();
        };
        put("one\ntwo\n").await;
        let rotated = dir.path().join("audit.jsonl.1");
        std::fs::rename(&path, &rotated).unwrap();
        put("three\n").await;
        assert_eq!(std::fs::read_to_string(&rotated).unwrap(), "one\ntwo\n");
        std::fs::write(&path, "three\nfo").unwrap();
        put("four\n").await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\nfo\nfour\n");
        // Cut by `copytruncate`.
        std::fs::write(&path, "").unwrap();
        put("five\n").await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "five\n");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_opened_is_named_and_nothing_counts_as_sent() {
        let mut sink = AppendedFile::new("/nowhere/audit.jsonl".into());
        let fault = sink.open().await.unwrap_err();
        assert!(
            matches!(&fault, Fault::NotSent(reason) if reason.contains("/nowhere/audit.jsonl")),
            "{fault}"
        );
    }
}
