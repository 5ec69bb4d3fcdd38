//! The network: a namespace for each node, all on one bridge, and rules for the packets that each
//! node receives.
//!
//! Clients are on the bridge itself. Rules match the sender and are applied where the packet
//! arrives, so that each direction between two nodes can be cut separately. Several faults may have
//! rules at once; each removes its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::RigError;
use crate::nemesis::leftover::{self, remove_namespace};
use crate::tool;

/// A rule for the packets to a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hears {
    /// Packets from this node are dropped.
    NothingFrom(usize),
    /// Packets from this node are answered with a reset.
    ResetsFrom(usize),
    /// This many per cent of this node's packets are lost.
    LossyFrom(usize, u32),
    /// Packets from this node pass through the delay on queue 0.
    LateFrom(usize),
}

/// The rules of one fault, by which they are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Laid(u64);

/// The network of a run. It is removed when this value is dropped.
pub struct Fabric {
    tag: String,
    subnet: (u8, u8),
    nodes: usize,
    laid: BTreeMap<Laid, Vec<(usize, Hears)>>,
    last: u64,
}

impl Fabric {
    /// Makes the bridge and one namespace per node.
    ///
    /// # Errors
    /// When the machine refuses; everything made so far is removed.
    pub fn make(nodes: usize) -> Result<Self, RigError> {
        let run = std::process::id();
        let part = |value: u32| u8::try_from(value).unwrap_or_default();
        let subnet = (part(64 + run / 250 % 64), part(run % 250));
        let fabric = Self { tag: leftover::tag(), subnet, nodes, laid: BTreeMap::new(), last: 0 };
        fabric.make_bridge()?;
        (0..nodes).try_for_each(|node| fabric.make_node(node))?;
        Ok(fabric)
    }

    /// The address of a node, counted from 0.
    pub fn address(&self, node: usize) -> IpAddr {
        self.host(u8::try_from(node + 1).unwrap_or(u8::MAX))
    }

    /// The address that a node's peers reach it at after all have moved.
    pub fn second_address(&self, node: usize) -> IpAddr {
        self.host(u8::try_from(node + 101).unwrap_or(u8::MAX))
    }

    /// The address of a copy of a node.
    pub fn twin_address(&self, node: usize) -> IpAddr {
        self.host(u8::try_from(node + 201).unwrap_or(u8::MAX))
    }

    /// The address of the clients.
    pub fn gateway(&self) -> IpAddr {
        self.host(254)
    }

    /// The network prefix of all nodes and clients.
    pub fn network(&self) -> String {
        format!("{}/24", self.host(0))
    }

    /// The name of a node's namespace.
    pub fn namespace(&self, node: usize) -> String {
        format!("{}n{}", self.tag, node + 1)
    }

    /// The name of a node's network device, within its namespace.
    pub fn device(&self, node: usize) -> String {
        format!("{}v{}", self.tag, node + 1)
    }

    /// The number of nodes.
    pub const fn len(&self) -> usize {
        self.nodes
    }

    /// Whether there are no nodes.
    pub const fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// Adds rules.
    ///
    /// # Errors
    /// When the kernel refuses them.
    pub fn lay(&mut self, rules: Vec<(usize, Hears)>) -> Result<Laid, RigError> {
        self.last += 1;
        let laid = Laid(self.last);
        let concerned = nodes_of(&rules);
        self.laid.insert(laid, rules);
        concerned.into_iter().try_for_each(|node| self.apply(node)).map(|()| laid)
    }

    /// Removes rules.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn take_up(&mut self, laid: Laid) -> Result<(), RigError> {
        let rules = self.laid.remove(&laid).unwrap_or_default();
        nodes_of(&rules).into_iter().try_for_each(|node| self.apply(node))
    }

    /// Breaks every connection of a node.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn reset_connections(&self, node: usize) -> Result<(), RigError> {
        tool::run_inside(&self.namespace(node), "ss", &["-K", "-t", "state", "established"]).map(|_| ())
    }

    /// Breaks every connection of a node with another, and none of its clients'.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn reset_between(&self, node: usize, other: usize) -> Result<(), RigError> {
        [self.address(other), self.second_address(other)].iter().try_for_each(|address| {
            let words = ["-K", "-t", "state", "established", "dst", &address.to_string()];
            tool::run_inside(&self.namespace(node), "ss", &words).map(|_| ())
        })
    }

    /// Limits a node's sending rate; `None` removes the limit.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn limit(&self, node: usize, kbit_per_s: Option<u32>) -> Result<(), RigError> {
        let (namespace, device) = (self.namespace(node), self.device(node));
        match kbit_per_s {
            Some(rate) => {
                let rate = format!("{rate}kbit");
                let shape = ["tbf", "rate", &rate, "burst", "8kb", "latency", "200ms"];
                let words = [&["qdisc", "replace", "dev", &device, "root"], &shape[..]].concat();
                tool::run_inside(&namespace, "tc", &words).map(|_| ())
            }
            // The limit may be removed already, if two limits overlapped.
            None => {
                let _ = tool::run_inside(&namespace, "tc", &["qdisc", "delete", "dev", &device, "root"]);
                Ok(())
            }
        }
    }

    fn host(&self, last: u8) -> IpAddr {
        Ipv4Addr::new(10, self.subnet.0, self.subnet.1, last).into()
    }

    fn bridge(&self) -> String {
        format!("{}b", self.tag)
    }

    /// The bridge's end of a node's line.
    fn port(&self, node: usize) -> String {
        format!("{}p{}", self.tag, node + 1)
    }

    fn make_bridge(&self) -> Result<(), RigError> {
        let bridge = self.bridge();
        tool::run("ip", &["link", "add", &bridge, "type", "bridge"])?;
        tool::run("ip", &["address", "add", &format!("{}/24", self.gateway()), "dev", &bridge])?;
        tool::run("ip", &["link", "set", &bridge, "up"]).map(|_| ())
    }

    fn make_node(&self, node: usize) -> Result<(), RigError> {
        let (namespace, device) = (self.namespace(node), self.device(node));
        let port = self.port(node);
        tool::run("ip", &["netns", "add", &namespace])?;
        tool::run("ip", &["link", "add", &port, "type", "veth", "peer", "name", &device])?;
        tool::run("ip", &["link", "set", &device, "netns", &namespace])?;
        tool::run("ip", &["link", "set", &port, "master", &self.bridge(), "up"])?;
        let inside = |words: &[&str]| tool::run_inside(&namespace, "ip", words);
        // The first one is what the node dials from.
        for address in [self.address(node), self.second_address(node), self.twin_address(node)] {
            inside(&["address", "add", &format!("{address}/24"), "dev", &device])?;
        }
        inside(&["link", "set", &device, "up"])?;
        inside(&["link", "set", "lo", "up"])?;
        let text = "*filter\n:RIG - [0:0]\n-A INPUT -j RIG\nCOMMIT\n";
        restore(&namespace, text)
    }

    /// Replaces the rules of a node by all that are active.
    fn apply(&self, node: usize) -> Result<(), RigError> {
        // Rules that drop a packet come before those that delay it.
        let rules: BTreeSet<&Hears> =
            self.laid.values().flatten().filter(|(at, _)| *at == node).map(|(_, hears)| hears).collect();
        let mut text = String::from("*filter\n:RIG - [0:0]\n");
        for rule in rules {
            text.push_str(&format!("-A RIG {}\n", self.rule(rule)));
        }
        text.push_str("COMMIT\n");
        restore(&self.namespace(node), &text)
    }

    fn rule(&self, hears: &Hears) -> String {
        let from = |node| format!("-s {},{}", self.address(node), self.second_address(node));
        match *hears {
            Hears::NothingFrom(node) => format!("{} -j DROP", from(node)),
            Hears::ResetsFrom(node) => format!("{} -p tcp -j REJECT --reject-with tcp-reset", from(node)),
            Hears::LossyFrom(node, percent) => {
                let probability = f64::from(percent) / 100.0;
                format!("{} -m statistic --mode random --probability {probability:.2} -j DROP", from(node))
            }
            Hears::LateFrom(node) => format!("{} -j NFQUEUE --queue-num 0 --queue-bypass", from(node)),
        }
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        for node in 0..self.nodes {
            // It would also vanish with its namespace, but only some time later.
            let _ = tool::run("ip", &["link", "delete", &self.port(node)]);
            if std::path::Path::new("/run/netns").join(self.namespace(node)).exists() {
                remove_namespace(&self.namespace(node));
            }
        }
        // It does not exist when making it has failed.
        let _ = tool::run("ip", &["link", "delete", &self.bridge()]);
    }
}

fn nodes_of(rules: &[(usize, Hears)]) -> BTreeSet<usize> {
    rules.iter().map(|(node, _)| *node).collect()
}

fn restore(namespace: &str, text: &str) -> Result<(), RigError> {
    tool::run_inside_with_input(namespace, "iptables-restore", &["-w", "--noflush"], text).map(|_| ())
}
