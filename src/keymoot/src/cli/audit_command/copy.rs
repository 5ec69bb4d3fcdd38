//! `keymoot audit verify --files` of what `keymoot audit export` wrote: without a cluster, and by text files alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use keymoot_audit::{Hash, SignedCheckpoint, VerifierKey, parse_origin};
use keymoot_cluster::{KnownCheckpoint, KnownLog, audit_positions};
use keymoot_model::NodeId;

use super::args::VerifyArgs;
use super::log_check::{self, LogFault};
use super::verify::{Checked, keys_in, print, verdict};
use crate::cli::Failure;

/// The file that tells such a copy from the directory of a node's log.
pub(super) const KEYS: &str = "keys.txt";

/// Verifies every log of a copy: by the keys that were kept elsewhere, or else by those that lie in it.
pub(super) fn verify(dir: &Path, args: &VerifyArgs) -> Result<(), Failure> {
    let keys = keys_in(args.keys.as_deref().unwrap_or(&dir.join(KEYS)))?;
    let mut logs = Vec::new();
    for key in keys.values() {
        logs.extend(log_of(dir, key, &keys)?);
    }
    let unknown = folders(dir)?.into_iter().find(|folder| !logs.iter().any(|(_, own)| own == folder));
    if let Some(unknown) = unknown {
        return Err(Failure::because(format!("no key is given for the log in {}", dir.join(unknown).display()))
            .hint("give the keys that were kept of all logs with --keys, or leave --keys out to believe those of the copy"));
    }
    let cosigners: Vec<VerifierKey> = keys.values().cloned().collect();
    let mut all = Vec::new();
    for (log, folder) in &logs {
        all.push(check(log, &dir.join(folder), &cosigners)?);
    }
    print(&all, None, args.output);
    verdict(&all)
}

/// The folders of the logs in a copy.
fn folders(dir: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(dir).map_err(|error| unreadable(dir, &error))?;
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    Ok(folders.filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// The log of this key and its folder, if it is in the copy.
fn log_of(
    dir: &Path,
    key: &VerifierKey,
    keys: &BTreeMap<String, VerifierKey>,
) -> Result<Option<(KnownLog, String)>, Failure> {
    let Some((_, node, log)) = parse_origin(key.name()) else { return Ok(None) };
    let Some(position) = audit_positions(&format!("{node}/{log}:0")).ok().and_then(|mut all| all.pop())
    else {
        return Ok(None);
    };
    let folder = format!("{}-{}", position.name.node, position.name.log);
    let path = dir.join(&folder).join("checkpoints");
    if !dir.join(&folder).is_dir() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    let mut checkpoints = Vec::new();
    for note in SignedCheckpoint::parse_all(&text) {
        let note = note.map_err(|(line, error)| {
            Failure::because(format!("{} cannot be read from line {line} on: {error}", path.display()))
        })?;
        let cosigned_by = keys.values().filter(|cosigner| cosigner.name() != key.name());
        let cosigned_by = cosigned_by
            .filter_map(|cosigner| Some((node_of(cosigner)?, note.verify_cosignature(cosigner).ok()?)));
        checkpoints.push(KnownCheckpoint {
            size: note.checkpoint().size,
            root: note.checkpoint().root,
            proposed_at_ms: 0,
            cosigned_by: cosigned_by.collect(),
            note: note.to_string(),
        });
    }
    let log = KnownLog {
        name: position.name,
        origin: key.name().to_owned(),
        key: key.to_string(),
        cosigner_key: key.cosigner_text(),
        registered_at_ms: 0,
        before: None,
        followed_by: None,
        removed: false,
        checkpoints,
        held: None,
        not_held: Some("the copy has no events of it".to_owned()),
    };
    Ok(Some((log, folder)))
}

fn node_of(key: &VerifierKey) -> Option<NodeId> {
    parse_origin(key.name()).map(|(_, node, _)| node)
}

fn check<'a>(log: &'a KnownLog, folder: &Path, cosigners: &[VerifierKey]) -> Result<Checked<'a>, Failure> {
    let (begun, mut faults) = log_check::begin(log, cosigners);
    let unreadable_key = || Failure::because(format!("the key of {} cannot be read", log.origin));
    let mut check = begun.ok_or_else(unreadable_key)?;
    let path = folder.join("events.jsonl");
    let mut first_kept = 0;
    let events = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(&path, &error)),
        Ok(file) => {
            match deleted(&folder.join("first"))? {
                Some((0, _)) | None => {}
                Some((first, hashes)) => {
                    first_kept = first;
                    if !check.skip_to(first, hashes) {
                        faults.push(LogFault::Gap { wanted: 0, found: first });
                    }
                }
            }
            for line in BufReader::new(file).split(b'\n') {
                check.push(&line.map_err(|error| unreadable(&path, &error))?);
            }
            Some(check.next())
        }
    };
    let (checkpoints, faults) = match events {
        Some(_) => log_check::end(check, faults),
        None => {
            faults.extend(check.findings().iter().cloned().map(LogFault::Found));
            (0, faults)
        }
    };
    let unread = events.is_none().then(|| log.not_held.clone()).flatten();
    Ok(Checked { log, events, first_kept, checkpoints, faults, unread })
}

/// The number of the first event of a copy, and what is left of those before it.
fn deleted(path: &Path) -> Result<Option<(u64, Vec<Hash>)>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        // A log without any event has no first one.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let mut lines = text.lines();
    let first = lines.next().and_then(|first| first.parse().ok());
    let hashes: Option<Vec<Hash>> = lines.map(|line| line.parse().ok()).collect();
    let wrong = || Failure::because(format!("{} is not what keymoot audit export writes", path.display()));
    Ok(Some((first.ok_or_else(wrong)?, hashes.ok_or_else(wrong)?)))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::because(format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use keymoot_audit::offline::Finding;
    use keymoot_audit::tree::Frontier;
    use keymoot_audit::{Checkpoint, LogKey, leaf_hash};

    use super::*;

    /// A copy of a log with these events that another node has cosigned whole.
    fn copy(dir: &Path, events: &[&str]) {
        let own = LogKey::generate("blue.keymoot.audit/1/0011223344556677").unwrap().0;
        let other = LogKey::generate("blue.keymoot.audit/2/8899aabbccddeeff").unwrap().0;
        let mut frontier = Frontier::default();
        events.iter().for_each(|event| frontier.push(leaf_hash(event.as_bytes())));
        let origin = own.verifier().name().to_owned();
        let checkpoint = Checkpoint { origin, size: frontier.size(), root: frontier.root() };
        let mut note = SignedCheckpoint::sign(checkpoint, &own).unwrap();
        note.add(note.cosign(&other, 7));
        let folder = dir.join("1-0011223344556677");
        fs::create_dir(&folder).unwrap();
        fs::write(dir.join(KEYS), format!("{}\n{}\n", own.verifier(), other.verifier())).unwrap();
        fs::write(folder.join("checkpoints"), note.to_string()).unwrap();
        fs::write(folder.join("first"), "0\n").unwrap();
        fs::write(
            folder.join("events.jsonl"),
            events.iter().map(|event| format!("{event}\n")).collect::<String>(),
        )
        .unwrap();
    }

    fn faults(dir: &Path) -> Vec<LogFault> {
        let keys = keys_in(&dir.join(KEYS)).unwrap();
        let found = keys.values().filter_map(|key| log_of(dir, key, &keys).unwrap()).collect::<Vec<_>>();
        let [(log, folder)] = found.as_slice() else { panic!("one log") };
        assert_eq!(log.checkpoints[0].cosigned_by, BTreeMap::from([(2, 7)]));
        let cosigners: Vec<_> = keys.values().cloned().collect();
        check(log, &dir.join(folder), &cosigners).unwrap().faults
    }

    #[test]
    fn a_copy_is_verified_by_its_files_and_what_was_changed_in_it_is_found() {
        let dir = tempfile::tempdir().unwrap();
        copy(dir.path(), &["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
        assert_eq!(faults(dir.path()), []);
        let events = dir.path().join("1-0011223344556677/events.jsonl");
        for forged in ["{\"a\":1}\n{\"b\":9}\n{\"c\":3}\n", "{\"a\":1}\n{\"c\":3}\n{\"b\":2}\n"] {
            fs::write(&events, forged).unwrap();
            let found = faults(dir.path());
            assert!(matches!(found[..], [LogFault::Found(Finding::OtherRoot { size: 3, .. })]), "{forged}");
        }
        fs::write(&events, "{\"a\":1}\n{\"b\":2}\n").unwrap();
        let cut = faults(dir.path());
        assert!(matches!(cut[..], [LogFault::Found(Finding::CutOff { first: 2, last: 2, .. })]), "{cut:?}");
    }
}
