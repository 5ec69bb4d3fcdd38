//! The arguments of `keymoot account`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;

use super::documents::DocumentArgs;
use crate::cli::args::{ConfigArg, OutputFormat};
use crate::cli::time_span::TimeSpan;
use keymoot_model::{AccountId, Consistency, ResponseShape, Scheme, Scope, Sha1Use, TimeStamp, network};
use keymoot_service::CredentialEntry;

/// `keymoot account`.
#[derive(Clone, Debug, Subcommand)]
pub enum AccountCommand {
    /// Add an account.
    Add(Box<AccountAddArgs>),
    /// List the accounts. Signing keys are not shown.
    List(AccountListArgs),
    /// Show an account with its credentials. Signing keys are not shown.
    Show(NamedAccountArgs),
    /// Change settings of an account; those that are not given stay.
    Set(Box<AccountSetArgs>),
    /// Refuse all requests of an account, at once on every node, until it is resumed.
    Suspend(OneAccountArgs),
    /// Serve a suspended account again.
    Resume(OneAccountArgs),
    /// Remove an account with its credentials. Its keys, contents and policies stay.
    Remove(AccountRemoveArgs),
    /// Make another seed the one from which the keys of SPEKE's and CPIX's documents derive, for contents that are made
    /// from now on. Keys of contents that are there stay as they are.
    RotateSeed(OneAccountArgs),
    /// Let the keys of an account be exported for a while, where the cluster says that this takes two persons.
    OpenExport(OpenExportArgs),
    /// Change the accounts to those that a file declares. It shows the difference, and asks.
    Apply(AccountApplyArgs),
    /// Let accounts and credentials be used that a restored backup brought back.
    Confirm(AccountConfirmArgs),
    /// Add, list, end and revoke the credentials of an account.
    #[command(subcommand)]
    Credential(CredentialCommand),
}

/// `keymoot account credential`.
#[derive(Clone, Debug, Subcommand)]
pub enum CredentialCommand {
    /// Add a credential.
    Add(CredentialAddArgs),
    /// List an account's credentials, the revoked ones too, and when each was last used.
    List(NamedAccountArgs),
    /// Set when a credential ends.
    Expire(CredentialExpireArgs),
    /// Revoke a credential for ever, at once on every node.
    Revoke(CredentialArgs),
}

/// An account.
#[derive(Clone, Debug, Args)]
pub struct OneAccountArgs {
    /// The account's name.
    pub id: AccountId,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// `keymoot account open-export`.
#[derive(Clone, Debug, Args)]
pub struct OpenExportArgs {
    /// Which.
    #[command(flatten)]
    pub account: OneAccountArgs,
    /// For how long, a day at most.
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    pub span: TimeSpan,
}

/// An account to be printed.
#[derive(Clone, Debug, Args)]
pub struct NamedAccountArgs {
    /// Which.
    #[command(flatten)]
    pub account: OneAccountArgs,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// `keymoot account set`.
#[derive(Clone, Debug, Args)]
pub struct AccountSetArgs {
    /// Which.
    #[command(flatten)]
    pub account: OneAccountArgs,
    /// The ca_system values that its requests may carry, in place of those that it has. May be repeated; an empty value
    /// alone accepts any.
    #[arg(long = "ca-system", value_name = "NAME")]
    pub ca_systems: Option<Vec<String>>,
    /// The networks that may reach the encryption endpoints, such as 10.20.0.0/16 or one address alone, in place of
    /// those that it has. May be repeated.
    #[arg(long = "allow", value_name = "NETWORK", value_parser = network, conflicts_with = "allow_nobody")]
    pub allow_list: Option<Vec<IpNet>>,
    /// No network may reach the encryption endpoints.
    #[arg(long)]
    pub allow_nobody: bool,
    /// How reads are answered: after asking the quorum, or from the node's own state.
    #[arg(long, value_parser = consistency())]
    pub consistency: Option<Consistency>,
    /// Whether encryption answers are an object or an array of one.
    #[arg(long, value_parser = response_shape())]
    pub response_shape: Option<ResponseShape>,
    /// Where players ask for licenses; empty for none.
    #[arg(long, value_name = "URL")]
    pub license_url: Option<String>,
    /// What the account's PlayReady headers name as LA_URL; empty for none.
    #[arg(long, value_name = "URL")]
    pub playready_la_url: Option<String>,
    /// The weakest scheme that proves the account's requests; `any` for every scheme.
    #[arg(long, value_name = "SCHEME")]
    pub minimum_scheme: Option<MinimumScheme>,
    /// Whether packagers that cannot sign are served from the allowed networks.
    #[arg(long, value_name = "BOOL")]
    pub allow_unsigned_packagers: Option<bool>,
    /// What udrm-sha1 signatures open, which cover neither method nor path: `bound` keeps policies, bulk requests and
    /// exports to what the signed data name; `no-changes` refuses PUT and DELETE, too; `unbound` is how it was before
    /// feature level 4. See docs/authentication.md.
    #[arg(long, value_parser = sha1_use())]
    pub sha1: Option<Sha1Use>,
    /// What holds of its documents.
    #[command(flatten)]
    pub documents: DocumentArgs,
}

/// The weakest scheme, or every scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinimumScheme(pub Option<Scheme>);

impl FromStr for MinimumScheme {
    type Err = keymoot_model::SchemeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(if text == "any" { None } else { Some(text.parse()?) }))
    }
}

/// `keymoot account remove`.
#[derive(Clone, Debug, Args)]
pub struct AccountRemoveArgs {
    /// Which.
    #[command(flatten)]
    pub account: OneAccountArgs,
    /// Remove it without asking for its name.
    #[arg(long)]
    pub yes: bool,
}

/// `keymoot account apply`.
#[derive(Clone, Debug, Args)]
pub struct AccountApplyArgs {
    /// The declaration; see config/accounts.example.toml.
    pub file: PathBuf,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// What becomes of accounts that the file does not name; without it they are left alone.
    #[arg(long, value_enum)]
    pub prune: Option<Prune>,
    /// Show the difference, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Apply it without being asked.
    #[arg(long)]
    pub yes: bool,
}

/// What becomes of accounts that a declaration leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Prune {
    /// They are suspended.
    Suspend,
    /// They are removed.
    Remove,
}

/// `keymoot account confirm`.
#[derive(Clone, Debug, Args)]
pub struct AccountConfirmArgs {
    /// The accounts.
    #[arg(value_name = "ID", required_unless_present = "all")]
    pub ids: Vec<AccountId>,
    /// All accounts that wait for it.
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Confirm them without being asked.
    #[arg(long)]
    pub yes: bool,
}

/// A credential.
#[derive(Clone, Debug, Args)]
pub struct CredentialArgs {
    /// The account's name.
    pub id: AccountId,
    /// The credential's name.
    pub name: String,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// When a credential ends.
#[derive(Clone, Copy, Debug, Default, Args)]
#[group(multiple = false)]
pub struct ExpiryArgs {
    /// It ends after this time, such as 30d.
    #[arg(long, value_name = "TIME")]
    pub expires_in: Option<TimeSpan>,
    /// It ends at this instant, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "INSTANT")]
    pub expires_at: Option<TimeStamp>,
}

/// `keymoot account credential add`.
#[derive(Clone, Debug, Args)]
pub struct CredentialAddArgs {
    /// The account's name.
    pub id: AccountId,
    /// The credential: encryption, license or policy for SCOPE; mutual-tls, http-ed25519, http-hmac-sha256, aws-sigv4,
    /// digest, basic, widevine-aes, widevine-rsa or udrm-sha1 for SCHEME; see docs/authentication.md and docs/key-exchange.md for what
    /// FILE must hold.
    #[arg(value_name = "NAME:SCOPE:SCHEME:FILE")]
    pub credential: CredentialArg,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// When it ends.
    #[command(flatten)]
    pub expiry: ExpiryArgs,
}

/// `keymoot account credential expire`.
#[derive(Clone, Debug, Args)]
pub struct CredentialExpireArgs {
    /// Which.
    #[command(flatten)]
    pub credential: CredentialArgs,
    /// When it ends.
    #[command(flatten)]
    pub expiry: ExpiryArgs,
    /// It does not end any more.
    #[arg(long, conflicts_with_all = ["expires_in", "expires_at"])]
    pub never: bool,
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
    /// A credential of another scheme: mutual-tls, http-ed25519, http-hmac-sha256, aws-sigv4, digest, basic,
    /// widevine-aes, widevine-rsa or udrm-sha1; see docs/authentication.md and docs/key-exchange.md for
    /// what FILE must hold. May be repeated.
    #[arg(long = "credential", value_name = "NAME:SCOPE:SCHEME:FILE")]
    pub credentials: Vec<CredentialArg>,
    /// The weakest scheme that proves the account's requests; every scheme, if left out.
    #[arg(long, value_name = "SCHEME")]
    pub minimum_scheme: Option<Scheme>,
    /// Serve packagers that cannot sign from the allowed networks: the Widevine common encryption API
    /// without signer, PlayReady's AcquirePackagingData, SPEKE and CPIX.
    #[arg(long)]
    pub allow_unsigned_packagers: bool,
    /// A network that may reach the encryption endpoints, such as 10.20.0.0/16 or one address alone. May be repeated;
    /// none lets nobody in.
    #[arg(long = "allow", value_name = "NETWORK", value_parser = network)]
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
    /// What holds of its documents.
    #[command(flatten)]
    pub documents: DocumentArgs,
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

impl CredentialArg {
    /// What it is made of.
    pub fn entry(&self) -> CredentialEntry {
        CredentialEntry {
            name: self.name.clone(),
            scope: self.scope,
            scheme: self.scheme,
            key_file: self.file.clone(),
            expires_at: None,
        }
    }
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
            _ => return Err("a SCOPE is encryption, license or policy".to_owned()),
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

fn sha1_use() -> impl clap::builder::TypedValueParser<Value = Sha1Use> {
    PossibleValuesParser::new(Sha1Use::ALL.map(Sha1Use::name)).try_map(|text| text.parse())
}

fn response_shape() -> impl clap::builder::TypedValueParser<Value = ResponseShape> {
    PossibleValuesParser::new(["bypath", "object", "array"]).map(|text| match text.as_str() {
        "object" => ResponseShape::Object,
        "array" => ResponseShape::Array,
        _ => ResponseShape::ByPath,
    })
}
