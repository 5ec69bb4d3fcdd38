//! The commands a person types. Each file parses nothing but its own arguments, calls a room,
//! and prints; what it prints on standard output is for the caller, errors go to standard error.
//!
//! Exit codes: 0 done, 1 a failure while running, 2 no service point answered or the cluster whose status
//! was asked is degraded, 64 a mistake in usage
//! or configuration, after which nothing was started or bound, 130 interrupted.

pub mod account;
pub mod args;
pub mod backup;
pub mod cluster;
pub mod config_command;
mod confirm;
mod descriptors;
pub mod dev;
pub mod doctor;
mod failure;
#[cfg(test)]
mod help_test;
pub mod init;
pub mod key;
pub mod keyring_command;
mod lifeline;
mod node_files;
mod operator;
pub mod policy;
pub mod recover;
mod rewrap;
pub mod scramble;
pub mod serve;
mod time_span;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::{Failure, FailureKind};

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
    /// Add accounts, and list them.
    #[command(subcommand)]
    Account(args::AccountCommand),
    /// Get, create, rotate, schedule and delete content keys, as a scrambler does.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Say what licenses allow: store policies, attach them to contents, check them.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
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
        Command::Key(command) => key::run(command),
        Command::Policy(command) => policy::run(command),
        Command::Scramble(args) => scramble::run(args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_mistake_in_usage_exits_with_64_and_help_with_0() {
        let code = |line: &str| format!("{:?}", run(line.split(' ').map(OsString::from)));
        assert_eq!(code("keymoot fly"), format!("{:?}", ExitCode::from(64)));
        assert_eq!(code("keymoot --version"), format!("{:?}", ExitCode::SUCCESS));
    }

    #[test]
    fn members_are_number_and_address() {
        let line = "keymoot cluster init --config f --member 1=a:1 --member 2=[::1]:2";
        let Ok(Cli { command: Command::Cluster(args::ClusterCommand::Init(init)) }) = parse(line) else {
            panic!("not parsed");
        };
        let members: Vec<String> = init.members.iter().map(|m| format!("{}={}", m.id, m.address)).collect();
        assert_eq!(members, ["1=a:1", "2=[::1]:2"]);
        for bad in ["1", "0=a:1", "x=a:1", "1=a", "1=a:0"] {
            assert!(parse(&format!("keymoot cluster init --config f --member {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_default_policy_is_named_or_taken_away() {
        for good in ["policy default demo hd", "policy default demo --none"] {
            assert!(parse(&format!("keymoot {good}")).is_ok(), "{good}");
        }
        for bad in [
            "policy default demo",
            "policy default demo hd --none",
            "policy put demo f --if-absent --if-version 1",
            "policy show demo a/b",
        ] {
            assert!(parse(&format!("keymoot {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_account_needs_an_encryption_key_file() {
        assert!(parse("keymoot account add demo --config f").is_err());
        let line = "keymoot account add demo --config f --ca-system OVP --encryption-key-file k \
                    --allow 127.0.0.0/8 --consistency local --if-absent";
        let Ok(Cli { command: Command::Account(args::AccountCommand::Add(add)) }) = parse(line) else {
            panic!("not parsed");
        };
        assert_eq!(add.id.as_str(), "demo");
        assert_eq!(add.consistency, crate::model::Consistency::Local);
        assert!(add.if_absent && add.license_key_file.is_none());
    }

    #[test]
    fn a_credential_names_scope_scheme_and_file() {
        let line = "keymoot account add demo --config f --minimum-scheme digest --credential";
        let Ok(Cli { command: Command::Account(args::AccountCommand::Add(add)) }) =
            parse(&format!("{line} api:encryption:http-ed25519:/a:b"))
        else {
            panic!("not parsed");
        };
        assert_eq!(add.credentials[0].scheme, crate::model::Scheme::HttpEd25519);
        assert_eq!(add.credentials[0].file, std::path::Path::new("/a:b"));
        assert_eq!(add.minimum_scheme, Some(crate::model::Scheme::Digest));
        for bad in
            ["api", "api:encryption:md5:f", "api:all:basic:f", "api:encryption:basic:", ":admin:basic:f"]
        {
            assert!(parse(&format!("{line} {bad}")).is_err(), "{bad}");
        }
    }
}
