//! The facts about one node of a cluster, whether it runs or not.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::RigError;

/// A node; valid as long as its directory exists.
#[derive(Clone, Debug)]
pub struct Node {
    pub id: u64,
    /// The address of its API.
    pub api: SocketAddr,
    /// Its directory: configuration, log, store.
    pub dir: PathBuf,
    /// The id of the process that runs it, or ran it last.
    pub pid: u32,
}

/// What a node says once it serves packagers: without certificates, and with them.
const SERVING: [&str; 2] =
    ["serving unsigned requests of packagers", "serving packagers by their certificates"];

impl Node {
    /// Its configuration file, as an argument.
    pub fn config(&self) -> String {
        self.dir.join("keymoot.toml").display().to_string()
    }

    /// The node's log, as long as `keymoot dev` runs it.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn log(&self) -> Result<String, RigError> {
        let path = self.dir.join("keymoot.log");
        std::fs::read_to_string(&path).map_err(RigError::at("read", &path))
    }

    /// The address of its listener for packagers that cannot sign, from its log.
    ///
    /// # Errors
    /// When the log does not name it.
    pub fn packager_listener(&self) -> Result<SocketAddr, RigError> {
        let log = self.log()?;
        let line = log.lines().find(|line| SERVING.iter().any(|said| line.contains(said)));
        let behind = line.and_then(|line| line.split_once("127.0.0.1:")).map(|(_, behind)| behind);
        let port = behind.and_then(|behind| behind.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        let address = port.map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)));
        address.ok_or_else(|| RigError::Answer(format!("node {} does not listen for packagers", self.id)))
    }
}
