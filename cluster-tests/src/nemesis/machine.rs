//! One node: a process in its namespace, on its disk, with its orders.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::loop_disk::LoopDisk;
use crate::nemesis::shim::{ORDERS, Orders};
use crate::tool;
use crate::wait::{pause, wait_until};
use crate::{RigError, cluster, logs, process, raw};

/// The time limit for a killed process to end.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// The time limit for a node to end after its disk failed.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// The time limit for a node to start on two busy cores.
const START_WITHIN: Duration = Duration::from_secs(60);
/// The port of the API.
pub const API_PORT: u16 = 8081;
/// The port for peers.
pub const PEER_PORT: u16 = 9081;

/// Names a node's data directory, which is on its disk.
pub const DATA_DIR: &str = "KEYMOOT__NODE__DATA_DIR";

/// Names where a node finds its peers.
const HINTS: &str = "KEYMOOT__CLUSTER__PEER_HINTS";

/// The file name of a node's log.
pub const LOG: &str = "keymoot.log";

/// The parameters of its process.
#[derive(Clone, Debug)]
pub struct Launch {
    pub program: PathBuf,
    /// The path of the preloaded library.
    pub shim: PathBuf,
    /// Further environment variables.
    pub env: Vec<(String, String)>,
}

/// The node. Its process ends when this value is dropped.
pub struct Machine {
    pub id: u64,
    /// Its address on the bridge.
    pub address: IpAddr,
    /// The address at which its peers reach it.
    pub(super) peer: IpAddr,
    /// Where it finds its peers, `ID=HOST:PORT,…`, when the cluster's addresses are of no use.
    pub(super) hints: Option<String>,
    pub disk: LoopDisk,
    /// Control of its clock and syncs.
    pub orders: Orders,
    /// Why it may end by itself; `None` when it may not.
    pub excuse: Option<&'static str>,
    /// Whether its data are not those that its peers know: it comes back as another node only.
    pub(super) is_lost: bool,
    pub(super) namespace: String,
    pub(super) dir: PathBuf,
    pub(super) launch: Launch,
    child: Option<Child>,
    surprises: Vec<String>,
}

impl Machine {
    /// A node that does not run yet, with its certificates and configuration in `dir`.
    pub fn new(
        id: u64,
        (namespace, address): (String, IpAddr),
        disk: LoopDisk,
        orders: Orders,
        dir: &Path,
        launch: Launch,
    ) -> Self {
        let dir = dir.to_owned();
        let (excuse, is_lost, child, surprises) = (None, false, None, Vec::new());
        Self {
            id,
            address,
            peer: address,
            hints: None,
            disk,
            orders,
            excuse,
            is_lost,
            namespace,
            dir,
            launch,
            child,
            surprises,
        }
    }

    /// The address of its API.
    pub fn api(&self) -> SocketAddr {
        SocketAddr::new(self.address, API_PORT)
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.join("keymoot.toml")
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join(LOG)
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.disk.path().join("data")
    }

    /// Whether it has a configuration and the data that go with it: a node that has not joined yet has none, and does
    /// not run.
    pub fn is_configured(&self) -> bool {
        !self.is_lost && self.config().exists()
    }

    /// Whether it must be replaced.
    pub const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Records something that must not be, as a violation.
    pub fn accuse(&mut self, text: String) {
        self.surprises.push(text);
    }

    /// Kills the node and gives it a new disk. It becomes another node: this id, in this directory,
    /// where there is no configuration yet. The old id must never run again, because its votes are
    /// lost.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn become_another(&mut self, id: u64, dir: &Path) -> Result<(), RigError> {
        self.kill()?;
        (self.id, self.dir, self.is_lost) = (id, dir.to_owned(), false);
        (self.peer, self.hints) = (self.address, None);
        self.disk.replace()
    }

    /// Starts its process, unless it runs or has not joined.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<(), RigError> {
        if self.child.is_some() || !self.is_configured() {
            return Ok(());
        }
        let mut command = Command::new("nsenter");
        command.arg(tool::enter(&self.namespace)).arg(&self.launch.program);
        command.args(["serve", "--config"]).arg(self.config());
        command.env("LD_PRELOAD", &self.launch.shim).env(ORDERS, self.orders.path());
        command.env(DATA_DIR, self.data_dir());
        command.envs(self.hints.as_ref().map(|hints| (HINTS, hints)));
        self.child = Some(cluster::spawn(command, &self.launch.env, &self.log())?);
        Ok(())
    }

    /// Kills its process with SIGKILL, and reaps it.
    ///
    /// # Errors
    /// When it still exists afterwards.
    pub fn kill(&mut self) -> Result<(), RigError> {
        self.signal(Signal::KILL)?;
        self.reap()
    }

    /// Waits for a process that was killed.
    ///
    /// # Errors
    /// When it still exists after the time limit.
    pub fn reap(&mut self) -> Result<(), RigError> {
        if let Some(child) = &mut self.child {
            process::wait_for_exit(child, GONE_WITHIN)?;
            self.child = None;
        }
        Ok(())
    }

    /// Sends its process a signal, unless it has ended.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub fn signal(&mut self, signal: Signal) -> Result<(), RigError> {
        self.notice_end();
        let pid =
            self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
        match pid.map(|pid| kill_process(pid, signal)) {
            None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
            Some(Err(errno)) => Err(RigError::io(format!("cannot signal node {}", self.id))(errno.into())),
        }
    }

    /// Whether its process runs, stopped or not.
    pub fn runs(&mut self) -> bool {
        self.notice_end();
        self.child.is_some()
    }

    /// The exits without an excuse since the last call.
    pub fn unexcused_ends(&mut self) -> Vec<String> {
        self.notice_end();
        std::mem::take(&mut self.surprises)
    }

    /// Requires that a node whose sync failed ends by itself, because the content of its disk is
    /// unknown; it is a violation if it does not. `failed_before` of its syncs had failed before
    /// that order.
    ///
    /// # Errors
    /// When its orders cannot be read, or when interrupted.
    pub fn demand_end(&mut self, failed_before: u64) -> Result<(), RigError> {
        let until = Instant::now() + ENDS_WITHIN;
        while self.orders.failed_syncs()? > failed_before && self.runs() && !self.is_stopped() {
            if Instant::now() > until {
                let tail = logs::tails(&[self.log()]);
                self.surprises
                    .push(format!("node {} goes on though its disk failed to sync\n{tail}", self.id));
                return Ok(());
            }
            pause(Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Whether a signal has suspended its process.
    fn is_stopped(&self) -> bool {
        let Some(child) = &self.child else { return false };
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    }

    fn notice_end(&mut self) {
        let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) else { return };
        self.child = None;
        if self.excuse.is_none() {
            let tail = logs::tails(&[self.log()]);
            self.surprises.push(format!("node {} ended by itself ({status})\n{tail}", self.id));
        }
    }

    /// Starts it with power on its disk, and does not wait until it answers.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_again(&mut self) -> Result<(), RigError> {
        if self.disk.is_cut() {
            self.kill()?;
            self.disk.restore_power()?;
        }
        self.notice_end();
        self.start()
    }

    /// Makes it run and answer: with power on its disk, and its process started.
    ///
    /// # Errors
    /// When it does not answer in time, with the end of its log.
    pub fn bring_up(&mut self) -> Result<(), RigError> {
        self.start_again()?;
        let what = format!("node {} to be healthy", self.id);
        let up = wait_until(&what, START_WITHIN, || {
            if self.runs() {
                is_healthy(self.api(), Duration::from_secs(1)).map(|()| true)
            } else {
                Ok(false)
            }
        });
        let because = |why: String| RigError::Program(format!("{why}\n{}", logs::tails(&[self.log()])));
        match up {
            Ok(true) => Ok(()),
            Ok(false) => Err(because(format!("node {} ended at its start", self.id))),
            Err(RigError::Interrupted) => Err(RigError::Interrupted),
            Err(error) => Err(because(error.to_string())),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Checks that a node answers within a time.
///
/// # Errors
/// When it does not.
pub fn is_healthy(node: SocketAddr, within: Duration) -> Result<(), RigError> {
    let answer = raw::exchange(node, &raw::request("GET", "/healthz", &[], &[]), within)?;
    if answer.status == 200 {
        return Ok(());
    }
    Err(RigError::Answer(format!("/healthz of {node} answered {}", answer.status)))
}
