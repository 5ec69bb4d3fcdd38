//! Processes that stop for a while, and processes that are gone.

use rustix::process::Signal;

use super::{Draw, Fault, Target, names};
use crate::RigError;
use crate::nemesis::site::Site;

/// Stopped by SIGSTOP, with all that it was in the middle of.
struct Pause {
    target: Target,
    hit: Vec<usize>,
}

pub fn pause_leader(draw: &mut Draw) -> Box<dyn Fault> {
    Box::new(Pause { target: Target::Leader(draw.node()), hit: Vec::new() })
}

pub fn pause_follower(draw: &mut Draw) -> Box<dyn Fault> {
    Box::new(Pause { target: Target::Follower(draw.node()), hit: Vec::new() })
}

impl Fault for Pause {
    fn detail(&self) -> String {
        names(&self.hit)
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit = self.target.resolve(site);
        self.hit.iter().try_for_each(|node| site.machine(*node)?.signal(Signal::STOP))
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit.iter().try_for_each(|node| site.machine(*node)?.signal(Signal::CONT))
    }
}

/// Killed by SIGKILL.
struct Kill {
    target: Target,
    hit: Vec<usize>,
}

pub fn kill_leader(draw: &mut Draw) -> Box<dyn Fault> {
    Box::new(Kill { target: Target::Leader(draw.node()), hit: Vec::new() })
}

pub fn kill_node(draw: &mut Draw) -> Box<dyn Fault> {
    Box::new(Kill { target: Target::Node(draw.node()), hit: Vec::new() })
}

pub fn kill_all(_: &mut Draw) -> Box<dyn Fault> {
    Box::new(Kill { target: Target::All, hit: Vec::new() })
}

impl Fault for Kill {
    fn detail(&self) -> String {
        names(&self.hit)
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit = self.target.resolve(site);
        self.hit.iter().try_for_each(|node| site.machine(*node)?.signal(Signal::KILL))?;
        self.hit.iter().try_for_each(|node| site.machine(*node)?.reap())
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit.iter().try_for_each(|node| site.machine(*node)?.start_again())
    }
}
