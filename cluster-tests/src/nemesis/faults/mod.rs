//! The faults of a cluster; each can be injected and healed.
//!
//! A fault is drawn without looking at the cluster, so that a seed always yields the same schedule;
//! the leader is looked up when a fault that targets the leader is injected. Several may be active
//! at once: each heals only its own damage, and healing twice is harmless.

mod absence;
mod clocks;
mod crashes;
mod data;
mod demotion;
mod disks;
mod elections;
mod identity;
mod packets;
mod processes;
mod rejoin;
mod restored;
mod slow;
mod transfer;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

use crate::RigError;
use crate::nemesis::site::Site;

/// A fault that is drawn and ready.
pub trait Fault: Send {
    /// The affected nodes and the severity, for the log. Complete once it was injected.
    fn detail(&self) -> String;

    /// Does the damage.
    ///
    /// # Errors
    /// When the rig cannot.
    fn inject(&mut self, site: &mut Site) -> Result<(), RigError>;

    /// Undoes it.
    ///
    /// # Errors
    /// When the rig cannot, or the cluster refuses.
    fn heal(&mut self, site: &mut Site) -> Result<(), RigError>;
}

/// A kind of fault.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name for `--faults`.
    pub name: &'static str,
    make: fn(&mut Draw) -> Box<dyn Fault>,
    /// Only injected when it is named: what it needs of the program is not there yet.
    pub on_request: bool,
}

impl Kind {
    /// The kind with this name.
    ///
    /// # Errors
    /// When there is none; the message names all.
    pub fn named(name: &str) -> Result<Self, RigError> {
        KINDS.iter().find(|kind| kind.name == name).copied().ok_or_else(|| {
            let all: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
            RigError::Program(format!("there is no fault {name:?}; there are {}", all.join(", ")))
        })
    }

    /// Draws a fault of this kind.
    pub fn draw(&self, draw: &mut Draw) -> Box<dyn Fault> {
        (self.make)(draw)
    }
}

/// All kinds.
pub const KINDS: &[Kind] = &[
    Kind { name: "one_way", make: packets::one_way, on_request: false },
    Kind { name: "isolate_leader", make: packets::isolate_leader, on_request: false },
    Kind { name: "isolate_node", make: packets::isolate_node, on_request: false },
    Kind { name: "halves", make: packets::halves, on_request: false },
    Kind { name: "majority_ring", make: packets::majority_ring, on_request: false },
    Kind { name: "bridge", make: packets::bridge, on_request: false },
    Kind { name: "loss", make: packets::loss, on_request: false },
    Kind { name: "resets", make: packets::resets, on_request: false },
    Kind { name: "delay", make: slow::delay, on_request: false },
    Kind { name: "bandwidth", make: slow::bandwidth, on_request: false },
    Kind { name: "pause_leader", make: processes::pause_leader, on_request: false },
    Kind { name: "pause_follower", make: processes::pause_follower, on_request: false },
    Kind { name: "suspend_leader", make: processes::suspend_leader, on_request: false },
    Kind { name: "kill_leader", make: crashes::kill_leader, on_request: false },
    Kind { name: "kill_node", make: crashes::kill_node, on_request: false },
    Kind { name: "kill_all", make: crashes::kill_all, on_request: false },
    Kind { name: "power_cut_leader", make: crashes::power_cut_leader, on_request: false },
    Kind { name: "power_cut_node", make: crashes::power_cut_node, on_request: false },
    Kind { name: "power_cut_all", make: crashes::power_cut_all, on_request: false },
    Kind { name: "full_disk", make: disks::full_disk, on_request: false },
    Kind { name: "failing_sync", make: disks::failing_sync, on_request: false },
    Kind { name: "slow_sync", make: disks::slow_sync, on_request: false },
    Kind { name: "clock_jump", make: clocks::jump, on_request: false },
    Kind { name: "clock_drift", make: clocks::drift, on_request: false },
    Kind { name: "long_absence", make: absence::long_absence, on_request: false },
    Kind { name: "transfer_leader", make: transfer::transfer_leader, on_request: false },
    Kind { name: "demote_and_promote", make: demotion::demote_and_promote, on_request: false },
    Kind { name: "wiped_rejoin", make: rejoin::wiped_rejoin, on_request: false },
    Kind { name: "lost_disk", make: data::lost_disk, on_request: false },
    Kind { name: "older_copy", make: data::older_copy, on_request: false },
    Kind { name: "twin", make: identity::twin, on_request: false },
    Kind { name: "all_move", make: identity::all_move, on_request: false },
    Kind { name: "restore_elsewhere", make: restored::restore_elsewhere, on_request: true },
    Kind { name: "full_disk_election", make: elections::full_disk_election, on_request: false },
    Kind { name: "transfer_to_the_unfit", make: elections::transfer_to_the_unfit, on_request: false },
];

/// The kinds that every run injects, unless some are named.
pub fn standard() -> Vec<Kind> {
    KINDS.iter().filter(|kind| !kind.on_request).copied().collect()
}

/// Random draws from the schedule's seed.
pub struct Draw<'a> {
    /// The source of random numbers.
    pub numbers: &'a mut Xoshiro256PlusPlus,
    /// The number of nodes.
    pub nodes: usize,
}

impl Draw<'_> {
    /// A random node.
    pub fn node(&mut self) -> usize {
        self.numbers.random_range(0..self.nodes.max(1))
    }

    /// All nodes in random order.
    pub fn order(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nodes).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.numbers.random_range(0..=last));
        }
        order
    }

    /// A random number of this range.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        self.numbers.random_range(low..=high)
    }

    /// A random boolean.
    pub fn coin(&mut self) -> bool {
        self.numbers.random_bool(0.5)
    }
}

/// The target of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// This node, whatever its role.
    Node(usize),
    /// The leader; this node while there is none.
    Leader(usize),
    /// This node, or the next one if it leads.
    Follower(usize),
    /// All nodes.
    All,
}

impl Target {
    fn resolve(self, site: &Site) -> Vec<usize> {
        match self {
            Self::Node(node) => vec![node],
            Self::Leader(otherwise) => vec![site.leader().unwrap_or(otherwise)],
            Self::Follower(node) if site.leader() == Some(node) => vec![(node + 1) % site.len().max(1)],
            Self::Follower(node) => vec![node],
            Self::All => (0..site.len()).collect(),
        }
    }
}

/// The nodes as text, counted from 1.
fn names(nodes: &[usize]) -> String {
    let names: Vec<String> = nodes.iter().map(|node| (node + 1).to_string()).collect();
    format!("node {}", names.join(", "))
}
