//! The directory of a development cluster: its files, and the lock on it.
//!
//! The lock is held as long as the cluster runs. Clearing removes only files that this command
//! makes, so that a wrong `--dir` deletes nobody's files.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use keymoot_command::Failure;
use keymoot_model::NodeId;

/// Everything this command makes in its directory, apart from the nodes' directories.
const OWN_FILES: [&str; 10] = [
    "operator.pem",
    "ca.pem",
    "ca-key.pem",
    "api.pem",
    "api-key.pem",
    "keyring.toml",
    "ports.toml",
    "dev.json",
    "encryption.key",
    "license.key",
];

/// An existing directory that this process has locked.
pub(super) struct DevDirectory {
    root: PathBuf,
    _lock: File,
}

impl DevDirectory {
    /// Makes the directory, for its owner only, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| failed("make", path, &e))?;
        let root = path.canonicalize().map_err(|e| failed("use", path, &e))?;
        let lock_path = root.join("dev.lock");
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|e| failed("open", &lock_path, &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&root, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &lock_path, &error)),
        }
        let written = lock.set_len(0).and_then(|()| lock.rewind());
        written
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(|e| failed("write", &lock_path, &e))?;
        Ok(Self { root, _lock: lock })
    }

    /// Deletes the cluster that lives here.
    pub(super) fn clear(&self) -> Result<(), Failure> {
        for name in OWN_FILES {
            ignore_missing(fs::remove_file(self.file(name)), &self.file(name))?;
        }
        for entry in fs::read_dir(&self.root).map_err(|e| failed("read", &self.root, &e))? {
            let path = entry.map_err(|e| failed("read", &self.root, &e))?.path();
            if is_node_directory(&path) {
                ignore_missing(fs::remove_dir_all(&path), &path)?;
            }
        }
        Ok(())
    }

    /// Removes the manifest of an earlier run, so that a script that waits for it does not read an
    /// old one.
    pub(super) fn remove_manifest(&self) -> Result<(), Failure> {
        ignore_missing(fs::remove_file(self.file("dev.json")), &self.file("dev.json"))
    }

    /// The path of one of the directory's own files.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The directory of a node.
    pub(super) fn node(&self, id: NodeId) -> PathBuf {
        self.root.join(format!("node-{id}"))
    }

    /// The directory itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

/// The failure of a file operation.
pub(super) fn failed(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::because(format!("cannot {verb} {}: {error}", path.display()))
}

fn in_use(root: &Path, lock: &mut File) -> Failure {
    let mut pid = String::new();
    let owner = match lock.read_to_string(&mut pid) {
        Ok(_) if !pid.trim().is_empty() => format!(" (process {})", pid.trim()),
        _ => String::new(),
    };
    Failure::because(format!("{} holds a development cluster that runs already{owner}", root.display()))
        .hint("stop it, or choose another directory with --dir and other ports with --base-port")
}

fn is_node_directory(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix("node-").is_some_and(|id| id.parse::<NodeId>().is_ok())
}

fn ignore_missing(result: io::Result<()>, path: &Path) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused_with_the_process_that_uses_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = DevDirectory::open(dir.path()).unwrap();
        let error = DevDirectory::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(held);
        assert!(DevDirectory::open(dir.path()).is_ok());
    }

    #[test]
    fn clearing_leaves_what_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let held = DevDirectory::open(dir.path()).unwrap();
        fs::create_dir(held.node(1)).unwrap();
        for name in ["ca.pem", "thesis.doc", "node-notes"] {
            fs::write(held.file(name), "x").unwrap();
        }
        held.clear().unwrap();
        assert!(!held.node(1).exists() && !held.file("ca.pem").exists());
        assert!(held.file("thesis.doc").exists() && held.file("node-notes").exists());
    }
}
