//! A node that is away for longer than the log is kept, and must be sent a snapshot under load.

use std::time::Duration;

use super::{Draw, Fault, Target, names};
use crate::nemesis::site::Site;
use crate::wait::wait_until;
use crate::{RigError, metrics};

/// The time limit for the others to purge the entries that the node lacks.
const PURGED_WITHIN: Duration = Duration::from_secs(30);

struct Absence {
    target: Target,
    node: Option<usize>,
    knows: f64,
    forgotten: bool,
}

pub(super) fn long_absence(draw: &mut Draw) -> Box<dyn Fault> {
    let target = Target::Follower(draw.node());
    Box::new(Absence { target, node: None, knows: 0.0, forgotten: false })
}

impl Fault for Absence {
    fn detail(&self) -> String {
        let gone = if self.forgotten { ", until its entries were purged" } else { "" };
        format!("{}{gone}", names(&self.node.into_iter().collect::<Vec<_>>()))
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        let Some(node) = self.target.resolve(site).first().copied() else { return Ok(()) };
        self.node = Some(node);
        let machine = site.machine(node)?;
        self.knows = metrics::sample(machine.api(), metrics::LAST_LOG_INDEX).unwrap_or(0.0);
        machine.kill()
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        let Some(node) = self.node else { return Ok(()) };
        let others: Vec<_> = site.access().nodes.clone();
        let others = others.iter().enumerate().filter(|(other, _)| *other != node).map(|(_, api)| *api);
        let others: Vec<_> = others.collect();
        let purged = wait_until("the others to purge what the node lacks", PURGED_WITHIN, || {
            let upto = |api: &std::net::SocketAddr| metrics::sample(*api, metrics::PURGED_INDEX);
            let least = others.iter().filter_map(|api| upto(api).ok()).fold(f64::INFINITY, f64::min);
            let enough = least.is_finite() && least > self.knows;
            enough.then_some(()).ok_or_else(|| RigError::Answer(format!("purged up to {least}")))
        });
        // With another fault active there may be too little load for that: then it is only an
        // absence.
        self.forgotten = purged.is_ok();
        site.machine(node)?.start_again()
    }
}
