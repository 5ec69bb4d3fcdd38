//! Disks that are full, fail or are slow.

use super::{Draw, Fault, Target, names};
use crate::RigError;
use crate::nemesis::site::Site;

/// A disk without a free block.
struct Full {
    target: Target,
    hit: Vec<usize>,
}

pub(super) fn full_disk(draw: &mut Draw) -> Box<dyn Fault> {
    let (node, leader) = (draw.node(), draw.coin());
    let target = if leader { Target::Leader(node) } else { Target::Node(node) };
    Box::new(Full { target, hit: Vec::new() })
}

impl Fault for Full {
    fn detail(&self) -> String {
        names(&self.hit)
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit = self.target.resolve(site);
        for node in &self.hit {
            let machine = site.machine(*node)?;
            machine.excuse = Some("its disk was full");
            if !machine.disk.is_cut() {
                machine.disk.fill()?;
            }
        }
        Ok(())
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        for node in &self.hit {
            let machine = site.machine(*node)?;
            if !machine.disk.is_cut() {
                machine.disk.free()?;
            }
            machine.start_again()?;
        }
        Ok(())
    }
}

/// Syncs that fail, or take long.
struct Syncs {
    target: Target,
    /// `None` when they fail.
    delay_ms: Option<i64>,
    hit: Vec<usize>,
    /// The number of syncs that had failed before, for each affected node.
    failed_before: Vec<u64>,
}

pub(super) fn failing_sync(draw: &mut Draw) -> Box<dyn Fault> {
    let (node, leader) = (draw.node(), draw.coin());
    let target = if leader { Target::Leader(node) } else { Target::Node(node) };
    Box::new(Syncs { target, delay_ms: None, hit: Vec::new(), failed_before: Vec::new() })
}

pub(super) fn slow_sync(draw: &mut Draw) -> Box<dyn Fault> {
    let (node, leader) = (draw.node(), draw.coin());
    let target = if leader { Target::Leader(node) } else { Target::Node(node) };
    let delay_ms = Some(draw.between(50, 700).into());
    Box::new(Syncs { target, delay_ms, hit: Vec::new(), failed_before: Vec::new() })
}

impl Fault for Syncs {
    fn detail(&self) -> String {
        match self.delay_ms {
            Some(delay_ms) => format!("{}, {delay_ms} ms each", names(&self.hit)),
            None => names(&self.hit),
        }
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit = self.target.resolve(site);
        for node in &self.hit {
            let machine = site.machine(*node)?;
            match self.delay_ms {
                Some(delay_ms) => machine.orders.slow_syncs(delay_ms)?,
                None => {
                    self.failed_before.push(machine.orders.failed_syncs()?);
                    machine.excuse = Some("its disk failed to sync");
                    machine.orders.break_syncs(true)?;
                }
            }
        }
        Ok(())
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        for (node, failed_before) in self.hit.iter().zip(&self.failed_before) {
            site.machine(*node)?.demand_end(*failed_before)?;
        }
        for node in &self.hit {
            let machine = site.machine(*node)?;
            machine.orders.slow_syncs(0)?;
            machine.orders.break_syncs(false)?;
            machine.start_again()?;
        }
        Ok(())
    }
}
