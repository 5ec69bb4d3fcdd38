//! A background load that creates contents at every node, and records the acknowledged keys.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::ledger::Ledger;
use crate::{RigError, Signer};

/// A load that creates contents until it is stopped. A failed request is retried at another node.
pub struct Creating {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    ledger: Mutex<Ledger>,
}

impl Shared {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        // A worker that panicked has left the ledger intact.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Creating {
    /// Starts `workers` workers.
    pub fn begin(signer: &Signer, nodes: &[SocketAddr], workers: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let worker = |number: usize| {
            let (shared, signer, nodes) = (shared.clone(), signer.clone(), nodes.to_vec());
            std::thread::spawn(move || create(&shared, &signer, &nodes, number))
        };
        let workers = (0..workers).map(worker).collect();
        Self { shared, workers }
    }

    /// The keys that are acknowledged by now.
    pub fn acknowledged(&self) -> Ledger {
        self.shared.ledger().clone()
    }

    /// Waits until `count` contents are acknowledged.
    ///
    /// # Errors
    /// When that takes longer than a minute.
    pub fn await_contents(&self, count: usize) -> Result<(), RigError> {
        crate::wait::wait_until(&format!("{count} contents"), Duration::from_secs(60), || {
            match self.shared.ledger().len() {
                enough if enough >= count => Ok(()),
                few => Err(RigError::Answer(format!("{few} are acknowledged"))),
            }
        })
    }

    /// Ends the load, and returns all acknowledged keys.
    pub fn stop(mut self) -> Ledger {
        self.halt();
        self.shared.ledger().clone()
    }

    fn halt(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            // A worker that panicked has printed why.
            let _ended = worker.join();
        }
    }
}

impl Drop for Creating {
    fn drop(&mut self) {
        self.halt();
    }
}

fn create(shared: &Shared, signer: &Signer, nodes: &[SocketAddr], worker: usize) {
    for (serial, node) in nodes.iter().cycle().enumerate() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let content = format!("load-{worker}-{serial}.mp4");
        // A content without an answer is simply not in the ledger.
        if let Ok(key) = signer.create(*node, &content) {
            shared.ledger().enter(key, &node.to_string());
        } else {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
