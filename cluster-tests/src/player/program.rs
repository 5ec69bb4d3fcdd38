//! The players that `scripts/real-clients` installs.

use std::path::PathBuf;

use crate::RigError;

/// The directory into which `scripts/real-clients` installs the players.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/real-clients");

/// A player, as its makers release it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Shaka,
    DashJs,
    HlsJs,
}

impl Program {
    /// The folder but for the version, and the file in it.
    const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Shaka => ("shaka-player-", "shaka-player.compiled.js"),
            Self::DashJs => ("dashjs-", "dash.all.min.js"),
            Self::HlsJs => ("hls.js-", "hls.min.js"),
        }
    }

    /// Its script.
    ///
    /// # Errors
    /// When it is not installed.
    pub(super) fn script(self) -> Result<Vec<u8>, RigError> {
        let path = self.path().ok_or_else(|| {
            RigError::Program(format!("there is no {self:?} in {INSTALLED}: run scripts/real-clients"))
        })?;
        std::fs::read(&path).map_err(RigError::at("read", &path))
    }

    fn path(self) -> Option<PathBuf> {
        let (folder, file) = self.place();
        let is_its =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(folder));
        let mut folders = std::fs::read_dir(INSTALLED).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        folders.find(is_its).map(|folder| folder.join(file)).filter(|path| path.is_file())
    }
}
