//! The ports of a development cluster. They are stored in the directory: the cluster remembers its
//! members by address, so peers must keep their ports.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::directory::{DevDirectory, failed};
use keymoot_command::Failure;
use keymoot_model::NodeId;

const BASE_PORT: u16 = 8081;
const NODES: u16 = 3;
/// The difference between a node's API port and its peer port.
const PEER_OFFSET: u16 = 1000;
/// The difference between a node's API port and its operators' port.
const ADMIN_OFFSET: u16 = 500;
/// The difference between a node's API port and its packagers' port.
const PACKAGER_OFFSET: u16 = 100;
/// Where free ports are picked: below those that a system gives to connections, which could take one before its
/// node does.
const PICKED: Range<u16> = 10_240..32_768;
/// How often a port is picked before it is given up.
const PICKS_MAX: usize = 1000;

/// The ports of each node, on loopback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    #[serde(rename = "node")]
    pub(super) nodes: Vec<NodePorts>,
}

/// The ports of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodePorts {
    pub(super) id: NodeId,
    pub(super) api: u16,
    pub(super) peer: u16,
    /// The port of its admin API; none in the directory of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) admin: Option<u16>,
    /// The port of its packagers' listener; none where there was never one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) packager: Option<u16>,
}

/// The ports of the cluster in `directory`, or new ones, which are then stored there.
pub(super) fn plan(
    directory: &DevDirectory,
    nodes: Option<u16>,
    base_port: Option<u16>,
) -> Result<Plan, Failure> {
    let path = directory.file("ports.toml");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let kept: Plan = toml::from_str(&text)
                .map_err(|error| Failure::because(format!("{}: {}", path.display(), error.message())))
                .map_err(|failure| failure.hint("begin anew with --fresh"))?;
            fits(&kept, nodes, base_port)?;
            Ok(kept)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let nodes = nodes.unwrap_or(NODES);
            let plan = match base_port.unwrap_or(BASE_PORT) {
                0 => free_ports(nodes)?,
                base => ports_from(base, nodes)?,
            };
            store(&path, &plan)?;
            Ok(plan)
        }
        Err(error) => Err(failed("read", &path, &error)),
    }
}

fn store(path: &Path, plan: &Plan) -> Result<(), Failure> {
    let text = toml::to_string(plan).map_err(Failure::runtime)?;
    std::fs::write(path, text).map_err(|e| failed("write", path, &e))
}

/// The plan with ports for packagers, which are stored once they are chosen; or without, where there is to be no
/// listener for them.
pub(super) fn with_packagers(
    directory: &DevDirectory,
    mut plan: Plan,
    wanted: bool,
) -> Result<Plan, Failure> {
    if !wanted {
        plan.nodes.iter_mut().for_each(|node| node.packager = None);
        return Ok(plan);
    }
    let mut held = Vec::new();
    for node in plan.nodes.iter_mut().filter(|node| node.packager.is_none()) {
        let is_counted = node.api.checked_add(ADMIN_OFFSET) == node.admin;
        node.packager = Some(match is_counted {
            true => node.api.saturating_add(PACKAGER_OFFSET),
            false => free_port(&mut held).map_err(Failure::runtime)?,
        });
    }
    store(&directory.file("ports.toml"), &plan)?;
    Ok(plan)
}

/// Checks that the ports are free; the failure names one that is not.
pub(super) fn check_free(plan: &Plan) -> Result<(), Failure> {
    for port in plan
        .nodes
        .iter()
        .flat_map(|node| [Some(node.api), Some(node.peer), node.admin, node.packager].into_iter().flatten())
    {
        if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Err(Failure::because(format!("port {port} cannot be used: {error}")).hint(
                "stop what uses it, or make a cluster elsewhere with --dir DIR --base-port PORT (0 picks free ports)",
            ));
        }
    }
    Ok(())
}

fn ports_from(base: u16, nodes: u16) -> Result<Plan, Failure> {
    if base.checked_add(PEER_OFFSET).and_then(|peer| peer.checked_add(nodes)).is_none() {
        return Err(Failure::because(format!("--base-port {base} leaves no room for the peers' ports"))
            .hint("choose a port below 64000"));
    }
    let ports = |index: u16| NodePorts {
        id: NodeId::from(index) + 1,
        api: base + index,
        peer: base + PEER_OFFSET + index,
        admin: Some(base + ADMIN_OFFSET + index),
        packager: None,
    };
    Ok(Plan { nodes: (0..nodes).map(ports).collect() })
}

fn free_ports(nodes: u16) -> Result<Plan, Failure> {
    let mut held = Vec::new();
    let mut port = || free_port(&mut held);
    let nodes = (1..=NodeId::from(nodes))
        .map(|id| Ok(NodePorts { id, api: port()?, peer: port()?, admin: Some(port()?), packager: None }))
        .collect::<io::Result<Vec<_>>>();
    Ok(Plan { nodes: nodes.map_err(Failure::runtime)? })
}

/// Picks a free port on loopback, and holds it: whoever picks several holds all, or one could be picked twice.
///
/// # Errors
/// When none of many was free.
pub fn free_port(held: &mut Vec<TcpListener>) -> io::Result<u16> {
    for _ in 0..PICKS_MAX {
        let port = rand::random_range(PICKED);
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("none of {PICKS_MAX} ports was free")))
}

fn fits(kept: &Plan, nodes: Option<u16>, base_port: Option<u16>) -> Result<(), Failure> {
    let count = kept.nodes.len();
    if nodes.is_some_and(|asked| usize::from(asked) != count) {
        return Err(Failure::because(format!("the directory holds a cluster of {count} nodes"))
            .hint("leave --nodes out, or begin anew with --fresh"));
    }
    let first = kept.nodes.first().map_or(0, |node| node.api);
    if base_port.is_some_and(|asked| asked != 0 && asked != first) {
        return Err(Failure::because(format!("the directory holds a cluster whose first port is {first}"))
            .hint("leave --base-port out, or begin anew with --fresh"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_new_directory(run: impl FnOnce(&DevDirectory)) {
        let dir = tempfile::tempdir().unwrap();
        run(&DevDirectory::open(dir.path()).unwrap());
    }

    #[test]
    fn the_default_ports_are_the_documented_ones() {
        in_new_directory(|directory| {
            let plan = plan(directory, None, None).unwrap();
            let ports: Vec<_> =
                plan.nodes.iter().map(|node| (node.id, node.api, node.admin, node.peer)).collect();
            let expected = [(1, 8081, 8581, 9081), (2, 8082, 8582, 9082), (3, 8083, 8583, 9083)];
            assert_eq!(ports, expected.map(|(id, api, admin, peer)| (id, api, Some(admin), peer)));
        });
    }

    #[test]
    fn picked_ports_differ_and_are_kept() {
        in_new_directory(|directory| {
            let first = plan(directory, Some(5), Some(0)).unwrap();
            let mut ports: Vec<u16> = first.nodes.iter().flat_map(|node| [node.api, node.peer]).collect();
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), 10);
            assert_eq!(plan(directory, None, Some(0)).unwrap(), first);
            assert!(plan(directory, Some(3), None).is_err());
            assert!(plan(directory, None, Some(1)).is_err());
        });
    }

    #[test]
    fn packagers_get_ports_when_they_are_asked_for_and_keep_them() {
        in_new_directory(|directory| {
            let first = plan(directory, Some(2), None).unwrap();
            let ports = |plan: &Plan| plan.nodes.iter().map(|node| node.packager).collect::<Vec<_>>();
            assert_eq!(
                ports(&with_packagers(directory, first.clone(), true).unwrap()),
                [Some(8181), Some(8182)]
            );
            let kept = plan(directory, None, None).unwrap();
            assert_eq!(ports(&kept), [Some(8181), Some(8182)]);
            assert_eq!(ports(&with_packagers(directory, kept, false).unwrap()), [None, None]);
        });
        in_new_directory(|directory| {
            let picked = plan(directory, Some(2), Some(0)).unwrap();
            let made = with_packagers(directory, picked, true).unwrap();
            assert_ne!(made.nodes[0].packager, made.nodes[1].packager);
            assert_eq!(with_packagers(directory, plan(directory, None, None).unwrap(), true).unwrap(), made);
        });
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let plan = Plan { nodes: vec![NodePorts { id: 1, api: port, peer: 0, admin: None, packager: None }] };
        let error = check_free(&plan).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} ")) && error.contains("--base-port"), "{error}");
    }

    #[test]
    fn a_base_port_too_high_is_refused() {
        assert!(ports_from(64_600, 3).is_err());
        assert!(ports_from(64_000, 9).is_ok());
    }
}
