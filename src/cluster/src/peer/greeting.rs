//! Checks a greeting: its protocol version, and the peer's data directory.
//!
//! A node whose data directory is not the one that a peer remembers, or is an older copy of it, has lost votes
//! and acknowledged entries. Neither side serves the other then. Such a node stops if it hears so from a peer
//! that is itself the one this node remembers. Earlier versions send and remember less; they are accepted until
//! the cluster's feature level excludes them.

use keymoot_crypto::PeerVersion;
use keymoot_model::NodeId;
use keymoot_state::EnrolledDirectory;
use keymoot_store::{Directory, Incarnation, LogPosition, PeerMemory, Start, StoredVote};

use crate::peer::fatal_signal::FatalSignal;
use crate::peer::feature_level::FeatureLevel;
use crate::wire::greeting::{DirectoryClaim, Greeting};

/// The protocol version that every program with the cluster's feature level speaks.
const fn version_of(level: u32) -> PeerVersion {
    match level {
        0 | 1 => PeerVersion::First,
        2 => PeerVersion::Second,
        3 => PeerVersion::Third,
        _ => PeerVersion::Fourth,
    }
}

/// Whether a member that speaks this version is refused: one that could speak a later one hides its
/// data directory and proves nothing. If the level cannot be read, the version is refused, because
/// the level may be high.
pub(crate) fn rules_out(version: PeerVersion, level: &FeatureLevel) -> Option<&'static str> {
    let level = level.current().unwrap_or(u32::MAX);
    (version < version_of(level))
        .then_some("it speaks an earlier version of the peer protocol, which no build of the cluster's feature level does")
}

/// Why a member's greeting is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// This node refuses the peer; the text says why and what to do.
    Peer(String),
    /// The peer remembers another data directory of this node, which must stop; the text says why
    /// and what to do.
    Own(String),
    /// The peer has met a start that this node's data directory does not know. The node must stop
    /// unless other peers have accepted it: then a copy of it may have been met.
    Unknown(String),
}

impl Refused {
    /// The error that ends the connection; it also stops the node when the node itself is refused.
    /// `accepted` is whether another peer has accepted this node.
    pub(crate) fn into_error(self, fatal: &FatalSignal, accepted: bool) -> std::io::Error {
        let reason = match self {
            Self::Unknown(reason) if accepted => reason,
            Self::Own(reason) | Self::Unknown(reason) => {
                fatal.raise(&reason);
                reason
            }
            Self::Peer(reason) => reason,
        };
        std::io::Error::new(std::io::ErrorKind::InvalidData, reason)
    }
}

/// The data directory of this node, and what it knows of a peer's from the replicated state.
pub(crate) struct Judge<'a> {
    pub ours: &'a Directory,
    /// What this node claims in its greetings.
    pub claim: &'a DirectoryClaim,
    /// The peer's directory in the state, of the same fence.
    pub enrolled: Option<EnrolledDirectory>,
    /// Whether the present start of this node is in the state.
    pub is_enrolled: bool,
    /// What was remembered of the peer before the connection was made.
    pub memory: Option<&'a PeerMemory>,
}

impl Judge<'_> {
    /// Checks the data directory of a peer with the same fence. A peer that is met first is
    /// remembered before this returns, and so is a new start.
    pub(crate) fn judge(
        &self,
        peer: NodeId,
        version: PeerVersion,
        fence: u64,
        theirs: &Greeting,
    ) -> Result<(), Refused> {
        let Some(incarnation) = theirs.incarnation else {
            return match version {
                PeerVersion::First => Ok(()),
                PeerVersion::Second | PeerVersion::Third | PeerVersion::Fourth => Err(unsaid()),
            };
        };
        let is_known = |known: Incarnation| match known == incarnation {
            true => Ok(()),
            false => Err(Refused::Peer(stranger(peer))),
        };
        // A peer that this node does not recognise is not believed either.
        self.ours.remembered(peer).map_or(Ok(()), is_known)?;
        let enrolled = self.enrolled.map(|enrolled| Incarnation::from_number(enrolled.incarnation));
        enrolled.map_or(Ok(()), is_known)?;
        let claim = match version {
            PeerVersion::Third | PeerVersion::Fourth => Some(theirs.claim.as_ref().ok_or_else(unsaid)?),
            PeerVersion::First | PeerVersion::Second => None,
        };
        if let Some(claim) = claim {
            self.judge_claim(peer, claim)?;
        }
        if theirs.remembered.is_some_and(|known| known != self.ours.incarnation()) {
            return Err(Refused::Own(emptied(self.ours, peer)));
        }
        if let Some(memory) = &theirs.memory {
            self.judge_own(peer, memory)?;
        }
        let first = self.ours.remember(fence, peer, incarnation);
        is_known(first.map_err(|error| Refused::Peer(error.to_string()))?)?;
        match claim {
            Some(claim) => self.meet(peer, fence, claim),
            None => Ok(()),
        }
    }

    /// Checks what a peer claims against what is remembered of it.
    fn judge_claim(&self, peer: NodeId, claim: &DirectoryClaim) -> Result<(), Refused> {
        let enrolled = self.enrolled.map(|known| Start { number: known.start, id: known.start_id });
        // A start that the cluster vouches for counts also where a copy was met.
        let met = self.ours.memory_of(peer).map(|memory| memory.start);
        let met = met.filter(|_| enrolled != Some(claim.start));
        for known in [met, enrolled].into_iter().flatten() {
            let is_copy = claim.start.number == known.number && claim.start.id != known.id;
            if claim.start.number < known.number || is_copy {
                return Err(Refused::Peer(older(peer, claim.start, known)));
            }
        }
        // What the peer reported on another connection after it wrote this greeting does not count.
        let back = self.memory.and_then(|memory| set_back(memory, claim));
        back.map_or(Ok(()), |lost| Err(Refused::Peer(forgetful(peer, &lost))))
    }

    /// Checks what a peer remembers of this node.
    fn judge_own(&self, peer: NodeId, memory: &PeerMemory) -> Result<(), Refused> {
        if !self.is_enrolled && !self.ours.has_started(memory.start) {
            return Err(Refused::Unknown(unknown_start(self.ours, peer, memory)));
        }
        let back = set_back(memory, self.claim);
        back.map_or(Ok(()), |lost| Err(Refused::Own(own_set_back(self.ours, peer, &lost))))
    }

    fn meet(&self, peer: NodeId, fence: u64, claim: &DirectoryClaim) -> Result<(), Refused> {
        let met =
            PeerMemory { start: claim.start, vote: None, held: None, address: Some(claim.address.clone()) };
        self.ours.meet(fence, peer, met).map_err(|error| Refused::Peer(error.to_string()))
    }
}

/// What a node that claims this has lost of what is remembered; `None` if nothing is known to be.
fn set_back(memory: &PeerMemory, claim: &DirectoryClaim) -> Option<String> {
    let rank = |vote: &StoredVote| (vote.term, vote.node);
    if memory.vote.as_ref().map(rank) > claim.vote.as_ref().map(rank) {
        let term = |vote: Option<StoredVote>| vote.map_or(0, |vote| vote.term);
        return Some(format!(
            "its vote is of term {}, and one of term {} was seen",
            term(claim.vote),
            term(memory.vote)
        ));
    }
    // A log that holds an entry ends with it or with one of the same or a later leader behind it.
    if memory.held > claim.log_end {
        let index = |at: Option<LogPosition>| at.map_or(0, |at| at.index);
        let (ends, held) = (index(claim.log_end), index(memory.held));
        return Some(format!("its log ends with entry {ends}, and it had acknowledged entry {held}"));
    }
    None
}

fn unsaid() -> Refused {
    Refused::Peer("it does not say which data directory it has".into())
}

/// The remedy for a node whose data directory is not the one it should be, for its peers.
fn remedy(peer: NodeId) -> String {
    format!(
        "bring the directory that it had last back, or run keymoot cluster replace-disk on its machine, which takes \
         node {peer} out and lets it join under a new id: docs/disks.md"
    )
}

/// The text for a peer with another data directory.
fn stranger(peer: NodeId) -> String {
    format!(
        "its data directory is not the one it had before, so what it voted and acknowledged is forgotten; {}",
        remedy(peer)
    )
}

/// The text for a peer with an older copy of its data directory.
fn older(peer: NodeId, claimed: Start, known: Start) -> String {
    let Start { number, id } = claimed;
    format!(
        "its data directory is an older copy, or a copy that was started elsewhere: it is at start {number} ({id:016x}), \
         and start {} ({:016x}) was seen; {}",
        known.number,
        known.id,
        remedy(peer)
    )
}

/// The text for a peer that was set back within one start.
fn forgetful(peer: NodeId, lost: &str) -> String {
    format!("its data directory was set back to an older state: {lost}; {}", remedy(peer))
}

/// The text for this node when its own data directory is another one.
fn emptied(ours: &Directory, peer: NodeId) -> String {
    let owner = ours.identity();
    format!(
        "node {id} of cluster {cluster} has another data directory than node {peer} knows it by: what it voted \
         and acknowledged before is not in {root}, so it may not go on under this id. If the directory it had \
         was only moved or not mounted, move this one away whole, bring that one back and start the node again. {lost}",
        id = owner.node,
        cluster = owner.cluster,
        root = ours.root().display(),
        lost = IF_LOST
    )
}

/// The text for this node when a peer has met a start that is not in its data directory.
fn unknown_start(ours: &Directory, peer: NodeId, memory: &PeerMemory) -> String {
    let (owner, own) = (ours.identity(), ours.start());
    let place = memory.address.as_ref().map_or_else(String::new, |address| format!(" at {address}"));
    format!(
        "node {peer} has met start {} ({:016x}) of node {id}{place}, which is not in {root}: that directory, at start {}, is \
         an older copy, or a copy of it runs elsewhere as node {id}, so it may not go on under this id. If another \
         process runs as node {id}, stop the wrong one. If the newest directory is at hand, move this one away whole and bring \
         that one back. {lost}",
        memory.start.number,
        memory.start.id,
        own.number,
        id = owner.node,
        root = ours.root().display(),
        lost = IF_LOST
    )
}

/// The text for this node when it was set back within one start.
fn own_set_back(ours: &Directory, peer: NodeId, lost: &str) -> String {
    format!(
        "the data directory {} of node {} was set back to an older state, as node {peer} remembers it: {lost}. It may not go on \
         under this id. {IF_LOST}",
        ours.root().display(),
        ours.identity().node,
    )
}

/// What to do when the newest data directory of this node is lost.
const IF_LOST: &str = "If it is lost, run keymoot cluster replace-disk with this node's --config: it takes this id out of the \
                       cluster, keeps what is in the directory aside, and lets the machine join under a new id: docs/disks.md";

/// The text for a second process of a node whose first one is connected.
pub(crate) fn second_process(peer: NodeId, first: &(Start, String), second: &(Start, String)) -> String {
    format!(
        "another process of node {peer} is connected, {} at start {}: this one, {} at start {}, is a copy of it; stop \
         the wrong one: a node's directory and certificate belong to one process: docs/disks.md",
        first.1, first.0.number, second.1, second.0.number
    )
}

/// The text for a new start at another place, while this node cannot tell yet whether an earlier one is alive.
pub(crate) fn may_be_a_copy(known: &str, claim: &DirectoryClaim) -> String {
    format!(
        "it was reached at {known} before start {} at {}, and this node has just started and does not know yet whether \
         the process there is alive; wait some seconds if it has moved, and stop it if it is a copy",
        claim.start.number, claim.address
    )
}

#[cfg(test)]
mod tests;
