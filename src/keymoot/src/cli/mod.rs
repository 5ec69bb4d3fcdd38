//! The commands a person types. Each file parses nothing but its own arguments, calls a room,
//! and prints; what it prints on standard output is for the caller, errors go to standard error.
//!
//! Exit codes: 0 done, 1 a failure while running, 2 no service point answered or the cluster whose status
//! was asked is degraded, 64 a mistake in usage
//! or configuration, after which nothing was started or bound, 130 interrupted.

pub mod account;
mod admin_api;
pub mod approval;
pub mod args;
pub mod audit_command;
pub mod backup;
mod certificates;
mod clock;
pub mod cluster;
pub mod config_command;
mod confirm;
pub mod content;
pub mod cpix;
mod descriptors;
pub mod doctor;
pub mod init;
pub mod key;
pub mod keyring_command;
mod lifeline;
mod memory;
mod node_files;
mod operator;
pub mod operator_command;
pub mod policy;
pub mod recover;
mod rewrap;
pub mod scramble;
pub mod serve;
#[cfg(test)]
mod tests;
mod time_span;
mod tls_args;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use keymoot_command::{Failure, FailureKind};
use keymoot_dev as dev;

/// A highly available key server for video DRM.
#[derive(Debug, Parser)]
#[command(name = "keymoot", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the first node of a new cluster: its CA, keyring, certificate and configuration.
    Init(init::InitArgs),
    /// Run one node of a cluster.
    Serve(args::ServeArgs),
    /// Run a whole cluster on this machine, to try Keymoot and to develop against it.
    Dev(dev::DevArgs),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config_command::ConfigCommand),
    /// Make and look at master keys.
    #[command(subcommand)]
    Keyring(keyring_command::KeyringCommand),
    /// Check everything that a node needs: files, ports, certificates, disk, clock, peers.
    Doctor(doctor::DoctorArgs),
    /// Make a cluster of nodes, and look at it.
    #[command(subcommand)]
    Cluster(args::ClusterCommand),
    /// Take backups of a cluster, check them, restore them.
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    /// Add, change, suspend and remove accounts, and their credentials.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// List what an account has: contents, tracks, versions and key ids, never a key.
    #[command(subcommand)]
    Content(content::ContentCommand),
    /// Say who administers the cluster, and what they may do.
    #[command(subcommand)]
    Operator(operator_command::args::OperatorCommand),
    /// Say what takes two persons, and approve what another operator asked for.
    #[command(subcommand)]
    Approval(approval::args::ApprovalCommand),
    /// Search what happened to every key, on all nodes, and prove that nobody has changed it.
    #[command(subcommand)]
    Audit(audit_command::args::AuditCommand),
    /// Get, create, rotate, schedule and delete content keys, as a scrambler does.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Say what licenses allow: store policies, attach them to contents, check them.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Check the documents by which encryptors ask for keys: SPEKE and CPIX.
    #[command(subcommand)]
    Cpix(cpix::CpixCommand),
    /// Encrypt a file with a key of the cluster, by FFmpeg or Shaka Packager.
    Scramble(scramble::ScrambleArgs),
}

/// Parses a command line, runs it, and says how it ended.
pub fn run(command_line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(command_line) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, and are no mistakes. Nobody hears a failed print.
            let _ = error.print();
            return if error.use_stderr() { FailureKind::Usage.exit_code() } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.kind().exit_code()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => {
            args.die_with_parent.map_or(Ok(()), lifeline::tie_to)?;
            serve::run(args)
        }
        Command::Init(args) => init::run(args),
        Command::Dev(args) => dev::run(args),
        Command::Config(command) => config_command::run(command),
        Command::Keyring(command) => keyring_command::run(command),
        Command::Doctor(args) => doctor::run(args),
        Command::Cluster(command) => cluster::run(command),
        Command::Backup(command) => backup::run(command),
        Command::Account(command) => account::run(command),
        Command::Content(command) => content::run(command),
        Command::Operator(command) => operator_command::run(command),
        Command::Approval(command) => approval::run(command),
        Command::Audit(command) => audit_command::run(command),
        Command::Key(command) => key::run(command),
        Command::Policy(command) => policy::run(command),
        Command::Cpix(command) => cpix::run(command),
        Command::Scramble(args) => scramble::run(args),
    }
}
