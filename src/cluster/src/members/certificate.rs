//! The certificate of this node: when its next one is due, and how it is made.
//!
//! Every node can sign for itself: the authority's key is in its own state, wrapped under the master key. So a node
//! that was off until its certificate ended makes the next one at its start, before it speaks to any peer. The
//! node keeps its private key: one file is replaced, by a rename, so no crash leaves a certificate without its key,
//! and a node stays known by its key.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use keymoot_crypto::Keyring;
use keymoot_crypto::secret_file::{self, SecretFileError};
use keymoot_model::{ClusterName, NodeId};
use keymoot_state as state;
use keymoot_state::{StateError, Tables};
use keymoot_tls::{NodeKey, NodeRequest, PeerTlsFiles, PkiError, TlsError, TrustedAuthorities, Validity};

use crate::members::authority::{AuthorityError, fingerprint_of, open_authority};
use crate::members::renewal_client::AskedInVain;
use crate::settings::ClusterSettings;

/// A certificate may outlive what is configured by so much before it is replaced by a shorter one.
const EXCESS_S: i64 = 24 * 3600;

/// Why a node's certificate was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// The cluster holds no authority's key.
    #[error("the cluster does not hold its authority's key, so it signs no certificates")]
    NoAuthority,
    /// The node is a witness.
    #[error("a witness cannot open the authority's key, and a member gave it no certificate: {0}")]
    Witness(Box<AskedInVain>),
    /// The authority in the state is not among those that the node trusts.
    #[error(
        "the cluster holds the key of certificate authority {held}, which cluster.ca_file does not trust"
    )]
    Untrusted { held: String },
    /// The authority's key cannot be used.
    #[error("the authority's key in the state cannot be used: {0}")]
    Authority(AuthorityError),
    /// The CA file cannot be used.
    #[error("the CA file cannot be used: {0}")]
    Trust(TlsError),
    /// The node's key cannot be used, or no certificate could be made.
    #[error("no certificate can be made for the node's key: {0}")]
    Make(PkiError),
    /// The certificate file cannot be replaced.
    #[error("the certificate file cannot be replaced: {0}")]
    Install(SecretFileError),
    /// The CA file cannot be replaced.
    #[error("the CA file cannot be replaced: {0}")]
    InstallAuthorities(SecretFileError),
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
}

impl RenewalError {
    /// What an operator can do.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::NoAuthority | Self::Untrusted { .. } => {
                "issue the next one by your own tool and replace the file that cluster.cert_file names; the node reads \
                 it without a restart: docs/certificates.md"
            }
            Self::Install(_) => {
                "let the node write to the directory of cluster.cert_file, or replace that file by your own tool; the \
                 node reads it without a restart: docs/certificates.md"
            }
            Self::InstallAuthorities(_) => {
                "let the node write to the directory of cluster.ca_file, and it goes on by itself; or give the replacement up, \
                 as long as the next CA does not sign: keymoot cluster authority cancel: docs/certificates.md"
            }
            Self::Witness(_) => {
                "have a member with the keyring run where this node reaches it (cluster.peer_hints), and the node goes on by \
                 itself: docs/cluster.md"
            }
            Self::Authority(_) | Self::Trust(_) | Self::Make(_) | Self::State(_) => {
                "keymoot doctor with this node's --config looks at its files"
            }
        }
    }
}

/// Whether the next certificate is due: the present one is in the last third of its life, is not valid now, or was
/// made for much longer than `life`, as earlier versions did, or by a clock that was ahead.
pub(crate) fn is_due(validity: Validity, life: Duration, now_s: i64) -> bool {
    let left_s = validity.not_after_s.saturating_sub(now_s);
    ends_soon(validity, life, now_s) || left_s > seconds(life).saturating_add(EXCESS_S)
}

/// Whether the next certificate of a witness is due. A member makes it, for as long as the member says: the present one
/// is in the last third of its own life, or not valid now.
pub(crate) fn is_due_of_witness(validity: Validity, now_s: i64) -> bool {
    let life_s = validity.not_after_s.saturating_sub(validity.not_before_s);
    now_s < validity.not_before_s || validity.not_after_s.saturating_sub(now_s) < life_s / 3
}

/// Whether the present one is in the last third of its life, or not valid now.
pub(crate) fn ends_soon(validity: Validity, life: Duration, now_s: i64) -> bool {
    now_s < validity.not_before_s || validity.not_after_s.saturating_sub(now_s) < seconds(life) / 3
}

fn seconds(life: Duration) -> i64 {
    i64::try_from(life.as_secs()).unwrap_or(i64::MAX)
}

/// What a node's certificates are made from.
pub(crate) struct CertificateMaker<'a, T> {
    pub id: NodeId,
    pub cluster: &'a ClusterName,
    pub state: &'a T,
    pub keyring: &'a Keyring,
    pub files: &'a PeerTlsFiles,
    /// How long they are valid.
    pub life: Duration,
}

impl<T: Tables> CertificateMaker<'_, T> {
    /// Makes the node's next certificate, for the key that it has, and puts it in the place of the present one.
    ///
    /// # Errors
    /// [`RenewalError`] says why it cannot; the present one stays then.
    pub(crate) fn renew(&self) -> Result<(), RenewalError> {
        let held = state::authority(self.state)?.ok_or(RenewalError::NoAuthority)?;
        let trusted = TrustedAuthorities::load(&self.files.ca).map_err(RenewalError::Trust)?;
        if !trusted.include(&held.certificate_pem) {
            return Err(RenewalError::Untrusted { held: fingerprint_of(&held) });
        }
        let authority = open_authority(&held, self.cluster, self.keyring).map_err(RenewalError::Authority)?;
        let key = NodeKey::load(&self.files.key).map_err(RenewalError::Make)?;
        let request = NodeRequest::of(&key).map_err(RenewalError::Make)?;
        let certificate =
            authority.issue_node_for(self.id, &request, self.life).map_err(RenewalError::Make)?;
        secret_file::replace_public(&self.files.cert, certificate.as_bytes()).map_err(RenewalError::Install)
    }
}

/// Makes the next certificate of a node whose present one is not valid at its start.
///
/// # Errors
/// [`RenewalError`] says why it cannot.
pub(crate) fn renew_at_start(
    config: &ClusterSettings,
    state: &impl Tables,
    keyring: &Keyring,
) -> Result<(), RenewalError> {
    let (files, life) = (config.cluster.peer_tls_files(), config.cluster.certificate_life());
    let (id, cluster) = (config.node.id, &config.cluster.name);
    CertificateMaker { id, cluster, state, keyring, files: &files, life }.renew()?;
    tracing::warn!(
        days = config.cluster.certificate_life_days,
        "the node's certificate was not valid at this time; the node made its next one with the authority's key in \
         its state"
    );
    Ok(())
}

/// Puts the certificate that a member made in the place of the present one.
///
/// # Errors
/// [`RenewalError::Install`].
pub(crate) fn install_given(files: &PeerTlsFiles, certificate_pem: &str) -> Result<(), RenewalError> {
    secret_file::replace_public(&files.cert, certificate_pem.as_bytes()).map_err(RenewalError::Install)
}

/// What is amiss with this node's certificate, for `cluster status`. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct CertificateReport(Arc<ArcSwapOption<String>>);

impl CertificateReport {
    /// What is amiss, as `problem; remedy`.
    pub(crate) fn complaint(&self) -> Option<String> {
        self.0.load().as_deref().cloned()
    }

    /// Replaces it.
    pub(crate) fn replace(&self, complaint: Option<String>) {
        self.0.store(complaint.map(Arc::new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: i64 = 24 * 3600;

    #[test]
    fn the_next_one_is_due_in_the_last_third_and_when_the_clock_or_an_earlier_version_made_a_wrong_one() {
        let life = Duration::from_secs(90 * 24 * 3600);
        let due = |from: i64, to: i64| {
            is_due(Validity { not_before_s: from * DAY_S, not_after_s: to * DAY_S }, life, 0)
        };
        assert!(!due(-1, 90) && !due(-60, 30), "it has more than a third left");
        assert!(due(-61, 29) && due(-91, -1), "it is in its last third, or over");
        assert!(due(1, 91), "it was made by a clock that was ahead");
        assert!(due(-1, 5 * 365), "it was made by an earlier version");
        assert!(!due(-1, 91), "clocks differ a little");
        let of_witness = |from: i64, to: i64| {
            is_due_of_witness(Validity { not_before_s: from * DAY_S, not_after_s: to * DAY_S }, 0)
        };
        assert!(!of_witness(-1, 5 * 365), "how long is the member's to say");
        assert!(!of_witness(-59, 31) && of_witness(-61, 29) && of_witness(1, 91));
    }
}
