//! The certificate of the API listener where the node keeps it itself: made from the cluster's authority,
//! whose key each node can unwrap, and renewed from a third of its life before its end.
//!
//! The files lie in the data directory. The listener follows them, so that a renewal needs no restart.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keymoot_cluster::{AuthorityError, open_authority};
use keymoot_crypto::Keyring;
use keymoot_crypto::secret_file::{self, SecretFileError};
use keymoot_model::ClusterName;
use keymoot_state as state;
use keymoot_state::{AuthorityRecord, StateError};
use keymoot_telemetry::with_causes;
use keymoot_tls::{ApiCertificate, NodeKey, NodeRequest, PkiError};

use super::clock::now_ms;
use super::replicated_state::ReplicatedState;

/// How long a certificate is valid, in days.
const DAYS: i64 = 90;
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How often a node that has none yet looks whether the cluster has an authority.
const TRY_EVERY: Duration = Duration::from_millis(200);
/// A node without a certificate says why after this time, and again each time it has passed.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Where the certificate is, and for which names.
pub struct ApiCertificateFiles {
    cluster: ClusterName,
    names: Vec<String>,
    directory: PathBuf,
}

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum ApiCertificateError {
    /// The cluster cannot sign.
    #[error(
        "the cluster has no certificate authority of its own; set http.tls to \"files\" and http.tls_cert_file to a \
         certificate that you keep, or http.tls to \"off\""
    )]
    NoAuthority,
    /// The authority cannot be used.
    #[error("the cluster's authority cannot be used")]
    Authority(#[from] AuthorityError),
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// No key or certificate could be made.
    #[error("the API's certificate cannot be made")]
    Make(#[from] PkiError),
    /// A file cannot be written.
    #[error("the API's certificate cannot be stored")]
    Store(#[from] SecretFileError),
    /// The directory cannot be made.
    #[error("cannot make {}", directory.display())]
    Directory { directory: PathBuf, source: std::io::Error },
}

impl ApiCertificateFiles {
    /// Below a node's data directory, for these DNS names and addresses beside those of this host.
    pub fn new(cluster: ClusterName, data_dir: &Path, names: Vec<String>) -> Self {
        Self { cluster, names, directory: data_dir.join("api-tls") }
    }

    /// The certificate and that of its authority, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("cert.pem")
    }

    /// The private key, PEM.
    pub fn key(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    /// Makes the certificate unless a good one is there. Waits as long as it takes until the cluster has an
    /// authority: a node that has just joined has no state yet.
    pub async fn obtain(&self, cluster: &impl ReplicatedState, keyring: &Keyring) {
        let mut said_at = tokio::time::Instant::now();
        while let Err(error) = self.look(cluster, keyring) {
            if said_at.elapsed() >= SAY_EVERY {
                said_at = tokio::time::Instant::now();
                tracing::warn!(error = %with_causes(&error), "the API waits for its certificate");
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }

    /// Renews the certificate again and again, as long as the process lives.
    pub async fn keep(self, cluster: impl ReplicatedState, keyring: std::sync::Arc<Keyring>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(error) = self.look(&cluster, &keyring) {
                tracing::error!(error = %with_causes(&error), "the API's certificate is due and was not renewed");
            }
        }
    }

    fn look(&self, cluster: &impl ReplicatedState, keyring: &Keyring) -> Result<(), ApiCertificateError> {
        let now_s = i64::try_from(now_ms() / 1000).unwrap_or(i64::MAX);
        let tables = cluster.state();
        // While the cluster's authority is replaced, clients go by the one before until that is retired.
        let replaced = state::authority_change(tables)?.filter(|change| change.adopted);
        let authority = match replaced {
            Some(change) => Some(change.other),
            None => state::authority(tables)?,
        };
        self.renew_if_due(authority.as_ref(), keyring, now_s).map(drop)
    }

    /// Makes a certificate if there is none that is good enough at `now_s`, seconds since 1970 UTC. Returns
    /// whether it did.
    fn renew_if_due(
        &self,
        authority: Option<&AuthorityRecord>,
        keyring: &Keyring,
        now_s: i64,
    ) -> Result<bool, ApiCertificateError> {
        let failed = |source| ApiCertificateError::Directory { directory: self.directory.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).map_err(failed)?;
        let key = NodeKey::load_or_create(&self.key())?;
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let pem = std::fs::read(self.certificate()).unwrap_or_default();
        let current = ApiCertificate::from_pem(&pem).filter(|it| it.is_for(&names) && it.is_of(&key));
        let Some(authority) = authority else {
            // Better one that nobody can renew than none.
            let is_good = current.is_some_and(|current| current.is_valid(now_s));
            return if is_good { Ok(false) } else { Err(ApiCertificateError::NoAuthority) };
        };
        let is_signed = |current: &ApiCertificate| current.is_signed_by(&authority.certificate_pem);
        if current.is_some_and(|current| is_signed(&current) && !current.is_due(now_s)) {
            return Ok(false);
        }
        let ca = open_authority(authority, &self.cluster, keyring)?;
        let request = NodeRequest::of(&key)?;
        let certificate = ca.issue_api_for(&names, DAYS, &request)?;
        let chain = format!("{certificate}{}", ca.certificate_pem());
        let store = if self.certificate().exists() {
            secret_file::replace_public
        } else {
            secret_file::create_public
        };
        store(&self.certificate(), chain.as_bytes())?;
        tracing::info!(names = %self.names.join(","), days = DAYS, "the API has a new certificate");
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_tls::ClusterCa;

    const DAY_S: i64 = 86_400;

    #[test]
    fn it_is_made_once_and_again_when_it_is_due_or_anything_changed() {
        let dir = tempfile::tempdir().unwrap();
        let name = ClusterName::new("moot").unwrap();
        let ring = Keyring::generate().unwrap();
        let stored = || {
            let ca = ClusterCa::generate(&name).unwrap();
            let key = ring.wrap_authority(name.as_str(), &ca.key_pem()).unwrap();
            AuthorityRecord { certificate_pem: ca.certificate_pem().to_owned(), key }
        };
        let (first, second) = (stored(), stored());
        let files = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            ApiCertificateFiles::new(name.clone(), dir.path(), names)
        };
        let own = files(&["km1.example.net"]);
        let now_s = i64::try_from(now_ms() / 1000).unwrap();
        let after = |days: i64| now_s + days * DAY_S;
        let renewed = |files: &ApiCertificateFiles, authority: Option<&AuthorityRecord>, days: i64| {
            files.renew_if_due(authority, &ring, after(days)).map_err(|error| error.to_string())
        };
        assert!(renewed(&own, None, 0).unwrap_err().contains("http.tls"));
        assert_eq!(renewed(&own, Some(&first), 0), Ok(true));
        assert_eq!(renewed(&own, Some(&first), 0), Ok(false));
        assert_eq!(renewed(&own, Some(&first), 61), Ok(true), "a third of its life is left");
        assert_eq!(renewed(&own, Some(&first), 91), Ok(true), "the node was off");
        assert_eq!(renewed(&own, Some(&second), 0), Ok(true), "another authority");
        assert_eq!(renewed(&files(&["km2.example.net"]), Some(&second), 0), Ok(true), "another name");
        assert_eq!(renewed(&own, Some(&second), 0), Ok(true));
        assert_eq!(renewed(&own, None, 61), Ok(false), "it is the last one, and still good");
        assert!(renewed(&own, None, 91).is_err());
        std::fs::remove_file(own.key()).unwrap();
        assert_eq!(renewed(&own, Some(&second), 0), Ok(true), "another key");
        let strange = own.renew_if_due(Some(&first), &Keyring::generate().unwrap(), after(0));
        assert!(matches!(strange, Err(ApiCertificateError::Authority(_))));
    }
}
