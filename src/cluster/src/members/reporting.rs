//! Reports to the peers: what this node has on its disk, and what each of them has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use keymoot_model::NodeId;

use crate::members::node_info::NodeInfo;
use crate::peer::fence::Fence;
use crate::peer::link::{Link, LinkError};
use crate::peer::peers::Peers;
use crate::peer::reports::Reports;
use crate::wire::message::{Reply, Request};

/// The time limit for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Exchanges reports with the peers.
pub(crate) struct Reporting {
    peers: Peers,
    reports: Reports,
    fence: Fence,
    info: Arc<NodeInfo>,
}

impl Reporting {
    /// Exchanges `reports` over `peers`; `fence` remembers what is heard.
    pub(crate) const fn new(peers: Peers, reports: Reports, fence: Fence, info: Arc<NodeInfo>) -> Self {
        Self { peers, reports, fence, info }
    }

    /// Exchanges reports with the other members, and with the nodes that the configuration names. This tells
    /// removed nodes of their removal. It also makes every pair of nodes meet and remember each other's data
    /// directory and address, even if neither ever led, before one of them can be emptied.
    pub(crate) async fn report(&self, me: NodeId, members: &BTreeSet<NodeId>) {
        let hints = self.info.peer_hints.iter().map(|hint| hint.id);
        let others: BTreeSet<NodeId> = members.iter().copied().chain(hints).filter(|id| *id != me).collect();
        let links = others.into_iter().filter_map(|id| Some((id, self.peers.requests(id)?)));
        futures::future::join_all(links.map(|(id, link)| self.report_to(id, link))).await;
    }

    async fn report_to(&self, id: NodeId, link: Link) {
        let own = Request::Report(Box::new(self.reports.own()));
        let mut answer = link.call(own, PATIENCE).await;
        if let Err(LinkError::Protocol { .. }) = answer {
            // An earlier version knows no reports.
            answer = link.call(Request::Ping, PATIENCE).await;
        }
        match answer {
            Ok(Reply::Report(report)) => {
                self.fence.note_progress(id, &report);
                self.reports.hear(id, *report);
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a peer did not answer"),
        }
    }

    /// Writes what was heard of the peers since the last time.
    pub(crate) fn write_memory(&self) {
        self.fence.write_memory();
    }
}
