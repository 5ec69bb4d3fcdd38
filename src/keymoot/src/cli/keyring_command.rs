//! `keymoot keyring`: make a keyring file, and see what one holds.

use std::path::PathBuf;

use clap::Subcommand;

use super::args::{ConfigArg, OutputFormat};
use super::operator::{block_on, say};
use super::{Failure, rewrap};
use keymoot_command::{Column, Table};
use keymoot_crypto::{Keyring, KeyringFileError, keyring_edit};
use keymoot_model::MasterKeyId;

/// `keymoot keyring`.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyringCommand {
    /// Make a keyring file with one new master key, mode 0600. A file that exists is left alone.
    Generate {
        /// The file to make.
        path: PathBuf,
    },
    /// Add a new master key to a keyring file. It wraps nothing before it is activated.
    Add {
        /// The file; a copy of it belongs on every node.
        path: PathBuf,
        /// Its id; if left out, the next of the form mkN.
        #[arg(long)]
        id: Option<String>,
    },
    /// Make a master key of a keyring file the one that wraps new keys. Running nodes follow their file.
    /// Every member is asked first whether it has the key: what is wrapped under it would open nowhere
    /// else.
    Activate {
        /// The file.
        path: PathBuf,
        /// The master key.
        id: String,
        /// The configuration of one of the nodes, which is asked.
        #[command(flatten)]
        config: ConfigArg,
        /// Although members do not answer, or no cluster uses the file yet. A member that is away needs a
        /// copy of the file before it is started again. One that answers and lacks the key is refused all
        /// the same.
        #[arg(long)]
        force: bool,
    },
    /// Show which master keys each node has, and how many secrets of the cluster stand under each.
    Status {
        /// The configuration of one of the nodes.
        #[command(flatten)]
        config: ConfigArg,
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Put everything that the cluster has wrapped under the active master key, while it serves. Can be
    /// interrupted and repeated.
    Rewrap {
        /// The configuration of one of the nodes.
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Remove a master key from a keyring file, when the cluster has nothing under it any more.
    Remove {
        /// The file.
        path: PathBuf,
        /// The master key.
        id: String,
        /// The configuration of one of the nodes, which is asked.
        #[command(flatten)]
        config: ConfigArg,
    },
    /// List the ids of the master keys in a keyring file. The keys are not shown.
    List {
        /// The file.
        path: PathBuf,
    },
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the file cannot be read or made.
pub fn run(command: KeyringCommand) -> Result<(), Failure> {
    match command {
        KeyringCommand::Generate { path } => {
            let ring = Keyring::save_new(&path).map_err(failure)?;
            println!("made {} with master key {}", path.display(), ring.active());
            println!(
                "Copy it to every node, and keep a copy offline: nothing else opens the cluster's keys."
            );
        }
        KeyringCommand::Add { path, id } => {
            let id = keyring_edit::add(&path, id.map(MasterKeyId)).map_err(failure)?;
            println!("added master key {id} to {}", path.display());
            println!(
                "Copy the file to every node, see that each has read it (keymoot keyring status), and then"
            );
            println!("activate the key on each: keymoot keyring activate FILE {id} --config F");
        }
        KeyringCommand::Activate { path, id, config, force } => {
            block_on(rewrap::activate(&path, &MasterKeyId(id.clone()), &config, force))?;
            println!("new secrets are wrapped under {id} by every node with this file");
        }
        KeyringCommand::Status { config, output } => {
            block_on(rewrap::status(&config, output))?;
        }
        KeyringCommand::Rewrap { config } => block_on(rewrap::rewrap(&config))?,
        KeyringCommand::Remove { path, id, config } => {
            block_on(rewrap::remove(&path, &MasterKeyId(id), &config))?;
        }
        KeyringCommand::List { path } => say(&listing(&Keyring::load(&path).map_err(failure)?)),
    }
    Ok(())
}

fn listing(ring: &Keyring) -> String {
    let mut table = Table::new([Column::Left(""), Column::Left("")]);
    for id in ring.fingerprints().into_keys() {
        let mark = if id == ring.active() { "active" } else { "" };
        table.row([id.to_string(), mark.to_owned()]);
    }
    table.to_string()
}

fn failure(error: KeyringFileError) -> Failure {
    match error {
        KeyringFileError::Random(_) => Failure::runtime(error),
        _ => Failure::usage(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_keyring_lists_its_one_active_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring.toml");
        run(KeyringCommand::Generate { path: path.clone() }).unwrap();
        assert_eq!(listing(&Keyring::load(&path).unwrap()), "mk1  active\n");
        assert!(run(KeyringCommand::Generate { path }).is_err());
    }
}
