//! `keymoot cluster replace-disk`: a node whose data are lost, damaged, copied or set back becomes a new node of the
//! same cluster, on the same machine and with the same configuration.
//!
//! The steps, each of which leaves a cluster that is no worse and can be repeated:
//!
//! 1. The data directory is locked: nothing runs from it meanwhile.
//! 2. A member plans the removal of the old node. It is refused where the voters that are left and up would be no
//!    majority, and where the old node answers: then it runs elsewhere, and this is a copy. The plan is shown.
//! 3. Token and key are made and kept; the machine joins under a new id. A learner changes no quorum.
//! 4. The old node is removed, with the certificate of the new one: from here on the old certificate opens nothing.
//!    A voter whose data are gone is refused by its peers, so without it the cluster survives as many failures as
//!    before, or one more.
//! 5. Certificate, key and `node.id` are replaced, then the old data moved aside: nothing is deleted, and nothing of
//!    the old node's data was touched before the cluster could do without it.
//!
//! The learner fills itself once it is started, and the cluster makes it a voter when it has caught up.

mod install;
mod members;
mod node_id;
mod plan;
mod progress;
mod replacement;

use std::path::PathBuf;

use clap::Args;

use self::replacement::Replacement;
use crate::cli::args::NodeConfigArg;
use crate::cli::operator::{Operator, say};
use crate::cli::time_span::TimeSpan;
use crate::config::Loaded;
use keymoot_cluster::settings::MemberAddress;
use keymoot_command::Failure;

/// `keymoot cluster replace-disk`.
#[derive(Clone, Args)]
pub struct ReplaceDiskArgs {
    /// The configuration of the node whose data are lost. The node must not run.
    #[command(flatten)]
    pub config: NodeConfigArg,
    /// A member that runs. More are tried one after another. Needed where neither cluster.peer_hints nor the data
    /// directory says who the members are.
    #[arg(long = "member", value_name = "ID=HOST:PORT")]
    pub members: Vec<MemberAddress>,
    /// A token that was made at another node; without one, the command makes one with the old node's certificate.
    /// Needed when the old node was removed before.
    #[arg(long, value_name = "TOKEN", env = "KEYMOOT_JOIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A certificate for the new id that was issued by hand, for a cluster whose CA is the operator's own.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Wait for so long until the node, which is to be started meanwhile, has caught up and votes. A node that stays
    /// a learner is not waited for.
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "10m")]
    pub wait: Option<TimeSpan>,
}

impl std::fmt::Debug for ReplaceDiskArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReplaceDiskArgs({:?})", self.config)
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the cluster refuses or cannot be asked, or a file cannot be replaced. The command can be repeated.
pub async fn run(args: ReplaceDiskArgs) -> Result<(), Failure> {
    let mut replacement = Replacement::begin(&args)?;
    if replacement.is_made() {
        let id = replacement.progress.old;
        say(&format!("nothing to replace: this machine is node {id}, which was never started; start it\n"));
        return Ok(());
    }
    let mut stays_learner = false;
    let new = match replacement.progress.new {
        Some(new) => {
            let old = replacement.progress.old;
            say(&format!("going on: node {new} takes the place of node {old}\n"));
            new
        }
        None => {
            stays_learner = replacement.plan(&args).await?;
            replacement.admit(&args, stays_learner).await?
        }
    };
    replacement.remove_old().await?;
    let members = replacement.install(&args, new).await?;
    if let Some(wait) = args.wait.filter(|_| !stays_learner) {
        let loaded = Loaded::load(args.config.config.as_deref()).map_err(Failure::usage)?;
        let operator = Operator::of(loaded.config)?;
        members.await_filled(&operator, new, wait.0).await?;
        say(&format!("node {new} has caught up\n"));
    }
    Ok(())
}
