//! The certificates of a node that a state is put on: whether they and the state make a cluster that can
//! grow.

use std::path::Path;

use super::Failure;
use crate::config::Config;
use keymoot_cluster::{AuthorityError, AuthorityPlan, NodeAuthority};
use keymoot_tls::{PeerCredentials, PeerIdentity};

/// The authorities of a configured node, whose own certificate is checked too.
///
/// # Errors
/// When a file cannot be used, or peers would refuse the node.
pub(super) fn of_node(config: &Config) -> Result<NodeAuthority, Failure> {
    let cluster = &config.cluster;
    let own = PeerCredentials::load(&cluster.ca_file, &cluster.cert_file, &cluster.key_file, &cluster.name)
        .map_err(Failure::usage)?;
    if own.identity() != PeerIdentity::Node(config.node.id) {
        return Err(Failure::misuse(format!(
            "{} is not the certificate of node {}; node.id and cluster.cert_file must name the same node",
            cluster.cert_file.display(),
            config.node.id
        )));
    }
    of_files(&cluster.ca_file, cluster.founding_ca_key_file.as_deref())
}

/// The authorities in a CA file, and the key of one of them.
///
/// # Errors
/// When a file cannot be used.
pub(super) fn of_files(ca_file: &Path, key_file: Option<&Path>) -> Result<NodeAuthority, Failure> {
    NodeAuthority::load(ca_file, key_file).map_err(failure)
}

/// An authority that does not fit, with what to do about it.
pub(super) fn failure(error: AuthorityError) -> Failure {
    let hint = error.hint();
    let failure = Failure::usage(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What becomes of the certificate authority, in one line.
pub(super) const fn told(plan: AuthorityPlan) -> &'static str {
    match plan {
        AuthorityPlan::Kept => "nodes can join: the cluster holds the key of the CA that its nodes trust\n",
        AuthorityPlan::Replaced { .. } => {
            "nodes can join once this node serves: its CA becomes the cluster's. Keep the CA's key until the log \
             says that the cluster holds it\n"
        }
        AuthorityPlan::Nobodys { .. } => {
            "the cluster signs no certificates: nodes join with certificates issued by hand (--cert, --key, --ca)\n"
        }
    }
}
