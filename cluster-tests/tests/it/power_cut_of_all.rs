//! When the power of all nodes is cut at once, nothing acknowledged is lost, and every node starts by
//! itself.
//!
//! `KEYMOOT_CUTS` sets how often the power is cut, `KEYMOOT_SEED` when.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::loop_disk::{self, FileSystem, LoopDisk};
use cluster_tests::{Options, Signer};

/// Room for the journals, logs and tables of every node.
const DISK_BYTES: u64 = 3 * 1024 * 1024 * 1024;
const WRITERS: usize = 6;

#[test]
fn if_disks_can_be_mounted_power_cuts_of_all_nodes_on_xfs_lose_nothing() {
    cut_power(FileSystem::Xfs);
}

#[test]
fn if_disks_can_be_mounted_power_cuts_of_all_nodes_on_ext4_lose_nothing() {
    cut_power(FileSystem::Ext4);
}

fn cut_power(kind: FileSystem) {
    if let Err(not_run) = loop_disk::available() {
        return eprintln!("{not_run}");
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (cuts, seed) = (number("KEYMOOT_CUTS").unwrap_or(3), number("KEYMOOT_SEED").unwrap_or(20_260_721));
    let mut disk = LoopDisk::make(kind, DISK_BYTES).unwrap();
    let mut cluster = Options::default()
        .dir(disk.path().join("cluster"))
        // The log is purged all the time, so that it reaches back only as far as it must.
        .env("KEYMOOT__RAFT__SNAPSHOT_LOG_ENTRIES", "40")
        .env("KEYMOOT__RAFT__LOG_KEEP_ENTRIES", "0")
        .start()
        .unwrap();
    cluster.do_without_dev().unwrap();
    // `keymoot dev` syncs no configuration. The nodes get no such help after this.
    disk.sync().unwrap();
    let (ledger, mut random) = (Mutex::new(Ledger::default()), Random(seed));
    for cut in 0..cuts {
        let stop = AtomicBool::new(false);
        let (signer, nodes) = (cluster.signer().clone(), cluster.addresses());
        let before = ledger.lock().unwrap().len();
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (signer, node, stop, ledger) = (&signer, nodes[writer % nodes.len()], &stop, &ledger);
                scope.spawn(move || write(signer, node, &format!("{cut}-{writer}"), stop, ledger));
            }
            // Any moment of the load will do, and a seed brings the same one again.
            std::thread::sleep(Duration::from_millis(random.below(1500) + 150));
            disk.cut_power().unwrap();
            cluster.kill_all().unwrap();
            stop.store(true, Ordering::Relaxed);
        });
        disk.restore_power().unwrap();
        cluster.restart_all().unwrap();
        cluster.await_ready().unwrap();
        ledger.lock().unwrap().assert_kept(cluster.signer(), &cluster.addresses());
        let all = ledger.lock().unwrap().len();
        println!("{kind:?}, seed {seed}: cut {cut} survived, {} of {all} keys new", all - before);
    }
    assert!(!ledger.lock().unwrap().is_empty(), "nothing was ever acknowledged");
}

/// Creates contents until told to stop, and enters what was acknowledged.
fn write(signer: &Signer, node: SocketAddr, name: &str, stop: &AtomicBool, ledger: &Mutex<Ledger>) {
    for serial in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(key) = signer.create(node, &format!("{name}-{serial}.mp4")) {
            ledger.lock().unwrap().enter(key, "a node before the cut");
        }
    }
}

/// The same numbers for the same seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
