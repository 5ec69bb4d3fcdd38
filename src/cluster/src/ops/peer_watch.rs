//! Compares this node with its peers, in what no node can see alone: its master keys, and its clock.
//!
//! A node that lacks the master key that a peer wraps under cannot open what that peer stores, and so
//! is not ready.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use keymoot_crypto::Keyring;
use keymoot_model::{MasterKeyId, NodeId};
use keymoot_telemetry::{LastingConditions, Metrics};

use crate::members::membership::Members;
use crate::peer::link::Link;
use crate::peer::peers::Peers;
use crate::wire::admin::{AdminRequest, AdminResponse};
use crate::wire::message::{Reply, Request};
use crate::wire::rewrap::KeyringStatus;
use crate::write::clock::now_ms;

/// How often the peers are asked for their master keys.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// The clocks are compared once in this many rounds.
const ROUNDS_PER_CLOCK: u32 = 15;
/// The time limit for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// What this node lacks of the cluster's master keys. Cheap to clone.
#[derive(Clone)]
pub(crate) struct KeyringReport {
    keyring: Arc<Keyring>,
    by_peers: Arc<ArcSwapOption<String>>,
}

impl KeyringReport {
    /// The report on this keyring.
    pub(crate) fn new(keyring: Arc<Keyring>) -> Self {
        Self { keyring, by_peers: Arc::default() }
    }

    /// What cannot be opened here and what to do; `None` when nothing is known to be amiss.
    pub(crate) fn lack(&self) -> Option<String> {
        let met = self.keyring.missing().into_iter().next().map(|id| {
            let what = format!("secrets of the cluster stand under master key {id}, which this node lacks");
            format!("{what}; {REMEDY}")
        });
        met.or_else(|| self.by_peers.load().as_deref().cloned())
    }
}

/// The remedy for a keyring that lacks a key.
const REMEDY: &str =
    "copy the keyring file of a node that has it to keys.keyring_file: it is read within a second";

/// Asks the peers.
pub(crate) struct PeerWatch {
    id: NodeId,
    members: Arc<Members>,
    peers: Peers,
    report: KeyringReport,
    metrics: Arc<Metrics>,
    lasting: LastingConditions<String>,
}

impl PeerWatch {
    /// Compares node `id` with `peers`, and notes in `report` what its keyring lacks.
    pub(crate) const fn new(
        id: NodeId,
        members: Arc<Members>,
        peers: Peers,
        report: KeyringReport,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { id, members, peers, report, metrics, lasting: LastingConditions::new() }
    }

    /// Runs as long as Raft does.
    pub(crate) async fn run(self) {
        let mut rounds: u32 = 0;
        while self.members.is_running() {
            self.compare_keyrings().await;
            if rounds.is_multiple_of(ROUNDS_PER_CLOCK) {
                self.compare_clocks().await;
            }
            rounds = rounds.wrapping_add(1);
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    async fn compare_keyrings(&self) {
        let asked = self.links().map(|(id, link)| async move { (id, ask_keyring(&link).await) });
        let answers = futures::future::join_all(asked).await;
        let own = self.report.keyring.fingerprints();
        let lack = answers.iter().find_map(|(id, keyring)| lack(*id, keyring.as_ref()?, &own));
        // A peer that is silent now takes nothing back of what it said.
        if lack.is_some() || answers.iter().all(|(_, keyring)| keyring.is_some()) {
            self.report.by_peers.store(lack.map(Arc::new));
        }
        let lack = self.report.lack();
        self.metrics.keyring_incomplete.set(lack.is_some().into());
        match lack {
            Some(lack) => {
                if let Some(unlogged) = self.lasting.note(lack.clone()) {
                    tracing::error!(%lack, unlogged, "the node is not ready: its keyring lacks a master key");
                }
            }
            None => {
                if self.lasting.end_all(|_| true) {
                    tracing::info!("the keyring holds every master key that the peers wrap under");
                }
            }
        }
    }

    async fn compare_clocks(&self) {
        let asked = self.links().map(|(id, link)| async move { (id, ask_clock(&link).await) });
        let answers = futures::future::join_all(asked).await;
        let most = answers.into_iter().filter_map(|(_, offset)| offset).max();
        self.metrics.clock_offset_max_seconds.set(most.unwrap_or_default().as_secs_f64());
    }

    fn links(&self) -> impl Iterator<Item = (NodeId, Link)> {
        let members: Vec<NodeId> = self.members.membership().nodes().map(|(id, _)| *id).collect();
        let others = members.into_iter().filter(|id| *id != self.id);
        // A witness has no keyring to compare.
        let others = others.filter(|id| !self.members.is_witness(*id));
        others.filter_map(|id| Some((id, self.peers.requests(id)?)))
    }
}

async fn ask_keyring(link: &Link) -> Option<KeyringStatus> {
    let request = Request::Admin(AdminRequest::Keyring { count: false });
    match link.call(request, ANSWER_WITHIN).await {
        Ok(Reply::Admin(AdminResponse::Keyring(status))) => Some(*status),
        _ => None,
    }
}

/// By how much a peer's clock is off from this node's, at the least.
async fn ask_clock(link: &Link) -> Option<Duration> {
    let (began, began_ms) = (Instant::now(), now_ms());
    match link.call(Request::Admin(AdminRequest::Status), ANSWER_WITHIN).await {
        Ok(Reply::Admin(AdminResponse::Status(status))) => {
            let took_ms = u64::try_from(began.elapsed().as_millis()).ok()?;
            let off = status.clock_ms.abs_diff(began_ms.saturating_add(took_ms / 2));
            Some(Duration::from_millis(off.saturating_sub(took_ms.div_ceil(2))))
        }
        _ => None,
    }
}

/// Why this node cannot open what a peer wraps, if it cannot.
fn lack(peer: NodeId, theirs: &KeyringStatus, own: &BTreeMap<MasterKeyId, String>) -> Option<String> {
    let active = &theirs.active;
    match (own.get(&MasterKeyId(active.clone())), theirs.fingerprints.get(active)) {
        (None, _) => {
            Some(format!("node {peer} wraps under master key {active}, which this node lacks; {REMEDY}"))
        }
        (Some(own), Some(theirs)) if own != theirs => Some(format!(
            "node {peer} wraps under another master key of the id {active} than this node has; {REMEDY}"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[(&str, &str)]) -> BTreeMap<String, String> {
        keys.iter().map(|(id, fingerprint)| ((*id).to_owned(), (*fingerprint).to_owned())).collect()
    }

    #[test]
    fn whoever_lacks_the_key_that_a_peer_wraps_under_is_told_and_a_passive_key_is_nobodys_business() {
        let own: BTreeMap<_, _> =
            keys(&[("mk1", "a")]).into_iter().map(|(id, of)| (MasterKeyId(id), of)).collect();
        let said = |active: &str, has: &[(&str, &str)]| {
            let theirs = KeyringStatus {
                node: 2,
                active: active.to_owned(),
                fingerprints: keys(has),
                secrets: BTreeMap::new(),
            };
            lack(2, &theirs, &own)
        };
        assert_eq!(said("mk1", &[("mk1", "a"), ("mk2", "b")]), None);
        let missing = said("mk2", &[("mk1", "a"), ("mk2", "b")]).unwrap();
        assert!(
            missing.starts_with("node 2 wraps under master key mk2, which this node lacks; copy"),
            "{missing}"
        );
        assert!(said("mk1", &[("mk1", "z")]).unwrap().contains("another master key of the id mk1"));
    }
}
