//! New content for a data directory, built beside the old and exchanged as a whole.
//!
//! ```text
//! rebuild/    a data directory that is being built; ignored until the exchange starts
//! REBUILT     the exchange has started: its step, and the directory for the old contents
//! before-*/   the old contents, kept for the operator
//! ```
//!
//! Everything is inside the data directory, so that a mount point can be rebuilt and the lock is held
//! throughout. Invariants: the old contents are not touched before the new ones are complete and on the disk;
//! a crash leaves the old contents, the new ones, or a `REBUILT` that refuses every start until
//! [`Rebuild::take`] has finished the exchange; the old contents are moved, never deleted.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::directory::{LOG, holds_data};
use super::states::{CURRENT, PREFIX};
use super::{Identity, StoreError, divergence, durable, identity, incarnations, lock::Lock, starts};

const SPACE: &str = "rebuild";
const MARK: &str = "REBUILT";
/// The names of the steps in the mark.
const MOVE_OUT: &str = "out";
const MOVE_IN: &str = "in";

/// A data directory locked for a rebuild. No node can start in it meanwhile.
#[derive(Debug)]
pub struct Rebuild {
    root: PathBuf,
    /// Held while this value lives.
    _lock: Lock,
    finished: Option<PathBuf>,
}

impl Rebuild {
    /// Locks `root` and creates it when it is missing. An interrupted exchange is finished first.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when a process has it open, or an I/O error.
    pub fn take(root: &Path) -> Result<Self, StoreError> {
        durable::create_directory(root)?;
        let lock = Lock::take(root)?;
        let mut rebuild = Self { root: root.to_owned(), _lock: lock, finished: None };
        if let Some((step, aside)) = read_mark(root)? {
            rebuild.carry_on(&step, &aside)?;
            rebuild.finished = Some(root.join(aside));
        }
        durable::remove_directory(&rebuild.space())?;
        Ok(rebuild)
    }

    /// The directory of the old contents, if [`take`](Self::take) finished an interrupted exchange.
    pub fn finished_earlier(&self) -> Option<&Path> {
        self.finished.as_deref()
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of the old log.
    pub fn log(&self) -> PathBuf {
        self.root.join(LOG)
    }

    /// The owner of the old contents; `None` in a new directory.
    ///
    /// # Errors
    /// As for [`Identity::read`].
    pub fn identity(&self) -> Result<Option<Identity>, StoreError> {
        Identity::read(&self.root)
    }

    /// Whether no node has written anything yet.
    ///
    /// # Errors
    /// An I/O error, or an error of reading the identity.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.identity()?.is_none() && !holds_data(&self.root)?)
    }

    /// Whether the directory is made for a node that was never started in it.
    ///
    /// # Errors
    /// As for [`is_empty`](Self::is_empty).
    pub fn is_reserved(&self) -> Result<bool, StoreError> {
        let started = self.root.join(incarnations::FILE).exists() || holds_data(&self.root)?;
        Ok(!started && self.identity()?.is_some())
    }

    /// Makes the new contents those of a node that has nothing yet.
    ///
    /// # Errors
    /// An I/O error.
    pub fn reserve(&self, owner: &Identity) -> Result<(), StoreError> {
        durable::create_directory(&self.space())?;
        owner.write(&self.space())
    }

    /// The data directory to build the new contents in. It must be complete, on the disk and closed
    /// before [`exchange`](Self::exchange).
    pub fn space(&self) -> PathBuf {
        self.root.join(SPACE)
    }

    /// Moves the old contents to `before-<reason>` and the new ones into their place, and unlocks the
    /// directory. Returns the path of the old ones, if there were any.
    ///
    /// # Errors
    /// An I/O error; [`take`](Self::take) can be tried again, whether or not the exchange had started.
    pub fn exchange(self, reason: &str) -> Result<Option<PathBuf>, StoreError> {
        let aside = format!("before-{reason}");
        self.carry_on(MOVE_OUT, &aside)?;
        let kept = Some(self.root.join(aside)).filter(|path| path.exists());
        Ok(kept)
    }

    /// Unlocks the directory and leaves its old contents unchanged.
    ///
    /// # Errors
    /// An I/O error.
    pub fn abandon(self) -> Result<(), StoreError> {
        durable::remove_directory(&self.space())
    }

    /// Carries on from `step`. Each step can be repeated: files that were moved already are skipped because
    /// they are gone.
    fn carry_on(&self, step: &str, aside: &str) -> Result<(), StoreError> {
        if step == MOVE_OUT {
            write_mark(&self.root, MOVE_OUT, aside)?;
            move_contents(&self.root, &self.root.join(aside))?;
            write_mark(&self.root, MOVE_IN, aside)?;
        }
        move_contents(&self.space(), &self.root)?;
        let mark = self.root.join(MARK);
        fs::remove_file(&mark).map_err(StoreError::io("remove", &mark))?;
        durable::remove_directory(&self.space())?;
        durable::sync_directory(&self.root)
    }
}

/// Refuses a directory whose contents are half exchanged.
pub(super) fn refuse_half(root: &Path) -> Result<(), StoreError> {
    match root.join(MARK).exists() {
        true => Err(StoreError::HalfRebuilt { path: root.to_owned() }),
        false => Ok(()),
    }
}

/// Moves the files of a node from one directory to the other; `to` is created if there are any.
fn move_contents(from: &Path, to: &Path) -> Result<(), StoreError> {
    let names = contents(from)?;
    if names.is_empty() {
        return Ok(());
    }
    durable::create_directory(to)?;
    for name in names {
        let (old, new) = (from.join(&name), to.join(&name));
        fs::rename(&old, &new).map_err(StoreError::io("rename", &old))?;
    }
    durable::sync_directory(to)?;
    durable::sync_directory(from)
}

/// The names of the files in a data directory that a node wrote and must keep.
fn contents(directory: &Path) -> Result<Vec<String>, StoreError> {
    let failed = || StoreError::io("read", directory);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed()(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed())?.file_name();
        if let Some(name) = name.to_str().filter(|name| is_content(name)) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn is_content(name: &str) -> bool {
    [identity::FILE, incarnations::FILE, starts::FILE, divergence::FILE, LOG, CURRENT].contains(&name)
        || name.starts_with(PREFIX)
}

fn write_mark(root: &Path, step: &str, aside: &str) -> Result<(), StoreError> {
    durable::write_file(&root.join(MARK), format!("{step} {aside}\n").as_bytes())
}

fn read_mark(root: &Path) -> Result<Option<(String, String)>, StoreError> {
    let path = root.join(MARK);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    let mark = text.trim_end().split_once(' ').filter(|(step, aside)| {
        [MOVE_OUT, MOVE_IN].contains(step) && aside.starts_with("before-") && !aside.contains('/')
    });
    match mark {
        Some((step, aside)) => Ok(Some((step.to_owned(), aside.to_owned()))),
        None => Err(StoreError::io("read", &path)(ErrorKind::InvalidData.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Directory, Incarnation};

    const OLD: u64 = 0;
    const NEW: u64 = 9;

    fn identity(fence: u64) -> Identity {
        Identity { cluster: "west".to_owned(), node: 3, fence }
    }

    /// A data directory with an old state, and a new one built beside it.
    fn built(home: &Path) -> Rebuild {
        drop(Directory::open(home, &identity(OLD)).unwrap());
        fs::write(home.join("log/old"), "old").unwrap();
        let rebuild = Rebuild::take(home).unwrap();
        drop(Directory::open(&rebuild.space(), &identity(NEW)).unwrap());
        fs::write(rebuild.space().join("log/new"), "new").unwrap();
        rebuild
    }

    fn holds(home: &Path, fence: u64, file: &str) {
        let directory = Directory::open(home, &identity(OLD)).unwrap();
        assert_eq!(directory.identity().fence, fence);
        assert!(home.join("log").join(file).exists());
        drop(directory);
    }

    #[test]
    fn the_new_takes_the_place_of_the_old_which_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let rebuild = built(home.path());
        assert!(matches!(Directory::open(home.path(), &identity(OLD)), Err(StoreError::InUse { .. })));
        let [old, new] =
            [home.path(), &rebuild.space()].map(|root| Incarnation::read(root).unwrap().unwrap());
        let kept = rebuild.exchange("recovery-9").unwrap().unwrap();
        assert_eq!(Incarnation::read(&kept).unwrap(), Some(old));
        assert_eq!(Incarnation::read(home.path()).unwrap(), Some(new));
        assert_eq!(kept, home.path().join("before-recovery-9"));
        assert_eq!(fs::read(kept.join("log/old")).unwrap(), b"old");
        holds(home.path(), NEW, "new");
        assert!(!home.path().join(SPACE).exists());
    }

    #[test]
    fn what_was_built_and_not_exchanged_is_nothing() {
        let home = tempfile::tempdir().unwrap();
        drop(built(home.path()));
        holds(home.path(), OLD, "old");
        assert!(Rebuild::take(home.path()).unwrap().finished_earlier().is_none());
        assert!(!home.path().join(SPACE).exists());
    }

    #[test]
    fn an_exchange_interrupted_at_any_point_refuses_a_start_and_is_finished() {
        // Moved at the power cut: nothing; part of the old contents; all of them; part of the new ones.
        for stop in 0..4 {
            let home = tempfile::tempdir().unwrap();
            let root = home.path();
            drop(built(root));
            let aside = root.join("before-recovery-9");
            write_mark(root, MOVE_OUT, "before-recovery-9").unwrap();
            if stop == 1 {
                fs::create_dir(&aside).unwrap();
                fs::rename(root.join("log"), aside.join("log")).unwrap();
            }
            if stop >= 2 {
                move_contents(root, &aside).unwrap();
                write_mark(root, MOVE_IN, "before-recovery-9").unwrap();
            }
            if stop == 3 {
                fs::rename(root.join(SPACE).join("log"), root.join("log")).unwrap();
            }
            assert!(
                matches!(Directory::open(root, &identity(OLD)), Err(StoreError::HalfRebuilt { .. })),
                "{stop}"
            );
            let rebuild = Rebuild::take(root).unwrap();
            assert_eq!(rebuild.finished_earlier(), Some(aside.as_path()), "{stop}");
            rebuild.abandon().unwrap();
            holds(root, NEW, "new");
            assert!(aside.join("log/old").exists(), "{stop}");
        }
    }

    #[test]
    fn a_directory_is_reserved_for_a_node_until_that_is_started_in_it() {
        let home = tempfile::tempdir().unwrap();
        drop(Directory::open(home.path(), &identity(OLD)).unwrap());
        fs::write(home.path().join("log/old"), "old").unwrap();
        let other = Identity { node: 4, ..identity(OLD) };
        let rebuild = Rebuild::take(home.path()).unwrap();
        assert!(!rebuild.is_reserved().unwrap());
        rebuild.reserve(&other).unwrap();
        let kept = rebuild.exchange("replace-3-by-4").unwrap().unwrap();
        assert!(kept.join("log/old").exists());
        let rebuild = Rebuild::take(home.path()).unwrap();
        assert!(rebuild.is_reserved().unwrap() && !rebuild.is_empty().unwrap());
        rebuild.abandon().unwrap();
        assert!(matches!(
            Directory::open(home.path(), &identity(OLD)),
            Err(StoreError::OtherIdentity { .. })
        ));
        drop(Directory::open(home.path(), &other).unwrap());
        assert!(!Rebuild::take(home.path()).unwrap().is_reserved().unwrap());
    }

    #[test]
    fn an_empty_directory_keeps_nothing_aside() {
        let home = tempfile::tempdir().unwrap();
        let rebuild = Rebuild::take(home.path()).unwrap();
        assert!(rebuild.is_empty().unwrap());
        drop(Directory::open(&rebuild.space(), &identity(NEW)).unwrap());
        fs::write(rebuild.space().join("log/new"), "new").unwrap();
        assert_eq!(rebuild.exchange("restore-9").unwrap(), None);
        holds(home.path(), NEW, "new");
        assert!(!Rebuild::take(home.path()).unwrap().is_empty().unwrap());
    }
}
