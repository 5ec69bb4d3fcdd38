//! A failed sync ends the node, which says what failed, and nothing is acknowledged on the strength of
//! it. A slow one is waited for and complained about.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, Options, RigError};

/// `strace` over a node, changing what a system call does.
struct Injected(Child);

impl Injected {
    /// Attaches to a process; none, with words that say so, where that is not allowed.
    fn into(pid: u32, call: &str, fault: &str) -> Option<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-o", "/dev/null", "-e", &format!("trace={call}")]);
        command.args(["-e", &format!("inject={call}:{fault}"), "-p", &pid.to_string()]);
        let attached = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().map(Self);
        let tracer = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            match status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0")) {
                true => Ok(()),
                false => Err(RigError::Answer("it is not traced".to_owned())),
            }
        };
        match attached {
            Ok(attached) if wait_until("strace to attach", Duration::from_secs(10), tracer).is_ok() => {
                Some(attached)
            }
            _ => {
                eprintln!("NOT RUN, because strace cannot change what a process's system calls do here");
                None
            }
        }
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(options: Options) -> (Cluster, Ledger) {
    let mut cluster = options.start().unwrap();
    cluster.do_without_dev().unwrap();
    (cluster, Ledger::default())
}

/// Writes until node `id` is dead, entering only what was acknowledged; it must have ended by itself.
fn write_until_it_ends(cluster: &mut Cluster, ledger: &mut Ledger, id: u64) -> String {
    let pid = cluster.node(id).unwrap().pid;
    let others = cluster.others(id);
    let alive = || std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
    for serial in 0..400 {
        // A write of its own may have ended the node already; the others must go on all the same.
        if !alive() && !ledger.is_empty() {
            break;
        }
        let node = others[serial % others.len()];
        let api = cluster.node(node).unwrap().api;
        if let Ok(key) = cluster.signer().create(api, &format!("failing-{serial}.mp4")) {
            ledger.enter(key, "while a disk fails");
        }
    }
    let status = cluster.await_own_end(id).unwrap();
    assert_eq!(status.code(), Some(1), "{status}");
    cluster.said(id).unwrap()
}

fn nothing_is_lost(cluster: &mut Cluster, ledger: &Ledger, id: u64) {
    cluster.restart(id).unwrap();
    cluster.await_caught_up(id).unwrap();
    cluster.await_ready().unwrap();
    ledger.assert_kept(cluster.signer(), &cluster.addresses());
    assert!(!ledger.is_empty(), "the others went on with nothing");
}

#[test]
fn if_strace_can_inject_faults_a_failed_sync_of_the_log_ends_the_node() {
    let (mut cluster, mut ledger) = start(Options::default());
    let id = cluster.leader().unwrap();
    let pid = cluster.node(id).unwrap().pid;
    let Some(injected) = Injected::into(pid, "fdatasync", "error=EIO") else { return };
    let said = write_until_it_ends(&mut cluster, &mut ledger, id);
    drop(injected);
    let dir = cluster.node(id).unwrap().dir.join("data/log");
    assert!(said.contains("the raft log in") && said.contains(&dir.display().to_string()), "{said}");
    nothing_is_lost(&mut cluster, &ledger, id);
}

#[test]
fn if_strace_can_inject_faults_a_failed_sync_of_the_tables_ends_the_node() {
    let options = Options::default()
        .env("KEYMOOT__RAFT__SNAPSHOT_LOG_ENTRIES", "20")
        .env("KEYMOOT__RAFT__LOG_KEEP_ENTRIES", "0");
    let (mut cluster, mut ledger) = start(options);
    let leader = cluster.leader().unwrap();
    let id = cluster.others(leader)[0];
    let pid = cluster.node(id).unwrap().pid;
    let Some(injected) = Injected::into(pid, "fsync", "error=EIO") else { return };
    let said = write_until_it_ends(&mut cluster, &mut ledger, id);
    drop(injected);
    assert!(said.contains("cannot sync the tables in"), "{said}");
    nothing_is_lost(&mut cluster, &ledger, id);
}

#[test]
fn if_strace_can_inject_faults_a_slow_sync_is_waited_for_and_logged() {
    let (mut cluster, mut ledger) = start(Options::default());
    let id = cluster.leader().unwrap();
    let pid = cluster.node(id).unwrap().pid;
    let Some(injected) = Injected::into(pid, "fdatasync", "delay_enter=1500000") else { return };
    for serial in 0..3 {
        let api = cluster.node(id).unwrap().api;
        ledger.enter(cluster.signer().create(api, &format!("slow-{serial}.mp4")).unwrap(), "a slow disk");
    }
    wait_until("the node to complain", Duration::from_secs(20), || {
        match cluster.said(id)?.contains("the disk is slow") {
            true => Ok(()),
            false => Err(RigError::Answer("it says nothing of a slow disk".to_owned())),
        }
    })
    .unwrap();
    drop(injected);
    cluster.kill(id).unwrap();
    nothing_is_lost(&mut cluster, &ledger, id);
}
