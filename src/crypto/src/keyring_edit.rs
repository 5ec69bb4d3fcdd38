//! Changes to a keyring file: each replaces the file as a whole, durably, and keeps its mode.

use std::path::Path;

use super::keyring::generate_secret;
use super::keyring_file::{self, KeyEntry, KeyringFile, KeyringFileError};
use super::secret_file;
use keymoot_model::MasterKeyId;

/// Adds a new random master key, which is not active yet. Returns its id: `id`, or the next of the form
/// `mkN`.
///
/// # Errors
/// [`KeyringFileError`] when the file cannot be read, changed as asked, or written; it is then unchanged.
pub fn add(path: &Path, id: Option<MasterKeyId>) -> Result<MasterKeyId, KeyringFileError> {
    let mut file = keyring_file::read(path)?;
    let id = id.unwrap_or_else(|| next_id(&file));
    if !keyring_file::is_id(&id.0) {
        return Err(KeyringFileError::BadId);
    }
    if file.keys.iter().any(|key| key.id == id) {
        return Err(KeyringFileError::Duplicate { path: path.to_owned(), id });
    }
    let secret = generate_secret().map_err(KeyringFileError::Random)?;
    file.keys.push(KeyEntry { id: id.clone(), created: keyring_file::now(), secret });
    save(path, &file)?;
    Ok(id)
}

/// Makes a key of the file the one that wraps new secrets.
///
/// # Errors
/// [`KeyringFileError`] when the file cannot be read, changed as asked, or written; it is then unchanged.
pub fn activate(path: &Path, id: &MasterKeyId) -> Result<(), KeyringFileError> {
    let mut file = keyring_file::read(path)?;
    must_hold(&file, path, id)?;
    file.active = id.clone();
    save(path, &file)
}

/// Removes a key that is not active. The caller has made sure that no secret is wrapped under it.
///
/// # Errors
/// [`KeyringFileError`] when the file cannot be read, changed as asked, or written; it is then unchanged.
pub fn remove(path: &Path, id: &MasterKeyId) -> Result<(), KeyringFileError> {
    let mut file = keyring_file::read(path)?;
    must_hold(&file, path, id)?;
    if file.active == *id {
        return Err(KeyringFileError::StillActive { path: path.to_owned(), id: id.clone() });
    }
    file.keys.retain(|key| key.id != *id);
    save(path, &file)
}

fn must_hold(file: &KeyringFile, path: &Path, id: &MasterKeyId) -> Result<(), KeyringFileError> {
    match file.keys.iter().any(|key| key.id == *id) {
        true => Ok(()),
        false => Err(KeyringFileError::NoSuchKey { path: path.to_owned(), id: id.clone() }),
    }
}

fn next_id(file: &KeyringFile) -> MasterKeyId {
    let numbers = file.keys.iter().filter_map(|key| key.id.0.strip_prefix("mk")?.parse::<u32>().ok());
    MasterKeyId(format!("mk{}", numbers.max().unwrap_or(0).saturating_add(1)))
}

fn save(path: &Path, file: &KeyringFile) -> Result<(), KeyringFileError> {
    Ok(secret_file::replace(path, keyring_file::text_of_file(file).as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keyring;

    fn id(text: &str) -> MasterKeyId {
        MasterKeyId(text.to_owned())
    }

    #[test]
    fn keys_are_added_activated_and_removed_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyring.toml");
        let first = Keyring::save_new(&path).unwrap();
        let before = first.fingerprints();
        assert_eq!(add(&path, None).unwrap(), id("mk2"));
        assert_eq!(add(&path, Some(id("autumn"))).unwrap(), id("autumn"));
        let ring = Keyring::load(&path).unwrap();
        assert_eq!(ring.active(), id("mk1"));
        assert_eq!(ring.fingerprints().get(&id("mk1")), before.get(&id("mk1")));

        assert!(matches!(add(&path, Some(id("mk2"))), Err(KeyringFileError::Duplicate { .. })));
        assert!(matches!(add(&path, Some(id("m k"))), Err(KeyringFileError::BadId)));
        assert!(matches!(activate(&path, &id("mk9")), Err(KeyringFileError::NoSuchKey { .. })));
        assert!(matches!(remove(&path, &id("mk1")), Err(KeyringFileError::StillActive { .. })));
        activate(&path, &id("mk2")).unwrap();
        remove(&path, &id("mk1")).unwrap();
        let ring = Keyring::load(&path).unwrap();
        assert_eq!((ring.active(), ring.fingerprints().len()), (id("mk2"), 2));
    }
}
