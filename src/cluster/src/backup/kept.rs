//! The files of the backup schedule in its directory: their names, and which are removed.
//!
//! A file counts as one of the schedule's when both its name and its header say so, for this cluster
//! with this fence. Others are never touched: those of an operator, of another cluster, or of this one
//! before it was restored.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use keymoot_model::{NodeId, TimeStamp};
use keymoot_store::Identity;

use super::file::BackupFile;
use super::writer::PART;

/// The end of every name.
const SUFFIX: &str = ".scheduled.backup";

/// Names backups of one cluster.
#[derive(Clone, Debug)]
pub(super) struct KeptBackups {
    directory: PathBuf,
    whose: Identity,
}

impl KeptBackups {
    pub(super) fn of(directory: &Path, whose: Identity) -> Self {
        Self { directory: directory.to_owned(), whose }
    }

    /// The path of a backup that this node makes now.
    pub(super) fn path(&self, now_ms: u64) -> PathBuf {
        let now = TimeStamp::from_unix_ms(now_ms);
        let time = now.unwrap_or(TimeStamp::UNIX_EPOCH).to_string().replace(':', "");
        let name = format!("{}{time}.node-{}{SUFFIX}", self.prefix(), self.whose.node);
        self.directory.join(name)
    }

    /// Removes what this node left unfinished when it was killed.
    pub(super) fn remove_unfinished(&self) {
        let own = format!(".node-{}{SUFFIX}.", self.whose.node);
        for path in self.paths().unwrap_or_default() {
            let name = name_of(&path);
            let is_own = name.strip_prefix('.').is_some_and(|name| name.starts_with(&self.prefix()));
            if is_own && name.contains(&own) && name.ends_with(PART) {
                tracing::info!(file = %path.display(), "an unfinished backup is removed");
                let _removed = fs::remove_file(&path);
            }
        }
    }

    /// Removes all but the `keep` newest, and never `newest`; returns how many.
    pub(super) fn prune(&self, keep: u32, newest: &Path) -> io::Result<usize> {
        let mut kept: Vec<(u64, PathBuf)> = self
            .paths()?
            .into_iter()
            .filter(|path| path != newest && self.node_in(&name_of(path)).is_some())
            .filter_map(|path| Some((self.index_of(&path)?, path)))
            .collect();
        // By what they hold, not by their times: a clock may have been wrong.
        kept.sort();
        let surplus = (kept.len() + 1).saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
        for (_, path) in kept.iter().take(surplus) {
            fs::remove_file(path)?;
            tracing::info!(file = %path.display(), "an old backup of the schedule is removed");
        }
        Ok(surplus.min(kept.len()))
    }

    fn prefix(&self) -> String {
        format!("{}.{}.", self.whose.cluster, self.whose.fence)
    }

    fn paths(&self) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(&self.directory)?.map(|entry| Ok(entry?.path())).collect()
    }

    /// The node in a name of the schedule's; `None` for any other name.
    fn node_in(&self, name: &str) -> Option<NodeId> {
        let rest = name.strip_prefix(&self.prefix())?.strip_suffix(SUFFIX)?;
        let (_time, node) = rest.split_once(".node-")?;
        node.parse().ok()
    }

    /// The last entry in a backup of this cluster.
    fn index_of(&self, path: &Path) -> Option<u64> {
        let header = BackupFile::inspect(path).ok()?;
        let ours = header.cluster == self.whose.cluster && header.fence == self.whose.fence;
        ours.then_some(header.applied.index)
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::header::BackupHeader;
    use keymoot_store::LogPosition;

    fn header(cluster: &str, fence: u64, index: u64) -> Vec<u8> {
        let header = BackupHeader {
            cluster: cluster.to_owned(),
            fence,
            node: 1,
            applied: LogPosition { term: 1, node: 1, index },
            made_at_ms: 0,
            program: String::new(),
            digest: String::new(),
            master_keys: Vec::new(),
            tables: Vec::new(),
            signed_under: None,
        };
        header.to_bytes().unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| name_of(&entry.unwrap().path())).collect();
        names.sort();
        names
    }

    #[test]
    fn only_the_oldest_of_the_schedules_own_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let of = |node, fence| Identity { cluster: "west".to_owned(), node, fence };
        let kept = KeptBackups::of(dir.path(), of(2, 7));
        let newest = kept.path(1_000_000_000_000);
        assert_eq!(name_of(&newest), "west.7.2001-09-09T014640Z.node-2.scheduled.backup");
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        fs::write(&newest, header("west", 7, 40)).unwrap();
        // A clock that was ahead named it; what it holds is the oldest.
        write("west.7.2099-01-01T000000Z.node-3.scheduled.backup", &header("west", 7, 10));
        write("west.7.2001-01-02T000000Z.node-1.scheduled.backup", &header("west", 7, 20));
        write("west.7.2001-01-03T000000Z.node-2.scheduled.backup", &header("west", 7, 30));
        let others = [
            ("mine.backup", header("west", 7, 1)),
            ("west.7.note.scheduled.backup", header("west", 7, 1)),
            ("west.0.2001-01-01T000000Z.node-1.scheduled.backup", header("west", 0, 1)),
            ("east.7.2001-01-01T000000Z.node-1.scheduled.backup", header("east", 7, 1)),
            ("west.7.2001-01-01T000000Z.node-1.scheduled.backup", b"a note that somebody named so".to_vec()),
            ("west.7.2001-01-01T000001Z.node-1.scheduled.backup", header("east", 7, 1)),
        ];
        for (name, bytes) in &others {
            write(name, bytes);
        }
        assert_eq!(kept.prune(2, &newest).unwrap(), 2);
        let mut left: Vec<String> = others.iter().map(|(name, _)| (*name).to_owned()).collect();
        left.push("west.7.2001-01-03T000000Z.node-2.scheduled.backup".to_owned());
        left.push(name_of(&newest));
        left.sort();
        assert_eq!(names(dir.path()), left);
        assert_eq!(kept.prune(2, &newest).unwrap(), 0);
        assert_eq!(kept.prune(1, &newest).unwrap(), 1);
        assert!(newest.exists());
    }

    #[test]
    fn what_a_killed_node_left_unfinished_goes_and_what_another_one_writes_stays() {
        let dir = tempfile::tempdir().unwrap();
        let kept = KeptBackups::of(dir.path(), Identity { cluster: "west".to_owned(), node: 2, fence: 0 });
        for node in [2, 3] {
            let name = format!(".west.0.2001-01-01T000000Z.node-{node}.scheduled.backup.77.part");
            fs::write(dir.path().join(name), b"x").unwrap();
        }
        kept.remove_unfinished();
        assert_eq!(names(dir.path()), [".west.0.2001-01-01T000000Z.node-3.scheduled.backup.77.part"]);
    }
}
