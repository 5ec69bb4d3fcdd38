//! Slow networks: long delays and low bandwidth.

use std::time::Duration;

use super::{Draw, Fault, Target, names};
use crate::RigError;
use crate::nemesis::delay::Delay;
use crate::nemesis::fabric::{Hears, Laid};
use crate::nemesis::site::Site;

/// Every node receives packets of every other late.
struct Late {
    length: Duration,
    laid: Option<Laid>,
    delays: Vec<Delay>,
}

pub(super) fn delay(draw: &mut Draw) -> Box<dyn Fault> {
    let length = Duration::from_millis(draw.between(10, 120).into());
    Box::new(Late { length, laid: None, delays: Vec::new() })
}

impl Fault for Late {
    fn detail(&self) -> String {
        format!("{} ms each way", self.length.as_millis())
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        for node in 0..site.len() {
            self.delays.push(Delay::begin(&site.fabric.namespace(node), self.length)?);
        }
        let nodes = site.len();
        let pairs = (0..nodes).flat_map(|who| (0..nodes).map(move |whom| (who, whom)));
        let pairs = pairs.filter(|(who, whom)| who != whom);
        self.laid = Some(site.fabric.lay(pairs.map(|(who, whom)| (who, Hears::LateFrom(whom))).collect())?);
        Ok(())
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        if let Some(laid) = self.laid.take() {
            site.fabric.take_up(laid)?;
        }
        self.delays.clear();
        Ok(())
    }
}

/// One node sends slowly.
struct Narrow {
    target: Target,
    kbit_per_s: u32,
    hit: Vec<usize>,
}

pub(super) fn bandwidth(draw: &mut Draw) -> Box<dyn Fault> {
    let (node, leader) = (draw.node(), draw.coin());
    let target = if leader { Target::Leader(node) } else { Target::Node(node) };
    Box::new(Narrow { target, kbit_per_s: draw.between(128, 1024), hit: Vec::new() })
}

impl Fault for Narrow {
    fn detail(&self) -> String {
        format!("{} sends {} kbit/s", names(&self.hit), self.kbit_per_s)
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit = self.target.resolve(site);
        self.hit.iter().try_for_each(|node| site.fabric.limit(*node, Some(self.kbit_per_s)))
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit.iter().try_for_each(|node| site.fabric.limit(*node, None))
    }
}
