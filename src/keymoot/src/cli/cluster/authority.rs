//! `keymoot cluster authority`: the cluster's certificate authority, and its replacement while the cluster serves.

use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::time::{Instant, sleep};

use super::change::How;
use crate::cli::args::ConfigArg;
use crate::cli::confirm::confirm;
use crate::cli::operator::{Operator, say, unexpected};
use crate::cli::operator_command::{is_known, renew_own};
use crate::cli::time_span::TimeSpan;
use keymoot_cluster::{
    AdminRequest, AdminResponse, AuthorityProgress, AuthorityStage, OPERATOR_CERTIFICATE_LIFE,
};
use keymoot_command::Failure;

/// How often it is looked whether the nodes are that far.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long a node's listener may take to trust another CA.
const TRUSTED_WITHIN: Duration = Duration::from_secs(15);

/// `keymoot cluster authority`.
#[derive(Clone, Debug, Subcommand)]
pub enum AuthorityCommand {
    /// Show whether the authority is being replaced, how far that is, and which nodes it waits for.
    Show(ConfigArg),
    /// Replace the authority by a new one while the cluster serves. Repeating it goes on where it was.
    ///
    /// The new one is announced and every node trusts both; then it signs and every node renews its certificate under it;
    /// then no node trusts the old one any more. Each step waits for every member.
    Replace(ReplaceArgs),
}

/// `keymoot cluster authority replace`.
#[derive(Clone, Debug, Args)]
pub struct ReplaceArgs {
    /// How.
    #[command(flatten)]
    pub how: How,
    /// Wait for so long for the nodes.
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub wait: TimeSpan,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached or refuses, or a member is not that far in time.
pub async fn run(command: AuthorityCommand) -> Result<(), Failure> {
    match command {
        AuthorityCommand::Show(config) => {
            let progress = ask(&config, false).await?;
            say(&format!("{}\n", told(&progress)));
            Ok(())
        }
        AuthorityCommand::Replace(args) => replace(args).await,
    }
}

/// Asks with the files as they are now: the node replaces them meanwhile.
async fn ask(config: &ConfigArg, step: bool) -> Result<AuthorityProgress, Failure> {
    match Operator::new(config)?.ask(AdminRequest::Authority { step }).await? {
        AdminResponse::Authority(progress) => Ok(progress),
        _ => Err(unexpected()),
    }
}

async fn replace(args: ReplaceArgs) -> Result<(), Failure> {
    let config = &args.how.config;
    if ask(config, false).await?.stage == AuthorityStage::Settled {
        say(
            "the nodes get a new CA; tokens that were made before it signs let nobody in from then on, and operators'\n\
             credentials of before open nothing in the end: yours is renewed, others are made anew with keymoot operator\n\
             certificate NAME\n",
        );
        confirm(args.how.yes, "Replace it?")?;
        ask(config, true).await?;
    }
    let until = Instant::now() + args.wait.0;
    let mut shown = String::new();
    loop {
        let progress = match ask(config, false).await {
            Ok(progress) => progress,
            // A certificate and the file of the CAs are replaced one after the other.
            Err(_) if Instant::now() < until => {
                sleep(LOOK_AGAIN).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        // Settled again: the last step was taken.
        if progress.stage == AuthorityStage::Settled {
            say("done: no node trusts the CA of before any more\n");
            return Ok(());
        }
        let text = told(&progress);
        if text != shown {
            say(&format!("{text}\n"));
            shown = text;
        }
        if progress.waits_for.is_empty() {
            if progress.stage == AuthorityStage::Announced {
                renew_credential(config).await;
            }
            ask(config, true).await?;
        } else if Instant::now() >= until {
            return Err(Failure::because("it waits for these nodes yet")
                .hint("start them or remove them, then run the same command again"));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Has whoever replaces the authority go on as an operator, with a certificate of the next one. Without a credential the
/// keyring is proved, and goes on to be.
async fn renew_credential(config: &ConfigArg) {
    if config.api().is_err() {
        return;
    }
    match renew_own(config, OPERATOR_CERTIFICATE_LIFE).await {
        Err(failure) => eprintln!(
            "keymoot: warning: the credential is not renewed, and opens nothing in the end: {}",
            failure.message()
        ),
        Ok((_, file, _)) => {
            say(&format!("{} is of the new CA now\n", file.display()));
            // The node's listener reads which CAs it trusts again and again.
            let until = Instant::now() + TRUSTED_WITHIN;
            while !is_known(config).await && Instant::now() < until {
                sleep(LOOK_AGAIN).await;
            }
        }
    }
}

fn told(progress: &AuthorityProgress) -> String {
    let stage = match progress.stage {
        AuthorityStage::Settled => return "the cluster has one authority; none is being replaced".to_owned(),
        AuthorityStage::Announced => "every node comes to trust the new CA beside the old one",
        AuthorityStage::Adopted => "the new CA signs; every node renews its certificate under it",
    };
    let waits: Vec<String> = progress.waits_for.iter().map(ToString::to_string).collect();
    match waits.is_empty() {
        true => format!("{stage}: all nodes have"),
        false => format!("{stage}: waits for node {}", waits.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_that_are_waited_for_are_named() {
        let progress = AuthorityProgress { stage: AuthorityStage::Announced, waits_for: vec![2, 3] };
        assert!(told(&progress).ends_with("waits for node 2, 3"));
        let progress = AuthorityProgress { stage: AuthorityStage::Adopted, waits_for: vec![] };
        assert!(told(&progress).ends_with("all nodes have"));
    }
}
