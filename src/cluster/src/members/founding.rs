//! The first start of the first node: its cluster begins, and takes the authority's key into its state.
//!
//! The key's file is the mark that a cluster is still to be begun here. It is moved aside once the
//! cluster has the key, so that a node that lost its data never begins a second cluster of the same name.

use std::path::{Path, PathBuf};

use crate::settings::ClusterSettings;
use keymoot_crypto::{ClusterCa, Keyring, PkiError, WrapError};
use keymoot_state::AuthorityRecord;

/// What the file is called once the cluster has the key.
const PUT_AWAY: &str = "offline.pem";

/// A cluster to be begun.
pub struct Founding {
    authority: ClusterCa,
    file: PathBuf,
}

impl Founding {
    /// What the configuration says about it; none when this node founds nothing.
    ///
    /// # Errors
    /// [`PkiError`] when the authority's key is there and cannot be used.
    pub fn read(config: &ClusterSettings) -> Result<Option<Self>, PkiError> {
        match &config.cluster.founding_ca_key_file {
            Some(file) if file.exists() => {
                let authority = ClusterCa::load(&config.cluster.ca_file, file)?;
                Ok(Some(Self { authority, file: file.clone() }))
            }
            _ => Ok(None),
        }
    }

    /// What the cluster stores of the authority.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub fn record(&self, keyring: &Keyring) -> Result<AuthorityRecord, WrapError> {
        let key = keyring.wrap_authority(self.authority.cluster().as_str(), &self.authority.key_pem())?;
        Ok(AuthorityRecord { certificate_pem: self.authority.certificate_pem().to_owned(), key })
    }

    /// The cluster has the key: the file goes out of the way, and the operator is told.
    pub fn put_away(&self) {
        let to = put_away_name(&self.file);
        match std::fs::rename(&self.file, &to) {
            Ok(()) => tracing::warn!(
                file = %to.display(),
                "the cluster holds its authority's key now, wrapped under the master key; no node needs this \
                 file any more: keep it off-line, or delete it"
            ),
            Err(error) => tracing::warn!(
                file = %self.file.display(), %error,
                "the cluster holds its authority's key now; move this file away yourself"
            ),
        }
    }
}

fn put_away_name(file: &Path) -> PathBuf {
    file.with_extension(PUT_AWAY)
}
