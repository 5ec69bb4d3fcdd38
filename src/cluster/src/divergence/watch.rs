//! Compares the digests of all members, all the time, and acts on what it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;

use keymoot_model::NodeId;
use keymoot_state::Digest;
use keymoot_store::Divergence;
use keymoot_telemetry::Metrics;

use crate::divergence::verdict::{Contradiction, Reported, Verdict, compare, named};
use crate::members::membership::Members;
use crate::peer::final_stop::{FinalStop, way_out};
use crate::peer::peers::Peers;
use crate::peer::reports::Reports;
use crate::raft::Raft;
use crate::wire::message::Request;
use crate::write::hold::DivergenceHold;

/// How often the reports are compared.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a node that stops waits for its peers to hear it.
const TELL_WITHIN: Duration = Duration::from_secs(1);
/// Part of every text about a contradiction that no majority decides.
pub const UNDECIDED: &str = "no digest has a majority of the voters";

/// Compares the digests of this node with those of its peers.
pub(crate) struct DivergenceWatch {
    raft: Raft,
    members: Arc<Members>,
    reports: Reports,
    hold: DivergenceHold,
    stop: FinalStop,
    peers: Peers,
    metrics: Arc<Metrics>,
    /// The nodes that were found to be outvoted, and where.
    outvoted: BTreeMap<NodeId, Contradiction>,
}

impl DivergenceWatch {
    /// Compares what `reports` hold; tells `hold` of what it finds, and ends this node by `stop`.
    pub(crate) const fn new(
        raft: Raft,
        members: Arc<Members>,
        reports: Reports,
        hold: DivergenceHold,
        stop: FinalStop,
        peers: Peers,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { raft, members, reports, hold, stop, peers, metrics, outvoted: BTreeMap::new() }
    }

    /// Runs until Raft stops, or this node must.
    pub(crate) async fn run(mut self) {
        while self.raft.metrics().borrow_watched().running_state.is_ok() {
            if self.look().await {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Compares once. Returns whether this node stops.
    async fn look(&mut self) -> bool {
        let membership = self.members.membership();
        let ids: BTreeSet<NodeId> = membership.nodes().map(|(id, _)| *id).collect();
        let me = self.stop.node();
        let mut reported = self.reports.digests();
        reported.retain(|id, _| ids.contains(id));
        if ids.contains(&me) {
            reported.insert(me, self.reports.own().digests);
        }
        let verdict = compare(membership.get_joint_config(), &reported);
        if let Some(decided) = verdict.decided.as_ref().filter(|_| verdict.outvoted.contains(&me)) {
            let reason = self.mark(decided);
            // Nothing is read or written here any more; the others shall know why this node is gone.
            self.hold.hold(Some(reason.clone()));
            self.tell_peers(&ids).await;
            self.stop.end(reason);
            return true;
        }
        self.remember(&ids, &reported, &verdict);
        self.tell(&verdict);
        false
    }

    async fn tell_peers(&self, ids: &BTreeSet<NodeId>) {
        let others = ids.iter().filter(|id| **id != self.stop.node());
        let links = others.filter_map(|id| self.peers.requests(*id));
        let told = links.map(|link| async move {
            let own = Request::Report(Box::new(self.reports.own()));
            if let Err(error) = link.call(own, TELL_WITHIN).await {
                tracing::debug!(%error, "a peer was not told");
            }
        });
        futures::future::join_all(told).await;
    }

    fn mark(&self, found: &Contradiction) -> String {
        let (me, with_majority) = (self.stop.node(), found.with_majority());
        let text = |digest: Option<u128>| {
            digest.map(|digest| Digest::from_number(digest).to_string()).unwrap_or_default()
        };
        let (own, majority) = (text(found.digest_of(me)), text(found.majority));
        let (index, term) = (found.at.index, found.at.term);
        let what = format!(
            "the state of this node, node {me}, is not that of the cluster: after log entry {index} of term {term} its \
             digest is {own}, and {} of the majority of the voters has {majority}; it does not start from these data again",
            named(&with_majority)
        );
        let with_majority = with_majority.into_iter().collect();
        let reason = String::new();
        self.stop.mark(&what, Divergence { index, term, own, majority, with_majority, reason })
    }

    /// Remembers an outvoted node until it reports no contradiction any more, or is no member: it
    /// stops, and then reports nothing.
    fn remember(&mut self, ids: &BTreeSet<NodeId>, reported: &Reported, verdict: &Verdict) {
        self.outvoted.retain(|id, _| ids.contains(id) && !reported.contains_key(id));
        if let Some(decided) = &verdict.decided {
            for id in &verdict.outvoted {
                self.outvoted.insert(*id, decided.clone());
            }
        }
    }

    fn tell(&self, verdict: &Verdict) {
        let why = verdict.undecided.as_ref().map(undecided_text);
        let mut findings: BTreeMap<NodeId, String> = self.outvoted.iter().map(finding).collect();
        if let Some(undecided) = &verdict.undecided {
            let ids = undecided.digests.values().flatten().filter(|id| **id != self.stop.node());
            findings.extend(ids.map(|id| (*id, undecided_text(undecided))));
        }
        let diverged = findings.len() + usize::from(why.is_some());
        self.metrics.state_diverged.set(i64::try_from(diverged).unwrap_or(i64::MAX));
        let known = self.hold.findings();
        for (id, finding) in findings.iter().filter(|(id, _)| !known.contains_key(id)) {
            tracing::error!(node = id, finding, "the states of the nodes differ");
        }
        self.hold.set_findings(findings);
        if self.hold.hold(why.clone()) {
            match why {
                Some(why) => tracing::error!(why, "no write is accepted"),
                None => tracing::info!("a majority has equal states again: writes are accepted"),
            }
        }
    }
}

/// The finding about an outvoted node: the reason, and the remedy behind a semicolon.
fn finding((id, found): (&NodeId, &Contradiction)) -> (NodeId, String) {
    let remedy = way_out(*id, None);
    (*id, format!("its state is not that of the majority of the voters: {found}; {remedy}"))
}

fn undecided_text(found: &Contradiction) -> String {
    format!(
        "the states of the nodes differ and {UNDECIDED}: {found}: no write is accepted and no linearizable read is \
         answered; start the voters that are away, or compare the data directories of stopped nodes with `keymoot \
         cluster salvage` and take those that are wrong out with `keymoot cluster remove`: docs/disks.md"
    )
}
