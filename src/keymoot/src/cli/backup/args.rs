//! The arguments of `keymoot backup`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::args::{ConfigArg, NodeConfigArg, OutputFormat};
use crate::cli::time_span::TimeSpan;
use keymoot_cluster::settings::MemberAddress;
use keymoot_model::NodeId;

/// `keymoot backup`.
#[derive(Clone, Debug, Subcommand)]
pub enum BackupCommand {
    /// Take a backup of a running cluster: everything that was acknowledged before the command. Keys stay
    /// wrapped under the master keys, which are not in it.
    Create(BackupCreateArgs),
    /// Show what a backup says about itself.
    Inspect(BackupInspectArgs),
    /// Check every byte and record of a backup, with a keyring its signature and that every key opens, and
    /// with a node's configuration or CA that a cluster restored from it can let nodes join.
    ///
    /// Exit code 0: everything that was asked for holds; 1: it does not, and what is missing is said.
    Verify(BackupVerifyArgs),
    /// Restore a backup into the empty data directory of a node that does not run. Whatever cluster the
    /// backup was taken from can no longer speak to the restored one.
    Restore(BackupRestoreArgs),
    /// Have the cluster take its backups by itself.
    #[command(subcommand)]
    Schedule(BackupScheduleCommand),
}

/// `keymoot backup schedule`.
#[derive(Clone, Debug, Subcommand)]
pub enum BackupScheduleCommand {
    /// Set how often a backup is taken, where to, and how many are kept. The first one is taken at once.
    ///
    /// One node takes it, and another when that one is away. Each file is written beside its place, synced,
    /// read back and verified before it has its name. Of the files that the schedule has made, those beyond
    /// the number to keep are removed.
    Set(ScheduleSetArgs),
    /// Show the schedule, the last good backup and what failed.
    ///
    /// Exit code 0: all is well, or nothing is scheduled; 2: backups fail or are overdue; 1: no answer.
    Show(ScheduleShowArgs),
    /// End the schedule. The files stay.
    Off(ConfigArg),
}

/// `keymoot backup schedule set`.
#[derive(Clone, Debug, Args)]
pub struct ScheduleSetArgs {
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How long after one backup the next is taken: 10s to a year.
    #[arg(long, value_name = "TIME", default_value = "6h")]
    pub every: TimeSpan,
    /// How many backups stay in the directory.
    #[arg(long, value_name = "COUNT", default_value_t = 14)]
    pub keep: u32,
    /// The directory, absolute, on the disk of each node or on one that they share. A node on which it is
    /// missing lets others take the backup.
    #[arg(long, value_name = "DIR")]
    pub directory: PathBuf,
}

/// `keymoot backup schedule show`.
#[derive(Clone, Debug, Args)]
pub struct ScheduleShowArgs {
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// `keymoot backup create`.
#[derive(Clone, Debug, Args)]
pub struct BackupCreateArgs {
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// The node to take it from, if not the one of the configuration.
    #[arg(long, value_name = "ID")]
    pub node: Option<NodeId>,
    /// Take what the node has, without asking a quorum whether that is all.
    #[arg(long)]
    pub local: bool,
    /// The file to make, mode 0600; `-` writes to standard output.
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
    /// Tell the progress also when standard error is no terminal.
    #[arg(long, short)]
    pub verbose: bool,
}

/// `keymoot backup inspect`.
#[derive(Clone, Debug, Args)]
pub struct BackupInspectArgs {
    /// The backup.
    pub file: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// `keymoot backup verify`.
#[derive(Clone, Debug, Args)]
pub struct BackupVerifyArgs {
    /// The backup.
    pub file: PathBuf,
    /// Check the signature and open every key with this keyring, too. Nothing of it is shown or kept.
    #[arg(long, value_name = "FILE")]
    pub keyring: Option<PathBuf>,
    /// The configuration of the node that it would be restored on: its keyring and certificates are checked,
    /// and whether the restored cluster could let nodes join.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The CA that the nodes of the restored cluster would trust, if not the configured one.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The private key of that CA, if one of the nodes will have it.
    #[arg(long, value_name = "FILE", requires = "ca")]
    pub ca_key: Option<PathBuf>,
    /// Accept a backup without a signature: one of an earlier version, or of a salvaged directory.
    #[arg(long)]
    pub unsigned: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// `keymoot backup restore`.
#[derive(Clone, Debug, Args)]
pub struct BackupRestoreArgs {
    /// The backup.
    pub file: PathBuf,
    /// The configuration of the node to restore.
    #[command(flatten)]
    pub config: NodeConfigArg,
    /// A member of the restored cluster, with the address that other nodes dial; this node among them.
    /// Repeat it for each, the same on every machine.
    #[arg(long = "member", value_name = "ID=HOST:PORT", required = true)]
    pub members: Vec<MemberAddress>,
    /// On every machine but the first: the fence that the first one printed.
    #[arg(long, value_name = "NUMBER")]
    pub fence: Option<u64>,
    /// Restore under another CA than the backup's though its key is on no node. The cluster then signs no
    /// certificates: nodes join with certificates issued by hand.
    #[arg(long)]
    pub without_ca_key: bool,
    /// Restore also a backup without a signature: one of an earlier version, or of a salvaged directory.
    /// Nothing shows then that it is as the cluster wrote it. A wrong signature is refused all the same.
    #[arg(long)]
    pub unsigned: bool,
}
