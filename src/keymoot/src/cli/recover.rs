//! `keymoot cluster recover`: a cluster made anew of one survivor, when the quorum is gone for ever.
//!
//! Guided: it shows what the survivor has, says what may be lost, and wants the cluster's name typed.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::SystemTime;

use clap::Args;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::args::{NodeConfigArg, OutputFormat};
use super::certificates;
use super::operator::say;
use super::{Failure, FailureKind};
use crate::config::{Config, Loaded};
use keymoot_cluster::recovery::{Recovered, Recovery, RecoveryError, Survivor, Taken};
use keymoot_cluster::{AuthorityPlan, Divergence, LogPosition};

/// `keymoot cluster recover`.
#[derive(Clone, Debug, Args)]
pub struct ClusterRecoverArgs {
    /// The configuration of the survivor, which must not run.
    #[command(flatten)]
    pub config: NodeConfigArg,
    /// Show what the node has, and change nothing. With several survivors, recover the one with the highest
    /// term of its last entry, and of those the one with the highest index.
    #[arg(long)]
    pub inspect: bool,
    /// How to print what the node has.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Recover under another CA than before though its key is not on this node. The cluster then signs no
    /// certificates: nodes join with certificates issued by hand.
    #[arg(long)]
    pub without_ca_key: bool,
    /// Do not ask: every other node of this cluster is stopped and will not be started again with its data.
    #[arg(long, value_name = "CLUSTER", conflicts_with = "inspect")]
    pub yes_the_others_are_stopped: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when there is no survivor, or the operator does not agree.
pub fn run(args: &ClusterRecoverArgs) -> Result<(), Failure> {
    let config = Loaded::load(args.config.config.as_deref()).map_err(Failure::usage)?.config;
    let recovery = match Recovery::take(&config.node.data_dir, &config.cluster.name, config.node.id) {
        Ok(Taken::Survivor(recovery)) => recovery,
        Ok(Taken::Finished { fence, kept }) => {
            say(&format!(
                "what was interrupted here before is finished now: fence {fence}; the old data are in {}\n",
                kept.display()
            ));
            return Ok(());
        }
        Err(error) => return Err(failure(error)),
    };
    let survivor = recovery.survey().map_err(failure)?;
    say(&match args.output {
        OutputFormat::Table => table(&survivor, &config),
        OutputFormat::Json => format!("{:#}\n", as_json(&survivor)),
    });
    if args.inspect {
        return recovery.abandon().map_err(failure);
    }
    if config.node.witness {
        recovery.abandon().map_err(failure)?;
        return Err(Failure::misuse("this node is a witness: it has all the data and no keyring, so nobody could open them")
            .hint(
                "recover on a node with the keyring if one is as far as this one; else bring a copy of the keyring here, name \
                 it in keys.keyring_file, take node.witness and node.verifiers out of the configuration, and repeat this",
            ));
    }
    let agreed = authority(args, &config, &survivor)
        .and_then(|plan| agree(args.yes_the_others_are_stopped.as_deref(), &survivor).map(|()| plan));
    let plan = match agreed {
        Ok(plan) => plan,
        Err(refusal) => {
            recovery.abandon().map_err(failure)?;
            return Err(refusal);
        }
    };
    let address = config.cluster.peer_address().to_string();
    let recovered = recovery.recover(&address, plan.forgets()).map_err(failure)?;
    say(&told(&survivor, &recovered, &address));
    say(certificates::told(plan));
    Ok(())
}

/// What becomes of the certificate authority under this node's certificates.
fn authority(
    args: &ClusterRecoverArgs,
    config: &Config,
    survivor: &Survivor,
) -> Result<AuthorityPlan, Failure> {
    let own = certificates::of_node(config)?;
    own.plan(survivor.authority.as_ref(), args.without_ca_key).map_err(certificates::failure)
}

const WARNING: &str = "
This makes a new cluster of this node alone, with everything it has, also what it did not know to be
committed. It is for when a majority of the voters is gone for ever.

  - What was acknowledged by the others and never reached this node is lost, also that a credential was
    revoked or an account suspended: look at keymoot account list afterwards.
  - With several survivors, stop them all, run this with --inspect on each, and recover the one whose last
    entry has the highest term, and of those the highest index.
  - Every other node must be stopped now. It can never come back with its data: it will be refused.
    Let its machine join under a new id: keymoot cluster replace-disk there, which keeps its data aside.

";

/// Wants the cluster's name, typed or given.
fn agree(given: Option<&str>, survivor: &Survivor) -> Result<(), Failure> {
    let typed = match given {
        Some(name) => name.to_owned(),
        None if !std::io::stdin().is_terminal() => {
            return Err(Failure::of_kind(FailureKind::Usage, Disagreed)
                .hint("at no terminal, agree with --yes-the-others-are-stopped CLUSTER"));
        }
        None => {
            say(WARNING);
            say("Type the name of the cluster to go on: ");
            let _ = std::io::stdout().flush();
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map_err(Failure::runtime)?;
            line.trim().to_owned()
        }
    };
    if typed == survivor.cluster {
        return Ok(());
    }
    Err(Failure::of_kind(FailureKind::Usage, Disagreed).hint(format!("the cluster is {}", survivor.cluster)))
}

/// The operator did not say yes.
#[derive(Debug, thiserror::Error)]
#[error("the cluster's name was not given; nothing was changed")]
struct Disagreed;

fn table(survivor: &Survivor, config: &Config) -> String {
    let mut text = format!(
        "node {} of cluster {}, in {}\n  applied        {}\n  last entry     {}\n  committed      {}\n  \
         voted          {}\n  last written   {}\n  fence          {}\n  digest         {}\n",
        survivor.node,
        survivor.cluster,
        config.node.data_dir.display(),
        place(survivor.applied),
        place(survivor.last),
        place(survivor.committed),
        survivor.vote.map_or_else(
            || "never".to_owned(),
            |vote| format!("in term {} for node {}", vote.term, vote.node)
        ),
        time_of(survivor.written_at),
        survivor.fence,
        survivor.digest,
    );
    for (id, address) in &survivor.members {
        let votes = if survivor.voters.contains(id) { "votes" } else { "does not vote" };
        text.push_str(&format!("  member         {id} at {address}, {votes}\n"));
    }
    if let Ok(Some(mark)) = Divergence::read(&config.node.data_dir) {
        text.push_str(&format!("  no node starts from these data, and a recovery would: {}\n", mark.reason));
    }
    if survivor.unapplied_entries() > 0 {
        text.push_str(&format!(
            "  {} entries are not applied yet; a recovery applies them\n",
            survivor.unapplied_entries()
        ));
    }
    text
}

fn as_json(survivor: &Survivor) -> serde_json::Value {
    let place = |at: Option<LogPosition>| at.map(|at| json!({ "index": at.index, "term": at.term }));
    json!({
        "node": survivor.node,
        "cluster": survivor.cluster,
        "fence": survivor.fence,
        "applied": place(survivor.applied),
        "last": place(survivor.last),
        "committed": place(survivor.committed),
        "vote_term": survivor.vote.map(|vote| vote.term),
        "written_at": time_of(survivor.written_at),
        "digest": survivor.digest,
        "members": survivor.members,
        "voters": survivor.voters,
    })
}

fn told(survivor: &Survivor, recovered: &Recovered, address: &str) -> String {
    let others: Vec<String> =
        survivor.members.keys().filter(|id| **id != survivor.node).map(ToString::to_string).collect();
    let kept = recovered.kept.as_ref().map_or_else(String::new, |path| {
        format!("the old data are in {}; remove them when you no longer need them\n", path.display())
    });
    format!(
        "node {} at {address} is the only member now, as of entry {}, with fence {}\n{kept}\
         start it with keymoot serve; the machines of nodes {} can join it under new ids: keymoot cluster \
         replace-disk on each, with --member {}={address}\n",
        survivor.node,
        recovered.applied.index,
        recovered.fence,
        others.join(", "),
        survivor.node,
    )
}

fn place(at: Option<LogPosition>) -> String {
    at.map_or_else(|| "nothing".to_owned(), |at| format!("entry {} of term {}", at.index, at.term))
}

fn time_of(at: Option<SystemTime>) -> String {
    let text = at.and_then(|at| {
        let at = OffsetDateTime::from(at);
        at.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
    });
    text.unwrap_or_else(|| "unknown".to_owned())
}

fn failure(error: RecoveryError) -> Failure {
    match error {
        RecoveryError::Empty { .. } | RecoveryError::Other { .. } => Failure::usage(error),
        _ => Failure::runtime(error),
    }
}
