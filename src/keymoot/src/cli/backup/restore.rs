//! `keymoot backup restore`: offline, into an empty data directory.

use super::args::BackupRestoreArgs;
use super::failure;
use crate::cli::account::credentials_of;
use crate::cli::certificates;
use crate::cli::operator::say;
use crate::config::Loaded;
use keymoot_cluster::backup::{BackupFile, Restore, restore};
use keymoot_command::Failure;
use keymoot_crypto::Keyring;

/// Restores, and says what comes next.
pub(super) fn run(args: &BackupRestoreArgs) -> Result<(), Failure> {
    let config = Loaded::load(args.config.config.as_deref()).map_err(Failure::usage)?.config;
    let keyring = Keyring::load(&config.keys.keyring_file).map_err(Failure::usage)?;
    let file = BackupFile::open(&args.file).map_err(failure)?;
    let how = Restore {
        cluster: config.cluster.name.clone(),
        node: config.node.id,
        members: args.members.iter().map(|member| (member.id, member.address.to_string())).collect(),
        fence: args.fence,
        without_ca_key: args.without_ca_key,
        unsigned: args.unsigned,
    };
    if args.unsigned && file.header().signed_under.is_none() {
        eprintln!(
            "warning: {} is not signed: nothing shows that it is as the cluster wrote it",
            args.file.display()
        );
    }
    let own = certificates::of_node(&config)?;
    let restored = restore(&config.node.data_dir, &file, &keyring, &own, &how).map_err(failure)?;
    say(&format!(
        "node {} of cluster {} is restored as of entry {}: {} records, {} content keys\n",
        how.node,
        how.cluster,
        restored.applied.index,
        file.header().record_count(),
        file.header().key_count(),
    ));
    if !restored.accounts.is_empty() {
        say(&format!(
            "{} accounts come back with these credentials, some of which may have been revoked since:\n{}none of them is \
             served yet. When the cluster runs, revoke what must not come back, and suspend or remove the accounts that\n\
             were; then let the others in with\n    keymoot account confirm --all\n",
            restored.accounts.len(),
            credentials_of(&restored.accounts),
        ));
    }
    if args.fence.is_none() {
        say(
            "no operator comes back, for some may have been revoked since. When the cluster runs, add one on a node with\n    \
             keymoot operator add NAME --role security --by-keyring --config FILE\n",
        );
    }
    // On further machines another node may have the key.
    if args.fence.is_none() || restored.authority.admits() {
        say(certificates::told(restored.authority));
    }
    let others: Vec<String> =
        how.members.keys().filter(|id| **id != how.node).map(ToString::to_string).collect();
    if others.is_empty() {
        say("start it with keymoot serve; then join further nodes\n");
    } else if args.fence.is_none() {
        say(&format!(
            "now restore the same file on the machines of nodes {}, with the same --member options and\n    \
             --fence {}\nthen start all of them with keymoot serve\n",
            others.join(", "),
            restored.fence,
        ));
    } else {
        say("when every member is restored, start all of them with keymoot serve\n");
    }
    Ok(())
}
