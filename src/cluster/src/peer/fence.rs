//! The fence of this node's data directory, checked at every greeting; then also the peer's data
//! directory, and that the peer is the only process of its node.
//!
//! A cluster that was recovered or restored has a new fence, and nodes of different fences do not
//! communicate. The one exception: a node with neither log nor vote nor state belongs to no cluster
//! yet, and adopts the fence of the first member of a recovered cluster that greets it. That is how
//! an empty member of a restored cluster gets its data. Its earlier connections, greeted with its
//! old fence, are closed then. A peer of another fence is never remembered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use keymoot_crypto::PeerVersion;
use keymoot_model::NodeId;
use keymoot_state::{EnrolledDirectory, StateError, Tables, enrolled_directory};
use keymoot_store::{Directory, Log, PeerMemory, StoreError};
use keymoot_telemetry::LastingConditions;

use crate::peer::greeting::{Judge, Refused, may_be_a_copy, second_process};
use crate::peer::live_sessions::{ALIVE_WITHIN, LiveSession, LiveSessions};
use crate::peer::refusals::Refusals;
use crate::vote_ledger::VoteLedger;
use crate::wire::greeting::{DirectoryClaim, Greeting};
use crate::wire::message::Hello;
use crate::wire::report::NodeReport;

type ReadEnrolled = dyn Fn(NodeId) -> Result<Option<EnrolledDirectory>, StateError> + Send + Sync;

/// What was remembered of the peers at some time.
pub(crate) struct Recalled(BTreeMap<NodeId, PeerMemory>);

/// This node's fence and data directory, and the checks of peers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Fence {
    directory: Arc<Directory>,
    log: Log,
    ledger: VoteLedger,
    enrolled: Arc<ReadEnrolled>,
    /// The address at which peers reach this node.
    address: Arc<str>,
    refusals: Refusals,
    sessions: LiveSessions,
    began: Instant,
    /// That the memory of the peers cannot be written.
    unwritten: Arc<LastingConditions>,
    /// Whether a peer has accepted this node since it started.
    accepted: Arc<AtomicBool>,
}

impl Fence {
    /// The fence of `directory`; `log` tells whether the node belongs to a cluster yet, `ledger` what it has
    /// voted and stored, and `tables` which directories are enrolled. Peers reach the node at `address`.
    pub(crate) fn new<T: Tables + Send + Sync + 'static>(
        directory: Arc<Directory>,
        log: Log,
        ledger: VoteLedger,
        tables: T,
        address: &str,
    ) -> Self {
        Self {
            directory,
            log,
            ledger,
            enrolled: Arc::new(move |id| enrolled_directory(&tables, id)),
            address: address.into(),
            refusals: Refusals::default(),
            sessions: LiveSessions::default(),
            began: Instant::now(),
            unwritten: Arc::default(),
            accepted: Arc::default(),
        }
    }

    /// The fence as it is now.
    pub(crate) fn current(&self) -> u64 {
        self.directory.identity().fence
    }

    /// The refused peers, and why.
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// The greeting to a peer; that to a tool, which is no peer, holds less.
    ///
    /// # Errors
    /// When it cannot be noted that a peer hears of this start; it must not hear of it then.
    pub(crate) fn greeting(&self, hello: Hello, peer: Option<NodeId>) -> Result<Greeting, StoreError> {
        if peer.is_some() {
            self.directory.announce_start()?;
        }
        let hello = Hello { fence: Some(self.current()), ..hello };
        Ok(Greeting {
            incarnation: Some(self.directory.incarnation()),
            remembered: peer.and_then(|peer| self.directory.remembered(peer)),
            claim: Some(self.claim()),
            memory: peer.and_then(|peer| self.directory.memory_of(peer)),
            ..Greeting::of_tool(hello)
        })
    }

    fn claim(&self) -> DirectoryClaim {
        DirectoryClaim {
            start: self.directory.start(),
            vote: self.ledger.on_disk().0,
            log_end: self.ledger.log_end_on_disk(),
            address: self.address.to_string(),
        }
    }

    /// What is remembered of the peers now, for greetings of connections that are made from now on.
    pub(crate) fn recall(&self) -> Recalled {
        Recalled(self.directory.memories())
    }

    /// Checks whether this node accepts a peer with this greeting, which came from `from` if the peer dialled.
    /// `recalled` is from before the connection was made. A refusal is noted.
    ///
    /// # Errors
    /// The text says why it does not, and what to do.
    pub(crate) fn check_peer(
        &self,
        peer: NodeId,
        version: PeerVersion,
        theirs: &Greeting,
        recalled: &Recalled,
        from: Option<SocketAddr>,
    ) -> Result<(), Refused> {
        // A tool is no member and may do nothing that a member does.
        let Some(fence) = theirs.hello.fence else { return Ok(()) };
        #[cfg(feature = "mutants")]
        if keymoot_mutant::is("no-incarnation") {
            return self.judge_fence(fence);
        }
        let judged = self
            .judge_fence(fence)
            .and_then(|()| self.judge_process(peer, theirs, from))
            .and_then(|()| self.judge_directory(peer, version, fence, theirs, recalled));
        match &judged {
            Ok(()) => self.refusals.forget(peer),
            Err(Refused::Peer(reason) | Refused::Unknown(reason)) => self.refusals.note(peer, reason.clone()),
            Err(Refused::Own(_)) => {}
        }
        judged
    }

    /// Refuses a process while another one of the same node is connected.
    fn judge_process(
        &self,
        peer: NodeId,
        theirs: &Greeting,
        from: Option<SocketAddr>,
    ) -> Result<(), Refused> {
        let Some(claim) = &theirs.claim else { return Ok(()) };
        if let Some(first) = self.sessions.other_start(peer, claim.start) {
            return Err(Refused::Peer(second_process(peer, &first, &(claim.start, place(claim, from)))));
        }
        let memory = self.directory.memory_of(peer).filter(|memory| memory.start != claim.start);
        match memory.and_then(|memory| memory.address).filter(|known| *known != claim.address) {
            Some(known) if self.began.elapsed() < ALIVE_WITHIN => {
                Err(Refused::Peer(may_be_a_copy(&known, claim)))
            }
            _ => Ok(()),
        }
    }

    fn judge_directory(
        &self,
        peer: NodeId,
        version: PeerVersion,
        fence: u64,
        theirs: &Greeting,
        recalled: &Recalled,
    ) -> Result<(), Refused> {
        // A state that cannot be read knows nothing of the peer; what was met is remembered elsewhere.
        let enrolled = (self.enrolled)(peer).unwrap_or_default().filter(|enrolled| enrolled.fence == fence);
        let memory = recalled.0.get(&peer);
        let (claim, own) = (self.claim(), (self.enrolled)(self.ledger.node()).unwrap_or_default());
        let is_enrolled = own.is_some_and(|own| {
            (own.fence, own.start, own.start_id) == (fence, claim.start.number, claim.start.id)
        });
        let judge = Judge { ours: &self.directory, claim: &claim, enrolled, is_enrolled, memory };
        judge.judge(peer, version, fence, theirs)
    }

    /// Notes that a peer has accepted this node.
    pub(crate) fn note_accepted(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }

    /// Whether a peer has accepted this node since it started.
    pub(crate) fn is_accepted(&self) -> bool {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Registers the connection of a peer that was checked, for as long as the returned value lives.
    pub(crate) fn enter(
        &self,
        peer: NodeId,
        theirs: &Greeting,
        from: SocketAddr,
    ) -> Option<Arc<LiveSession>> {
        theirs.claim.as_ref().map(|claim| self.sessions.enter(peer, claim.start, place(claim, Some(from))))
    }

    /// The address at which a peer said that it is reached, when it was last met.
    pub(crate) fn address_of(&self, peer: NodeId) -> Option<String> {
        self.directory.memory_of(peer)?.address
    }

    /// Notes how far a peer has voted and acknowledged; [`Self::write_memory`] writes it.
    pub(crate) fn note_progress(&self, peer: NodeId, report: &NodeReport) {
        self.directory.note_progress(peer, report.vote, report.held);
    }

    /// Writes what was noted of peers. Until then a crash of this node forgets it.
    pub(crate) fn write_memory(&self) {
        if let Err(error) = self.directory.write_memory()
            && let Some(unlogged) = self.unwritten.note(())
        {
            tracing::warn!(%error, unlogged, "how far the peers have acknowledged was not written");
        }
    }

    /// This node's directory as the cluster is to know it. Peers may hear of the start from now on.
    ///
    /// # Errors
    /// An I/O error.
    pub(crate) fn enrolment(&self) -> Result<EnrolledDirectory, StoreError> {
        self.directory.announce_start()?;
        let start = self.directory.start();
        Ok(EnrolledDirectory {
            fence: self.current(),
            incarnation: self.directory.incarnation().number(),
            start: start.number,
            start_id: start.id,
        })
    }

    /// The directory that the cluster knows this node by, of the present fence.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) fn enrolled(&self, id: NodeId) -> Result<Option<EnrolledDirectory>, StateError> {
        Ok((self.enrolled)(id)?.filter(|enrolled| enrolled.fence == self.current()))
    }

    fn judge_fence(&self, theirs: u64) -> Result<(), Refused> {
        let ours = self.current();
        match fenced_off(ours, theirs) {
            None => Ok(()),
            Some(_) if ours == 0 && self.belongs_to_nobody() => self.adopt(theirs).map_err(Refused::Peer),
            Some(reason) => Err(Refused::Peer(reason)),
        }
    }

    fn belongs_to_nobody(&self) -> bool {
        self.log.read_vote().is_none() && self.log.bounds() == (None, None)
    }

    fn adopt(&self, theirs: u64) -> Result<(), String> {
        self.directory.adopt_fence(theirs).map_err(|error| error.to_string())?;
        tracing::info!(fence = theirs, "this new node belongs to a recovered or restored cluster");
        Ok(())
    }
}

/// Where a process is, without the port it dialled from, which is another one each time.
fn place(claim: &DirectoryClaim, from: Option<SocketAddr>) -> String {
    let from = from.map_or_else(String::new, |from| format!("from {} ", from.ip()));
    format!("{from}reached at {}", claim.address)
}

/// Why a node of fence `ours` refuses a peer of fence `theirs`; `None` when it accepts it.
pub fn fenced_off(ours: u64, theirs: u64) -> Option<String> {
    match (ours, theirs) {
        _ if ours == theirs => None,
        (_, 0) => Some(
            "it belongs to the cluster before it was recovered or restored; move its data directory away, then \
             start it again if this cluster has it as a member, else let it join under a new id with keymoot cluster \
             replace-disk: docs/backup.md"
                .to_owned(),
        ),
        (0, _) => Some(format!(
            "this node belongs to the cluster before it was recovered or restored (fence {theirs}); move its \
             data directory away, then start it again if that cluster has it as a member, else let it join under \
             a new id with keymoot cluster replace-disk: docs/backup.md"
        )),
        _ => Some(format!(
            "it belongs to another recovery of the cluster (fence {theirs}, here {ours}); move the data directory \
             of whichever is out of date away, then start it again if the other has it as a member, else let it \
             join under a new id with keymoot cluster replace-disk: docs/backup.md"
        )),
    }
}

#[cfg(test)]
mod tests;
