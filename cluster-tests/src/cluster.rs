//! Three real nodes on loopback, started by `keymoot dev` in a directory of their own.
//!
//! The cluster ends when its value is dropped: every process it started is asked to stop, then
//! killed. When a test panics, the ends of all logs are printed, because the directory is deleted
//! too.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::search::files_under;
use crate::wait::wait_until;
use crate::{RigError, Signer, binary, dev_file, logs, metrics, operator, process, raw};

mod node;
mod options;

pub use node::Node;
pub use options::Options;

/// The time limit for three nodes to start on a busy two-core machine.
const START_WITHIN: Duration = Duration::from_secs(60);
/// The time limit for a node to stop when asked.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// How long the cluster may be without a leader before that counts as a failure.
const LEADER_WITHIN: Duration = Duration::from_secs(30);

/// A running cluster.
pub struct Cluster {
    root: TempDir,
    dir: PathBuf,
    nodes: Vec<Node>,
    signer: Signer,
    license_signing_key: String,
    env: Vec<(String, String)>,
    open_files: Option<u64>,
    dev: Child,
    /// Nodes that the rig itself restarted, and must therefore reap.
    restarted: Vec<(u64, Child)>,
}

impl Cluster {
    /// A cluster with the shipped defaults.
    ///
    /// # Errors
    /// As for [`Options::start`].
    pub fn start() -> Result<Self, RigError> {
        Options::default().start()
    }

    fn start_with(options: Options) -> Result<Self, RigError> {
        let root = TempDir::with_prefix("keymoot-rig-").map_err(RigError::io("cannot make a directory"))?;
        let logs = root.path().join("logs");
        let dir = options.dir.unwrap_or_else(|| root.path().join("cluster"));
        for path in [&dir, &logs] {
            std::fs::create_dir_all(path).map_err(RigError::at("make", path))?;
        }
        let mut command = program(options.open_files)?;
        command.arg("dev").arg("--dir").arg(&dir).args(["--base-port", "0", "--restart-after", "0"]);
        if let Some(nodes) = options.nodes {
            command.arg("--nodes").arg(nodes.to_string());
        }
        let dev = spawn(command, &options.env, &logs.join("dev.log"))?;
        let mut cluster = Self {
            root,
            dir,
            nodes: Vec::new(),
            signer: Signer::new("", "", ""),
            license_signing_key: String::new(),
            env: options.env,
            open_files: options.open_files,
            dev,
            restarted: Vec::new(),
        };
        match cluster.become_ready() {
            Ok(()) => Ok(cluster),
            Err(error) => Err(RigError::Program(format!("{error}\n{}", cluster.log_tails()))),
        }
    }

    fn become_ready(&mut self) -> Result<(), RigError> {
        let path = self.dir().join("dev.json");
        let dev = &mut self.dev;
        let mut ended = None;
        let found = wait_until("keymoot dev to write dev.json", START_WITHIN, || {
            if let Ok(Some(status)) = dev.try_wait() {
                ended = Some(status);
                return Ok(None);
            }
            dev_file::read(&path).map(Some)
        })?;
        let Some(file) = found else {
            let status = ended.map_or_else(String::new, |status| status.to_string());
            return Err(RigError::Program(format!(
                "keymoot dev ended before the cluster was ready ({status})"
            )));
        };
        for node in file.nodes {
            let api = raw::address_of(&node.api)?;
            self.nodes.push(Node { id: node.id, api, dir: self.dir().join(node.dir), pid: node.pid });
        }
        let account = file.account;
        self.signer = Signer::new(&account.account_id, &account.ca_system, &account.signing_keys.encryption);
        self.license_signing_key = account.signing_keys.license;
        for node in &self.nodes {
            wait_until("a node to be healthy", START_WITHIN, || metrics::is_healthy(node.api))?;
        }
        self.leader().map(|_| ())
    }

    /// The directory that `keymoot dev` was given.
    pub fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    /// Restarts every node without `keymoot dev`, so that only nodes use its directory.
    ///
    /// # Errors
    /// When a node does not end, or does not come back in time.
    pub fn do_without_dev(&mut self) -> Result<(), RigError> {
        process::end(&mut self.dev, STOP_WITHIN);
        let ids: Vec<u64> = self.nodes.iter().map(|node| node.id).collect();
        ids.into_iter().try_for_each(|id| self.await_end(id))?;
        self.restart_all()
    }

    /// The demo account with its encryption signing key.
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The demo account with its license signing key, which no encryption endpoint may accept.
    pub fn license_signer(&self) -> Signer {
        self.signer.with_key(&self.license_signing_key)
    }

    /// All nodes, running or not.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The API addresses of all nodes.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.api).collect()
    }

    /// The node with this id.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&self, id: u64) -> Result<&Node, RigError> {
        self.nodes
            .iter()
            .find(|node| node.id == id)
            .ok_or_else(|| RigError::Answer(format!("the cluster has no node {id}")))
    }

    /// The ids of all other nodes.
    pub fn others(&self, id: u64) -> Vec<u64> {
        self.nodes.iter().map(|node| node.id).filter(|other| *other != id).collect()
    }

    /// Waits until exactly one node reports that it leads, and returns its id.
    ///
    /// # Errors
    /// When none does in time.
    pub fn leader(&self) -> Result<u64, RigError> {
        wait_until("the cluster to have one leader", LEADER_WITHIN, || {
            let leads =
                |node: &&Node| metrics::sample(node.api, metrics::IS_LEADER).is_ok_and(|value| value > 0.5);
            match self.nodes.iter().filter(leads).collect::<Vec<_>>().as_slice() {
                [leader] => Ok(leader.id),
                leaders => Err(RigError::Answer(format!("{} nodes say that they lead", leaders.len()))),
            }
        })
    }

    /// Kills a node with SIGKILL.
    ///
    /// # Errors
    /// When it still runs afterwards.
    pub fn kill(&mut self, id: u64) -> Result<(), RigError> {
        self.signal(id, Signal::KILL)
    }

    /// Asks a node to stop and waits until it has.
    ///
    /// # Errors
    /// When it still runs after the deadline.
    pub fn stop(&mut self, id: u64) -> Result<(), RigError> {
        self.signal(id, Signal::TERM)
    }

    /// Suspends a node until [`Self::resume`].
    ///
    /// # Errors
    /// When it may not be signalled.
    pub fn pause(&self, id: u64) -> Result<(), RigError> {
        process::signal(self.node(id)?.pid, Signal::STOP, &self.dir())
    }

    /// Resumes a paused node.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub fn resume(&self, id: u64) -> Result<(), RigError> {
        process::signal(self.node(id)?.pid, Signal::CONT, &self.dir())
    }

    /// Runs a command of the program with a node's configuration.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn command(&self, at: u64, arguments: &[&str]) -> Result<operator::CommandOutput, RigError> {
        operator::keymoot(&[arguments, &["--config", &self.node(at)?.config()]].concat())
    }

    /// Runs `keymoot cluster` with a node's configuration.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn operate(&self, at: u64, arguments: &[&str]) -> Result<operator::CommandOutput, RigError> {
        self.command(at, &[&["cluster"], arguments].concat())
    }

    /// Adds an account that may send requests from this machine, with more arguments.
    ///
    /// # Errors
    /// When the command fails.
    pub fn add_account(&self, name: &str, more: &[&str]) -> Result<(), RigError> {
        let config = self.node(self.leader()?)?.config();
        let add = ["account", "add", name, "--allow", "127.0.0.0/8", "--config", &config];
        operator::keymoot(&[&add[..], more].concat())?.succeeded().map(drop)
    }

    /// Kills all nodes without a pause in between.
    ///
    /// # Errors
    /// When one still runs afterwards.
    pub fn kill_all(&mut self) -> Result<(), RigError> {
        let dir = self.dir();
        for node in &self.nodes {
            process::signal(node.pid, Signal::KILL, &dir)?;
        }
        let ids: Vec<u64> = self.nodes.iter().map(|node| node.id).collect();
        ids.into_iter().try_for_each(|id| self.await_end(id))
    }

    fn signal(&mut self, id: u64, signal: Signal) -> Result<(), RigError> {
        process::signal(self.node(id)?.pid, signal, &self.dir())?;
        self.await_end(id)
    }

    fn await_end(&mut self, id: u64) -> Result<(), RigError> {
        for (_, child) in self.restarted.iter_mut().filter(|(known, _)| *known == id) {
            process::wait_for_exit(child, STOP_WITHIN)?;
        }
        self.restarted.retain(|(known, _)| *known != id);
        let (pid, dir) = (self.node(id)?.pid, self.dir());
        wait_until(&format!("node {id} to end"), STOP_WITHIN, || {
            if process::is_ours(pid, &dir) {
                return Err(RigError::Answer(format!("process {pid} still runs")));
            }
            Ok(())
        })
    }

    /// Waits until a node that the rig started ends by itself, and returns its exit status.
    ///
    /// # Errors
    /// When it still runs after the deadline.
    pub fn await_own_end(&mut self, id: u64) -> Result<ExitStatus, RigError> {
        let started = self.restarted.iter_mut().find(|(known, _)| *known == id);
        let (_, child) = started.ok_or_else(|| RigError::Answer(format!("node {id} is not the rig's")))?;
        let status = process::wait_for_exit(child, START_WITHIN)?;
        self.restarted.retain(|(known, _)| *known != id);
        Ok(status)
    }

    /// The log of a node that the rig started.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn said(&self, id: u64) -> Result<String, RigError> {
        let log = self.root.path().join("logs").join(format!("serve-{id}.log"));
        std::fs::read_to_string(&log).map_err(RigError::at("read", &log))
    }

    /// Waits until every node reports that it is ready.
    ///
    /// # Errors
    /// When one does not in time.
    pub fn await_ready(&self) -> Result<(), RigError> {
        self.addresses()
            .into_iter()
            .try_for_each(|api| wait_until("a node to be ready", START_WITHIN, || metrics::is_ready(api)))
    }

    /// Starts a node that was stopped, and waits until it is healthy.
    ///
    /// # Errors
    /// When it is not healthy in time.
    pub fn restart(&mut self, id: u64) -> Result<(), RigError> {
        self.launch(id)?;
        let api = self.node(id)?.api;
        wait_until(&format!("node {id} to be healthy again"), START_WITHIN, || metrics::is_healthy(api))
    }

    /// Starts a node that was stopped, with further environment variables, and does not wait for
    /// it: only the caller knows how to reach it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with_env(&mut self, id: u64, env: &[(&str, &str)]) -> Result<(), RigError> {
        let own = self.env.len();
        self.env.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let started = self.launch(id);
        self.env.truncate(own);
        started
    }

    /// Starts every node, and waits until all are healthy and one leads.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn restart_all(&mut self) -> Result<(), RigError> {
        let ids: Vec<u64> = self.nodes.iter().map(|node| node.id).collect();
        ids.iter().try_for_each(|id| self.launch(*id))?;
        for api in self.addresses() {
            wait_until("a node to be healthy again", START_WITHIN, || metrics::is_healthy(api))?;
        }
        self.leader().map(|_| ())
    }

    fn launch(&mut self, id: u64) -> Result<(), RigError> {
        let command = self.serve_command(id)?;
        let log = self.root.path().join("logs").join(format!("serve-{id}.log"));
        let child = spawn(command, &self.env, &log)?;
        if let Some(node) = self.nodes.iter_mut().find(|node| node.id == id) {
            node.pid = child.id();
        }
        self.restarted.push((id, child));
        Ok(())
    }

    fn serve_command(&self, id: u64) -> Result<Command, RigError> {
        let mut command = program(self.open_files)?;
        command.arg("serve").arg("--config").arg(self.node(id)?.config());
        Ok(command)
    }

    /// Starts a node that must refuse to run, with `env` over the cluster's own, and returns its
    /// exit status and its output.
    ///
    /// # Errors
    /// When it still runs after the deadline; it is killed then.
    pub fn must_refuse(&self, id: u64, env: &[(String, String)]) -> Result<(ExitStatus, String), RigError> {
        let log = self.root.path().join("logs").join(format!("refusal-{id}.log"));
        // The log of an earlier refusal is removed first.
        std::fs::write(&log, "").map_err(RigError::at("write", &log))?;
        let env = [self.env.as_slice(), env].concat();
        let mut child = spawn(self.serve_command(id)?, &env, &log)?;
        let ended = process::wait_for_exit(&mut child, START_WITHIN);
        process::end(&mut child, Duration::from_secs(5));
        let said = std::fs::read_to_string(&log).map_err(RigError::at("read", &log))?;
        ended.map(|status| (status, said))
    }

    /// Waits until a node has applied all entries that the others have in their logs now.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn await_caught_up(&self, id: u64) -> Result<(), RigError> {
        let leader = self.node(self.leader()?)?.api;
        let target = metrics::sample(leader, metrics::LAST_LOG_INDEX)?;
        let api = self.node(id)?.api;
        wait_until(&format!("node {id} to apply entry {target}"), START_WITHIN, || {
            match metrics::sample(api, metrics::APPLIED_INDEX)? {
                applied if applied >= target => Ok(()),
                applied => Err(RigError::Answer(format!("it has applied {applied}"))),
            }
        })
    }

    /// All log files.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn log_files(&self) -> Result<Vec<PathBuf>, RigError> {
        let mut files = files_under(&self.root.path().join("logs"))?;
        let inside = files_under(&self.dir())?;
        files.extend(inside.into_iter().filter(|path| path.extension().is_some_and(|e| e == "log")));
        Ok(files)
    }

    /// The ends of all logs, for the report of a failure.
    pub fn log_tails(&self) -> String {
        logs::tails(&self.log_files().unwrap_or_default())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tails());
        }
        for (_, child) in &mut self.restarted {
            process::end(child, Duration::from_secs(5));
        }
        process::end(&mut self.dev, STOP_WITHIN);
        let dir = self.dir();
        for node in &self.nodes {
            // A process that `keymoot dev` left running must not outlive the test either.
            let _ = process::signal(node.pid, Signal::KILL, &dir);
        }
    }
}

/// The program, with a limit on open files if one is given.
fn program(open_files: Option<u64>) -> Result<Command, RigError> {
    let Some(most) = open_files else { return Ok(Command::new(binary::keymoot()?)) };
    let mut command = Command::new("sh");
    let limited = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
    command.arg("-c").arg(limited).arg(binary::keymoot()?);
    Ok(command)
}

/// Starts a program with `env` over its own environment, and appends both outputs to `log`.
pub(crate) fn spawn(mut command: Command, env: &[(String, String)], log: &Path) -> Result<Child, RigError> {
    let append = || File::options().create(true).append(true).open(log);
    let (out, err) =
        (append().map_err(RigError::at("open", log))?, append().map_err(RigError::at("open", log))?);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    command.spawn().map_err(RigError::io(format!("cannot start {}", command.get_program().display())))
}
