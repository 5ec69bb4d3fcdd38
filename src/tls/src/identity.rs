//! The identity of a peer: the single name in its certificate.
//!
//! A node is `node-<id>.<cluster>.keymoot.internal`, a person with the operator's certificate is
//! `operator.<cluster>.keymoot.internal`. Addresses are not part of it, so they may change. An ambiguous
//! certificate (several names, a wildcard, an address, an id with a leading zero) carries no identity.

use std::fmt;

use rustls::pki_types::{CertificateDer, ServerName};
use x509_parser::extensions::GeneralName;

use keymoot_model::{ClusterName, NodeId};

/// The last labels of every identity. `.internal` is reserved for private use.
const DOMAIN: &str = "keymoot.internal";
/// How the name in the certificate of an operator begins, who is known by its digest.
pub(crate) const OPERATOR_URI: &str = "keymoot://";

/// The identity at the other end of a peer connection, proved by its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerIdentity {
    /// A node of the cluster.
    Node(NodeId),
    /// A person who administers the cluster from a shell.
    Operator,
}

/// Why a certificate carries no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No certificate was presented.
    #[error("the peer presented no certificate")]
    NoCertificate,
    /// The certificate cannot be read.
    #[error("the peer's certificate cannot be read")]
    Unreadable,
    /// Not exactly one DNS name.
    #[error(
        "a peer's certificate must carry exactly one DNS name and no other name; this one carries {count} names"
    )]
    NotOneName {
        /// The number of alternative names, of any kind.
        count: usize,
    },
    /// The DNS name is not an identity of this cluster.
    #[error(
        "`{name}` is no identity of cluster `{cluster}`; expected node-ID.{cluster}.{DOMAIN} or operator.{cluster}.{DOMAIN}"
    )]
    NotOfCluster {
        /// The name in the certificate, shortened and without control characters.
        name: String,
        /// The cluster of this node.
        cluster: ClusterName,
    },
}

impl PeerIdentity {
    /// Reads the identity from a certificate that the TLS layer has **verified already**.
    ///
    /// # Errors
    /// [`IdentityError`] for anything but exactly one well-formed name of `cluster`.
    pub(crate) fn from_certificate(
        certificate: &CertificateDer<'_>,
        cluster: &ClusterName,
    ) -> Result<Self, IdentityError> {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|_| IdentityError::Unreadable)?;
        let names = parsed.subject_alternative_name().map_err(|_| IdentityError::Unreadable)?;
        match names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default() {
            [GeneralName::DNSName(name)] => Self::from_name(name, cluster),
            names => Err(IdentityError::NotOneName { count: names.len() }),
        }
    }

    /// Reads the identity of a finished TLS connection from its peer's certificate chain.
    ///
    /// # Errors
    /// [`IdentityError`] when there is no certificate, or it names no node or operator of this cluster.
    pub fn of_connection(
        chain: Option<&[CertificateDer<'_>]>,
        cluster: &ClusterName,
    ) -> Result<Self, IdentityError> {
        let certificate = chain.and_then(<[_]>::first).ok_or(IdentityError::NoCertificate)?;
        Self::from_certificate(certificate, cluster)
    }

    /// Whether a certificate carries a name that only nodes and operators have, of whichever cluster. What cannot
    /// be read may carry one.
    pub(crate) fn is_claimed_by(certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return true };
        let Ok(names) = parsed.subject_alternative_name() else { return true };
        names.is_some_and(|names| {
            names.value.general_names.iter().any(|name| match name {
                GeneralName::DNSName(name) => is_reserved(name),
                GeneralName::URI(uri) => uri.starts_with(OPERATOR_URI),
                _ => false,
            })
        })
    }

    fn from_name(name: &str, cluster: &ClusterName) -> Result<Self, IdentityError> {
        let not_of_cluster = || IdentityError::NotOfCluster {
            name: name.chars().filter(|c| !c.is_control()).take(128).collect(),
            cluster: cluster.clone(),
        };
        let label = name
            .strip_suffix(DOMAIN)
            .and_then(|rest| rest.strip_suffix('.')?.strip_suffix(cluster.as_str())?.strip_suffix('.'))
            .ok_or_else(not_of_cluster)?;
        let identity = match label.strip_prefix("node-") {
            Some(digits) => Self::Node(digits.parse().map_err(|_| not_of_cluster())?),
            None => Self::Operator,
        };
        // Comparing with the canonical spelling refuses every other one: leading zeros, a plus sign,
        // capitals.
        if identity.dns_name(cluster) == name { Ok(identity) } else { Err(not_of_cluster()) }
    }

    /// The DNS name of this identity in `cluster`.
    pub fn dns_name(self, cluster: &ClusterName) -> String {
        match self {
            Self::Node(id) => format!("node-{id}.{cluster}.{DOMAIN}"),
            Self::Operator => format!("operator.{cluster}.{DOMAIN}"),
        }
    }
}

/// Whether the name is of the domain of all identities, however it is spelt.
fn is_reserved(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.strip_suffix(DOMAIN).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(f, "node {id}"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

/// The name that a client demands of node `id`, at any address.
///
/// # Errors
/// [`IdentityError::NotOfCluster`] when the name is no DNS name, which a [`ClusterName`] rules out.
pub fn server_name_of(id: NodeId, cluster: &ClusterName) -> Result<ServerName<'static>, IdentityError> {
    let name = PeerIdentity::Node(id).dns_name(cluster);
    ServerName::try_from(name.clone())
        .map_err(|_| IdentityError::NotOfCluster { name, cluster: cluster.clone() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cluster() -> ClusterName {
        ClusterName::new("moot").unwrap()
    }

    #[test]
    fn only_the_exact_names_are_identities() {
        let cluster = cluster();
        assert_eq!(
            PeerIdentity::from_name("node-7.moot.keymoot.internal", &cluster),
            Ok(PeerIdentity::Node(7))
        );
        assert_eq!(
            PeerIdentity::from_name("operator.moot.keymoot.internal", &cluster),
            Ok(PeerIdentity::Operator)
        );
        for name in [
            "*.moot.keymoot.internal",
            "node-*.moot.keymoot.internal",
            "node-07.moot.keymoot.internal",
            "node-+7.moot.keymoot.internal",
            "node-.moot.keymoot.internal",
            "node-99999999999999999999.moot.keymoot.internal",
            "node-7.other.keymoot.internal",
            "node-7.other.moot.keymoot.internal",
            "NODE-7.moot.keymoot.internal",
            "node-7.moot.keymoot.internal.",
            "node-7moot.keymoot.internal",
            "Operator.moot.keymoot.internal",
            "x.moot.keymoot.internal",
            "moot.keymoot.internal",
            "",
        ] {
            assert!(PeerIdentity::from_name(name, &cluster).is_err(), "{name:?}");
        }
    }

    #[test]
    fn every_spelling_of_the_reserved_domain_is_reserved() {
        for name in
            ["node-1.moot.keymoot.internal", "X.KeyMoot.Internal.", "keymoot.internal", "*.keymoot.internal"]
        {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["notkeymoot.internal", "keymoot.internal.example.net", "packager.example.net", ""] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn a_cluster_name_is_one_lower_case_label() {
        for text in ["", "-a", "a-", "A", "a.b", "a_b", &"a".repeat(41)] {
            assert!(ClusterName::new(text).is_err(), "{text:?}");
        }
        assert!(ClusterName::new("eu-west-1").is_ok());
    }

    proptest! {
        #[test]
        fn every_node_id_reads_back_from_its_name(id: NodeId) {
            let name = PeerIdentity::Node(id).dns_name(&cluster());
            prop_assert_eq!(PeerIdentity::from_name(&name, &cluster()), Ok(PeerIdentity::Node(id)));
            prop_assert!(server_name_of(id, &cluster()).is_ok());
        }
    }
}
