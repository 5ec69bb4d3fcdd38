//! Processes that are suspended for a while.

use rustix::process::Signal;

use super::{Draw, Fault, Target, names};
use crate::RigError;
use crate::nemesis::site::Site;

/// Suspended by SIGSTOP; perhaps with its clock, like a virtual machine: it resumes without knowing
/// that time has passed.
struct Pause {
    target: Target,
    with_clock: bool,
    hit: Vec<usize>,
}

/// The clock stands still.
const STANDSTILL_PPM: i64 = -1_000_000;

impl Pause {
    fn boxed(target: Target, with_clock: bool) -> Box<dyn Fault> {
        Box::new(Self { target, with_clock, hit: Vec::new() })
    }
}

pub(super) fn pause_leader(draw: &mut Draw) -> Box<dyn Fault> {
    Pause::boxed(Target::Leader(draw.node()), false)
}

pub(super) fn pause_follower(draw: &mut Draw) -> Box<dyn Fault> {
    Pause::boxed(Target::Follower(draw.node()), false)
}

pub(super) fn suspend_leader(draw: &mut Draw) -> Box<dyn Fault> {
    Pause::boxed(Target::Leader(draw.node()), true)
}

impl Fault for Pause {
    fn detail(&self) -> String {
        names(&self.hit)
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit = self.target.resolve(site);
        for node in &self.hit {
            let machine = site.machine(*node)?;
            if self.with_clock {
                machine.orders.drift(STANDSTILL_PPM)?;
            }
            machine.signal(Signal::STOP)?;
        }
        Ok(())
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        for node in &self.hit {
            let machine = site.machine(*node)?;
            if self.with_clock {
                machine.orders.drift(0)?;
            }
            machine.signal(Signal::CONT)?;
        }
        Ok(())
    }
}
