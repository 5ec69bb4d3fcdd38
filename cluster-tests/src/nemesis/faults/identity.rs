//! Nodes that are not where they were, or are there twice.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use super::{Draw, Fault, names};
use crate::nemesis::machine::API_PORT;
use crate::nemesis::site::Site;
use crate::{RigError, process, raw, tool};

/// How long a killed process may take to end.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// How long a copy may take to say whether it serves.
const SAID_WITHIN: Duration = Duration::from_secs(1);

/// A second process, from a copy of a node's data and configuration, at another address. Never may both serve;
/// the one that is connected to its peers goes on.
struct Twin {
    node: usize,
    child: Option<Child>,
    copy: PathBuf,
    outcome: Option<&'static str>,
}

pub(super) fn twin(draw: &mut Draw) -> Box<dyn Fault> {
    Box::new(Twin { node: draw.node(), child: None, copy: PathBuf::new(), outcome: None })
}

impl Fault for Twin {
    fn detail(&self) -> String {
        let outcome = self.outcome.map(|text| format!(", {text}")).unwrap_or_default();
        format!("{}{outcome}", names(&[self.node]))
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        let at = site.fabric.twin_address(self.node);
        // Not on the node's disk, which another fault may take away.
        self.copy = site.shared(&format!("twin-{}", self.node + 1)).into();
        let machine = site.machine(self.node)?;
        // A node without power, or without a part in the cluster, has nothing to be copied.
        if machine.disk.is_cut() || !machine.is_configured() || !machine.runs() {
            return Ok(());
        }
        machine.excuse = Some("a copy of it ran");
        self.child = Some(machine.start_twin(at, &self.copy)?);
        Ok(())
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let serves = is_ready(SocketAddr::new(site.fabric.twin_address(self.node), API_PORT));
        let ended = matches!(child.try_wait(), Ok(Some(_)));
        let _ = child.kill();
        process::wait_for_exit(&mut child, GONE_WITHIN)?;
        tool::run("rm", &["-rf", &self.copy.display().to_string()])?;
        let machine = site.machine(self.node)?;
        if serves && is_ready(machine.api()) {
            machine.accuse(format!("node {} and a copy of it served at the same time", machine.id));
        }
        // Whoever was there alone when the other came is the node, for its peers.
        let taken_over = machine.is_configured() && (serves || !machine.runs());
        if taken_over {
            machine.start_with_other_data("a copy of it was taken for it", |_| Ok(()))?;
        }
        self.outcome = Some(match (ended, serves, taken_over) {
            (_, true, _) | (_, _, true) => "the copy was taken for the node, which must be replaced",
            (true, ..) => "the copy ended",
            _ => "the copy did not serve",
        });
        Ok(())
    }
}

/// Whether a node says that it serves.
fn is_ready(api: SocketAddr) -> bool {
    let asked = raw::exchange(api, &raw::request("GET", "/readyz", &[], &[]), SAID_WITHIN);
    asked.is_ok_and(|answer| answer.status == 200)
}

impl Drop for Twin {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// All nodes have another address at once, and find each other by the hints in their configuration.
struct Move;

pub(super) fn all_move(_: &mut Draw) -> Box<dyn Fault> {
    Box::new(Move)
}

impl Fault for Move {
    fn detail(&self) -> String {
        "all nodes".to_owned()
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        site.move_all()
    }

    /// They stay where they are.
    fn heal(&mut self, _: &mut Site) -> Result<(), RigError> {
        Ok(())
    }
}
