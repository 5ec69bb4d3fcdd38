//! Keeps the nodes running until a stop request, and then stops them in good order.

use std::process::ExitStatus;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::process::Child;
use tokio::time::{Instant, sleep_until, timeout};

use super::bring_up::bring_up;
use super::demo_page::DemoPage;
use super::directory::{DevDirectory, failed};
use super::manifest::{Manifest, ManifestAccount, ManifestNode};
use super::materials::Materials;
use super::node_process::{ask_to_stop, ending, log_tail, start};
use super::report;
use keymoot_command::Failure;
use keymoot_command::StopSignal;

/// How long nodes may take to stop before they are killed: more than their configured drain time.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A running development cluster.
pub(super) struct Cluster {
    directory: DevDirectory,
    materials: Materials,
    nodes: Vec<Process>,
    /// The last process id of each node; a node that is down keeps its old one until it is back.
    pids: Vec<u32>,
    restart_after: Option<Duration>,
}

/// A node's process, or the time at which it is restarted.
enum Process {
    Running(Child),
    Down { restart_at: Option<Instant> },
}

impl Cluster {
    /// A cluster whose processes are not started yet.
    pub(super) fn new(
        directory: DevDirectory,
        materials: Materials,
        restart_after: Option<Duration>,
    ) -> Self {
        Self { directory, materials, nodes: Vec::new(), pids: Vec::new(), restart_after }
    }

    /// Starts the nodes, makes them a cluster, and keeps them running until a signal.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let mut signal = StopSignal::listen()?;
        self.directory.remove_manifest()?;
        for node in &self.materials.nodes {
            let child = start(node)?;
            self.pids.push(child.id().unwrap_or_default());
            self.nodes.push(Process::Running(child));
        }
        println!("starting {} nodes ...", self.nodes.len());
        let outcome = tokio::select! {
            outcome = bring_up(&self.materials) => outcome.map(|()| true),
            (index, status) = next_exit(&mut self.nodes) => Err(self.did_not_start(index, status)),
            () = signal.wait() => Ok(false),
        };
        let outcome = match outcome {
            Ok(true) => self.keep_running(&mut signal).await,
            Ok(false) => Ok(()),
            Err(failure) => Err(failure),
        };
        self.stop(&mut signal).await;
        outcome
    }

    async fn keep_running(&mut self, signal: &mut StopSignal) -> Result<(), Failure> {
        self.write_manifest()?;
        let page = DemoPage::start(&self.materials, self.directory.file("demo")).await?;
        let root = self.directory.root();
        print!("{}", report::ready(&self.materials, root, &self.pids, self.restart_after, &page.url));
        loop {
            let restart_at = self.nodes.iter().filter_map(Process::restart_at).min();
            tokio::select! {
                (index, status) = next_exit(&mut self.nodes) => self.note_exit(index, status),
                () = wait_until(restart_at) => self.restart_due()?,
                () = signal.wait() => return Ok(()),
            }
        }
    }

    fn note_exit(&mut self, index: usize, status: ExitStatus) {
        let restart_at = self.restart_after.map(|after| Instant::now() + after);
        let then = match self.restart_after {
            Some(after) => format!("starting it again in {} s", after.as_secs()),
            None => "leaving it down".to_owned(),
        };
        if let (Some(node), Some(process)) = (self.materials.nodes.get(index), self.nodes.get_mut(index)) {
            println!("node {} exited ({}); {then}", node.id, ending(status));
            *process = Process::Down { restart_at };
        }
    }

    fn restart_due(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        let slots = self.nodes.iter_mut().zip(&mut self.pids);
        for (node, (process, pid)) in self.materials.nodes.iter().zip(slots) {
            if process.restart_at().is_some_and(|at| at <= now) {
                let child = start(node)?;
                *pid = child.id().unwrap_or_default();
                println!("node {} started again (pid {pid})", node.id);
                *process = Process::Running(child);
            }
        }
        self.write_manifest()
    }

    fn did_not_start(&self, index: usize, status: ExitStatus) -> Failure {
        let Some(node) = self.materials.nodes.get(index) else {
            return Failure::because("a node did not start");
        };
        let (id, log) = (node.id, node.log_file.display());
        let tail = log_tail(&node.log_file);
        Failure::because(format!("node {id} did not start ({}); the end of {log}:{tail}", ending(status)))
    }

    fn write_manifest(&self) -> Result<(), Failure> {
        let path = self.directory.file("dev.json");
        // The keys are base64 text that this command made; any other text would have to be UTF-8 as
        // well.
        let text = |key: &'_ keymoot_crypto::SecretBytes| String::from_utf8_lossy(key.expose()).into_owned();
        let encryption = zeroize::Zeroizing::new(text(&self.materials.encryption_key));
        let license = zeroize::Zeroizing::new(text(&self.materials.license_key));
        let nodes = self.materials.nodes.iter().zip(&self.pids).map(|(node, pid)| ManifestNode {
            id: node.id,
            api: self.materials.api(node),
            packager: node.packager(),
            pid: *pid,
            dir: &node.directory,
        });
        let manifest = Manifest {
            nodes: nodes.collect(),
            account: ManifestAccount::demo(&encryption, &license),
            ca: &self.materials.ca_file,
        };
        manifest.write(&path).map_err(|error| failed("write", &path, &error))
    }

    /// Asks the nodes to stop, and kills those that do not, or all of them at a second signal.
    async fn stop(&mut self, signal: &mut StopSignal) {
        println!("stopping ...");
        self.nodes.iter().filter_map(Process::child).for_each(ask_to_stop);
        let all_ended = async {
            for process in &mut self.nodes {
                if let Process::Running(child) = process {
                    // An error means that there is nothing left to wait for.
                    let _ = child.wait().await;
                }
            }
        };
        tokio::select! {
            _ = timeout(STOP_TIMEOUT, all_ended) => {}
            () = signal.wait() => {}
        }
        for (node, process) in self.materials.nodes.iter().zip(&mut self.nodes) {
            if let Process::Running(child) = process
                && matches!(child.try_wait(), Ok(None))
            {
                println!("node {} did not stop in time and is killed", node.id);
                // An error means that the process has ended meanwhile.
                let _ = child.kill().await;
            }
        }
    }
}

impl Process {
    fn child(&self) -> Option<&Child> {
        match self {
            Self::Running(child) => Some(child),
            Self::Down { .. } => None,
        }
    }

    fn restart_at(&self) -> Option<Instant> {
        match self {
            Self::Running(_) => None,
            Self::Down { restart_at } => *restart_at,
        }
    }
}

/// Waits for the next node that ends; for ever when none runs.
async fn next_exit(nodes: &mut [Process]) -> (usize, ExitStatus) {
    let mut waits: FuturesUnordered<_> = nodes
        .iter_mut()
        .enumerate()
        .filter_map(|(index, process)| match process {
            Process::Running(child) => Some(async move { (index, child.wait().await) }),
            Process::Down { .. } => None,
        })
        .collect();
    while let Some((index, status)) = waits.next().await {
        if let Ok(status) = status {
            return (index, status);
        }
    }
    std::future::pending().await
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::process::Command;

    use super::*;

    #[tokio::test]
    async fn the_node_that_ended_is_told_from_those_that_run() {
        let run = |script: &str| Command::new("sh").args(["-c", script]).kill_on_drop(true).spawn().unwrap();
        let mut nodes = [
            Process::Running(run("exec sleep 600")),
            Process::Down { restart_at: None },
            Process::Running(run("exit 3")),
        ];
        let (index, status) = next_exit(&mut nodes).await;
        assert_eq!((index, status.code()), (2, Some(3)));
    }

    #[tokio::test]
    async fn an_asked_child_ends_by_the_signal() {
        let mut child = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
        ask_to_stop(&child);
        assert_eq!(ending(child.wait().await.unwrap()), "signal 15");
    }
}
