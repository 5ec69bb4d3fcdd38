//! The arguments of `keymoot operator`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::args::{ConfigArg, OutputFormat};
use crate::cli::time_span::TimeSpan;
use keymoot_model::{Fingerprint, OperatorName, Role};

/// `keymoot operator`.
#[derive(Clone, Debug, Subcommand)]
pub enum OperatorCommand {
    /// Add an operator, and write the credential.
    ///
    /// The first one, and one for a cluster that lost all of them, is added on a node with --by-keyring.
    Add(AddArgs),
    /// List the operators, with their roles and credentials.
    List(ListArgs),
    /// Show who the commands of this configuration are typed by.
    Whoami(ConfigArg),
    /// Give an operator these roles in place of all others.
    Roles(RolesArgs),
    /// Make another credential for an operator.
    Certificate(CertificateArgs),
    /// Make the next credential of the operator who asks, in place of the file.
    ///
    /// The one before stays good until its end, or until it is revoked.
    Renew(RenewArgs),
    /// Revoke an operator, or one certificate. It opens nothing any more, on no node.
    Revoke(RevokeArgs),
    /// Set the password that an operator signs in with, and make the secret of the one-time codes.
    ///
    /// It is asked for twice at the terminal. Whoever has the role security sets the first one of another operator, who
    /// must change it. The secret is shown once, as an otpauth URI for an authenticator app. Sessions from before end.
    Password(PasswordArgs),
    /// List the sessions that are open.
    Sessions(SessionsArgs),
    /// End a session of an operator, or all.
    EndSession(EndSessionArgs),
    /// Note that an operator who was added by a keyring's proof is meant to be there.
    Acknowledge(NameArgs),
}

/// `keymoot operator add`.
#[derive(Clone, Debug, Args)]
pub struct AddArgs {
    /// The operator's name. Names are given once.
    pub name: OperatorName,
    /// What the operator may do: viewer, operator, key-admin, security or auditor. May be repeated.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    pub roles: Vec<Role>,
    #[command(flatten)]
    pub certificate: CertificateOutput,
    /// Prove the keyring of the node whose configuration this is, instead of a credential. It stands in the status
    /// until an operator acknowledges it.
    #[arg(long, conflicts_with_all = ["admin", "operator"])]
    pub by_keyring: bool,
    #[command(flatten)]
    pub who: ConfigArg,
}

/// Where a certificate is written, and for how long it is good.
#[derive(Clone, Debug, Args)]
pub struct CertificateOutput {
    /// The file to write: key, certificate and authority, mode 0600; NAME.pem if it is not said.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// A certificate request (PKCS #10, PEM) whose key another one holds: then the file has no key.
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// A certificate (PEM) that the cluster's CA issued elsewhere: it is registered, and no file is written.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["request", "out"])]
    pub issued: Option<PathBuf>,
    /// For how long it is good.
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub life: TimeSpan,
}

/// `keymoot operator list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub who: ConfigArg,
}

/// `keymoot operator roles`.
#[derive(Clone, Debug, Args)]
pub struct RolesArgs {
    /// The operator's name.
    pub name: OperatorName,
    /// What the operator may do from now on. May be repeated.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    pub roles: Vec<Role>,
    #[command(flatten)]
    pub who: ConfigArg,
}

/// `keymoot operator certificate`.
#[derive(Clone, Debug, Args)]
pub struct CertificateArgs {
    /// The operator's name.
    pub name: OperatorName,
    #[command(flatten)]
    pub certificate: CertificateOutput,
    #[command(flatten)]
    pub who: ConfigArg,
}

/// `keymoot operator renew`.
#[derive(Clone, Debug, Args)]
pub struct RenewArgs {
    /// For how long the next one is good.
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub life: TimeSpan,
    #[command(flatten)]
    pub who: ConfigArg,
}

/// `keymoot operator revoke`.
#[derive(Clone, Debug, Args)]
pub struct RevokeArgs {
    /// The operator's name.
    pub name: OperatorName,
    /// Only this certificate, by its fingerprint as keymoot operator list shows it.
    #[arg(long, value_name = "FINGERPRINT")]
    pub certificate: Option<Fingerprint>,
    #[command(flatten)]
    pub who: ConfigArg,
}

/// `keymoot operator password`.
#[derive(Clone, Debug, Args)]
pub struct PasswordArgs {
    /// The operator's name.
    pub name: OperatorName,
    /// Read it from this file, mode 0600, instead of asking.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Give the authenticator app another secret, too. The first password always comes with one.
    #[arg(long)]
    pub new_codes: bool,
    #[command(flatten)]
    pub who: ConfigArg,
}

/// `keymoot operator sessions`.
#[derive(Clone, Debug, Args)]
pub struct SessionsArgs {
    /// Only those of this operator.
    pub name: Option<OperatorName>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub who: ConfigArg,
}

/// `keymoot operator end-session`.
#[derive(Clone, Debug, Args)]
pub struct EndSessionArgs {
    /// The operator's name.
    pub name: OperatorName,
    /// Only this session, as keymoot operator sessions shows it.
    #[arg(long, value_name = "SESSION")]
    pub session: Option<Fingerprint>,
    #[command(flatten)]
    pub who: ConfigArg,
}

/// An operator.
#[derive(Clone, Debug, Args)]
pub struct NameArgs {
    /// The operator's name.
    pub name: OperatorName,
    #[command(flatten)]
    pub who: ConfigArg,
}
