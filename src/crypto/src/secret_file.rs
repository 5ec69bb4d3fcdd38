//! Files that hold a secret: the keyring, TLS private keys, signing keys.
//!
//! Such a file is read only when its owner alone can access it. The mode is taken from the opened file, so a
//! symbolic link cannot hide it. Files made here have mode 0600 from the start and appear whole or not at
//! all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use zeroize::Zeroize as _;

use super::SecretBytes;
use super::random::{RandomError, random_bytes};

/// The most bytes a secret file may hold; a larger one is another file, named by mistake.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a secret file was not read or made.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file could not be opened or read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Users other than the owner can access the file.
    #[error("{} has mode {mode:04o}: others than its owner can reach it; run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        path: PathBuf,
        /// The permission bits of the file.
        mode: u32,
    },
    /// A directory, socket or device.
    #[error("{} is not a regular file", path.display())]
    NotAFile { path: PathBuf },
    /// Too large for a secret file.
    #[error("{} is larger than {FILE_BYTES_MAX} bytes: it is no key file", path.display())]
    TooLarge { path: PathBuf },
    /// No secret in the file.
    #[error("{} is empty", path.display())]
    Empty { path: PathBuf },
    /// There is a file of that name already, and it may be the only copy of a secret.
    #[error("{} exists already and is not overwritten; move it away first", path.display())]
    Exists { path: PathBuf },
    /// The file could not be written.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// No randomness for the temporary file's name.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Reads a whole secret file.
///
/// # Errors
/// [`SecretFileError`] when the file is missing, too large, or reachable by group or others.
pub fn read(path: &Path) -> Result<SecretBytes, SecretFileError> {
    let failed = |source| SecretFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SecretFileError::NotAFile { path: path.to_owned() });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretFileError::Exposed { path: path.to_owned(), mode });
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(SecretFileError::TooLarge { path: path.to_owned() });
    }
    // Capacity for the whole file: a buffer that grows leaves copies behind.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).saturating_add(1));
    match file.take(FILE_BYTES_MAX).read_to_end(&mut bytes) {
        Ok(_) => Ok(SecretBytes::new(bytes)),
        Err(source) => {
            bytes.zeroize();
            Err(failed(source))
        }
    }
}

/// Reads a signing key: the text of the file without one line end at its end, which editors add.
///
/// # Errors
/// As for [`read`], and [`SecretFileError::Empty`] when nothing is left.
pub fn read_signing_key(path: &Path) -> Result<SecretBytes, SecretFileError> {
    let text = read(path)?;
    let bytes = text.expose();
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.is_empty() {
        return Err(SecretFileError::Empty { path: path.to_owned() });
    }
    Ok(SecretBytes::new(bytes.to_vec()))
}

/// Makes a secret file, mode 0600, complete and on disk when this returns.
///
/// # Errors
/// [`SecretFileError::Exists`] when there is a file of that name; it is left as it was.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), SecretFileError> {
    create_with_mode(path, bytes, 0o600)
}

/// Replaces the content of a secret file and keeps its owner. After a crash at any point the file holds
/// either its old content or all of `bytes`.
///
/// # Errors
/// [`SecretFileError`] when the file cannot be replaced; it is then unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), SecretFileError> {
    replace_with_mode(path, bytes, |_| 0o600)
}

/// The same for a file that is not secret, whose mode stays too.
///
/// # Errors
/// As for [`replace`].
pub fn replace_public(path: &Path, bytes: &[u8]) -> Result<(), SecretFileError> {
    replace_with_mode(path, bytes, |old| old.permissions().mode() & 0o7777)
}

fn replace_with_mode(
    path: &Path,
    bytes: &[u8],
    mode: impl FnOnce(&fs::Metadata) -> u32,
) -> Result<(), SecretFileError> {
    let failed = |source| SecretFileError::Write { path: path.to_owned(), source };
    // Replaces the file itself, not a link to it.
    let path = &path.canonicalize().map_err(failed)?;
    let owner = fs::metadata(path).map_err(failed)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let temporary = directory.join(format!(".keymoot-{:016x}", u64::from_ne_bytes(random_bytes()?)));
    let mode = mode(&owner);
    let replaced = write_synced(&temporary, bytes, mode)
        // The process may mask modes of new files.
        .and_then(|()| fs::set_permissions(&temporary, fs::Permissions::from_mode(mode)))
        .and_then(|()| chown(&temporary, Some(owner.uid()), Some(owner.gid())))
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = replaced {
        // Removal is best effort.
        let _removed = fs::remove_file(&temporary);
        return Err(failed(error));
    }
    File::open(directory).and_then(|handle| handle.sync_all()).map_err(failed)
}

/// Makes a file that belongs to a secret one but is not secret itself, such as a certificate.
pub fn create_public(path: &Path, bytes: &[u8]) -> Result<(), SecretFileError> {
    create_with_mode(path, bytes, 0o644)
}

fn create_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), SecretFileError> {
    let failed = |source| SecretFileError::Write { path: path.to_owned(), source };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary = directory.join(format!(".keymoot-{:016x}", u64::from_ne_bytes(random_bytes()?)));
    let linked = write_synced(&temporary, bytes, mode).and_then(|()| fs::hard_link(&temporary, path));
    // The temporary name is removed either way; after a failure removal is best effort.
    let removed = fs::remove_file(&temporary);
    match linked {
        Ok(()) => removed.map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(SecretFileError::Exists { path: path.to_owned() });
        }
        Err(error) => return Err(failed(error)),
    }
    File::open(directory).and_then(|handle| handle.sync_all()).map_err(failed)
}

fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes `path` relative to the directory of `file`; an absolute path stays.
pub fn beside(file: &Path, path: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_can_reach_is_refused_with_its_mode_and_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create(&path, b"secret").unwrap();
        assert_eq!(read(&path).unwrap().expose(), b"secret");
        for mode in [0o640, 0o604, 0o610, 0o602, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("mode {mode:04o}")), "{error}");
            assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
        }
    }

    #[test]
    fn a_link_to_an_exposed_file_is_refused_too() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        create(&target, b"secret").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(read(&link).is_ok());
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(&link), Err(SecretFileError::Exposed { mode: 0o644, .. })));
    }

    #[test]
    fn a_new_file_is_the_owners_alone_and_never_replaces_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create(&path, b"first").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(matches!(create(&path, b"second"), Err(SecretFileError::Exists { .. })));
        assert_eq!(read(&path).unwrap().expose(), b"first");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file was left behind");
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_a_secret_one_becomes_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.pem");
        create_public(&path, b"first").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        replace_public(&path, b"second").unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode()), (b"second".to_vec(), 0o664));
        replace(&path, b"third").unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode()), (b"third".to_vec(), 0o600));
    }

    #[test]
    fn a_signing_key_loses_one_line_end_and_must_not_be_empty() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text, expected) in [
            ("a", "k3y\n", Some("k3y")),
            ("b", "k3y\r\n", Some("k3y")),
            ("c", "k\n\n", Some("k\n")),
            ("d", "\n", None),
        ] {
            let path = dir.path().join(name);
            create(&path, text.as_bytes()).unwrap();
            let key = read_signing_key(&path).ok();
            assert_eq!(key.as_ref().map(SecretBytes::expose), expected.map(str::as_bytes), "{text:?}");
        }
    }

    #[test]
    fn a_directory_is_no_secret_file() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(dir.path()), Err(SecretFileError::NotAFile { .. })));
    }
}
