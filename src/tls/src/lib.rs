//! The cluster's own certificate authority, the identity in a certificate, and TLS configurations: between
//! nodes, for a node that joins, and for the listeners.

mod api_certificate;
mod config;
mod followed_files;
mod identity;
mod join_tls;
mod node_key;
mod operator_credential;
mod peer_tls;
mod pki;
mod tls_reload;
mod trusted;

pub use api_certificate::ApiCertificate;
pub use config::*;
pub use identity::{IdentityError, PeerIdentity, server_name_of};
pub use join_tls::{
    JOIN_ALPN, JOIN_ALPN_2, RENEW_ALPN, WITNESS_ALPN, fingerprint, join_client_config, key_digest,
    renewal_client_config, witness_client_config,
};
pub use node_key::{NodeKey, NodeRequest};
pub use operator_credential::{OperatorCredential, OperatorCredentialError, OperatorKey};
pub use peer_tls::{PeerTls, PeerTlsFiles};
pub use pki::{ClusterCa, Issued, NODE_LIFE, OperatorIssued, PkiError};
pub use tls_reload::{ApiTls, ApiTlsFiles};
pub use trusted::TrustedAuthorities;
