//! What a node that wants to join sends, and what it is answered.

use serde::{Deserialize, Serialize};

use keymoot_crypto::{Challenge, JoinSecret, KeyringProof};
use keymoot_model::{NodeId, Wrapped};
use keymoot_state::NodeFacts;

/// A request to join.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The peer protocol it speaks.
    pub protocol: u32,
    /// The token's public id.
    pub token: [u8; 8],
    pub secret: JoinSecret,
    /// A certificate request (PKCS #10, DER); none from a node that brings its own certificate.
    pub certificate_request: Option<Vec<u8>>,
    /// Where its peers will reach it.
    pub peer_address: String,
    /// The zone and the program of the node.
    pub facts: NodeFacts,
    /// Only answer what the node must check first: nothing is spent.
    pub only_check: bool,
}

/// The first message of a member to a node without a certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JoinDemand {
    /// The challenge that the node's proofs are bound to.
    pub challenge: Challenge,
    /// That the member holds the cluster's master key itself.
    pub proof: KeyringProof,
}

/// A request of a node without a certificate, and the proof that it holds the cluster's master key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProvenJoin {
    pub request: JoinRequest,
    /// Bound to the challenge, to the TLS session and to the certificate request.
    pub proof: KeyringProof,
}

/// The answer to a request to join.
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
