//! Nodes that come back with other data than they had: nothing, or an older state. Their peers must refuse them, also
//! before they vote, and each is replaced by the one command.

use std::time::{Duration, Instant};

use super::{Draw, Fault, names};
use crate::RigError;
use crate::nemesis::machine::Machine;
use crate::nemesis::site::Site;
use crate::tool;
use crate::wait::pause;

/// How long a node may need to hear that it is refused, when nothing keeps it from its peers.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);
/// Where an older state of a node's data waits, on its disk.
const OLDER: &str = "older";

struct OtherData {
    node: usize,
    /// The nodes that are asked to replace it, in this order.
    at: Vec<usize>,
    /// Whether the data are an older state; otherwise there are none.
    older: bool,
    outcome: Option<String>,
}

fn fault(draw: &mut Draw, older: bool) -> Box<dyn Fault> {
    let mut at = draw.order();
    let node = at.pop().unwrap_or_default();
    Box::new(OtherData { node, at, older, outcome: None })
}

/// The disk of a node is replaced by an empty one.
pub(super) fn lost_disk(draw: &mut Draw) -> Box<dyn Fault> {
    fault(draw, false)
}

/// A node goes back to a copy of its data that was taken a while ago.
pub(super) fn older_copy(draw: &mut Draw) -> Box<dyn Fault> {
    fault(draw, true)
}

impl Fault for OtherData {
    fn detail(&self) -> String {
        let outcome = self.outcome.as_ref().map(|text| format!(", {text}")).unwrap_or_default();
        format!("{}{outcome}", names(&[self.node]))
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        let machine = site.machine(self.node)?;
        if self.older {
            return keep_copy(machine);
        }
        machine.start_with_other_data("its disk was replaced", |machine| machine.disk.replace())
    }

    /// A replacement that another fault prevents is completed when that one is healed too.
    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        if self.older {
            site.machine(self.node)?.start_with_other_data("its data are an older copy", put_copy_back)?;
        }
        let ended = ends_within(site.machine(self.node)?, REFUSED_WITHIN)?;
        let refused = site.insist(&self.at, |site, at| site.replace_disk(self.node, at))?.err();
        let became = format!("its id is {} now", site.id(self.node)?);
        self.outcome = Some(format!(
            "{}; {}",
            if ended { "refused" } else { "not refused yet" },
            refused.map_or(became, |why| format!("not replaced yet: {why}"))
        ));
        Ok(())
    }
}

fn ends_within(machine: &mut Machine, within: Duration) -> Result<bool, RigError> {
    let until = Instant::now() + within;
    while machine.runs() {
        if Instant::now() >= until {
            return Ok(false);
        }
        pause(Duration::from_millis(100))?;
    }
    Ok(true)
}

fn keep_copy(machine: &mut Machine) -> Result<(), RigError> {
    machine.kill()?;
    if machine.disk.is_cut() {
        machine.disk.restore_power()?;
    }
    let [data, older] = paths(machine);
    tool::run("rm", &["-rf", &older])?;
    if std::path::Path::new(&data).exists() {
        tool::run("cp", &["-a", &data, &older])?;
    }
    machine.start_again()
}

/// Without a copy, because the disk was lost meanwhile, there is nothing to go back to.
fn put_copy_back(machine: &mut Machine) -> Result<(), RigError> {
    if machine.disk.is_cut() {
        machine.disk.restore_power()?;
    }
    let [data, older] = paths(machine);
    if std::path::Path::new(&older).exists() {
        tool::run("rm", &["-rf", &data])?;
        tool::run("mv", &[&older, &data])?;
    }
    Ok(())
}

fn paths(machine: &Machine) -> [String; 2] {
    [machine.data_dir(), machine.disk.path().join(OLDER)].map(|path| path.display().to_string())
}
