//! A follower that may not vote for a while.

use super::{Draw, Fault, Target, names};
use crate::RigError;
use crate::nemesis::site::Site;

struct Demotion {
    target: Target,
    /// The nodes that get the request, in this order.
    asked: Vec<usize>,
    hit: Vec<usize>,
    refused: Option<String>,
}

pub(super) fn demote_and_promote(draw: &mut Draw) -> Box<dyn Fault> {
    let (target, asked) = (Target::Follower(draw.node()), draw.order());
    Box::new(Demotion { target, asked, hit: Vec::new(), refused: None })
}

impl Fault for Demotion {
    fn detail(&self) -> String {
        let refused = self.refused.as_ref().map(|why| format!(", in vain: {why}")).unwrap_or_default();
        format!("{}{refused}", names(&self.hit))
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.hit = self.target.resolve(site);
        for node in &self.hit {
            let id = site.id(*node)?.to_string();
            self.refused = site.change(&self.asked, &["demote", &id])?.err();
        }
        Ok(())
    }

    /// A healing that another fault prevents is completed when that one is healed too.
    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        for node in &self.hit {
            let id = site.id(*node)?.to_string();
            self.refused = site.change(&self.asked, &["promote", &id, "--wait", "5s"])?.err();
        }
        Ok(())
    }
}
