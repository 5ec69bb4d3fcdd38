use std::fs;
use std::path::PathBuf;

use keymoot_crypto::Keyring;

use super::*;
use crate::backup::BackupFile;
use crate::backup::tests::{node, owner};

/// A backup of the tables as they are now.
fn backup(home: &Path, tables: &Tables) -> PathBuf {
    let (_, first, pieces) = backup_of(&owner(), tables.view(), None).unwrap();
    let mut bytes = first;
    pieces.for_each(|piece| bytes.extend_from_slice(&piece.unwrap()));
    let path = home.join("there.backup");
    fs::write(&path, bytes).unwrap();
    path
}

fn seal(home: &Path) -> (Sealed, PathBuf) {
    let salvage = Salvage::take(&home.join("data")).unwrap();
    let mut bytes = Vec::new();
    let sealed = salvage.seal(&home.join("space"), &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    });
    let path = home.join("here.backup");
    fs::write(&path, bytes).unwrap();
    assert!(!home.join("space").exists());
    (sealed.unwrap(), path)
}

fn differences(here: &Path, there: &Path) -> (Comparison, Vec<Difference>) {
    let (here, there) = (BackupFile::open(here).unwrap(), BackupFile::open(there).unwrap());
    let mut found = Vec::new();
    let comparison = compare(&here, &there, |difference| found.push(difference)).unwrap();
    (comparison, found)
}

#[test]
fn all_that_a_directory_holds_is_sealed_and_what_the_cluster_lacks_is_named() {
    let home = tempfile::tempdir().unwrap();
    let ring = Keyring::generate().unwrap();
    // The cluster has entries 1 to 5; entries 6 to 9 are in the log here and nowhere else.
    let tables = node(&home.path().join("data"), &ring, 5, 9);
    let there = backup(home.path(), &tables);
    drop(tables);
    let (sealed, here) = seal(home.path());
    assert_eq!((sealed.applied_index, sealed.header.applied.index), (5, 9));
    assert_eq!((&sealed.wrong_digest, &sealed.log_unread), (&None, &None));
    assert_eq!(sealed.header.key_count(), 8, "every entry but the first makes a key");
    assert!(BackupFile::open(&here).unwrap().open_secrets(&ring).unwrap().is_complete());

    let (comparison, found) = differences(&here, &there);
    assert_eq!(comparison.named, BTreeMap::from([("key", (4, 0))]));
    let names: Vec<String> = found.iter().map(|difference| difference.name.to_string()).collect();
    assert!(names.iter().all(|name| name.starts_with("key account demo content content-")), "{names:?}");
    assert!(found.iter().all(|difference| difference.how == How::OnlyHere));
    let (reverse, found) = differences(&there, &here);
    assert!(reverse.holds_nothing_else() && found.is_empty() && reverse.only_there > 0, "{reverse:?}");

    // Nothing in the directory was changed: it can be sealed again.
    let (again, _) = seal(home.path());
    assert_eq!((again.header.applied, again.header.digest), (sealed.header.applied, sealed.header.digest));
}

#[test]
fn records_that_are_not_those_that_were_written_are_sealed_as_they_are() {
    let home = tempfile::tempdir().unwrap();
    let tables = node(&home.path().join("data"), &Keyring::generate().unwrap(), 5, 7);
    let there = backup(home.path(), &tables);
    let mut batch = tables.begin();
    let (key, _) = tables.view().iter(Table::Tracks as usize).unwrap().next().unwrap().unwrap();
    batch.delete(Table::Tracks as usize, &key).unwrap();
    let (kid, value) = tables.view().iter(Table::Kids as usize).unwrap().next().unwrap().unwrap();
    batch.delete(Table::Kids as usize, &kid).unwrap();
    batch.put(Table::Kids as usize, [0; 16], value).unwrap();
    tables.commit(batch).unwrap();
    drop(tables);
    let (sealed, here) = seal(home.path());
    assert!(sealed.wrong_digest.is_some_and(|kept| kept != sealed.header.digest));
    let (_, found) = differences(&here, &there);
    let altered =
        found.iter().find(|found| found.name.kid.as_ref().is_some_and(|kid| kid.starts_with("00000000")));
    assert!(altered.is_some(), "{found:?}");
}

#[test]
fn a_directory_that_is_used_or_holds_nothing_is_refused_and_a_marked_one_is_not() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    assert!(matches!(Salvage::take(&data), Err(SalvageError::Empty { .. })));
    assert!(!data.exists(), "nothing is made");
    drop(node(&data, &Keyring::generate().unwrap(), 5, 5));
    let directory = Directory::open(&data, &owner()).unwrap();
    let error = Salvage::take(&data).unwrap_err().to_string();
    assert!(error.contains("is in use"), "{error}");
    let mark = Divergence { index: 5, reason: "it differs".to_owned(), ..Divergence::default() };
    directory.mark_diverged(&mark).unwrap();
    drop(directory);
    assert_eq!(Salvage::take(&data).unwrap().divergence().unwrap(), Some(mark));
    assert_eq!(seal(home.path()).0.header.key_count(), 4);
    assert!(data.join("diverged.toml").exists());
}
