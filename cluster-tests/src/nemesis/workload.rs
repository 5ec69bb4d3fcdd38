//! The clients of a run: registers that all of them write, read and delete, fresh contents for the
//! ledger, and policies that one client each changes step by step.
//!
//! Registers are few, so that clients meet, and are replaced by new ones every few seconds, so that
//! each history is short enough to be checked exactly.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use crate::ledger::Ledger;
use crate::nemesis::client::{Client, Supplied};
use crate::nemesis::history::History;
use crate::nemesis::site::Access;

/// The prefix of registers' names.
pub const REGISTER: &str = "register-";

/// The amount of load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The number of clients of registers.
    pub register_clients: usize,
    /// The number of clients that create fresh contents.
    pub fresh_clients: usize,
    /// The number of clients that change policies.
    pub policy_clients: usize,
    /// The number of registers in use at a time.
    pub registers: u64,
    /// How long a register is in use.
    pub register_life: Duration,
    /// The longest that a client waits between an answer and its next request.
    pub think: Duration,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            register_clients: 6,
            fresh_clients: 2,
            policy_clients: 2,
            registers: 4,
            register_life: Duration::from_secs(10),
            think: Duration::from_millis(40),
        }
    }
}

/// The running clients.
pub struct Workload {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Workload {
    /// Starts the clients. Their random draws depend on the seed.
    pub fn begin(load: Load, seed: u64, access: &Access, history: &Arc<History>) -> Self {
        let mut workload = Self { over: Arc::default(), threads: Vec::new(), ledger: Arc::default() };
        let all = load.register_clients + load.fresh_clients + load.policy_clients;
        for number in 0..all {
            let worker = Worker {
                load,
                number,
                client: Client::new(number, access.clone(), Arc::clone(history)),
                nodes: access.nodes.len(),
                draw: Xoshiro256PlusPlus::seed_from_u64(seed ^ (0xC11E47 + number as u64)),
                history: Arc::clone(history),
                over: Arc::clone(&workload.over),
                ledger: Arc::clone(&workload.ledger),
            };
            workload.threads.push(std::thread::spawn(move || worker.work()));
        }
        workload
    }

    /// Stops the clients, and returns the acknowledged keys.
    pub fn end(mut self) -> Ledger {
        self.stop();
        std::mem::take(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A client that panicked has printed why; its history is checked like all others.
            let _ = thread.join();
        }
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Worker {
    load: Load,
    number: usize,
    client: Client,
    nodes: usize,
    draw: Xoshiro256PlusPlus,
    history: Arc<History>,
    over: Arc<AtomicBool>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Worker {
    fn work(mut self) {
        if self.number < self.load.register_clients {
            self.repeat(Self::use_register);
        } else if self.number < self.load.register_clients + self.load.fresh_clients {
            self.repeat(Self::make_fresh);
        } else {
            let mut policy = Policy::default();
            self.repeat(|worker| worker.change_policy(&mut policy));
        }
    }

    fn repeat(&mut self, mut step: impl FnMut(&mut Self)) {
        while !self.over.load(Ordering::Relaxed) {
            step(self);
            let think_us = u64::try_from(self.load.think.as_micros()).unwrap_or(1).max(2);
            std::thread::sleep(Duration::from_micros(self.draw.random_range(think_us / 2..think_us)));
        }
    }

    fn use_register(&mut self) {
        let life_ms = self.load.register_life.as_millis().max(1);
        let age = self.history.now().as_millis() / life_ms;
        let content = format!("{REGISTER}{age}-{}", self.draw.random_range(0..self.load.registers));
        let node = self.draw.random_range(0..self.nodes);
        match self.draw.random_range(0..100) {
            0..50 => drop(self.client.read(node, &content)),
            50..68 => drop(self.client.create(node, &content)),
            68..78 => drop(self.client.replace(node, &content, None)),
            78..90 => {
                let supplied = Supplied { key: self.draw.random(), kid: self.draw.random() };
                drop(self.client.replace(node, &content, Some(supplied)));
            }
            _ => drop(self.client.delete(node, &content)),
        }
    }

    fn make_fresh(&mut self) {
        let content = format!("fresh-{}-{}", self.number, self.history.now().as_micros());
        let node = self.draw.random_range(0..self.nodes);
        if let Some(key) = self.client.create(node, &content) {
            let seen_at = format!("node {}", node + 1);
            self.ledger.lock().unwrap_or_else(PoisonError::into_inner).enter(key, &seen_at);
        }
    }

    /// Makes a policy, changes it and deletes it. No other client uses this client's policy: as
    /// long as each answer arrives, the next step must succeed. After a missing answer, another
    /// policy is begun.
    fn change_policy(&mut self, policy: &mut Policy) {
        if policy.names >= POLICIES_MAX {
            return;
        }
        let node = self.draw.random_range(0..self.nodes);
        let name = format!("policy-{}-{}", self.number, policy.names);
        policy.serial += 1;
        let certain = if policy.serial.is_multiple_of(3) {
            let tag = policy.tag.take();
            self.client.delete_policy(node, &name, tag.as_deref())
        } else {
            policy.tag = self.client.change_policy(node, &name, policy.serial, policy.tag.as_deref());
            policy.tag.is_some()
        };
        if !certain {
            *policy = Policy { names: policy.names + 1, ..Policy::default() };
        }
    }
}

/// The most policies of a client: an account may have a thousand.
const POLICIES_MAX: u32 = 400;

#[derive(Default)]
struct Policy {
    names: u32,
    serial: u32,
    tag: Option<String>,
}
