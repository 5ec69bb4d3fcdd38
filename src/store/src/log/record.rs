//! Encoding of positions, votes and payloads in the log's files: fixed widths, big-endian.

use std::io::{self, Read, Write};

use bytes::Bytes;
use codeq::{Decode, Encode};

use super::{LogPosition, StoredVote, check, failure::Done};

/// The type parameters of the crate `raft-log`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Types;

impl raft_log::Types for Types {
    type LogId = LogPosition;
    type LogPayload = Payload;
    type Vote = VoteRecord;
    type Callback = Done;
    type UserData = ();

    fn log_index(position: &LogPosition) -> u64 {
        position.index
    }

    fn payload_size(payload: &Payload) -> u64 {
        // Lossless: a `usize` has at most 64 bits on every supported target.
        payload.0.len() as u64
    }
}

/// The bytes of an entry.
#[derive(Clone)]
pub(super) struct Payload(pub(super) Bytes);

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Messages never show stored bytes.
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// A vote with its serial number in the order of saving.
///
/// The crate accepts only votes that are not less than the last. The consensus decides which vote outranks
/// another (the winner of a term replaces this node's vote for another candidate), so votes are ordered by
/// when they were saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VoteRecord {
    serial: u64,
    vote: StoredVote,
}

impl VoteRecord {
    /// The record of `vote` saved after `last`; a term cannot go back.
    pub(super) fn after(last: Option<&Self>, vote: StoredVote) -> io::Result<Self> {
        if let Some(last) = last.filter(|last| vote.term < last.vote.term) {
            check::refuse(format!("a vote of term {} cannot follow {:?}", vote.term, last.vote))?;
        }
        Ok(Self { serial: last.map_or(0, |last| last.serial.saturating_add(1)), vote })
    }

    pub(super) const fn vote(&self) -> StoredVote {
        self.vote
    }
}

impl PartialOrd for VoteRecord {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        // Two votes with one serial are equal, or they have no order.
        match self.serial.cmp(&other.serial) {
            std::cmp::Ordering::Equal if self != other => None,
            order => Some(order),
        }
    }
}

impl Encode for LogPosition {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        Ok(self.term.encode(&mut w)? + self.node.encode(&mut w)? + self.index.encode(&mut w)?)
    }
}

impl Decode for LogPosition {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        Ok(Self { term: u64::decode(&mut r)?, node: u64::decode(&mut r)?, index: u64::decode(&mut r)? })
    }
}

impl Encode for VoteRecord {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let Self { serial, vote: StoredVote { term, node, committed } } = self;
        Ok(serial.encode(&mut w)? + term.encode(&mut w)? + node.encode(&mut w)? + committed.encode(&mut w)?)
    }
}

impl Decode for VoteRecord {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let serial = u64::decode(&mut r)?;
        let (term, node) = (u64::decode(&mut r)?, u64::decode(&mut r)?);
        Ok(Self { serial, vote: StoredVote { term, node, committed: bool::decode(&mut r)? } })
    }
}

impl Encode for Payload {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "an entry is too long");
        let written = u32::try_from(self.0.len()).map_err(too_long)?.encode(&mut w)?;
        w.write_all(&self.0)?;
        Ok(written + self.0.len())
    }
}

impl Decode for Payload {
    fn decode<R: Read>(r: R) -> io::Result<Self> {
        // Reads the available bytes up to the length, so that a damaged length reserves nothing.
        Ok(Self(Bytes::from(Vec::<u8>::decode(r)?)))
    }
}
