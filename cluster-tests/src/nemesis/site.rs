//! The cluster under attack: its network, its nodes, and an account for the clients.
//!
//! Everything carries the rig's process id in its name and is removed with this value, also when a
//! run panics or is interrupted; leftovers of a killed run are removed when the next one begins.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keymoot_crypto::Keyring;
use keymoot_model::ClusterName;
use keymoot_tls::ClusterCa;
use serde_json::Value;

use crate::loop_disk::{FileSystem, LoopDisk};
use crate::nemesis::fabric::Fabric;
use crate::nemesis::leftover;
use crate::nemesis::machine::{LOG, Launch, Machine, PEER_PORT};
use crate::nemesis::shim::{self, Orders};
use crate::operator::CommandOutput;
use crate::wait::wait_until;
use crate::{RigError, Signer, binary, metrics, operator, raw, secret_file};

/// The name of the cluster and of the account.
const NAME: &str = "nemesis";
/// Space for a log, tables and two snapshots, and the minimum for XFS.
const DISK_BYTES: u64 = 512 * 1024 * 1024;
/// The time limit for a new cluster to answer.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The time limit for a node to report whether it leads.
const ROLE_WITHIN: Duration = Duration::from_millis(700);

/// The parameters of a site.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// The number of nodes.
    pub nodes: usize,
    /// The program of the nodes.
    pub program: PathBuf,
    /// Environment variables of all nodes.
    pub env: Vec<(String, String)>,
}

impl Blueprint {
    /// Five nodes of the program under test, with times for two cores.
    ///
    /// # Errors
    /// When there is no program.
    pub fn standard() -> Result<Self, RigError> {
        let paced = [
            // Five nodes and their clients share two cores: a late heartbeat must not look like a
            // failure.
            ("KEYMOOT__CLUSTER__HEARTBEAT_MS", "150"),
            ("KEYMOOT__CLUSTER__ELECTION_TIMEOUT_MIN_MS", "900"),
            ("KEYMOOT__CLUSTER__ELECTION_TIMEOUT_MAX_MS", "1800"),
            // Snapshots all the time, and a log so short that a node that was away needs one.
            ("KEYMOOT__RAFT__SNAPSHOT_LOG_ENTRIES", "400"),
            ("KEYMOOT__RAFT__LOG_KEEP_ENTRIES", "100"),
            ("KEYMOOT__STORE__CACHE_BYTES", "16777216"),
        ];
        let env = paced.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Ok(Self { nodes: 5, program: binary::keymoot()?, env })
    }
}

/// The clients' access: addresses and signers.
#[derive(Clone)]
pub struct Access {
    /// The API addresses of the nodes.
    pub nodes: Vec<SocketAddr>,
    /// The signer for keys.
    pub scrambler: Signer,
    /// The signer for policies.
    pub keeper: Signer,
}

/// The cluster.
pub struct Site {
    // Fields are dropped in this order: processes and disks, then the network, then the files.
    pub(super) machines: Vec<Machine>,
    pub fabric: Fabric,
    access: Access,
    pub(super) ca: ClusterCa,
    pub(super) program: PathBuf,
    pub(super) last_id: u64,
    /// Whether the voters were changed, and not all nodes are known to vote again.
    pub(super) churned: bool,
    dir: Home,
}

impl Site {
    /// Makes and starts a cluster, and waits until each node answers a create.
    ///
    /// # Errors
    /// When the machine refuses or the cluster does not start.
    pub fn make(blueprint: &Blueprint) -> Result<Self, RigError> {
        let root = binary::target_dir().join("tmp");
        std::fs::create_dir_all(&root).map_err(RigError::at("make", &root))?;
        leftover::sweep(&root);
        let dir = Home::make(&root)?;
        let fabric = Fabric::make(blueprint.nodes)?;
        let launch = Launch {
            program: blueprint.program.clone(),
            shim: shim::compile(&dir.0)?,
            env: blueprint.env.clone(),
        };
        let ca = authority(&dir.0)?;
        let mut machines = Vec::new();
        for node in 0..blueprint.nodes {
            machines.push(machine(&dir.0, &fabric, &ca, node, launch.clone())?);
        }
        let access = Access {
            nodes: machines.iter().map(Machine::api).collect(),
            scrambler: Signer::new(NAME, "OVP", "the nemesis signs for keys"),
            keeper: Signer::new(NAME, "OVP", "the nemesis signs for policies"),
        };
        let (program, last_id) = (blueprint.program.clone(), machines.len() as u64);
        let mut site = Self { machines, fabric, access, ca, program, last_id, churned: false, dir };
        site.begin()?;
        Ok(site)
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.machines.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// A node, counted from 0.
    ///
    /// # Errors
    /// When there is none.
    pub fn machine(&mut self, node: usize) -> Result<&mut Machine, RigError> {
        self.machines.get_mut(node).ok_or_else(|| RigError::Program(format!("there is no node {}", node + 1)))
    }

    /// Calls `act` for each node.
    ///
    /// # Errors
    /// The first failure of `act`.
    pub fn each(&mut self, act: impl FnMut(&mut Machine) -> Result<(), RigError>) -> Result<(), RigError> {
        self.machines.iter_mut().try_for_each(act)
    }

    /// The leader in the highest term, as far as the nodes report it in time.
    pub fn leader(&self) -> Option<usize> {
        let terms = self.machines.iter().enumerate().filter_map(|(node, machine)| {
            let request = raw::request("GET", "/metrics", &[], &[]);
            let text = raw::exchange(machine.api(), &request, ROLE_WITHIN).ok()?;
            let value = |name| metrics::value_of(&String::from_utf8_lossy(&text.body), name);
            let leads = value(metrics::IS_LEADER)? > 0.5;
            leads.then_some((value(metrics::TERM)?, node))
        });
        terms.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, node)| node)
    }

    /// Waits until a node leads.
    ///
    /// # Errors
    /// When none does in time.
    pub fn await_leader(&self, within: Duration) -> Result<usize, RigError> {
        wait_until("a leader", within, || {
            self.leader().ok_or_else(|| RigError::Answer("nobody says that it leads".to_owned()))
        })
    }

    /// Makes every node in the cluster run and answer. From then on no node has an excuse to end.
    ///
    /// # Errors
    /// When one does not come up.
    pub fn bring_up_all(&mut self) -> Result<(), RigError> {
        for machine in self.machines.iter_mut().filter(|machine| machine.is_configured()) {
            machine.bring_up()?;
            machine.excuse = None;
        }
        Ok(())
    }

    /// The nodes that ended without an excuse since the last call.
    pub fn unexcused_ends(&mut self) -> Vec<String> {
        self.machines.iter_mut().flat_map(Machine::unexcused_ends).collect()
    }

    /// Creates a content of its own at each node.
    ///
    /// # Errors
    /// When one does not answer with a key in time.
    pub fn await_creates(&self, name: &str, within: Duration) -> Result<(), RigError> {
        for (node, api) in self.access.nodes.iter().enumerate() {
            wait_until(&format!("node {} to create a key", node + 1), within, || {
                self.access.scrambler.create(*api, &format!("{name}-{node}")).map(|_| ())
            })?;
        }
        Ok(())
    }

    /// Each member's applied index and the digest of its state, from the cluster's own command: id
    /// → applied index and digest.
    ///
    /// # Errors
    /// When the command fails or a member is silent.
    pub fn digests(&self) -> Result<BTreeMap<u64, (u64, String)>, RigError> {
        let of = |member: &Value| {
            let state = member.get("status")?;
            let digest = state.get("digest")?.as_str()?.to_owned();
            Some((member.get("id")?.as_u64()?, (state.get("applied_index")?.as_u64()?, digest)))
        };
        let silent = || RigError::Answer("a member does not say what its state adds up to".to_owned());
        self.members(0)?.iter().map(|member| of(member).ok_or_else(silent)).collect()
    }

    /// The members in the `cluster status` of a node.
    ///
    /// # Errors
    /// When the command prints none.
    pub fn members(&self, at: usize) -> Result<Vec<Value>, RigError> {
        // The exit code reports the cluster's health; the output is valid either way.
        let said = self.ask(at, &["cluster", "status", "--output", "json"])?;
        let status: Value =
            serde_json::from_str(&said.out).map_err(|_| RigError::Program(said.err.clone()))?;
        let members = status.get("members").and_then(Value::as_array).cloned();
        members.ok_or_else(|| RigError::Answer(format!("cluster status is not understood: {}", said.out)))
    }

    /// Runs `keymoot` with the configuration of a node; it must succeed.
    ///
    /// # Errors
    /// When it fails, with its output.
    pub fn keymoot(&self, at: usize, arguments: &[&str]) -> Result<String, RigError> {
        self.ask(at, arguments)?.succeeded()
    }

    fn ask(&self, at: usize, arguments: &[&str]) -> Result<CommandOutput, RigError> {
        let machine = self.machines.get(at);
        let config =
            machine.ok_or_else(|| RigError::Program(format!("there is no node {}", at + 1)))?.config();
        let config = config.display().to_string();
        operator::run(&self.program, &[arguments, &["--config", &config]].concat())
    }

    /// Copies the nodes' logs to a directory that outlives the run.
    ///
    /// # Errors
    /// When they cannot be copied.
    pub fn keep_logs(&self, to: &Path) -> Result<(), RigError> {
        // Ids that are no longer used are included.
        for id in 1..=self.last_id {
            let (log, path) = (self.node_dir(id).join(LOG), to.join(format!("node-{id}.log")));
            if log.exists() {
                std::fs::copy(log, &path).map_err(RigError::at("write", &path))?;
            }
        }
        Ok(())
    }

    /// The directory of the node with this id.
    pub(super) fn node_dir(&self, id: u64) -> PathBuf {
        node_dir(&self.dir.0, id)
    }

    /// The path of a file that all nodes share.
    pub(super) fn shared(&self, name: &str) -> String {
        self.dir.0.join(name).display().to_string()
    }

    fn begin(&mut self) -> Result<(), RigError> {
        self.bring_up_all()?;
        let members: Vec<String> = self
            .machines
            .iter()
            .map(|machine| format!("{}={}:{PEER_PORT}", machine.id, machine.address))
            .collect();
        let mut init = vec!["cluster", "init"];
        init.extend(members.iter().flat_map(|member| ["--member", member.as_str()]));
        wait_until("the cluster to begin", READY_WITHIN, || self.keymoot(0, &init))?;
        let encryption = secret(&self.dir.0, "encryption", self.access.scrambler.signing_key())?;
        let policy = secret(&self.dir.0, "policy", self.access.keeper.signing_key())?;
        let network = self.fabric.network();
        let add = ["account", "add", NAME, "--if-absent", "--allow", &network];
        let keys = ["--encryption-key-file", &encryption, "--policy-key-file", &policy];
        let add = [&add[..], &keys[..]].concat();
        wait_until("the account to be added", READY_WITHIN, || self.keymoot(0, &add))?;
        self.await_creates("ready", READY_WITHIN)
    }
}

/// The directory of everything that a run makes.
struct Home(PathBuf);

impl Home {
    fn make(root: &Path) -> Result<Self, RigError> {
        let dir = root.join(format!("nemesis-{}", std::process::id()));
        if dir.exists() {
            // An earlier site of this process may have left the directory.
            leftover::remove_tree(&dir);
        }
        std::fs::create_dir(&dir).map_err(RigError::at("make", &dir))?;
        Ok(Self(dir))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        leftover::remove_tree(&self.0);
    }
}

fn authority(dir: &Path) -> Result<ClusterCa, RigError> {
    let failed = |why: &dyn std::fmt::Display| RigError::Program(format!("no certificates: {why}"));
    let name = ClusterName::new(NAME).map_err(|error| failed(&error))?;
    let ca = ClusterCa::generate(&name).map_err(|error| failed(&error))?;
    ca.save_new(&dir.join("ca.pem"), &dir.join("ca-key.pem")).map_err(|error| failed(&error))?;
    Keyring::save_new(&dir.join("keyring.toml")).map_err(|error| failed(&error))?;
    Ok(ca)
}

fn machine(
    root: &Path,
    fabric: &Fabric,
    ca: &ClusterCa,
    node: usize,
    launch: Launch,
) -> Result<Machine, RigError> {
    let id = node as u64 + 1;
    let dir = node_dir(root, id);
    certify(ca, id, &dir)?;
    let disk = LoopDisk::make_in(root, &format!("disk-{id}"), FileSystem::Xfs, DISK_BYTES)?;
    let orders = Orders::make(&dir.join("orders"))?;
    let address = fabric.address(node);
    let text = format!(
        "[node]\nid = {id}\n\n[cluster]\nname = \"{NAME}\"\n\
         peer_listen = \"{address}:{PEER_PORT}\"\nca_file = \"../ca.pem\"\ncert_file = \"node.pem\"\n\
         key_file = \"node-key.pem\"\n\n[http]\nlisten = \"{address}:{api}\"\ndrain_timeout_ms = 3000\n\n\
         [keys]\nkeyring_file = \"../keyring.toml\"\n",
        api = crate::nemesis::machine::API_PORT,
    );
    let config = dir.join("keymoot.toml");
    std::fs::write(&config, text).map_err(RigError::at("write", &config))?;
    Ok(Machine::new(id, (fabric.namespace(node), address), disk, orders, &dir, launch))
}

fn node_dir(root: &Path, id: u64) -> PathBuf {
    root.join(format!("node-{id}"))
}

/// Makes the directory of a new id, with its certificate and key.
pub(super) fn certify(ca: &ClusterCa, id: u64, dir: &Path) -> Result<(), RigError> {
    std::fs::create_dir(dir).map_err(RigError::at("make", dir))?;
    let issued = ca
        .issue_node(id)
        .and_then(|issued| issued.save_new(&dir.join("node.pem"), &dir.join("node-key.pem")));
    issued.map_err(|error| RigError::Program(format!("no certificate for node {id}: {error}")))
}

fn secret(dir: &Path, name: &str, text: &str) -> Result<String, RigError> {
    let path = dir.join(format!("{name}.key"));
    secret_file::write(&path, text)?;
    Ok(path.display().to_string())
}
