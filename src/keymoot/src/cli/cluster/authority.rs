//! `keymoot cluster authority`: the cluster's certificate authority, and its replacement while the cluster serves.

use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::time::{Instant, sleep};

use super::change::How;
use crate::cli::args::ConfigArg;
use crate::cli::clock::{instant, now_ms};
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
    /// then no node trusts the old one any more. Each step waits for every member, and the last one for clients: they need
    /// the new ca.pem before it.
    Replace(ReplaceArgs),
    /// Give the replacement up, as long as the new authority does not sign: the old one stays, and the new one is trusted
    /// no more.
    Cancel(How),
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
    /// Retire the old authority no earlier than so long after the new one began to sign. In this time clients that
    /// believe the cluster's authority take the new ca.pem.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub pause: TimeSpan,
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
        AuthorityCommand::Cancel(how) => cancel(how).await,
    }
}

async fn cancel(how: How) -> Result<(), Failure> {
    if ask(&how.config, false).await?.stage == AuthorityStage::Settled {
        say("the CA is not being replaced; there is nothing to cancel\n");
        return Ok(());
    }
    say(
        "the CA of before stays. Operators' credentials that were made or renewed since the replacement began open nothing\n\
         then: make them anew with keymoot operator certificate NAME\n",
    );
    confirm(how.yes, "Give it up?")?;
    match Operator::new(&how.config)?.ask(AdminRequest::CancelAuthority).await? {
        AdminResponse::Authority(_) => say("done: every node takes the new CA out of its CA file\n"),
        _ => return Err(unexpected()),
    }
    Ok(())
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
            if let Some(left) = pause_left(&progress, args.pause.0, now_ms()) {
                if Instant::now() + left >= until {
                    return told_to_wait(&progress, args.pause.0);
                }
                sleep(left).await;
                continue;
            }
            if progress.stage == AuthorityStage::Announced {
                renew_credential(config).await;
            }
            ask(config, true).await?;
        } else if Instant::now() >= until {
            return Err(Failure::because("it waits for these nodes yet")
                .hint(
                    "start them or remove them, then run the same command again; keymoot cluster status says what they \
                     lack. As long as the new CA does not sign, keymoot cluster authority cancel gives it up",
                ));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// How much of the pause for clients is left before the last step.
fn pause_left(progress: &AuthorityProgress, pause: Duration, now_ms: u64) -> Option<Duration> {
    let since_ms = now_ms.saturating_sub(progress.adopted_at_ms?);
    pause.checked_sub(Duration::from_millis(since_ms)).filter(|left| !left.is_zero())
}

/// Leaves the last step to another run.
fn told_to_wait(progress: &AuthorityProgress, pause: Duration) -> Result<(), Failure> {
    let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let from = instant(progress.adopted_at_ms.unwrap_or_default().saturating_add(pause_ms));
    say(&format!(
        "not done yet: the old CA is trusted until {from}, so that clients can take the new ca.pem, which is in every node's\n\
         cluster.ca_file. Run the same command then, or earlier with --pause 0s if no client believes the cluster's CA\n"
    ));
    Ok(())
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
    let since = progress.adopted_at_ms.map_or_else(String::new, |at| format!(" (since {})", instant(at)));
    let waits: Vec<String> = progress.waits_for.iter().map(ToString::to_string).collect();
    match waits.is_empty() {
        true => format!("{stage}{since}: all nodes have"),
        false => format!("{stage}{since}: waits for node {}", waits.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_that_are_waited_for_are_named() {
        let at = |stage, waits_for, adopted_at_ms| AuthorityProgress { stage, waits_for, adopted_at_ms };
        assert!(told(&at(AuthorityStage::Announced, vec![2, 3], None)).ends_with("waits for node 2, 3"));
        let adopted = told(&at(AuthorityStage::Adopted, vec![], Some(0)));
        assert!(adopted.ends_with("(since 1970-01-01T00:00:00Z): all nodes have"), "{adopted}");
    }

    #[test]
    fn the_last_step_waits_for_clients_from_when_the_new_ca_signs() {
        let at = |adopted_at_ms| AuthorityProgress {
            stage: AuthorityStage::Adopted,
            waits_for: vec![],
            adopted_at_ms,
        };
        let (pause, left) = (Duration::from_secs(60), |seconds| Some(Duration::from_secs(seconds)));
        assert_eq!(pause_left(&at(Some(1000)), pause, 21_000), left(40));
        assert_eq!(pause_left(&at(Some(1000)), pause, 61_000), None);
        assert_eq!(pause_left(&at(Some(1000)), Duration::ZERO, 1000), None);
        assert_eq!(pause_left(&at(Some(9000)), pause, 1000), left(60), "clocks differ");
        assert_eq!(pause_left(&at(None), pause, 1000), None, "it does not sign yet");
    }
}
