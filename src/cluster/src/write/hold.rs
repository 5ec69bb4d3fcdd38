//! What the comparison of digests has found, for those who must act on it: while it is undecided
//! which state is right, no write is accepted and no linearizable read answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use keymoot_model::NodeId;
use keymoot_state::Command;

use crate::error::ClusterError;

/// The findings. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct DivergenceHold {
    undecided: Arc<ArcSwapOption<String>>,
    findings: Arc<Mutex<BTreeMap<NodeId, String>>>,
}

impl DivergenceHold {
    /// Begins or ends the hold. Returns whether that is a change.
    pub(crate) fn hold(&self, why: Option<String>) -> bool {
        let before = self.undecided.swap(why.clone().map(Arc::new));
        before.is_some() != why.is_some()
    }

    /// Whether there is a hold.
    pub(crate) fn is_held(&self) -> bool {
        self.undecided.load().is_some()
    }

    /// Refuses while there is a hold.
    ///
    /// # Errors
    /// [`ClusterError::Diverged`], with the text for people.
    pub(crate) fn check(&self) -> Result<(), ClusterError> {
        match self.undecided.load().as_ref() {
            None => Ok(()),
            Some(why) => Err(ClusterError::Diverged(why.to_string())),
        }
    }

    /// Refuses these commands while there is a hold. The commands that take a node out are accepted:
    /// they end it.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub(crate) fn check_commands(&self, commands: &[Command]) -> Result<(), ClusterError> {
        let takes_out =
            |command: &Command| matches!(command, Command::RemoveNode { .. } | Command::SetLearner { .. });
        if commands.iter().all(takes_out) { Ok(()) } else { self.check() }
    }

    /// The nodes whose state differs, with the reason and the remedy.
    pub(crate) fn findings(&self) -> BTreeMap<NodeId, String> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the findings.
    pub(crate) fn set_findings(&self, findings: BTreeMap<NodeId, String>) {
        *self.findings.lock().unwrap_or_else(PoisonError::into_inner) = findings;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_refuses_all_but_what_ends_it() {
        let hold = DivergenceHold::default();
        let write = [Command::RaiseFeatureLevel { to: 3 }];
        let way_out = [Command::RemoveNode { id: 3 }];
        assert!(!hold.is_held() && hold.check_commands(&write).is_ok());
        assert!(hold.hold(Some("they differ".into())) && !hold.hold(Some("they still differ".into())));
        let refused = hold.check_commands(&write).unwrap_err();
        assert_eq!(refused.to_string(), "they still differ");
        assert!(hold.check().is_err() && hold.check_commands(&way_out).is_ok());
        let both = [way_out[0].clone(), write[0].clone()];
        assert!(hold.check_commands(&both).is_err());
        assert!(hold.hold(None) && hold.check_commands(&write).is_ok());
    }
}
