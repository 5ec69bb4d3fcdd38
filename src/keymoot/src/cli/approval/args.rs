//! The arguments of `keymoot approval`.

use clap::{Args, Subcommand};

use crate::cli::args::{ConfigArg, OutputFormat};
use crate::cli::time_span::TimeSpan;
use keymoot_state::ActKind;

/// `keymoot approval`.
#[derive(Clone, Debug, Subcommand)]
pub enum ApprovalCommand {
    /// List the approvals that were asked for, and what became of them.
    List(ListArgs),
    /// Show one.
    Show(ApprovalArgs),
    /// Approve what another operator asked for. It holds for exactly that, once.
    Approve(ApprovalArgs),
    /// Take an approval back that was asked for or given, or refuse it.
    Withdraw(ApprovalArgs),
    /// Show what takes two persons in this cluster.
    Rule(ConfigArg),
    /// Say what takes two persons from now on, in place of what did.
    ///
    /// More is set by one operator with the role security, less takes two itself. While anything takes two persons, so
    /// does what could make one person two: adding operators, giving roles, certificates and passwords to others.
    Require(RequireArgs),
}

/// `keymoot approval list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Those of which nothing can come any more, too.
    #[arg(long)]
    pub all: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub who: ConfigArg,
}

/// An approval.
#[derive(Clone, Debug, Args)]
pub struct ApprovalArgs {
    /// Its number.
    pub id: u64,
    #[command(flatten)]
    pub who: ConfigArg,
}

/// `keymoot approval require`.
#[derive(Clone, Debug, Args)]
pub struct RequireArgs {
    /// What takes two persons: export-keys, remove-account (one that has keys), remove-master-key or replace-authority. May
    /// be repeated.
    #[arg(long = "act", value_name = "ACT", required_unless_present = "nothing")]
    pub acts: Vec<ActKind>,
    /// Nothing takes two persons.
    #[arg(long, conflicts_with = "acts")]
    pub nothing: bool,
    /// For how long an approval can be given and used after it was asked for, a week at most.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub within: TimeSpan,
    #[command(flatten)]
    pub who: ConfigArg,
}
