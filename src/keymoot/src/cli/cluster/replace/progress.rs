//! What a replacement has done so far, kept beside the node's key until it is done: a repeated command goes on there.
//!
//! ```text
//! <key_file>.replace-disk   which node is replaced, the token, the members, the new id: mode 0600
//! <key_file>.next           the new key, mode 0600; so `cert_file` and, if it changes, `ca_file`
//! ```
//!
//! Token and key are on the disk before anything is asked with them, so the same command comes to the same id.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use keymoot_cluster::settings::MemberAddress;
use keymoot_command::Failure;
use keymoot_crypto::{JoinToken, secret_file, toml_file};
use keymoot_model::NodeId;

const FORMAT: u32 = 1;

/// The content of the file. It holds a secret, so it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    format: u32,
    /// The node that is replaced.
    pub old: NodeId,
    /// The token, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Who was asked before, as `ID=HOST:PORT`.
    #[serde(default)]
    members: Vec<String>,
    /// The new id, once the cluster has admitted this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<NodeId>,
}

impl Progress {
    pub(super) const fn begin(old: NodeId) -> Self {
        Self { format: FORMAT, old, token: None, members: Vec::new(), new: None }
    }

    /// The token, if it can be read.
    pub(super) fn token(&self) -> Option<JoinToken> {
        self.token.as_ref()?.parse().ok()
    }

    pub(super) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn set_token(&mut self, token: &JoinToken) {
        self.token = Some(token.expose().as_str().to_owned());
    }

    pub(super) fn members(&self) -> Vec<MemberAddress> {
        self.members.iter().filter_map(|member| member.parse().ok()).collect()
    }

    pub(super) fn set_members(&mut self, members: &[MemberAddress]) {
        self.members = members.iter().map(|member| format!("{}={}", member.id, member.address)).collect();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.token);
    }
}

/// Where a replacement keeps what it needs: beside the files that it replaces.
#[derive(Clone, Debug)]
pub(super) struct Files {
    progress: PathBuf,
    pub ca: Staged,
    pub cert: Staged,
    pub key: Staged,
}

/// A file, and the one that will replace it.
#[derive(Clone, Debug)]
pub(super) struct Staged {
    pub file: PathBuf,
    pub next: PathBuf,
}

impl Staged {
    fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), next: with_suffix(file, "next") }
    }

    /// The file that is in effect once the replacement is done: in place, or waiting for it.
    pub(super) fn latest(&self) -> &Path {
        if self.next.exists() { &self.next } else { &self.file }
    }
}

impl Files {
    pub(super) fn of(config: &Config) -> Self {
        let cluster = &config.cluster;
        Self {
            progress: with_suffix(&cluster.key_file, "replace-disk"),
            ca: Staged::of(&cluster.ca_file),
            cert: Staged::of(&cluster.cert_file),
            key: Staged::of(&cluster.key_file),
        }
    }

    /// What an earlier command had done; `None` if there was none.
    pub(super) fn read(&self) -> Result<Option<Progress>, Failure> {
        if !self.progress.exists() {
            return Ok(None);
        }
        let text = secret_file::read(&self.progress).map_err(Failure::runtime)?;
        let text = std::str::from_utf8(text.expose()).unwrap_or_default();
        let unusable = || format!("move {} away, then begin anew", self.progress.display());
        let progress: Progress = toml::from_str(text).map_err(|error| {
            Failure::runtime(toml_file::syntax(&self.progress, text, &error)).hint(unusable())
        })?;
        match progress.format {
            FORMAT => Ok(Some(progress)),
            _ => Err(Failure::because(format!("{} is of another version", self.progress.display()))
                .hint(unusable())),
        }
    }

    pub(super) fn write(&self, progress: &Progress) -> Result<(), Failure> {
        let text = zeroize::Zeroizing::new(toml::to_string(progress).map_err(Failure::runtime)?);
        let written = match self.progress.exists() {
            true => secret_file::replace(&self.progress, text.as_bytes()),
            false => secret_file::create(&self.progress, text.as_bytes()),
        };
        written.map_err(Failure::runtime)
    }

    /// Removes all that a finished replacement needs no more. The progress goes last: without it, nobody would know
    /// what the others are.
    pub(super) fn clear(&self) -> Result<(), Failure> {
        [&self.ca.next, &self.cert.next, &self.key.next, &self.progress]
            .into_iter()
            .try_for_each(|path| remove(path))
    }
}

/// Removes a file that may be gone.
pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::because(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// The file's name with a dot and this behind it.
pub(super) fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_was_done_is_read_back_by_the_owner_alone_and_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.cluster.key_file = dir.path().join("node-key.pem");
        config.cluster.cert_file = dir.path().join("node.pem");
        config.cluster.ca_file = dir.path().join("ca.pem");
        let files = Files::of(&config);
        assert!(files.read().unwrap().is_none());
        let mut progress = Progress::begin(2);
        files.write(&progress).unwrap();
        assert!(files.read().unwrap().unwrap().token().is_none());
        let cluster = keymoot_model::ClusterName::new("moot").unwrap();
        let token = JoinToken::generate(cluster, [7; 32]).unwrap();
        progress.set_token(&token);
        progress.set_members(&["1=a:1".parse().unwrap(), "3=[::1]:2".parse().unwrap()]);
        progress.new = Some(4);
        files.write(&progress).unwrap();
        let path = dir.path().join("node-key.pem.replace-disk");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = files.read().unwrap().unwrap();
        assert_eq!((read.old, read.new, read.members()), (2, Some(4), progress.members()));
        assert_eq!(read.token().unwrap().id, token.id);
        fs::write(&files.cert.next, "x").unwrap();
        files.clear().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        secret_file::create(&path, b"format = 1\nwho = 2\n").unwrap();
        let said = files.read().err().unwrap().to_string();
        assert!(said.contains("node-key.pem.replace-disk:2") && said.contains("move "), "{said}");
    }
}
