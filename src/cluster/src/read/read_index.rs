//! The index that a new read must wait for. Only the leader knows it, and only while a majority of
//! the voters still supports the vote that made it the leader.
//!
//! A voter that voted for another leader reports so before that leader can commit anything. So a
//! majority that supports a vote *after* a read began proves that nothing was acknowledged before
//! it that the leader does not have. Votes are read from each node's [`VoteLedger`]; voters that
//! answered recently are asked first, and as many as a quorum needs. Raft's own round, of
//! heartbeats through the loops of all nodes, costs many times as much and is used only where the
//! votes prove nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::runtime::Handle;
use tokio::time::Instant;

use keymoot_model::NodeId;
use keymoot_store::StoredVote;
use keymoot_telemetry::Metrics;

use crate::peer::leader_client::Unanswered;
use crate::peer::peers::Peers;
use crate::raft::Raft;
use crate::vote_ledger::{LeaderClaim, VoteLedger};
use crate::wire::message::{Reply, Request};
use crate::write::batcher::{BatchLimits, Batcher};

/// Without a quorum after this time, the other voters are asked too.
const ASK_ALL_AFTER: Duration = Duration::from_millis(20);
/// How often all voters are asked at once, to find out which answer first.
const ASK_ALL_EVERY: Duration = Duration::from_secs(1);
/// The time limit for a voter; then Raft's own round is used.
const VOTER_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Returns the read index to this node, and to others while it leads.
pub(crate) struct ReadIndex {
    confirmation: Arc<Confirmation>,
    questions: Batcher<(), Result<u64, Unanswered>>,
}

impl ReadIndex {
    /// The read index of a node with this vote ledger; requests run on `runtime`.
    pub(crate) fn new(
        raft: Raft,
        ledger: VoteLedger,
        peers: Peers,
        metrics: Arc<Metrics>,
        runtime: Handle,
    ) -> Self {
        let confirmation = Arc::new(Confirmation { raft, ledger, peers, metrics, lately: Mutex::default() });
        let asked = confirmation.clone();
        let ask = move |asking: Vec<()>| {
            let confirmation = asked.clone();
            Box::pin(async move { vec![confirmation.index().await; asking.len()] }) as _
        };
        // Each member keeps one request in flight, and operators a few more.
        let limits = BatchLimits::one_at_a_time(usize::MAX);
        Self { confirmation, questions: Batcher::new(runtime, limits, ask) }
    }

    /// The read index for reads of this node.
    pub(crate) async fn read(&self) -> Result<u64, Unanswered> {
        self.confirmation.index().await
    }

    /// The read index for a peer, in one request to the quorum with all peers that ask at the same
    /// time.
    pub(crate) async fn read_for_peer(&self) -> Result<u64, Unanswered> {
        match self.questions.submit(()) {
            Some(answered) => answered.await.unwrap_or(Err(Unanswered::Stopped)),
            None => Err(Unanswered::Retry),
        }
    }

    /// The answer for a voter that supported this vote when it asked, if it and this node are a
    /// quorum.
    pub(crate) fn answer_voter(&self, asker: NodeId, vote: &StoredVote) -> Option<u64> {
        let ledger = self.ledger();
        let claim = ledger.leader_claim().filter(|claim| claim.vote.is_for_same_leader(vote))?;
        claim.is_quorum(&BTreeSet::from([asker, ledger.node()])).then(|| {
            self.confirmation.count("asker");
            claim.committed_index
        })
    }

    /// This node's vote ledger.
    pub(crate) fn ledger(&self) -> &VoteLedger {
        &self.confirmation.ledger
    }
}

struct Confirmation {
    raft: Raft,
    ledger: VoteLedger,
    peers: Peers,
    metrics: Arc<Metrics>,
    lately: Mutex<Lately>,
}

/// The recent answers of the voters.
#[derive(Default)]
struct Lately {
    /// The voters that answered, the fastest first.
    order: Vec<NodeId>,
    /// The time at which all were last asked.
    all_asked: Option<Instant>,
}

impl Confirmation {
    async fn index(&self) -> Result<u64, Unanswered> {
        if let Some(claim) = self.ledger.leader_claim()
            && self.is_confirmed(&claim).await
        {
            self.count("votes");
            return Ok(claim.committed_index);
        }
        self.count("raft");
        match self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => Ok(linearizer.read_log_id().index()),
            Err(RaftError::Fatal(fatal)) => {
                tracing::error!(error = %fatal, "raft has stopped");
                Err(Unanswered::Stopped)
            }
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_)))
            | Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => Err(Unanswered::Retry),
        }
    }

    fn count(&self, by: &str) {
        self.metrics.read_confirmations_total.with_label_values(&[by]).inc();
    }

    /// Whether a majority of the voters supports the vote now.
    async fn is_confirmed(&self, claim: &LeaderClaim) -> bool {
        let me = self.ledger.node();
        let mut supporters = BTreeSet::from([me]);
        if claim.is_quorum(&supporters) {
            return true;
        }
        let (mut asked_first, mut others) = self.whom_to_ask(claim, me);
        let mut asking: FuturesUnordered<_> = asked_first.drain(..).map(|id| self.ask(id, claim)).collect();
        let mut all_asked = others.is_empty().then(Instant::now);
        let mut order = Vec::new();
        let patience = tokio::time::sleep(ASK_ALL_AFTER);
        tokio::pin!(patience);
        loop {
            let ask_all = tokio::select! {
                answer = asking.next() => match answer {
                    Some((id, true)) => {
                        order.push(id);
                        supporters.insert(id);
                        if claim.is_quorum(&supporters) {
                            self.learn(order, all_asked);
                            if !asking.is_empty() {
                                // The request is awaited even without a reader: otherwise its loss
                                // would never be detected.
                                tokio::spawn(asking.for_each(|_| std::future::ready(())));
                            }
                            return true;
                        }
                        false
                    }
                    Some((_, false)) => true,
                    None if others.is_empty() => return false,
                    None => true,
                },
                () = &mut patience, if !others.is_empty() => true,
            };
            if ask_all && !others.is_empty() {
                all_asked = Some(Instant::now());
                asking.extend(others.drain(..).map(|id| self.ask(id, claim)));
            }
        }
    }

    /// The voters to ask at once, and those to ask if they do not suffice.
    fn whom_to_ask(&self, claim: &LeaderClaim, me: NodeId) -> (Vec<NodeId>, Vec<NodeId>) {
        let lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        let place = |id: &NodeId| lately.order.iter().position(|known| known == id).unwrap_or(usize::MAX);
        let voters: BTreeSet<NodeId> =
            claim.voters.iter().flatten().copied().filter(|id| *id != me).collect();
        let mut voters: Vec<NodeId> = voters.into_iter().collect();
        if lately.all_asked.is_none_or(|at| at.elapsed() > ASK_ALL_EVERY) {
            return (voters, Vec::new());
        }
        voters.sort_by_key(place);
        let mut with = BTreeSet::from([me]);
        let enough = voters.iter().position(|id| {
            with.insert(*id);
            claim.is_quorum(&with)
        });
        let others = voters.split_off(enough.map_or(voters.len(), |last| last + 1));
        (voters, others)
    }

    fn learn(&self, order: Vec<NodeId>, all_asked: Option<Instant>) {
        if all_asked.is_some() {
            *self.lately.lock().unwrap_or_else(PoisonError::into_inner) = Lately { order, all_asked };
        }
    }

    /// Asks a voter whether it supports the vote. A connection without an answer is closed.
    fn ask(&self, id: NodeId, claim: &LeaderClaim) -> impl Future<Output = (NodeId, bool)> + use<> {
        let asked = self.peers.requests(id).map(|link| link.send(Request::Supports(claim.vote)));
        async move {
            let Some(asked) = asked else { return (id, false) };
            match asked.reply(VOTER_ANSWERS_WITHIN).await {
                Ok(Reply::Supports(supports)) => (id, supports),
                Ok(_) => (id, false),
                Err(error) => {
                    tracing::debug!(%error, "a voter confirms no leader");
                    (id, false)
                }
            }
        }
    }
}
