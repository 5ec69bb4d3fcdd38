//! The files of a replaced node: the new identity takes the place of the old, which is kept.
//!
//! Files first, the data directory last. Until that is moved aside, a node that is started here fails: with the
//! certificate of one id and the number or the data of another it refuses to run. So whatever is cut short, nothing
//! runs half-replaced, and the same steps can be done again: each leaves alone what it finds done.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, chown, lchown};
use std::path::{Path, PathBuf};

use super::node_id::with_node_id;
use super::progress::{Files, Staged, with_suffix};
use crate::config::{Config, Loaded, Origin};
use keymoot_cluster::{Identity, Rebuild, StoreError};
use keymoot_command::Failure;
use keymoot_crypto::secret_file;
use keymoot_model::{ClusterName, NodeId};

/// How the configuration came to the new id.
pub(super) enum Numbered {
    /// The file was changed, or said so already.
    InFile,
    /// A person has to: the text says where.
    ByHand(String),
}

/// Puts certificate and key in place; the old files are kept beside them.
pub(super) fn install_identity(files: &Files, old: NodeId) -> Result<(), Failure> {
    replace(&files.ca, old, secret_file::replace_public)?;
    replace(&files.cert, old, secret_file::replace_public)?;
    replace(&files.key, old, secret_file::replace)
}

type Replace = fn(&Path, &[u8]) -> Result<(), secret_file::SecretFileError>;

fn replace(staged: &Staged, old: NodeId, replace: Replace) -> Result<(), Failure> {
    // The CA's certificate may stay, and what is done already has left nothing here.
    if !staged.next.exists() {
        return Ok(());
    }
    let bytes = secret_or_not(&staged.next)?;
    keep(&staged.file, old)?;
    replace(&staged.file, &bytes).map_err(Failure::runtime)
}

fn secret_or_not(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, Failure> {
    fs::read(path)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| Failure::because(format!("cannot read {}: {error}", path.display())))
}

/// Keeps a file under another name. Its content is replaced by a new file, so a second name keeps the old one.
fn keep(file: &Path, old: NodeId) -> Result<(), Failure> {
    let kept = kept(file, old);
    match fs::canonicalize(file).and_then(|file| fs::hard_link(file, &kept)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Failure::because(format!("cannot keep {} as {}: {error}", file.display(), kept.display())))
        }
        _ => Ok(()),
    }
}

/// Under which name a file of the old node is kept.
pub(super) fn kept(file: &Path, old: NodeId) -> PathBuf {
    with_suffix(file, &format!("of-node-{old}"))
}

/// Gives the configuration the new id.
pub(super) fn number(
    loaded: &Loaded,
    file: Option<&Path>,
    old: NodeId,
    new: NodeId,
) -> Result<Numbered, Failure> {
    if loaded.config.node.id == new {
        return Ok(Numbered::InFile);
    }
    let setting = loaded.settings().into_iter().find(|setting| setting.key == "node.id");
    let file = match setting.map(|setting| setting.origin) {
        Some(Origin::File { path, .. }) => path,
        Some(Origin::Environment(variable)) => return Ok(Numbered::ByHand(format!("set {variable}={new}"))),
        _ => match file {
            Some(path) => path.to_owned(),
            None => return Ok(Numbered::ByHand(format!("set node.id to {new}"))),
        },
    };
    let failed = |error| Failure::because(format!("cannot read {}: {error}", file.display()));
    let text = fs::read_to_string(&file).map_err(failed)?;
    let Some(edited) = with_node_id(&text, new) else {
        return Ok(Numbered::ByHand(format!("set node.id = {new} in {}", file.display())));
    };
    keep(&file, old)?;
    secret_file::replace_public(&file, edited.as_bytes()).map_err(Failure::runtime)?;
    Ok(Numbered::InFile)
}

/// Moves what is in the data directory aside, unless the new node wrote it, and unlocks it. Everything stays in the
/// directory, because it may be the mount point of a disk. It is the new node's then, so that a repeated command
/// finds it done. Returns where the old data are.
pub(super) fn set_aside(
    rebuild: Rebuild,
    cluster: &ClusterName,
    old: NodeId,
    new: NodeId,
) -> Result<Option<PathBuf>, Failure> {
    // A damaged directory may not say whose it is: it is not the new node's.
    if rebuild.identity().ok().flatten().is_some_and(|owner| owner.node == new) {
        rebuild.abandon().map_err(Failure::runtime)?;
        return Ok(None);
    }
    let owner = Identity { cluster: cluster.as_str().to_owned(), node: new, fence: 0 };
    rebuild.reserve(&owner).map_err(Failure::runtime)?;
    // No id is given twice, so no other replacement has this name.
    rebuild.exchange(&format!("replace-{old}-by-{new}")).map_err(Failure::runtime)
}

/// Locks the data directory; fails while a node runs in it.
pub(super) fn lock(config: &Config) -> Result<Rebuild, Failure> {
    Rebuild::take(&config.node.data_dir).map_err(|error| match error {
        StoreError::InUse { .. } => {
            Failure::usage(error).hint("stop the node first: systemctl stop keymoot. Nothing was changed")
        }
        error => Failure::runtime(error),
    })
}

/// Gives what root made in the data directory to the user that the node runs as, who owns its key.
pub(super) fn hand_over(config: &Config) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let failed = |error| Failure::because(format!("cannot give the data directory to its owner: {error}"));
    // Who has no key is told so by whoever needs it.
    let Ok(owner) = fs::metadata(&config.cluster.key_file) else { return Ok(()) };
    let (uid, gid) = (Some(owner.uid()), Some(owner.gid()));
    let root = &config.node.data_dir;
    chown(root, uid, gid).map_err(failed)?;
    for entry in fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A disk's own directory stays root's.
        if entry.file_name() != "lost+found" {
            lchown(entry.path(), uid, gid).map_err(failed)?;
        }
    }
    Ok(())
}
