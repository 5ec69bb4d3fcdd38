//! The encodings of log entries and peer messages.
//!
//! They are this project's own, not openraft's: the bytes on disk and on the wire change only when
//! this file and its versions do.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use openraft::EntryPayload;
use serde::{Deserialize, Serialize};

use keymoot_codec as codec;
use keymoot_codec::{CodecError, Kind};
use keymoot_model::NodeId;
use keymoot_store::{LogPosition, StoredVote};

use crate::wire::raft_types::{
    EncodedProposal, Entry, LeaderId, LogId, Member, Membership, StoredMembership, Vote,
};

/// Members and voters, in the encoding of log and snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireMembership {
    /// One set of voters, or two while a membership change is in progress.
    pub voters: Vec<BTreeSet<NodeId>>,
    /// All members, learners included.
    pub nodes: BTreeMap<NodeId, Member>,
}

/// The mark stored beside the state: the last applied position, and the members as of then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppliedMark {
    /// The position of the last applied entry.
    pub applied: Option<LogPosition>,
    /// The position of the last membership change.
    pub membership_at: Option<LogPosition>,
    pub membership: Option<WireMembership>,
}

/// A log entry that is sent to a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WireEntry {
    pub at: LogPosition,
    /// The result of [`entry_payload`].
    pub payload: Bytes,
}

pub(crate) fn position(id: &LogId) -> LogPosition {
    LogPosition { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

pub(crate) fn log_id(at: &LogPosition) -> LogId {
    LogId { leader_id: LeaderId { term: at.term, node_id: at.node }, index: at.index }
}

pub(crate) fn stored_vote(vote: &Vote) -> StoredVote {
    StoredVote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(crate) fn vote(stored: &StoredVote) -> Vote {
    Vote { leader_id: LeaderId { term: stored.term, node_id: stored.node }, committed: stored.committed }
}

pub(crate) fn wire_membership(membership: &Membership) -> WireMembership {
    WireMembership {
        voters: membership.get_joint_config().clone(),
        nodes: membership.nodes().map(|(id, node)| (*id, node.clone())).collect(),
    }
}

pub(crate) fn membership(wire: WireMembership) -> io::Result<Membership> {
    Membership::new(wire.voters, wire.nodes).map_err(io::Error::other)
}

pub(crate) fn mark(applied: Option<&LogId>, stored: &StoredMembership) -> AppliedMark {
    AppliedMark {
        applied: applied.map(position),
        membership_at: stored.log_id().as_ref().map(position),
        membership: Some(wire_membership(stored.membership())),
    }
}

pub(crate) fn unmark(mark: AppliedMark) -> io::Result<(Option<LogId>, StoredMembership)> {
    let stored = match mark.membership {
        Some(wire) => StoredMembership::new(mark.membership_at.as_ref().map(log_id), membership(wire)?),
        None => StoredMembership::default(),
    };
    Ok((mark.applied.as_ref().map(log_id), stored))
}

/// The bytes of an entry in the log: empty for a blank one, the unchanged encoded proposal, or
/// encoded members. The kind byte of the envelope distinguishes the last two.
pub(crate) fn entry_payload(entry: &Entry) -> Result<Bytes, CodecError> {
    match &entry.payload {
        EntryPayload::Blank => Ok(Bytes::new()),
        EntryPayload::Normal(proposal) => Ok(proposal.0.clone()),
        EntryPayload::Membership(members) => {
            codec::encode(Kind::Membership, &wire_membership(members)).map(Bytes::from)
        }
    }
}

/// Entries in the form of the log.
pub(crate) fn log_entries(entries: impl IntoIterator<Item = Entry>) -> io::Result<Vec<(LogPosition, Bytes)>> {
    let stored = |entry: Entry| {
        let payload = entry_payload(&entry).map_err(io::Error::other)?;
        Ok((position(&entry.log_id), payload))
    };
    entries.into_iter().map(stored).collect()
}

/// Decodes the result of [`entry_payload`].
pub(crate) fn entry(at: &LogPosition, payload: Bytes) -> io::Result<Entry> {
    let payload = if payload.is_empty() {
        EntryPayload::Blank
    } else if codec::kind_of(&payload) == Some(Kind::Membership) {
        let wire = codec::decode(Kind::Membership, &payload).map_err(io::Error::other)?;
        EntryPayload::Membership(membership(wire)?)
    } else {
        EntryPayload::Normal(EncodedProposal(payload))
    };
    Ok(Entry { log_id: log_id(at), payload })
}

pub(crate) fn wire_entry(entry: &Entry) -> Result<WireEntry, CodecError> {
    Ok(WireEntry { at: position(&entry.log_id), payload: entry_payload(entry)? })
}
