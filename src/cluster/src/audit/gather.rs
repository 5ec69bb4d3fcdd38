//! What all logs of the cluster have, gathered by the node that is asked: in the order of time, with what is missing
//! named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_audit::{Hash, SignedCheckpoint, VerifierKey};
use keymoot_model::{ClusterName, NodeId};
use keymoot_state as state;
use keymoot_state::{AuditLogName, AuditLogRecord, AuditPredecessor, NodeRecord};

use crate::audit::gap::{gap, silent};
use crate::audit::merge::merge;
use crate::audit::reader::{AuditReader, page_events};
use crate::audit::records::{cosigned, keys, origin};
use crate::error::ClusterError;
use crate::members::membership::Members;
use crate::peer::peers::Peers;
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::wire::admin::{AdminRequest, AdminResponse};
use crate::wire::audit::{
    AuditLogs, AuditPage, AuditReceivers, AuditSearch, EndedHere, HeldLog, HeldLogs, KnownCheckpoint,
    KnownLog, KnownSize,
};
use crate::wire::message::{Reply, Request};
use crate::write::clock::now_ms;

/// How long another node may take to answer; less than whoever asked waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// How long a quorum may take to say that it is there.
const QUORUM_WITHIN: Duration = Duration::from_secs(2);

/// Gathers from all nodes.
pub(crate) struct AuditGathering {
    pub cluster: ClusterName,
    pub reader: AuditReader,
    pub members: Arc<Members>,
    pub peers: Peers,
    pub state: StateView,
    pub barrier: Arc<ReadBarrier>,
    pub node: NodeId,
}

impl AuditGathering {
    /// Every log that the cluster knows. It is answered without a quorum, too.
    pub(crate) async fn logs(&self) -> Result<AuditLogs, ClusterError> {
        let records = state::audit_logs(&self.state)?;
        let removed = removed(&state::nodes(&self.state)?);
        // A leader that lost its quorum knows of it when it asks.
        let asked = self.barrier.wait(Instant::now() + QUORUM_WITHIN);
        let (held, quorum) = futures::future::join(self.held(), asked).await;
        let keys = keys(&self.cluster, &records);
        let mut logs = Vec::with_capacity(records.len());
        for record in records {
            let Some(key) = keys.get(&record.name) else { continue };
            let older = state::older_audit_checkpoints(&self.state, record.name)?;
            let kept = older.iter().chain(&record.checkpoints);
            let checkpoints = kept.filter_map(|kept| {
                let (note, cosigned_by) = cosigned(key, kept, &keys)?;
                let (size, root) = (kept.at.size, Hash::from_bytes(kept.at.root));
                let (note, proposed_at_ms) = (note.to_string(), kept.proposed_at_ms);
                Some(KnownCheckpoint { size, root, proposed_at_ms, note, cosigned_by })
            });
            let (held, not_held) = match held_of(&record, &held) {
                Ok(held) => (Some(held), None),
                Err(why) => (None, Some(why)),
            };
            logs.push(KnownLog {
                name: record.name,
                origin: origin(&self.cluster, record.name),
                key: key.to_string(),
                cosigner_key: key.cosigner_text(),
                registered_at_ms: record.registered_at_ms,
                before: record.before.map(|AuditPredecessor { name, last }| KnownSize {
                    name,
                    size: last.size,
                    root: Hash::from_bytes(last.root),
                }),
                followed_by: record.followed_by,
                removed: removed.contains(&record.name.node),
                checkpoints: checkpoints.collect(),
                held,
                not_held,
            });
        }
        let here = held.values().flatten().flat_map(|held| &held.ended);
        let is_known = |name: AuditLogName| keys.contains_key(&name);
        logs.extend(here.filter(|ended| !is_known(ended.held.name)).filter_map(|it| unregistered(it, &keys)));
        logs.sort_by_key(|log| (log.name.node, log.registered_at_ms));
        Ok(AuditLogs {
            unknown: unknown(&held, &keys),
            cluster: self.cluster.as_str().to_owned(),
            asked: self.node,
            clock_ms: now_ms(),
            quorum: quorum.is_ok(),
            logs,
        })
    }

    /// The logs that each member has, or why they are not known.
    async fn held(&self) -> Held {
        let asked = self.member_ids().into_iter().map(|id| async move {
            let held = match self.ask(id, AdminRequest::AuditLog).await {
                Ok(AdminResponse::AuditLog(held)) => Ok(*held),
                Ok(_) => Err("it answered another question".to_owned()),
                Err(error) => Err(error),
            };
            (id, held)
        });
        futures::future::join_all(asked).await.into_iter().collect()
    }

    /// How far the receivers of all members are.
    pub(crate) async fn receivers(&self) -> AuditReceivers {
        let asked = self.member_ids().into_iter().map(|id| async move {
            match self.ask(id, AdminRequest::AuditReceivers { everywhere: false }).await {
                Ok(AdminResponse::AuditReceivers(own)) => Ok(own.nodes),
                Ok(_) => Err((id, "it answered another question".to_owned())),
                Err(error) => Err((id, error)),
            }
        });
        let mut all = AuditReceivers::default();
        for answer in futures::future::join_all(asked).await {
            match answer {
                Ok(nodes) => all.nodes.extend(nodes),
                Err((id, error)) => drop(all.silent.insert(id, error)),
            }
        }
        all
    }

    /// Searches the logs of all members.
    pub(crate) async fn search(&self, search: AuditSearch) -> Result<AuditPage, ClusterError> {
        let records = state::audit_logs(&self.state)?;
        let own = AuditSearch { everywhere: false, ..search.clone() };
        let asked = self.member_ids().into_iter().map(|id| {
            let own = own.clone();
            async move {
                let page = match self.ask(id, AdminRequest::AuditSearch(Box::new(own))).await {
                    Ok(AdminResponse::AuditFound(page)) => Ok(*page),
                    Ok(_) => Err("it answered another question".to_owned()),
                    Err(error) => Err(error),
                };
                (id, page)
            }
        });
        let answers: BTreeMap<_, _> = futures::future::join_all(asked).await.into_iter().collect();
        let gaps = records.iter().filter_map(|record| gap(record, &records, &answers, &search));
        let gaps: Vec<_> = gaps.chain(silent(&records, &answers)).collect();
        let pages = answers.into_values().flatten().collect();
        let mut merged = merge(pages, page_events(&search.query), search.query.newest_first);
        merged.missing.extend(gaps);
        merged.missing.sort_by_key(|gap| (gap.node, gap.log, gap.from));
        // Where a log could not be asked, the next page asks for it from the same place.
        for position in search.positions {
            if !merged.positions.iter().any(|known| known.name == position.name) {
                merged.positions.push(position);
            }
        }
        Ok(merged)
    }

    fn member_ids(&self) -> BTreeSet<NodeId> {
        self.members.membership().nodes().map(|(id, _)| *id).chain([self.node]).collect()
    }

    /// Asks a member, this node among them.
    async fn ask(&self, id: NodeId, request: AdminRequest) -> Result<AdminResponse, String> {
        if id == self.node {
            return self.answer(request).await.map_err(|error| error.to_string());
        }
        let link = self.peers.requests(id).ok_or_else(|| "its address is not known".to_owned())?;
        match link.call(Request::Admin(request), ANSWER_WITHIN).await {
            Ok(Reply::Admin(AdminResponse::Refused(reason)) | Reply::Failed(reason)) => Err(reason),
            Ok(Reply::Admin(answer)) => Ok(answer),
            Ok(_) => Err("it answered another question".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Answers of this node alone.
    async fn answer(&self, request: AdminRequest) -> Result<AdminResponse, ClusterError> {
        match request {
            AdminRequest::AuditSearch(search) => {
                self.reader.search(*search).await.map(|page| AdminResponse::AuditFound(Box::new(page)))
            }
            AdminRequest::AuditReceivers { .. } => {
                self.reader.receivers().map(|own| AdminResponse::AuditReceivers(Box::new(own)))
            }
            _ => self.reader.held().await.map(|held| AdminResponse::AuditLog(Box::new(held))),
        }
    }
}

fn removed(nodes: &[NodeRecord]) -> BTreeSet<NodeId> {
    nodes.iter().filter(|node| node.removed_at_ms.is_some()).map(|node| node.id).collect()
}

/// The logs that each member has, or why they are not known.
type Held = BTreeMap<NodeId, Result<HeldLogs, String>>;

/// A log wherever it is: at the node that writes it, or where it ended.
fn held_of(record: &AuditLogRecord, held: &Held) -> Result<HeldLog, String> {
    let all = held.values().flatten();
    let mut all =
        all.flat_map(|held| [&held.current].into_iter().chain(held.ended.iter().map(|it| &it.held)));
    if let Some(found) = all.find(|found| found.name == record.name) {
        return Ok(found.clone());
    }
    match held.get(&record.name.node) {
        None => Err("its node is no member".to_owned()),
        Some(Err(error)) => Err(error.clone()),
        Some(Ok(held)) => Err(format!("its node writes {} now, and has this one no more", held.current.name)),
    }
}

/// The members whose log the cluster does not know, and why.
fn unknown(held: &Held, keys: &BTreeMap<AuditLogName, VerifierKey>) -> BTreeMap<NodeId, String> {
    let of_node = |id: NodeId| keys.keys().any(|known| known.node == id);
    let why = |(id, held): (&NodeId, &Result<HeldLogs, String>)| match held {
        Ok(held) if keys.contains_key(&held.current.name) => None,
        Ok(held) => Some((*id, format!("it writes {}, and has not registered that yet", held.current.name))),
        Err(_) if of_node(*id) => None,
        Err(error) => Some((*id, format!("it has registered none, and does not answer: {error}"))),
    };
    held.iter().filter_map(why).collect()
}

/// A log that ended at a node before the cluster knew of it, or in what the cluster was before it was restored. All that
/// is known of it lies beside it.
fn unregistered(ended: &EndedHere, cosigners: &BTreeMap<AuditLogName, VerifierKey>) -> Option<KnownLog> {
    let key: VerifierKey = ended.key.parse().ok()?;
    let notes = ended.notes.iter().filter_map(|note| SignedCheckpoint::parse(note).ok());
    let sound = notes.filter(|note| note.checkpoint().origin == key.name() && note.verify(&key).is_ok());
    let mut checkpoints: Vec<KnownCheckpoint> = sound
        .map(|note| {
            let others = cosigners.iter().filter(|(name, _)| **name != ended.held.name);
            let by = others.filter_map(|(name, key)| Some((name.node, note.verify_cosignature(key).ok()?)));
            KnownCheckpoint {
                size: note.checkpoint().size,
                root: note.checkpoint().root,
                proposed_at_ms: 0,
                cosigned_by: by.collect(),
                note: note.to_string(),
            }
        })
        .collect();
    checkpoints.sort_by_key(|checkpoint| checkpoint.size);
    Some(KnownLog {
        name: ended.held.name,
        origin: key.name().to_owned(),
        cosigner_key: key.cosigner_text(),
        key: ended.key.clone(),
        registered_at_ms: 0,
        before: None,
        followed_by: None,
        removed: false,
        checkpoints,
        held: Some(ended.held.clone()),
        not_held: None,
    })
}
