//! The type parameters of openraft.
#![allow(unreachable_pub, reason = "the macro's type is public, and so must be what it names")]

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use keymoot_model::NodeId;
use keymoot_state::Response;

openraft::declare_raft_types!(
    /// Keymoot's Raft: batches of commands in, their responses out.
    pub TypeConfig:
        D = EncodedProposal,
        R = Applied,
        NodeId = NodeId,
        Node = Member,
        Term = u64,
);

/// Term and node of a leader.
pub type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, NodeId>;
/// A position in the log.
pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
/// The members, with the log position of their last change.
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<NodeId, Member>;

/// A member of the cluster in the view of the others. Its identity is its id and certificate; the
/// addresses may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The address on which its peers reach it: `host:port`.
    pub peer_address: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.peer_address)
    }
}

/// A proposal, encoded once by its proposer: the same bytes travel to the leader, into the log
/// and to the followers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedProposal(pub Bytes);

impl fmt::Debug for EncodedProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proposal of {} bytes", self.0.len())
    }
}

impl fmt::Display for EncodedProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The responses to a proposal's commands, in order. Empty for entries that hold no proposal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied(pub Vec<Response>);
