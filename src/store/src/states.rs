//! The state directories and `CURRENT`, the file that names the live one.
//!
//! A state directory is built as `state-<n>.new`, renamed when it is complete, and live once `CURRENT` names
//! it. A crash at any point leaves the old one or the new one live; directories that are not live are removed
//! at the next start.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{StoreError, durable};

pub(super) const CURRENT: &str = "CURRENT";
pub(super) const PREFIX: &str = "state-";
const UNFINISHED: &str = ".new";

/// The state directories under a root.
#[derive(Clone, Debug)]
pub(super) struct States {
    root: PathBuf,
}

impl States {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The path of state directory `number`.
    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.root.join(format!("{PREFIX}{number}"))
    }

    /// Whether there is a live state, or one that may have been live.
    pub(super) fn exist(&self) -> Result<bool, StoreError> {
        Ok(self.current_file().exists() || !self.complete()?.is_empty())
    }

    /// The number of the live state directory; `None` in a new root.
    ///
    /// Without `CURRENT`, a single complete directory counts as live: it is the first one, after a crash
    /// before `CURRENT` was written, or the only one that `CURRENT` can have named.
    pub(super) fn live(&self) -> Result<Option<u64>, StoreError> {
        let path = self.current_file();
        let refuse = |why: String| Err(StoreError::Current { path: path.clone(), why });
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return match self.complete()?.as_slice() {
                    [] => Ok(None),
                    [only] => Ok(Some(*only)),
                    several => refuse(format!("it is missing, and there are {}", several.len())),
                };
            }
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        match number_of(text.trim_end()) {
            Some(number) if self.path(number).is_dir() => Ok(Some(number)),
            Some(number) => refuse(format!("{PREFIX}{number} is missing")),
            None => refuse("it holds something else".to_owned()),
        }
    }

    /// An empty path for building state directory `number`.
    pub(super) fn begin(&self, number: u64) -> Result<PathBuf, StoreError> {
        let path = self.root.join(format!("{PREFIX}{number}{UNFINISHED}"));
        durable::remove_directory(&path)?;
        durable::remove_directory(&self.path(number))?;
        durable::create_directory(&path)?;
        Ok(path)
    }

    /// Renames the completed directory from [`begin`](Self::begin) to its final name.
    pub(super) fn complete_as(&self, unfinished: &Path, number: u64) -> Result<PathBuf, StoreError> {
        let path = self.path(number);
        durable::rename(unfinished, &path)?;
        Ok(path)
    }

    /// Makes `number` the live state directory, durably.
    pub(super) fn switch(&self, number: u64) -> Result<(), StoreError> {
        durable::write_file(&self.current_file(), format!("{PREFIX}{number}\n").as_bytes())
    }

    /// Removes every state directory but `live`.
    pub(super) fn sweep(&self, live: Option<u64>) -> Result<(), StoreError> {
        for name in self.names()? {
            if live.is_none() || number_of(&name) != live {
                durable::remove_directory(&self.root.join(name))?;
            }
        }
        Ok(())
    }

    fn current_file(&self) -> PathBuf {
        self.root.join(CURRENT)
    }

    fn complete(&self) -> Result<Vec<u64>, StoreError> {
        Ok(self.names()?.iter().filter_map(|name| number_of(name)).collect())
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let failed = || StoreError::io("read", &self.root);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            if let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(states: &States, number: u64) {
        let unfinished = states.begin(number).unwrap();
        fs::write(unfinished.join("data"), number.to_string()).unwrap();
        states.complete_as(&unfinished, number).unwrap();
    }

    #[test]
    fn a_crash_before_the_switch_keeps_the_old_state() {
        let home = tempfile::tempdir().unwrap();
        let states = States::new(home.path());
        assert_eq!(states.live().unwrap(), None);
        make(&states, 1);
        states.switch(1).unwrap();
        states.begin(2).unwrap();
        assert_eq!(states.live().unwrap(), Some(1));
        make(&states, 2);
        assert_eq!(states.live().unwrap(), Some(1));
        states.sweep(Some(1)).unwrap();
        assert!(!states.path(2).exists());
        assert_eq!(fs::read_to_string(states.path(1).join("data")).unwrap(), "1");
    }

    #[test]
    fn a_crash_after_the_switch_keeps_the_new_state() {
        let home = tempfile::tempdir().unwrap();
        let states = States::new(home.path());
        make(&states, 1);
        states.switch(1).unwrap();
        make(&states, 2);
        states.switch(2).unwrap();
        assert_eq!(states.live().unwrap(), Some(2));
        states.sweep(Some(2)).unwrap();
        assert!(states.path(2).exists() && !states.path(1).exists());
    }

    #[test]
    fn a_current_that_names_nothing_is_not_an_empty_state() {
        let home = tempfile::tempdir().unwrap();
        let states = States::new(home.path());
        make(&states, 1);
        for bad in ["", "state-2\n", "state-x\n", "1\n"] {
            fs::write(home.path().join(CURRENT), bad).unwrap();
            assert!(matches!(states.live(), Err(StoreError::Current { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_lost_current_is_made_up_for_only_when_there_is_no_choice() {
        let home = tempfile::tempdir().unwrap();
        let states = States::new(home.path());
        states.begin(1).unwrap();
        assert_eq!(states.live().unwrap(), None);
        make(&states, 4);
        assert_eq!(states.live().unwrap(), Some(4));
        make(&states, 5);
        assert!(matches!(states.live(), Err(StoreError::Current { .. })));
    }
}
