//! `keymoot keyring`: make a keyring file, and see what one holds.

use std::path::PathBuf;

use clap::Subcommand;

use super::Failure;
use crate::crypto::{Keyring, KeyringFileError};

/// `keymoot keyring`.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyringCommand {
    /// Make a keyring file with one new master key, mode 0600. A file that exists is left alone.
    Generate {
        /// The file to make.
        path: PathBuf,
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
        KeyringCommand::List { path } => print!("{}", listing(&Keyring::load(&path).map_err(failure)?)),
    }
    Ok(())
}

fn listing(ring: &Keyring) -> String {
    ring.ids()
        .map(|id| if id == ring.active() { format!("{id}  active\n") } else { format!("{id}\n") })
        .collect()
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
