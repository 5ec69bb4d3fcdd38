//! Processes that are killed, perhaps together with the data that their disks had not synced.

use rustix::process::Signal;

use super::{Draw, Fault, Target, names};
use crate::RigError;
use crate::nemesis::site::Site;

/// A kill by SIGKILL; if the power is cut too, the disk loses its unsynced data.
struct Crash {
    target: Target,
    cuts_power: bool,
    hit: Vec<usize>,
}

impl Crash {
    fn kill(target: Target) -> Box<dyn Fault> {
        Box::new(Self { target, cuts_power: false, hit: Vec::new() })
    }

    fn power_cut(target: Target) -> Box<dyn Fault> {
        Box::new(Self { target, cuts_power: true, hit: Vec::new() })
    }
}

pub(super) fn kill_leader(draw: &mut Draw) -> Box<dyn Fault> {
    Crash::kill(Target::Leader(draw.node()))
}

pub(super) fn kill_node(draw: &mut Draw) -> Box<dyn Fault> {
    Crash::kill(Target::Node(draw.node()))
}

pub(super) fn kill_all(_: &mut Draw) -> Box<dyn Fault> {
    Crash::kill(Target::All)
}

pub(super) fn power_cut_leader(draw: &mut Draw) -> Box<dyn Fault> {
    Crash::power_cut(Target::Leader(draw.node()))
}

pub(super) fn power_cut_node(draw: &mut Draw) -> Box<dyn Fault> {
    Crash::power_cut(Target::Node(draw.node()))
}

pub(super) fn power_cut_all(_: &mut Draw) -> Box<dyn Fault> {
    Crash::power_cut(Target::All)
}

impl Fault for Crash {
    fn detail(&self) -> String {
        names(&self.hit)
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit = self.target.resolve(site);
        for node in &self.hit {
            let machine = site.machine(*node)?;
            if self.cuts_power {
                machine.excuse = Some("its disk lost power");
                machine.disk.cut_power()?;
            }
            machine.signal(Signal::KILL)?;
        }
        self.hit.iter().try_for_each(|node| site.machine(*node)?.reap())
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit.iter().try_for_each(|node| site.machine(*node)?.start_again())
    }
}
