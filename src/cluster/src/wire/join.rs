//! What a node that wants to join sends, and what it is answered.

use serde::{Deserialize, Serialize};

use keymoot_crypto::{Challenge, JoinSecret, KeyringProof};
use keymoot_model::{NodeId, Wrapped};
use keymoot_state::NodeFacts;

/// What a node that wants in sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The peer protocol it speaks.
    pub protocol: u32,
    /// The token's public id.
    pub token: [u8; 8],
    /// The token's secret.
    pub secret: JoinSecret,
    /// A certificate request (PKCS #10, DER); none from a node that brings its own certificate.
    pub certificate_request: Option<Vec<u8>>,
    /// Where its peers will reach it.
    pub peer_address: String,
    /// What it says of itself.
    pub facts: NodeFacts,
    /// Only answer what the node must check first: nothing is spent.
    pub only_check: bool,
}

/// What a member sends first to a node without a certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinDemand {
    /// What the node's proofs must be bound to.
    pub challenge: Challenge,
    /// That the member holds the cluster's master key itself.
    pub proof: KeyringProof,
}

/// What a node without a certificate answers: a request, and that it holds the cluster's master key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProvenJoin {
    /// What it asks.
    pub request: JoinRequest,
    /// Bound to the challenge, to the TLS session and to the certificate request.
    pub proof: KeyringProof,
}

/// What it is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum JoinReply {
    /// The token is good.
    Checked {
        /// What the node's keyring must open.
        keyring_check: Wrapped,
    },
    /// The node is a learner of the cluster now.
    Admitted(Box<Admitted>),
    /// It is not; the text says why and what to do.
    Refused(String),
}

/// What an admitted node needs to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// Its id.
    pub id: NodeId,
    /// Whether it stays a learner.
    pub learner: bool,
    /// The zone it is in.
    pub zone: String,
    /// Its certificate, PEM; none when it brought its own.
    pub certificate_pem: Option<String>,
    /// The authority's certificate, PEM.
    pub authority_pem: String,
    /// Where the members are.
    pub members: Vec<(NodeId, String)>,
}
