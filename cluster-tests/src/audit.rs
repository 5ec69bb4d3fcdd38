//! What the audit of a cluster says, as an auditor asks for it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::{RigError, operator};

/// An event, and where it stands.
#[derive(Clone, Debug)]
pub struct Told {
    pub node: u64,
    /// The log, and the number in it.
    pub place: (String, u64),
    pub event: Value,
}

impl Told {
    /// A member of the event that is text; empty where it has none.
    pub fn text(&self, member: &str) -> &str {
        self.event[member].as_str().unwrap_or_default()
    }

    /// Who did it, as it is known or claimed.
    pub fn actor(&self) -> &str {
        self.event["actor"]["id"].as_str().unwrap_or_default()
    }

    /// The ids of its keys.
    pub fn kids(&self) -> Vec<&str> {
        let keys = self.event["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        keys.iter().filter_map(|key| key["kid"].as_str()).collect()
    }
}

/// Searches the audit of the cluster that this configuration is of.
///
/// # Errors
/// When the command fails or prints something else.
pub fn search(config: &str, filter: &[&str]) -> Result<Vec<Told>, RigError> {
    let asked = ["audit", "search", "--all", "--output", "json", "--config", config];
    let printed = operator::keymoot(&[&asked[..], filter].concat())?.succeeded()?;
    let found: Value = serde_json::from_str(&printed)
        .map_err(|error| RigError::Program(format!("no JSON: {error}: {printed}")))?;
    let events = found["events"].as_array().cloned().unwrap_or_default();
    Ok(events
        .into_iter()
        .map(|mut found| Told {
            node: found["node"].as_u64().unwrap_or_default(),
            place: (found["log"].to_string(), found["number"].as_u64().unwrap_or_default()),
            event: found["event"].take(),
        })
        .collect())
}

/// The same once everything is written that nobody waited for.
///
/// # Errors
/// As for [`search`].
pub fn search_settled(config: &str, filter: &[&str]) -> Result<Vec<Told>, RigError> {
    // `audit.sync_interval_ms` is a second.
    std::thread::sleep(Duration::from_millis(1500));
    search(config, filter)
}

/// Asks again and again for what is new.
#[derive(Debug)]
pub struct Follower {
    config: String,
    seen: BTreeSet<(u64, String, u64)>,
}

impl Follower {
    /// Of the cluster that this configuration is of, from now on.
    ///
    /// # Errors
    /// As for [`search`].
    pub fn new(config: String) -> Result<Self, RigError> {
        let mut follower = Self { config, seen: BTreeSet::new() };
        follower.fresh()?;
        Ok(follower)
    }

    /// What happened since it was asked last, but that it was asked.
    ///
    /// # Errors
    /// As for [`search`].
    pub fn fresh(&mut self) -> Result<Vec<Told>, RigError> {
        let all = search(&self.config, &[])?;
        let is_new = |told: &Told| self.seen.insert((told.node, told.place.0.clone(), told.place.1));
        let asked = |told: &Told| told.text("action").starts_with("admin.Audit");
        Ok(all.into_iter().filter(is_new).filter(|told| !asked(told)).collect())
    }
}

/// Rewrites the past of a log that no process has open, as somebody who owns its node would: each `from` in its events
/// becomes `to`, and nothing is left that tells of it but what others hold. Returns how many events were changed.
///
/// # Errors
/// When the files are not those of a log.
pub fn forge(log: &Path, from: &str, to: &str) -> io::Result<usize> {
    // The node makes its hashes and its checkpoint anew, and signs that with its own key.
    for name in ["checkpoint", "checkpoints"] {
        match std::fs::remove_file(log.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut changed = 0;
    for segment in segments(log)? {
        let bytes = std::fs::read(&segment)?;
        let (head, mut records) = bytes.split_at_checked(SEGMENT_HEADER_BYTES).ok_or_else(no_segment)?;
        let mut number =
            head.get(8..).and_then(|field| field.first_chunk()).map(|first| u64::from_le_bytes(*first));
        let mut forged = head.to_vec();
        while let Some((length, rest)) = records.split_first_chunk::<4>() {
            let event = rest.get(4..4 + u32::from_le_bytes(*length) as usize).ok_or_else(no_segment)?;
            records = rest.get(4 + event.len()..).unwrap_or_default();
            let text = String::from_utf8_lossy(event);
            changed += usize::from(text.contains(from));
            let text = text.replace(from, to);
            let at = number.ok_or_else(no_segment)?;
            let mut crc = crc32fast::Hasher::new();
            crc.update(&at.to_le_bytes());
            crc.update(text.as_bytes());
            forged.extend_from_slice(&u32::try_from(text.len()).unwrap_or_default().to_le_bytes());
            forged.extend_from_slice(&crc.finalize().to_le_bytes());
            forged.extend_from_slice(text.as_bytes());
            number = at.checked_add(1);
        }
        std::fs::write(&segment, forged)?;
    }
    Ok(changed)
}

/// Takes the last events of a log away, of which no process has the files open, and all that its own node has signed.
///
/// # Errors
/// When the files are not those of a log.
pub fn cut(log: &Path, events: usize) -> io::Result<()> {
    forge(log, "\u{0}", "")?;
    let segment = segments(log)?.pop().ok_or_else(no_segment)?;
    let bytes = std::fs::read(&segment)?;
    let (mut ends, mut at) = (vec![SEGMENT_HEADER_BYTES], SEGMENT_HEADER_BYTES);
    while let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        at += 8 + u32::from_le_bytes(*length) as usize;
        ends.push(at);
    }
    let left = ends.len().checked_sub(1 + events).and_then(|left| ends.get(left)).ok_or_else(no_segment)?;
    std::fs::write(&segment, bytes.get(..*left).ok_or_else(no_segment)?)?;
    Ok(())
}

const SEGMENT_HEADER_BYTES: usize = 32;

fn no_segment() -> io::Error {
    io::Error::other("the log's segments have another form")
}

/// The files of a log's events, the oldest first.
fn segments(log: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(log.join("segments"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "events"));
    found.sort();
    Ok(found)
}
