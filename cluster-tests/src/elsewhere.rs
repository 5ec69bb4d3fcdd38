//! A cluster restored from a backup at other addresses: the same certificates, keyring and node
//! ids, in directories and on ports of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait::wait_until;
use crate::{Cluster, RigError, binary, logs, metrics, operator, ports, process};

const HEALTHY_WITHIN: Duration = Duration::from_secs(60);

/// A node of the restored cluster.
pub struct RestoredNode {
    pub id: u64,
    /// The address of its API.
    pub api: SocketAddr,
    /// The address on which its peers reach it.
    pub peer: SocketAddr,
    /// Its configuration file.
    pub config: PathBuf,
    child: Option<Child>,
}

/// The restored cluster. It ends when this value is dropped.
pub struct Elsewhere {
    root: PathBuf,
    nodes: Vec<RestoredNode>,
}

impl Elsewhere {
    /// Makes directories and configurations under `root` for nodes `ids` of `cluster`; nothing is
    /// restored or started yet.
    ///
    /// # Errors
    /// When there is no free directory or port.
    pub fn prepare(cluster: &Cluster, root: &Path, ids: &[u64]) -> Result<Self, RigError> {
        let nodes = ids.iter().map(|id| prepare_node(cluster, root, *id)).collect::<Result<_, _>>()?;
        Ok(Self { root: root.to_owned(), nodes })
    }

    pub fn nodes(&self) -> &[RestoredNode] {
        &self.nodes
    }

    /// The API addresses of all nodes.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.api).collect()
    }

    /// The `--member` options of a restore.
    pub fn members(&self) -> Vec<String> {
        let member = |node: &RestoredNode| ["--member".to_owned(), format!("{}={}", node.id, node.peer)];
        self.nodes.iter().flat_map(member).collect()
    }

    /// Restores `backup` on these nodes, as an operator would: the first one chooses the fence. Returns what it said.
    ///
    /// # Errors
    /// When a restore fails; with its output.
    pub fn restore(&self, backup: &Path, ids: &[u64]) -> Result<String, RigError> {
        let (mut fence, mut first) = (None, String::new());
        for node in self.nodes.iter().filter(|node| ids.contains(&node.id)) {
            let mut arguments = vec!["backup".to_owned(), "restore".to_owned(), text(backup)];
            arguments.extend(["--config".to_owned(), text(&node.config)]);
            arguments.extend(self.members());
            arguments.extend(fence.iter().flat_map(|fence| ["--fence".to_owned(), String::clone(fence)]));
            let said = operator::keymoot(&arguments)?.succeeded()?;
            fence = fence.or_else(|| fence_in(&said));
            first = if first.is_empty() { said } else { first };
        }
        Ok(first)
    }

    /// Starts every node, and waits until all are healthy and one leads.
    ///
    /// # Errors
    /// When that takes too long; with the ends of their logs.
    pub fn start(&mut self) -> Result<(), RigError> {
        for node in &mut self.nodes {
            let log = node.config.with_file_name("keymoot.log");
            let append = || File::options().create(true).append(true).open(&log);
            let (out, err) = (
                append().map_err(RigError::at("open", &log))?,
                append().map_err(RigError::at("open", &log))?,
            );
            let mut command = Command::new(binary::keymoot()?);
            command.arg("serve").arg("--config").arg(&node.config);
            command.stdin(Stdio::null()).stdout(out).stderr(err);
            node.child = Some(command.spawn().map_err(RigError::io("cannot start keymoot"))?);
        }
        let led = wait_until("the restored cluster to have a leader", HEALTHY_WITHIN, || {
            self.nodes.iter().try_for_each(|node| metrics::is_healthy(node.api))?;
            let leads =
                |node: &RestoredNode| metrics::sample(node.api, metrics::IS_LEADER).is_ok_and(|v| v > 0.5);
            match self.nodes.iter().any(leads) {
                true => Ok(()),
                false => Err(RigError::Answer("no node leads".to_owned())),
            }
        });
        led.map_err(|error| RigError::Program(format!("{error}\n{}", self.log_tails())))
    }

    /// Lets the accounts and credentials be used that the backup brought back, as its restore said.
    ///
    /// # Errors
    /// When the command fails; with its output.
    pub fn confirm_accounts(&self) -> Result<(), RigError> {
        let node = self.nodes.first().ok_or_else(|| RigError::Program("there is no node".to_owned()))?;
        let confirm = ["account", "confirm", "--all", "--yes", "--config"].map(str::to_owned);
        operator::keymoot(&[&confirm[..], &[text(&node.config)]].concat())?.succeeded().map(drop)
    }

    /// Kills a node.
    pub fn stop(&mut self, id: u64) {
        for node in self.nodes.iter_mut().filter(|node| node.id == id) {
            if let Some(mut child) = node.child.take() {
                process::end(&mut child, Duration::from_secs(15));
            }
        }
    }

    /// The log of a node.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn log(&self, id: u64) -> Result<String, RigError> {
        let path = self.root.join(format!("node-{id}/keymoot.log"));
        let bytes = std::fs::read(&path).map_err(RigError::at("read", &path))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The ends of all logs, for the report of a failure.
    pub fn log_tails(&self) -> String {
        let files: Vec<PathBuf> =
            self.nodes.iter().map(|node| node.config.with_file_name("keymoot.log")).collect();
        logs::tails(&files)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tails());
        }
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                process::end(&mut child, Duration::from_secs(15));
            }
        }
    }
}

fn prepare_node(cluster: &Cluster, root: &Path, id: u64) -> Result<RestoredNode, RigError> {
    let [api, peer] = ports::free()?;
    let dir = root.join(format!("node-{id}"));
    std::fs::create_dir_all(&dir).map_err(RigError::at("make", &dir))?;
    let (own, shared) = (cluster.node(id)?.dir.display().to_string(), cluster.dir().display().to_string());
    let config = dir.join("keymoot.toml");
    let written = format!(
        "[node]\nid = {id}\ndata_dir = \"data\"\n\n\
         [cluster]\nname = \"dev\"\npeer_listen = \"{peer}\"\nca_file = \"{shared}/ca.pem\"\n\
         cert_file = \"{own}/node.pem\"\nkey_file = \"{own}/node-key.pem\"\n\n\
         [http]\nlisten = \"{api}\"\n\n[keys]\nkeyring_file = \"{shared}/keyring.toml\"\n"
    );
    std::fs::write(&config, written).map_err(RigError::at("write", &config))?;
    Ok(RestoredNode { id, api, peer, config, child: None })
}

fn fence_in(said: &str) -> Option<String> {
    let after = said.split("--fence ").nth(1)?;
    Some(after.split_whitespace().next()?.to_owned())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
