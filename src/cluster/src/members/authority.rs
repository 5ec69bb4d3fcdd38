//! The certificate authority of a state that is restored or recovered on a node, and whether the
//! cluster on it can grow.
//!
//! Members sign the certificates of joining nodes with the authority in the state. Peers accept only
//! the authorities in their CA file. So a state may keep its authority only where the nodes trust it.

use std::path::{Path, PathBuf};

use keymoot_crypto::{Keyring, UnwrapError};
use keymoot_model::ClusterName;
use keymoot_state::AuthorityRecord;
use keymoot_tls::{ClusterCa, PkiError, TlsError, TrustedAuthorities};

/// The authorities that a node trusts, and the one whose key it holds.
pub struct NodeAuthority {
    ca_file: PathBuf,
    trusted: TrustedAuthorities,
    /// Where the key is, or should be.
    key_file: Option<PathBuf>,
    has_key: bool,
}

/// What becomes of the authority in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityPlan {
    /// The nodes trust it: it stays.
    Kept,
    /// The one whose key the node holds becomes the cluster's when the node serves.
    Replaced {
        /// Whether the state has another one, which it forgets.
        forget: bool,
    },
    /// The cluster has none, and signs no certificates.
    Nobodys {
        /// Whether the state has one that no node trusts, which it forgets.
        forget: bool,
    },
}

/// Why a state and a node's certificates make no cluster that can grow.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The CA file cannot be used.
    #[error("the cluster's CA cannot be used")]
    Trust(#[from] TlsError),
    /// The key cannot be used.
    #[error("the CA's key cannot be used")]
    Key(#[from] PkiError),
    /// The nodes trust another authority than the one in the state.
    #[error(
        "the state holds the key of certificate authority {found}, and {} trusts {trusted}: certificates that \
         members sign for joining nodes would be refused by their peers", ca_file.display()
    )]
    Untrusted {
        ca_file: PathBuf,
        /// SHA-256 of the authority's certificate in the state.
        found: String,
        /// SHA-256 of the first certificate in the CA file.
        trusted: String,
        /// The file that the key of the CA was looked for in.
        key_file: Option<PathBuf>,
    },
    /// The keyring does not unwrap the authority's key.
    #[error("the key of the certificate authority in the state does not open")]
    Sealed(#[source] UnwrapError),
    /// The key in the state is not the certificate's.
    #[error("the certificate authority in the state cannot be used")]
    Unusable,
}

impl AuthorityError {
    /// What an operator can do about it.
    pub fn hint(&self) -> Option<String> {
        let Self::Untrusted { key_file, .. } = self else { return None };
        let looked = match key_file {
            Some(file) => format!("there is none at {}", file.display()),
            None => "cluster.founding_ca_key_file names none".to_owned(),
        };
        Some(format!(
            "use certificates of that authority; or give this node the key of its CA, which then becomes the \
             cluster's ({looked}); or go on with --without-ca-key, for nodes that join with certificates \
             issued by hand"
        ))
    }
}

impl AuthorityPlan {
    /// Whether the state forgets its authority.
    pub const fn forgets(self) -> bool {
        matches!(self, Self::Replaced { forget: true } | Self::Nobodys { forget: true })
    }

    /// Whether nodes can join with nothing but a token.
    pub const fn admits(self) -> bool {
        !matches!(self, Self::Nobodys { .. })
    }
}

impl NodeAuthority {
    /// Reads the CA file, and the key if that file exists.
    ///
    /// # Errors
    /// When a file cannot be used, or the key is not the CA's.
    pub fn load(ca_file: &Path, key_file: Option<&Path>) -> Result<Self, AuthorityError> {
        let trusted = TrustedAuthorities::load(ca_file)?;
        let own = key_file.filter(|file| file.exists()).map(|file| ClusterCa::load(ca_file, file));
        let has_key = own.transpose()?.is_some();
        Ok(Self { ca_file: ca_file.to_owned(), trusted, key_file: key_file.map(Path::to_owned), has_key })
    }

    /// SHA-256 of the first certificate in the CA file.
    pub fn fingerprint(&self) -> String {
        self.trusted.fingerprint()
    }

    /// What becomes of the authority in a state. `agreed` permits a cluster that signs no
    /// certificates in place of one that did.
    ///
    /// # Errors
    /// [`AuthorityError::Untrusted`] when the node neither trusts it nor has another one's key.
    pub fn plan(
        &self,
        stored: Option<&AuthorityRecord>,
        agreed: bool,
    ) -> Result<AuthorityPlan, AuthorityError> {
        let forget = match stored {
            Some(stored) if self.trusted.include(&stored.certificate_pem) => return Ok(AuthorityPlan::Kept),
            Some(_) => true,
            None => false,
        };
        match stored {
            _ if self.has_key => Ok(AuthorityPlan::Replaced { forget }),
            Some(stored) if !agreed => Err(AuthorityError::Untrusted {
                ca_file: self.ca_file.clone(),
                found: fingerprint_of(stored),
                trusted: self.fingerprint(),
                key_file: self.key_file.clone(),
            }),
            _ => Ok(AuthorityPlan::Nobodys { forget }),
        }
    }
}

/// SHA-256 of an authority's certificate, in hexadecimal.
pub fn fingerprint_of(stored: &AuthorityRecord) -> String {
    TrustedAuthorities::from_pem(&stored.certificate_pem).fingerprint()
}

/// The authority in a state, with its key.
///
/// # Errors
/// When the keyring does not unwrap the key, or the key is not the certificate's.
pub fn open_authority(
    stored: &AuthorityRecord,
    cluster: &ClusterName,
    keyring: &Keyring,
) -> Result<ClusterCa, AuthorityError> {
    let key = keyring.unwrap_authority(cluster.as_str(), &stored.key).map_err(AuthorityError::Sealed)?;
    ClusterCa::from_pem(cluster, &stored.certificate_pem, &key).ok_or(AuthorityError::Unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(ca: &ClusterCa, ring: &Keyring) -> AuthorityRecord {
        let key = ring.wrap_authority(ca.cluster().as_str(), &ca.key_pem()).unwrap();
        AuthorityRecord { certificate_pem: ca.certificate_pem().to_owned(), key }
    }

    #[test]
    fn a_state_keeps_an_authority_that_is_trusted_and_takes_one_whose_key_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("ca.pem"), dir.path().join("ca-key.pem"));
        let west = ClusterName::new("west").unwrap();
        let (own, other) = (ClusterCa::generate(&west).unwrap(), ClusterCa::generate(&west).unwrap());
        own.save_new(&cert, &key).unwrap();
        let ring = Keyring::generate().unwrap();
        let (known, strange) = (stored(&own, &ring), stored(&other, &ring));
        let with = NodeAuthority::load(&cert, Some(&key)).unwrap();
        let without = NodeAuthority::load(&cert, Some(&dir.path().join("nowhere"))).unwrap();
        for node in [&with, &without] {
            assert_eq!(node.plan(Some(&known), false).unwrap(), AuthorityPlan::Kept);
        }
        assert_eq!(with.plan(Some(&strange), false).unwrap(), AuthorityPlan::Replaced { forget: true });
        assert_eq!(with.plan(None, false).unwrap(), AuthorityPlan::Replaced { forget: false });
        assert_eq!(without.plan(None, false).unwrap(), AuthorityPlan::Nobodys { forget: false });
        assert_eq!(without.plan(Some(&strange), true).unwrap(), AuthorityPlan::Nobodys { forget: true });
        let refused = without.plan(Some(&strange), false).unwrap_err();
        assert!(refused.to_string().contains(&fingerprint_of(&strange)), "{refused}");
        assert!(refused.hint().unwrap().contains("nowhere"), "{refused:?}");
        assert!(open_authority(&known, &west, &ring).is_ok());
        let sealed = open_authority(&known, &west, &Keyring::generate().unwrap());
        assert!(matches!(sealed, Err(AuthorityError::Sealed(_))));
    }
}
