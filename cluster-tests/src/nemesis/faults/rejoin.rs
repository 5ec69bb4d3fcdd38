//! A node that loses its disk: it is removed for ever, and its machine joins again as another node.

use super::{Draw, Fault, names};
use crate::RigError;
use crate::nemesis::site::Site;

struct Rejoin {
    node: usize,
    /// The nodes at which its removal and its join are requested, in this order.
    at: Vec<usize>,
    became: Option<u64>,
    refused: Option<String>,
}

/// At any other member, whichever node leads.
pub(super) fn wiped_rejoin(draw: &mut Draw) -> Box<dyn Fault> {
    let mut at = draw.order();
    let node = at.pop().unwrap_or_default();
    Box::new(Rejoin { node, at, became: None, refused: None })
}

impl Fault for Rejoin {
    fn detail(&self) -> String {
        let became = self.became.map(|id| format!(" was wiped, its id is {id} now")).unwrap_or_default();
        let refused = self.refused.as_ref().map(|why| format!(", not yet: {why}")).unwrap_or_default();
        format!("{}{became}{refused}", names(&[self.node]))
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        site.wipe(self.node)?;
        self.became = Some(site.id(self.node)?);
        self.refused = site.insist(&self.at, |site, at| site.remove_strangers(at))?.err();
        Ok(())
    }

    /// A healing that another fault prevents is completed when that one is healed too.
    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        self.refused = site.insist(&self.at, |site, at| site.rejoin(self.node, at))?.err();
        Ok(())
    }
}
