//! Three nodes of etcd on loopback, and clients for them: the system that Keymoot is compared with.
//!
//! They run with their defaults, as Debian packages them, on the same disk as Keymoot's nodes. A
//! client has a connection of its own, as Keymoot's clients do, to the node that it was assigned.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};

use super::load::Load;
use crate::wait::wait_until;
use crate::{RigError, metrics, ports, process};

/// The size of a value: as large as an encoded key of Keymoot's and a little more.
pub const VALUE_BYTES: usize = 256;
/// Clients that put the values for the gets.
const FILLERS: u64 = 32;
const FILLERS_STEP: usize = 32;
const START_WITHIN: Duration = Duration::from_secs(30);

/// Three running nodes; they end when this value is dropped.
pub struct EtcdCluster {
    nodes: Vec<Child>,
    /// The addresses for clients.
    pub endpoints: Vec<SocketAddr>,
}

impl EtcdCluster {
    /// Starts the nodes with their data in `dir`, and waits until each answers.
    ///
    /// # Errors
    /// When etcd is not installed or does not become healthy.
    pub fn start(dir: &Path) -> Result<Self, RigError> {
        let addresses = ports::free::<6>()?;
        let (clients, peers) = addresses.split_at(3);
        let names: Vec<String> = (1..=3).map(|id| format!("etcd-{id}")).collect();
        let members: Vec<String> =
            names.iter().zip(peers).map(|(name, peer)| format!("{name}=http://{peer}")).collect();
        let mut cluster = Self { nodes: Vec::new(), endpoints: clients.to_vec() };
        for ((name, client), peer) in names.iter().zip(clients).zip(peers) {
            let log = dir.join(format!("{name}.log"));
            let log = File::create(&log).map_err(RigError::at("make", &log))?;
            let node = Command::new("etcd")
                .args(["--name", name, "--initial-cluster", &members.join(",")])
                .arg("--data-dir")
                .arg(dir.join(name))
                .args(["--listen-client-urls", &format!("http://{client}")])
                .args(["--advertise-client-urls", &format!("http://{client}")])
                .args(["--listen-peer-urls", &format!("http://{peer}")])
                .args(["--initial-advertise-peer-urls", &format!("http://{peer}")])
                .args(["--initial-cluster-state", "new", "--logger", "zap", "--log-level", "error"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .map_err(RigError::io(
                    "cannot start etcd (Debian's etcd-server; scripts/bench installs it)",
                ))?;
            cluster.nodes.push(node);
        }
        for endpoint in &cluster.endpoints {
            wait_until("etcd to have a leader", START_WITHIN, || {
                match metrics::sample(*endpoint, "etcd_server_has_leader")? {
                    leader if leader > 0.5 => Ok(()),
                    _ => Err(RigError::Answer("it has none".to_owned())),
                }
            })?;
        }
        Ok(cluster)
    }

    /// The process ids.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(Child::id).collect()
    }

    /// The addresses of the nodes that do not lead.
    ///
    /// # Errors
    /// When a node does not answer.
    pub fn followers(&self) -> Result<Vec<SocketAddr>, RigError> {
        let leads =
            |node: SocketAddr| metrics::sample(node, "etcd_server_is_leader").map(|leads| (node, leads));
        let nodes: Vec<(SocketAddr, f64)> =
            self.endpoints.iter().map(|node| leads(*node)).collect::<Result<_, _>>()?;
        Ok(nodes.into_iter().filter(|(_, leads)| *leads < 0.5).map(|(node, _)| node).collect())
    }

    /// The number of log fsyncs so far, of all nodes together.
    ///
    /// # Errors
    /// When a node does not answer.
    pub fn fsyncs(&self) -> Result<f64, RigError> {
        let name = "etcd_disk_wal_fsync_duration_seconds_count";
        self.endpoints.iter().map(|endpoint| metrics::sample(*endpoint, name)).sum()
    }
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            process::end(node, Duration::from_secs(5));
        }
    }
}

/// The requests of etcd's clients.
pub enum EtcdLoad {
    /// Puts of values of [`VALUE_BYTES`] under new keys.
    Put {
        /// The nodes' addresses.
        endpoints: Vec<SocketAddr>,
        /// The prefix of all keys.
        series: &'static str,
        /// The number of the next key.
        next: AtomicU64,
    },
    /// Linearizable gets of existing keys.
    Get {
        /// The nodes' addresses.
        endpoints: Vec<SocketAddr>,
        /// The number of existing keys.
        keys: u64,
    },
}

impl EtcdLoad {
    /// Puts at these nodes.
    pub fn puts(endpoints: &[SocketAddr], series: &'static str) -> Self {
        Self::Put { endpoints: endpoints.to_vec(), series, next: AtomicU64::new(0) }
    }

    /// Gets at these nodes of keys that [`Self::fill`] has put.
    pub fn gets(endpoints: &[SocketAddr], keys: u64) -> Self {
        Self::Get { endpoints: endpoints.to_vec(), keys }
    }

    /// Puts the keys for the gets.
    ///
    /// # Errors
    /// When etcd refuses.
    pub fn fill(endpoints: &[SocketAddr], keys: u64) -> Result<(), RigError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(RigError::io("cannot start an event loop"))?.block_on(async {
            let mut fillers = tokio::task::JoinSet::new();
            for (first, endpoint) in (0..FILLERS).zip(endpoints.iter().copied().cycle()) {
                fillers.spawn(fill_share(endpoint, (first..keys).step_by(FILLERS_STEP)));
            }
            while let Some(filled) = fillers.join_next().await {
                filled.map_err(|_| RigError::Program("a filler panicked".to_owned()))??;
            }
            Ok(())
        })
    }
}

async fn fill_share(endpoint: SocketAddr, keys: impl Iterator<Item = u64>) -> Result<(), RigError> {
    let mut client = connect(endpoint).await?;
    for key in keys {
        client.put(known(key), vec![b'v'; VALUE_BYTES], None).await.map_err(refused)?;
    }
    Ok(())
}

impl Load for EtcdLoad {
    type Connection = Client;

    async fn connect(&self, client: usize) -> Result<Client, RigError> {
        let (Self::Put { endpoints, .. } | Self::Get { endpoints, .. }) = self;
        let endpoint = endpoints.get(client % endpoints.len().max(1));
        connect(*endpoint.ok_or_else(|| RigError::Program("there is no etcd to ask".to_owned()))?).await
    }

    async fn ask(
        &self,
        connection: &mut Client,
        client: usize,
        serial: u64,
    ) -> Result<Option<String>, RigError> {
        match self {
            Self::Put { next, series, .. } => {
                let key = format!("{series}-{}", next.fetch_add(1, Ordering::Relaxed));
                connection.put(key, vec![b'v'; VALUE_BYTES], None).await.map_err(refused)?;
            }
            Self::Get { keys, .. } => {
                let key = serial.wrapping_add((client as u64).wrapping_mul(7919)) % (*keys).max(1);
                let got = connection.get(known(key), None).await.map_err(refused)?;
                if got.kvs().is_empty() {
                    return Ok(Some(format!("there is no {}", known(key))));
                }
            }
        }
        Ok(None)
    }
}

fn known(key: u64) -> String {
    format!("known-{key}")
}

async fn connect(endpoint: SocketAddr) -> Result<Client, RigError> {
    let options = ConnectOptions::new().with_tcp_keepalive(Duration::from_secs(60));
    Client::connect([format!("http://{endpoint}")], Some(options)).await.map_err(refused)
}

fn refused(error: etcd_client::Error) -> RigError {
    RigError::Answer(format!("etcd: {error}"))
}
