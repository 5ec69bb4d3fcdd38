//! What a replacement will do, shown before anything is changed.

use super::ReplaceDiskArgs;
use super::members::{Removal, Unanswered};
use super::replacement::Replacement;
use crate::cli::cluster::change::describe;
use crate::cli::confirm::confirm;
use crate::cli::operator::{Operator, say};
use keymoot_cluster::Change;
use keymoot_command::Failure;
use keymoot_model::NodeId;

impl Replacement {
    /// Shows what will be done, and asks. Returns whether the new node stays a learner, if the old one's role is
    /// known.
    pub(super) async fn plan(&mut self, args: &ReplaceDiskArgs) -> Result<bool, Failure> {
        let old = self.progress.old;
        let operator = Operator::of(self.loaded.config.clone()).map_err(|failure| {
            let by_hand = format!(
                "without the old node's certificate: keymoot cluster remove {old} at another node, then keymoot \
                 cluster join here with a token and an empty directory: docs/disks.md"
            );
            Failure::misuse(failure.message().to_owned()).hint(by_hand)
        })?;
        let removal = match self.members.learn(&operator, old).await {
            Ok(()) => self.members.plan_removal(&operator, old).await,
            Err(unanswered) => Err(unanswered),
        };
        say(&format!(
            "node {old} of cluster {}, {}\n",
            self.loaded.config.cluster.name,
            self.what_is_there()?
        ));
        let (text, learner) = match removal {
            Ok(Removal::Planned(plan)) => {
                let learner = plan.before.iter().any(|member| member.id == old && !member.voter);
                (describe(&Change::Remove(old), &plan), learner)
            }
            Ok(Removal::Needless) => (format!("node {old} is no member any more\n"), false),
            Ok(Removal::Made) | Err(Unanswered::Removed(_))
                if args.token.is_some() || self.progress.has_token() =>
            {
                (format!("node {old} was removed before\n"), false)
            }
            Ok(Removal::Made) | Err(Unanswered::Removed(_)) => return Err(needs_token(old)),
            Err(Unanswered::Failed(failure)) => return Err(failure),
        };
        let role = match (learner, &args.token) {
            (true, None) => "a learner, as it was (keymoot cluster promote makes it a voter)",
            _ => "a learner, and votes once it has caught up",
        };
        say(&format!("{text}then this machine joins under a new id as {role}\n"));
        confirm(args.yes, "Replace it?")?;
        Ok(learner)
    }

    /// What the data directory holds.
    fn what_is_there(&self) -> Result<String, Failure> {
        let root = self.rebuild.root().display();
        match self.rebuild.is_empty() {
            Ok(true) => Ok(format!("whose data directory {root} is empty")),
            _ => Ok(format!("whose data in {root} are kept, in a directory before-replace-… there")),
        }
    }
}

fn needs_token(old: NodeId) -> Failure {
    Failure::misuse(format!(
        "node {old} was removed before: its certificate opens nothing any more, so a token is needed"
    ))
    .hint("make one at another node (keymoot cluster token create), and repeat this with --token TOKEN")
}
