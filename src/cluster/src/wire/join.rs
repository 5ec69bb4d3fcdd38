//! The messages between a node that asks to join and a member.

use serde::{Deserialize, Serialize};

use keymoot_crypto::{Challenge, JoinSecret, KeyringProof, KeyringSignature};
use keymoot_model::{NodeId, Wrapped};
use keymoot_state::NodeFacts;

/// A request to join.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The version of the peer protocol that the node speaks.
    pub protocol: u32,
    /// The token's public id.
    pub token: [u8; 8],
    pub secret: JoinSecret,
    /// A certificate request (PKCS #10, DER); `None` from a node with a certificate of its own.
    pub certificate_request: Option<Vec<u8>>,
    /// The address on which its peers will reach it.
    pub peer_address: String,
    /// The zone and the program of the node.
    pub facts: NodeFacts,
    /// Only return what the node must check first: the token is not used up.
    pub only_check: bool,
}

/// The first message of a member to a node without a certificate that asks to join.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProofDemand {
    /// The challenge that the dialling node's proofs are bound to.
    pub challenge: Challenge,
    /// The proof that the member itself holds the cluster's master key.
    pub proof: KeyringProof,
}

/// Both kinds of proof of a master key: each end verifies the one that it can.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Proofs {
    /// For who holds a master key.
    pub macs: KeyringProof,
    /// For a witness, which holds none.
    pub signature: KeyringSignature,
}

/// The first message of the listening side from
/// [`PeerVersion::Fourth`](keymoot_crypto::PeerVersion::Fourth) on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignedDemand {
    /// The challenge that the dialling side's proofs are bound to.
    pub challenge: Challenge,
    /// That the listening side itself holds the cluster's master key; empty from a witness.
    pub proofs: Proofs,
}

/// A request of a node without a certificate, and the proof that it holds the cluster's master key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProvenJoin {
    pub request: JoinRequest,
    /// A proof bound to the challenge, the TLS session and the certificate request.
    pub proof: KeyringProof,
}

/// The request of a node whose certificate has ended, with the proof that it holds the cluster's master key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProvenRenewal {
    pub id: NodeId,
    /// A certificate request for the node's registered key (PKCS #10, DER), which that key signed.
    pub certificate_request: Vec<u8>,
    /// A proof bound to the challenge, the TLS session and the certificate request; empty from a witness.
    pub proof: KeyringProof,
}

/// The answer to a request for the next certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum RenewalReply {
    Renewed {
        certificate_pem: String,
    },
    /// The request is refused; the text says why and what to do.
    Refused(String),
}

/// The answer to a request to join.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum JoinReply {
    /// The token is valid.
    Checked {
        /// A value that the node's keyring must unwrap.
        keyring_check: Wrapped,
    },
    /// The node is a learner of the cluster now.
    Admitted(Box<Admitted>),
    /// The request is refused; the text says why and what to do.
    Refused(String),
}

/// The data that an admitted node needs to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    pub id: NodeId,
    /// Whether it remains a learner.
    pub learner: bool,
    /// The zone of the node.
    pub zone: String,
    /// Its certificate, PEM; `None` when it has one of its own.
    pub certificate_pem: Option<String>,
    /// The authority's certificate, PEM.
    pub authority_pem: String,
    /// The members, with their addresses.
    pub members: Vec<(NodeId, String)>,
}
