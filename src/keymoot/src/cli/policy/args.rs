//! The arguments of `keymoot policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::args::{ConfigArg, OutputFormat};
use keymoot_model::{AccountId, ContentId, PolicyName, TrackName};

/// `keymoot policy`.
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// List an account's policies, and what uses them.
    List(ListArgs),
    /// Show a policy as the JSON that `put` takes.
    Show(NamedArgs),
    /// List the contents that a policy is attached to, a page at a time.
    Uses(UsesArgs),
    /// Store a policy from a file, under the name it has there.
    Put(PutArgs),
    /// Delete a policy that nothing uses.
    Delete(PolicyDeleteArgs),
    /// Attach a policy to a content, in place of the one it has.
    Attach(AttachArgs),
    /// Leave a content without a policy of its own: the account's default holds for it.
    Detach(DetachArgs),
    /// Choose the policy of contents that have none of their own.
    Default(DefaultArgs),
    /// End a viewer's rental, so that the content can be rented again.
    EndRental(ViewerArgs),
    /// Free the slot that a viewer's device holds.
    FreeSlot(ViewerArgs),
    /// Check a policy in a file, and show it in each DRM system's own form. Asks no cluster.
    Check(CheckArgs),
}

/// `keymoot policy list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// The account.
    pub account: AccountId,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// One policy of an account.
#[derive(Clone, Debug, Args)]
pub struct NamedArgs {
    /// The account.
    pub account: AccountId,
    /// The policy's name.
    pub name: PolicyName,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// `keymoot policy uses`.
#[derive(Clone, Debug, Args)]
pub struct UsesArgs {
    /// Which.
    #[command(flatten)]
    pub named: NamedArgs,
    /// The content behind which the page begins.
    #[arg(long, value_name = "CONTENT")]
    pub after: Option<ContentId>,
    /// The most contents on the page.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// `keymoot policy put`.
#[derive(Clone, Debug, Args)]
pub struct PutArgs {
    /// The account.
    pub account: AccountId,
    /// Holds the policy as JSON; see docs/policies.md.
    pub file: PathBuf,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Change it only if this is still its version.
    #[arg(long, value_name = "NUMBER")]
    pub if_version: Option<u64>,
    /// Store it only if there is none of its name.
    #[arg(long, conflicts_with = "if_version")]
    pub if_absent: bool,
}

/// `keymoot policy delete`.
#[derive(Clone, Debug, Args)]
pub struct PolicyDeleteArgs {
    /// Which.
    #[command(flatten)]
    pub named: NamedArgs,
    /// Delete it only if this is still its version.
    #[arg(long, value_name = "NUMBER")]
    pub if_version: Option<u64>,
}

/// `keymoot policy attach`.
#[derive(Clone, Debug, Args)]
pub struct AttachArgs {
    /// Which.
    #[command(flatten)]
    pub named: NamedArgs,
    /// The content.
    pub content: ContentId,
}

/// `keymoot policy detach`.
#[derive(Clone, Debug, Args)]
pub struct DetachArgs {
    /// The account.
    pub account: AccountId,
    /// The content.
    pub content: ContentId,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// `keymoot policy default`.
#[derive(Clone, Debug, Args)]
pub struct DefaultArgs {
    /// The account.
    pub account: AccountId,
    /// The policy's name.
    #[arg(required_unless_present = "none")]
    pub name: Option<PolicyName>,
    /// Leave contents that have no policy of their own without one.
    #[arg(long, conflicts_with = "name")]
    pub none: bool,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// A viewer of a content.
#[derive(Clone, Debug, Args)]
pub struct ViewerArgs {
    /// The account.
    pub account: AccountId,
    /// The content.
    pub content: ContentId,
    /// The viewer, as custom data names it in user_id, or in user_token where there is none.
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// The viewer's device, as custom data names it.
    #[arg(long, value_name = "ID")]
    pub udid: Option<String>,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// `keymoot policy check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Holds the policy as JSON; see docs/policies.md.
    pub file: PathBuf,
    /// A track to show the forms for. May be repeated; without it, those that the policy names and one
    /// that it does not.
    #[arg(long = "track", value_name = "NAME")]
    pub tracks: Vec<TrackName>,
}
