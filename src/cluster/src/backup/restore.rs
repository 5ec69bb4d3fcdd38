//! Restores a backup into an empty data directory. The result is a cluster with a new fence.
//!
//! The same file restored with the same members and the same fence on each of them makes equal
//! initial states: the same applied entry, members and empty log, so the nodes elect a leader among
//! themselves and continue. The fence ensures that file and members are the same: its lower half is
//! a digest of both, and a fence given by `--fence` that does not match is refused.
//!
//! Only what this cluster signed is restored. A backup without a signature takes somebody who says so.
//!
//! A backup may bring back what was taken away since: credentials that were revoked, accounts that were suspended or
//! removed. So every account in it is suspended until an operator confirms it.
//!
//! Where the nodes trust another certificate authority than the one in the backup, each member's
//! state forgets that one, which the fence covers too. The node that has the new authority's key
//! stores it through Raft once the cluster runs. Until then the cluster signs no certificates.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::members::authority::{AuthorityPlan, NodeAuthority};
use crate::raft::rebuild::{self, Foundation, RebuildError};
use keymoot_crypto::{Keyring, random_bytes};
use keymoot_model::ClusterName;
use keymoot_model::{Account, NodeId};
use keymoot_store::{Directory, Identity, LogPosition, Rebuild};

use super::error::BackupError;
use super::file::BackupFile;

/// How a backup is restored.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The cluster's name in the configuration.
    pub cluster: ClusterName,
    /// The node that owns the data directory.
    pub node: NodeId,
    /// The members of the restored cluster with their addresses, this node among them.
    pub members: BTreeMap<NodeId, String>,
    /// The fence that the first machine chose; `None` on the first machine.
    pub fence: Option<u64>,
    /// Restore also where the restored cluster could not sign certificates and the old one could.
    pub without_ca_key: bool,
    /// Restore also what carries no signature.
    pub unsigned: bool,
}

/// A restored node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The fence of the restored cluster.
    pub fence: u64,
    /// The position of the last entry in the backup.
    pub applied: LogPosition,
    /// What became of the certificate authority in the backup.
    pub authority: AuthorityPlan,
    /// The accounts that the backup brings back, suspended with their credentials until an operator confirms them.
    pub accounts: Vec<Account>,
}

/// Restores `file` into the empty data directory `root`, which is empty or complete afterwards.
///
/// # Errors
/// [`BackupError`] says why; nothing was restored then.
pub fn restore(
    root: &Path,
    file: &BackupFile,
    keyring: &Keyring,
    certificates: &NodeAuthority,
    how: &Restore,
) -> Result<Restored, BackupError> {
    refuse_others(file, keyring, how)?;
    // The first machine has decided, and its fence says what: this one need not have the key.
    let agreed = how.without_ca_key || how.fence.is_some();
    let authority = certificates.plan(file.authority(), agreed)?;
    let new_authority = authority.forgets().then(|| certificates.fingerprint());
    let fence = fence(file, how, new_authority.as_deref())?;
    let rebuilding = Rebuild::take(root).map_err(RebuildError::Store)?;
    if !rebuilding.is_empty().map_err(RebuildError::Store)? {
        let path = root.to_owned();
        rebuilding.abandon().map_err(RebuildError::Store)?;
        return Err(BackupError::NotEmpty { path });
    }
    let accounts = file.accounts()?;
    let foundation = Foundation {
        members: how.members.clone(),
        term: file.header().applied.term,
        forget_authority: authority.forgets(),
        suspend: Some((accounts.clone(), file.header().made_at_ms)),
    };
    let identity = Identity { cluster: how.cluster.as_str().to_owned(), node: how.node, fence };
    let directory = Directory::open(&rebuilding.space(), &identity).map_err(RebuildError::Store)?;
    let applied = rebuild::build(directory, &foundation, file.snapshot(), &mut std::iter::empty())?;
    rebuilding.exchange(&format!("restore-{fence}")).map_err(RebuildError::Store)?;
    Ok(Restored { fence, applied, authority, accounts })
}

fn refuse_others(file: &BackupFile, keyring: &Keyring, how: &Restore) -> Result<(), BackupError> {
    let header = file.header();
    if header.cluster != how.cluster.as_str() {
        return Err(BackupError::OtherCluster {
            found: header.cluster.clone(),
            expected: how.cluster.as_str().to_owned(),
        });
    }
    if !how.members.contains_key(&how.node) {
        return Err(BackupError::Rebuild(RebuildError::Members(format!(
            "--member must name node {} too, which is restored here",
            how.node
        ))));
    }
    file.check_signature(keyring, how.unsigned)?;
    let opened = file.open_secrets(keyring)?;
    if opened.is_complete() {
        return Ok(());
    }
    let mut missing: Vec<String> = opened.missing.keys().map(|id| format!("master key `{id}`")).collect();
    if opened.refused > 0 {
        missing.push(format!(
            "the key under which {} secrets stand: it has another one of that id",
            opened.refused
        ));
    }
    Err(BackupError::Keyring { missing: missing.join(", ") })
}

/// A new fence, or the given one if the first machine chose it for this file, these members and this
/// authority in place of the one in the file.
fn fence(file: &BackupFile, how: &Restore, new_authority: Option<&str>) -> Result<u64, BackupError> {
    let mark = mark_of_restore(file, &how.members, new_authority);
    match how.fence {
        Some(fence) if fence & u64::from(u32::MAX) == mark => Ok(fence),
        Some(fence) => Err(BackupError::OtherRestore { fence }),
        None => {
            let random = random_bytes::<4>().map_err(|error| BackupError::Random(error.to_string()))?;
            // TOML's integers have 63 bits.
            let upper = u64::from(u32::from_be_bytes(random) >> 1).max(1);
            Ok((upper << 32) | mark)
        }
    }
}

/// The lower half of a fence: a digest of the file and the members, and of the authority that takes
/// the place of the one in the file.
fn mark_of_restore(
    file: &BackupFile,
    members: &BTreeMap<NodeId, String>,
    new_authority: Option<&str>,
) -> u64 {
    let header = file.header();
    let mut hash = Sha256::new();
    hash.update(&header.digest);
    hash.update(header.made_at_ms.to_be_bytes());
    hash.update(header.applied.term.to_be_bytes());
    hash.update(header.applied.index.to_be_bytes());
    for (id, address) in members {
        hash.update(id.to_be_bytes());
        hash.update((address.len() as u64).to_be_bytes());
        hash.update(address);
    }
    if let Some(fingerprint) = new_authority {
        hash.update(fingerprint);
    }
    let hash = hash.finalize();
    hash.iter().take(4).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}
