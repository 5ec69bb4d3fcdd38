//! Whether a backup, a keyring and a node's certificates make a cluster that can grow.

use std::path::Path;

use serde_json::{Value, json};

use super::args::BackupVerifyArgs;
use crate::cli::certificates;
use crate::config::{Config, Loaded};
use keymoot_cluster::backup::BackupFile;
use keymoot_cluster::{AuthorityPlan, NodeAuthority, fingerprint_of, open_authority};
use keymoot_command::Failure;
use keymoot_crypto::Keyring;
use keymoot_model::ClusterName;

/// What a backup is held against.
pub(super) struct Surroundings {
    pub(super) keyring: Option<Keyring>,
    certificates: Option<NodeAuthority>,
    /// The name in the configuration.
    name: Option<ClusterName>,
}

/// What a restore would make of the certificate authority.
#[derive(Debug)]
pub(super) enum Growth {
    /// No certificates were given.
    Unasked {
        /// SHA-256 of the authority in the backup.
        authority: Option<String>,
    },
    Planned(AuthorityPlan),
    /// The restored cluster could not let nodes in.
    Impossible(Failure),
}

impl Surroundings {
    /// Reads the files that the arguments name; what they leave open is taken from the configuration.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub(super) fn of(args: &BackupVerifyArgs) -> Result<Self, Failure> {
        let config = match &args.config {
            Some(file) => Some(Loaded::load(Some(file)).map_err(Failure::usage)?.config),
            None => None,
        };
        let keyring_file = args.keyring.as_deref().or(config.as_ref().map(|c| c.keys.keyring_file.as_path()));
        let keyring = keyring_file.map(Keyring::load).transpose().map_err(Failure::usage)?;
        let certificates = match (&args.ca, &config) {
            (Some(ca), config) => Some(of_files(ca, args.ca_key.as_deref(), config.as_ref())?),
            (None, Some(config)) => Some(certificates::of_node(config)?),
            (None, None) => None,
        };
        Ok(Self { keyring, certificates, name: config.map(|config| config.cluster.name) })
    }

    /// Whether a cluster restored from `file` could grow.
    pub(super) fn growth(&self, file: &BackupFile) -> Growth {
        match self.planned(file) {
            Ok(Some(plan)) => Growth::Planned(plan),
            Ok(None) => Growth::Unasked { authority: file.authority().map(fingerprint_of) },
            Err(failure) => Growth::Impossible(failure),
        }
    }

    fn planned(&self, file: &BackupFile) -> Result<Option<AuthorityPlan>, Failure> {
        let found = &file.header().cluster;
        if let Some(name) = self.name.as_ref().filter(|name| name.as_str() != found) {
            return Err(Failure::because(format!(
                "the backup is of cluster {found:?}, but cluster.name is {:?}",
                name.as_str()
            ))
            .hint(
                "a restored cluster keeps its name, which stands in its certificates: use certificates of it",
            ));
        }
        let Some(certificates) = &self.certificates else { return Ok(None) };
        let plan = certificates.plan(file.authority(), false).map_err(certificates::failure)?;
        if let (AuthorityPlan::Kept, Some(stored), Some(ring)) = (plan, file.authority(), &self.keyring) {
            let name = ClusterName::new(found.as_str()).map_err(Failure::runtime)?;
            open_authority(stored, &name, ring).map_err(certificates::failure)?;
        }
        Ok(Some(plan))
    }
}

impl Growth {
    /// For people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Unasked { authority: Some(authority) } => format!(
                "it holds the key of certificate authority {authority}: a cluster whose nodes trust that one can \
                 grow; --config FILE checks those of a machine\n"
            ),
            Self::Unasked { authority: None } => {
                "it holds no key of a certificate authority: nodes join with \
                 certificates issued by hand, or the CA's key is given to one node\n"
                    .to_owned()
            }
            Self::Planned(plan) => certificates::told(*plan).to_owned(),
            Self::Impossible(failure) => {
                format!("a cluster restored with these certificates CANNOT GROW: {}\n", failure.message())
            }
        }
    }

    /// For scripts.
    pub(super) fn as_json(&self) -> Value {
        match self {
            Self::Unasked { authority } => json!({ "authority": authority }),
            Self::Planned(plan) => json!({
                "can_grow": true,
                "joins_by_token": plan.admits(),
                "authority": match plan {
                    AuthorityPlan::Kept => "kept",
                    AuthorityPlan::Replaced { .. } => "replaced",
                    AuthorityPlan::Nobodys { .. } => "none",
                },
            }),
            Self::Impossible(failure) => json!({ "can_grow": false, "why": failure.message() }),
        }
    }
}

/// The authorities in `ca`. A key file that was named must be there.
fn of_files(ca: &Path, key: Option<&Path>, config: Option<&Config>) -> Result<NodeAuthority, Failure> {
    if let Some(key) = key.filter(|key| !key.exists()) {
        return Err(Failure::misuse(format!("there is no {}", key.display())));
    }
    let configured = config.and_then(|config| config.cluster.founding_ca_key_file.as_deref());
    certificates::of_files(ca, key.or(configured))
}
