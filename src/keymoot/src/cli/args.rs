//! The arguments of the commands that talk to a node: serve, cluster.

use std::path::PathBuf;

use super::cluster::authority::AuthorityCommand;
use super::cluster::certificate::CertificateCommand;
use super::cluster::change::{AddressArgs, MemberChangeArgs, PromoteArgs, TransferArgs};
use super::cluster::join::JoinArgs;
use super::cluster::replace::ReplaceDiskArgs;
use super::cluster::token::TokenCommand;
use super::cluster::upgrade::UpgradeArgs;
use clap::{Args, Subcommand, ValueEnum};

use keymoot_cluster::settings::MemberAddress;

/// Which node's configuration a command uses that works with the node's own files.
#[derive(Clone, Debug, Args)]
pub struct NodeConfigArg {
    /// The configuration file; without one, defaults and the environment.
    #[arg(long, value_name = "FILE", env = "KEYMOOT_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Who types a command, and which node is asked.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArg {
    /// The configuration file; without one, defaults and the environment.
    #[arg(long, value_name = "FILE", env = "KEYMOOT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Ask this node over the admin API, from anywhere, instead of the configured one.
    #[arg(long, value_name = "ID=HOST:PORT", env = "KEYMOOT_ADMIN", requires = "operator")]
    pub admin: Option<MemberAddress>,
    /// The operator's credential, as keymoot operator add writes it, instead of admin.credential_file.
    #[arg(long, value_name = "FILE", env = "KEYMOOT_OPERATOR")]
    pub operator: Option<PathBuf>,
}

/// How a command prints what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Aligned columns, for people.
    #[default]
    Table,
    /// JSON, for scripts.
    Json,
}

/// `keymoot serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: NodeConfigArg,
    /// End when the process of this id, which must be the parent, ends. For `keymoot dev`.
    #[arg(long, hide = true, value_name = "PID")]
    pub die_with_parent: Option<i32>,
}

/// `keymoot cluster`.
#[derive(Clone, Debug, Subcommand)]
pub enum ClusterCommand {
    /// Make a cluster of nodes that run and belong to none yet. Repeating it changes nothing.
    Init(ClusterInitArgs),
    /// Show the members, the leader, how far each node is, and what is wrong.
    ///
    /// Exit code 0: healthy; 2: degraded, and what to do is said; 1: no write can commit, or no answer.
    ///
    /// Every member is asked once, over a connection of its own; one that is silent takes two seconds. Where something
    /// lags or waits, all are asked again, four times a second and for three seconds at most, to tell what is stalled
    /// from what is under way.
    Status(ClusterStatusArgs),
    /// Make a new cluster of one survivor, when a majority of the voters is gone for ever.
    Recover(super::recover::ClusterRecoverArgs),
    /// Seal what a stopped node's data directory holds into a file, and list what of it the cluster lacks.
    ///
    /// For a directory that is to be emptied: of a node that diverged from the cluster, that lost the cluster's
    /// trust, or that is merely behind. Nothing in it is changed or deleted, and no secret is shown.
    Salvage(super::cluster::salvage::SalvageArgs),
    /// Make, list and revoke the tokens that let new nodes in.
    #[command(subcommand)]
    Token(TokenCommand),
    /// List the keys that nodes prove themselves with, renew a node's certificate, and revoke those of a node.
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// Show the cluster's certificate authority, or replace it while the cluster serves.
    #[command(subcommand)]
    Authority(AuthorityCommand),
    /// Make this machine a node of a running cluster.
    Join(Box<JoinArgs>),
    /// Make this machine a new node, in place of one whose data are lost, damaged, copied or set back.
    ///
    /// Run it on that node's machine, with its configuration and keyring, while the node does not run. It shows what it
    /// will do and asks; then the old node is removed for ever, the machine joins under a new id, certificate, key and
    /// node.id are replaced, and the old data are moved aside. Nothing is deleted, and the same command goes on with what
    /// was interrupted.
    ReplaceDisk(Box<ReplaceDiskArgs>),
    /// Make a learner a voter.
    Promote(PromoteArgs),
    /// Make a voter a learner: it replicates and serves reads, and does not vote.
    Demote(MemberChangeArgs),
    /// Remove a node for ever. Its id is not given again.
    Remove(MemberChangeArgs),
    /// Let another voter lead.
    TransferLeader(TransferArgs),
    /// Change the address at which a node's peers reach it.
    ///
    /// A node that is started with another cluster.peer_advertise does this by itself.
    Address(AddressArgs),
    /// Raise the cluster's feature level, once every node runs a program that knows it.
    Upgrade(UpgradeArgs),
}

/// `keymoot cluster init`.
#[derive(Clone, Debug, Args)]
pub struct ClusterInitArgs {
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: NodeConfigArg,
    /// A node that votes, with the address that other nodes dial. Repeat it for each node.
    #[arg(long = "member", value_name = "ID=HOST:PORT", required = true)]
    pub members: Vec<MemberAddress>,
}

/// `keymoot cluster status`.
#[derive(Clone, Debug, Args)]
pub struct ClusterStatusArgs {
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}
