//! A scrambler beside a cluster, with its signing key in a file; its commands are run as a user
//! runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::operator::CommandOutput;
use crate::{Cluster, RigError, binary, secret_file};

/// The signing key's file.
const KEY_FILE: &str = "signing.key";

/// A user with the signing key of a cluster's demo account, and a directory for files.
pub struct Scrambler {
    /// The account that it signs for.
    pub account: String,
    dir: TempDir,
    servers: Vec<String>,
    more: Vec<String>,
}

impl Scrambler {
    /// A scrambler whose service points are the cluster's nodes.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn of(cluster: &Cluster) -> Result<Self, RigError> {
        let dir =
            TempDir::with_prefix("keymoot-scrambler-").map_err(RigError::io("cannot make a directory"))?;
        secret_file::write(&dir.path().join(KEY_FILE), cluster.signer().signing_key())?;
        let servers = cluster.addresses().iter().map(|node| format!("http://{node}")).collect();
        Ok(Self { account: cluster.signer().account_id.clone(), dir, servers, more: Vec::new() })
    }

    /// Puts another service point before those of the cluster.
    #[must_use]
    pub fn with_first(mut self, server: String) -> Self {
        self.servers.insert(0, server);
        self
    }

    /// Adds these arguments to those of every command.
    #[must_use]
    pub fn with_arguments(mut self, more: &[&str]) -> Self {
        self.more.extend(more.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A file of its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command that is ready to run.
    ///
    /// # Errors
    /// When the program is not found.
    pub fn command(&self, arguments: &[&str]) -> Result<Command, RigError> {
        let mut command = Command::new(binary::keymoot()?);
        command.args(arguments).args(["--account", &self.account]);
        command.arg("--key-file").arg(self.path(KEY_FILE)).args(&self.more);
        command.env("KEYMOOT_SERVERS", self.servers.join(","));
        Ok(command)
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn run(&self, arguments: &[&str]) -> Result<CommandOutput, RigError> {
        let output = self.command(arguments)?.output().map_err(RigError::io("cannot run keymoot"))?;
        Ok(CommandOutput::from(output))
    }
}
