//! Elections and transfers in which some voter must not lead.

use std::time::Duration;

use rustix::process::Signal;

use super::{Draw, Fault, Target, names};
use crate::RigError;
use crate::nemesis::site::Site;
use crate::wait::pause;

/// How long a node needs to notice that its disk is full.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);

/// The leader dies while the disk of a follower is full, which may vote and not lead.
struct FullDiskElection {
    full: usize,
    leader: Option<usize>,
}

pub(super) fn full_disk_election(draw: &mut Draw) -> Box<dyn Fault> {
    Box::new(FullDiskElection { full: draw.node(), leader: None })
}

impl Fault for FullDiskElection {
    fn detail(&self) -> String {
        let leader =
            self.leader.map(|leader| format!(", while {} died", names(&[leader]))).unwrap_or_default();
        format!("{} is full{leader}", names(&[self.full]))
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.full = Target::Follower(self.full).resolve(site).first().copied().unwrap_or(self.full);
        let machine = site.machine(self.full)?;
        machine.excuse = Some("its disk was full");
        if !machine.disk.is_cut() {
            machine.disk.fill()?;
        }
        pause(NOTICED_WITHIN)?;
        self.leader = site.leader().filter(|leader| *leader != self.full);
        self.leader.map_or(Ok(()), |leader| site.machine(leader)?.kill())
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        if let Some(leader) = self.leader {
            site.machine(leader)?.start_again()?;
        }
        let machine = site.machine(self.full)?;
        if !machine.disk.is_cut() {
            machine.disk.free()?;
        }
        machine.start_again()
    }
}

/// A follower that is told to lead though its disk is full or it does not answer.
struct UnfitTransfer {
    to: usize,
    is_silent: bool,
    /// The nodes that get the request, in this order.
    asked: Vec<usize>,
    refused: Option<String>,
}

pub(super) fn transfer_to_the_unfit(draw: &mut Draw) -> Box<dyn Fault> {
    let (to, is_silent, asked) = (draw.node(), draw.coin(), draw.order());
    Box::new(UnfitTransfer { to, is_silent, asked, refused: None })
}

impl Fault for UnfitTransfer {
    fn detail(&self) -> String {
        let how = if self.is_silent { "is silent" } else { "has a full disk" };
        let refused = self.refused.as_ref().map(|why| format!(", refused: {why}")).unwrap_or_default();
        format!("to {}, which {how}{refused}", names(&[self.to]))
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.to = Target::Follower(self.to).resolve(site).first().copied().unwrap_or(self.to);
        let machine = site.machine(self.to)?;
        if self.is_silent {
            machine.signal(Signal::STOP)?;
        } else {
            machine.excuse = Some("its disk was full");
            if !machine.disk.is_cut() {
                machine.disk.fill()?;
            }
        }
        pause(NOTICED_WITHIN)?;
        let id = site.id(self.to)?.to_string();
        let asked: Vec<usize> = self.asked.iter().copied().filter(|node| *node != self.to).collect();
        self.refused = site.change(&asked, &["transfer-leader", &id])?.err();
        if self.refused.is_none() && self.is_silent {
            site.machine(self.to)?.accuse(format!("a stopped node, {id}, is said to lead after a transfer"));
        }
        Ok(())
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        let machine = site.machine(self.to)?;
        if self.is_silent {
            return machine.signal(Signal::CONT);
        }
        if !machine.disk.is_cut() {
            machine.disk.free()?;
        }
        machine.start_again()
    }
}
