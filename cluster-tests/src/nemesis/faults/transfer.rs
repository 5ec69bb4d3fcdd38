//! A leader transfer on request.

use super::{Draw, Fault, names};
use crate::RigError;
use crate::nemesis::site::Site;

struct Transfer {
    to: usize,
    /// The nodes that get the request, in this order.
    asked: Vec<usize>,
    refused: Option<String>,
}

/// To a node that may lead already.
pub(super) fn transfer_leader(draw: &mut Draw) -> Box<dyn Fault> {
    Box::new(Transfer { to: draw.node(), asked: draw.order(), refused: None })
}

impl Fault for Transfer {
    fn detail(&self) -> String {
        let refused = self.refused.as_ref().map(|why| format!(", in vain: {why}")).unwrap_or_default();
        format!("to {}{refused}", names(&[self.to]))
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        let id = site.id(self.to)?.to_string();
        self.refused = site.change(&self.asked, &["transfer-leader", &id])?.err();
        Ok(())
    }

    fn heal(&mut self, _: &mut Site) -> Result<(), RigError> {
        Ok(())
    }
}
