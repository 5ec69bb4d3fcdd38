//! Clocks that jump, and clocks that run at another pace.

use super::{Draw, Fault, names};
use crate::RigError;
use crate::nemesis::site::Site;

/// A jump of one node's wall clock.
struct Jump {
    node: usize,
    offset_ms: i64,
}

pub(super) fn jump(draw: &mut Draw) -> Box<dyn Fault> {
    let (node, back) = (draw.node(), draw.coin());
    let far_ms = i64::from(draw.between(1, 600)) * 1000;
    Box::new(Jump { node, offset_ms: if back { -far_ms } else { far_ms } })
}

impl Fault for Jump {
    fn detail(&self) -> String {
        format!("{} by {} s", names(&[self.node]), self.offset_ms / 1000)
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        site.machine(self.node)?.orders.jump(self.offset_ms)
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        site.machine(self.node)?.orders.jump(0)
    }
}

/// Each node's clocks run at a speed of their own, also the steady clock that measures leases.
struct Drift {
    ppm: Vec<i64>,
}

/// Crystals drift by tens of parts of a million; this is a thousand times worse.
pub(super) fn drift(draw: &mut Draw) -> Box<dyn Fault> {
    let pace = |draw: &mut Draw| {
        let ppm = i64::from(draw.between(0, 200_000));
        if draw.coin() { -ppm } else { ppm }
    };
    Box::new(Drift { ppm: (0..draw.nodes).map(|_| pace(draw)).collect() })
}

impl Fault for Drift {
    fn detail(&self) -> String {
        let percent: Vec<String> = self.ppm.iter().map(|ppm| format!("{} %", ppm / 10_000)).collect();
        percent.join(", ")
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        let mut paces = self.ppm.iter();
        site.each(|machine| machine.orders.drift(paces.next().copied().unwrap_or(0)))
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        site.each(|machine| machine.orders.drift(0))
    }
}
