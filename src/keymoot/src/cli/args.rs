//! The arguments of the commands that talk to a node: serve, cluster, account.

use std::path::PathBuf;
use std::str::FromStr;

use super::cluster::change::{AddressArgs, MemberChangeArgs, PromoteArgs, TransferArgs};
use super::cluster::join::JoinArgs;
use super::cluster::replace::ReplaceDiskArgs;
use super::cluster::token::TokenCommand;
use super::cluster::upgrade::UpgradeArgs;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;

use keymoot_cluster::settings::MemberAddress;
use keymoot_model::{AccountId, Consistency, ResponseShape, Scheme, Scope};

/// Which configuration a command uses.
#[derive(Clone, Debug, Args)]
pub struct ConfigArg {
    /// The configuration file; without one, defaults and the environment.
    #[arg(long, value_name = "FILE", env = "KEYMOOT_CONFIG")]
    pub config: Option<PathBuf>,
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
    pub config: ConfigArg,
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
    pub config: ConfigArg,
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

/// `keymoot account`.
#[derive(Clone, Debug, Subcommand)]
pub enum AccountCommand {
    /// Add an account.
    Add(Box<AccountAddArgs>),
    /// List the accounts. Signing keys are not shown.
    List(AccountListArgs),
}

/// `keymoot account add`.
#[derive(Clone, Debug, Args)]
pub struct AccountAddArgs {
    /// The account's name, as requests carry it in account_id.
    pub id: AccountId,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// A ca_system value that its requests may carry. May be repeated; none accepts any.
    #[arg(long = "ca-system", value_name = "NAME")]
    pub ca_systems: Vec<String>,
    /// Holds the signing key of encryption requests; a secret file.
    #[arg(long, value_name = "FILE", required_unless_present = "credentials")]
    pub encryption_key_file: Option<PathBuf>,
    /// Holds the signing key of license requests; a secret file.
    #[arg(long, value_name = "FILE")]
    pub license_key_file: Option<PathBuf>,
    /// Holds the signing key of requests about policies; a secret file.
    #[arg(long, value_name = "FILE")]
    pub policy_key_file: Option<PathBuf>,
    /// A credential of another scheme: mutual-tls, http-ed25519, http-hmac-sha256, digest, basic,
    /// widevine-aes, widevine-rsa or udrm-sha1; see docs/authentication.md and docs/key-exchange.md for
    /// what FILE must hold. May be repeated.
    #[arg(long = "credential", value_name = "NAME:SCOPE:SCHEME:FILE")]
    pub credentials: Vec<CredentialArg>,
    /// The weakest scheme that proves the account's requests; every scheme, if left out.
    #[arg(long, value_name = "SCHEME")]
    pub minimum_scheme: Option<Scheme>,
    /// Serve packagers that cannot sign from the allowed networks: the Widevine common encryption API
    /// without signer, and PlayReady's AcquirePackagingData.
    #[arg(long)]
    pub allow_unsigned_packagers: bool,
    /// A network that may reach the encryption endpoints. May be repeated; none lets nobody in.
    #[arg(long = "allow", value_name = "CIDR")]
    pub allow_list: Vec<IpNet>,
    /// Where players ask for licenses.
    #[arg(long, value_name = "URL")]
    pub license_url: Option<String>,
    /// What the account's PlayReady headers name as LA_URL. Without it they name none.
    #[arg(long, value_name = "URL")]
    pub playready_la_url: Option<String>,
    /// How reads are answered: after asking the quorum, or from the node's own state.
    #[arg(long, default_value = "linearizable", value_parser = consistency())]
    pub consistency: Consistency,
    /// Whether encryption answers are an object or an array of one.
    #[arg(long, default_value = "bypath", value_parser = response_shape())]
    pub response_shape: ResponseShape,
    /// Succeed and change nothing when the account exists.
    #[arg(long)]
    pub if_absent: bool,
}

/// A credential as the command line has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialArg {
    /// Its name within the account.
    pub name: String,
    /// What it opens.
    pub scope: Scope,
    /// How it is proved.
    pub scheme: Scheme,
    /// Holds its secret.
    pub file: PathBuf,
}

impl FromStr for CredentialArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(4, ':');
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or("it is NAME:SCOPE:SCHEME:FILE");
        let name = next()?.to_owned();
        let scope = match next()? {
            "encryption" => Scope::Encryption,
            "license" => Scope::License,
            "policy" => Scope::Policy,
            "admin" => Scope::Admin,
            _ => return Err("a SCOPE is encryption, license, policy or admin".to_owned()),
        };
        let scheme = next()?.parse().map_err(|error: keymoot_model::SchemeError| error.to_string())?;
        Ok(Self { name, scope, scheme, file: next()?.into() })
    }
}

/// `keymoot account list`.
#[derive(Clone, Debug, Args)]
pub struct AccountListArgs {
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

fn consistency() -> impl clap::builder::TypedValueParser<Value = Consistency> {
    PossibleValuesParser::new(["linearizable", "local"]).map(|text| match text.as_str() {
        "local" => Consistency::Local,
        _ => Consistency::Linearizable,
    })
}

fn response_shape() -> impl clap::builder::TypedValueParser<Value = ResponseShape> {
    PossibleValuesParser::new(["bypath", "object", "array"]).map(|text| match text.as_str() {
        "object" => ResponseShape::Object,
        "array" => ResponseShape::Array,
        _ => ResponseShape::ByPath,
    })
}
