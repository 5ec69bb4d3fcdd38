//! The task that has the cluster know this node's log, and cosigns those of the others.
//!
//! It proposes only what has grown: in a cluster where nothing happens, nothing is written for the audit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use keymoot_audit::{Action, Actor, Cosigned, Event, Outcome};
use keymoot_model::{ClusterName, NodeId};
use keymoot_state as state;
use keymoot_state::{AuditLogChange, AuditLogRecord, AuditLogRefusal, Command, Response, StateError};
use keymoot_telemetry::{LastingConditions, Metrics};

use crate::audit::cosigner::{Cosigner, Round};
use crate::audit::finding::AuditReport;
use crate::audit::own_log::OwnLog;
use crate::audit::records::{cosigned, keys};
use crate::members::membership::Members;
use crate::peer::peers::Peers;
use crate::raft::state_view::StateView;
use crate::write::clock::now_ms;
use crate::write::forwarder::ProposalForwarder;

/// How often the node looks whether a log has grown.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often a node with a replaced disk looks for its old log before it registers the new one: the old one may never
/// have been registered.
const LOOKS_FOR_PREDECESSOR: u32 = 15;
/// Once in so many rounds the other logs must prove that they still hold what they held, also where none has grown.
const WATCH_ROUNDS: u32 = 10;
/// The time limit for a proposal.
const PATIENCE: Duration = Duration::from_secs(3);
/// What this node knows of the others' logs, as [`AuditReport::note_own`] names it.
const MEMORY: &str = "memory";
const OWN: &str = "own";

/// Has the cluster know this node's log, and cosigns those of the others.
pub(crate) struct AuditWorker {
    cluster: ClusterName,
    own: OwnLog,
    members: Arc<Members>,
    state: StateView,
    forwarder: Arc<ProposalForwarder>,
    peers: Peers,
    report: AuditReport,
    metrics: Arc<Metrics>,
    /// Where what was cosigned is remembered.
    dir: PathBuf,
    /// The node that this one was before its disk was replaced.
    replaces: Option<NodeId>,
    /// How often it is looked whether the log before this one is known by now.
    looks_left: u32,
    /// Whether an event of this process names the log before this one.
    names_predecessor: bool,
    cosigner: Option<Cosigner>,
    /// How much of this node's log others have cosigned, by signatures that hold.
    cosigned: u64,
    /// Size and number of cosigners of the checkpoint that lies beside the log.
    kept: Option<(u64, usize)>,
    lasting: LastingConditions<String>,
}

impl AuditWorker {
    /// Works for the node that writes `own` into `dir`.
    pub(crate) fn new(
        (cluster, own, dir): (ClusterName, OwnLog, PathBuf),
        replaces: Option<NodeId>,
        (members, peers): (Arc<Members>, Peers),
        (state, forwarder): (StateView, Arc<ProposalForwarder>),
        report: AuditReport,
        metrics: Arc<Metrics>,
    ) -> Self {
        let lasting = LastingConditions::new();
        Self {
            cluster,
            own,
            members,
            state,
            forwarder,
            peers,
            report,
            metrics,
            dir,
            replaces,
            looks_left: LOOKS_FOR_PREDECESSOR,
            names_predecessor: false,
            cosigner: None,
            cosigned: 0,
            kept: None,
            lasting,
        }
    }

    /// Runs as long as Raft does.
    pub(crate) async fn run(mut self) {
        let mut rounds: u32 = 0;
        while self.members.is_running() {
            tokio::time::sleep(LOOK_EVERY).await;
            rounds = rounds.wrapping_add(1);
            if let Err(error) = self.look(rounds.is_multiple_of(WATCH_ROUNDS)).await {
                tracing::debug!(%error, "the audit logs cannot be read from the state");
            }
        }
    }

    async fn look(&mut self, watch: bool) -> Result<(), StateError> {
        if !state::keeps_audit_logs(&self.state)? {
            return Ok(());
        }
        let logs = state::audit_logs(&self.state)?;
        let known = logs.iter().find(|log| log.name == self.own.name);
        let contradiction = known.and_then(|known| self.own.contradiction(known));
        let mut changes = match &contradiction {
            // What the cluster would refuse is not proposed again and again.
            Some(_) => Vec::new(),
            None if self.awaits_predecessor(known.is_some())? => Vec::new(),
            None => {
                self.name_predecessor()?;
                self.own.news(&self.state, self.replaces)?
            }
        };
        self.complain(OWN, contradiction);
        let members: BTreeSet<NodeId> = self.members.membership().nodes().map(|(id, _)| *id).collect();
        self.report.keep(|name| {
            let is_current = |log: &AuditLogRecord| log.name == *name && log.followed_by.is_none();
            members.contains(&name.node) && logs.iter().any(is_current)
        });
        let round = match self.open_memory() {
            Some(cosigner) => cosigner.round(&logs, &members, watch).await,
            None => Round::default(),
        };
        if self.cosigner.is_some() {
            self.complain(MEMORY, round.unable.map(|error| unable(&self.dir, &error)));
        }
        for (name, checked) in round.checked {
            if let Some(checked) = checked {
                self.judged(name, checked);
            }
        }
        changes.extend(round.changes);
        self.propose(changes).await;
        self.keep(&logs).await;
        self.measure(&members);
        Ok(())
    }

    /// Whether the log before this one may still come: a node whose disk was replaced begins without the cluster's state,
    /// and is told of it piece by piece.
    fn awaits_predecessor(&mut self, is_known: bool) -> Result<bool, StateError> {
        if is_known || self.replaces.is_none() || self.looks_left == 0 {
            return Ok(false);
        }
        self.looks_left -= 1;
        Ok(!self.own.knows_predecessor(&self.state, self.replaces)?)
    }

    /// Has the log name the one before it, where it could not when it began, before the cluster knows of it.
    fn name_predecessor(&mut self) -> Result<(), StateError> {
        if self.names_predecessor {
            return Ok(());
        }
        if let Some(before) = self.own.unnamed(&self.state, self.replaces)? {
            let node = self.own.name.node;
            let mut event = Event::new(node, now_ms(), Action::AUDIT_LOG_BEGIN, Outcome::Done, Actor::SYSTEM);
            event.object = Some(before.named_by(self.own.log.origin()));
            event.reason = Some(before.reason);
            // Why it cannot be written is complained of by itself.
            self.names_predecessor = self.own.log.append(event).is_ok();
        }
        Ok(())
    }

    /// What this node has cosigned, once it can be read.
    fn open_memory(&mut self) -> Option<&mut Cosigner> {
        if self.cosigner.is_none() {
            match Cosigned::open(&self.dir) {
                Ok(remembered) => {
                    self.complain(MEMORY, None);
                    self.cosigner = Some(Cosigner {
                        cluster: self.cluster.clone(),
                        own: self.own.clone(),
                        peers: self.peers.clone(),
                        remembered: Arc::new(Mutex::new(remembered)),
                        other_logs: BTreeMap::new(),
                    });
                }
                Err(error) => self.complain(MEMORY, Some(unable(&self.dir, &error.to_string()))),
            }
        }
        self.cosigner.as_mut()
    }

    fn complain(&self, what: &'static str, complaint: Option<String>) {
        if let Some(complaint) = &complaint
            && let Some(unlogged) = self.lasting.note(what.to_owned())
        {
            tracing::error!(%complaint, unlogged, "the audit is not what it should be");
        }
        self.report.note_own(what, complaint);
    }

    /// A log of another node fits what this node had seen, or not: that is an event itself.
    fn judged(&self, name: state::AuditLogName, checked: Result<(), crate::audit::finding::Fault>) {
        let fault = checked.as_ref().err().map(ToString::to_string);
        let is_new = self.report.note(name, checked);
        let Some(fault) = fault else { return };
        if let Some(unlogged) = self.lasting.note(name.to_string()) {
            tracing::error!(log = %name, fault, unlogged, "the audit log of another node is not cosigned");
        }
        if is_new {
            let node = self.own.name.node;
            let mut event = Event::new(node, now_ms(), Action::AUDIT_COSIGN, Outcome::Refused, Actor::SYSTEM);
            (event.object, event.reason) = (Some(format!("log={name}")), Some(fault));
            // Why it cannot be written is complained of by itself.
            drop(self.own.log.append(event));
        }
    }

    async fn propose(&self, changes: Vec<AuditLogChange>) {
        if changes.is_empty() {
            return;
        }
        let commands =
            changes.iter().map(|change| Command::ChangeAuditLogs(Box::new(change.clone()))).collect();
        match self.forwarder.replicate(commands, Instant::now() + PATIENCE).await {
            Ok(responses) => {
                for (change, response) in changes.iter().zip(responses) {
                    if let Response::AuditLogRefused(refusal) = response
                        && refusal != AuditLogRefusal::NoCheckpoint
                    {
                        tracing::debug!(%refusal, what = change.verb(), "the record of an audit log is not changed");
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "the audit logs were not told of yet"),
        }
    }

    /// Lays what the others have cosigned of this node's log beside it, so that a copy of its files can be verified
    /// without the cluster.
    async fn keep(&mut self, logs: &[AuditLogRecord]) {
        let own = logs.iter().find(|log| log.name == self.own.name);
        let Some(newest) = own.and_then(AuditLogRecord::last_cosigned) else { return };
        let seen = (newest.at.size, newest.cosignatures.len());
        if self.kept == Some(seen) {
            return;
        }
        let Some((note, by)) = cosigned(self.own.key(), newest, &keys(&self.cluster, logs)) else { return };
        if by.is_empty() {
            return;
        }
        self.cosigned = newest.at.size;
        let log = self.own.log.clone();
        // The disk may take its time.
        match tokio::task::spawn_blocking(move || log.keep_cosigned(&note)).await {
            Ok(Ok(())) => self.kept = Some(seen),
            Ok(Err(error)) => {
                if let Some(unlogged) = self.lasting.note("checkpoints".to_owned()) {
                    tracing::warn!(%error, unlogged, "the cosigned checkpoint cannot be kept beside the audit log");
                }
            }
            Err(error) => tracing::debug!(%error, "the cosigned checkpoint was not kept"),
        }
    }

    fn measure(&self, members: &BTreeSet<NodeId>) {
        let (_, at) = self.own.signed();
        let can_be_cosigned = members.iter().any(|id| *id != self.own.name.node);
        let waits = self.report.note_cosigned(at.size, self.cosigned, can_be_cosigned);
        self.metrics.audit_uncosigned_seconds.set(waits.as_secs_f64());
        self.metrics.audit_logs_refused.set(i64::try_from(self.report.fault_count()).unwrap_or(i64::MAX));
    }
}

fn unable(dir: &std::path::Path, error: &str) -> String {
    format!(
        "this node cosigns no audit log: {error}; repair {file}, or move it away: the node then goes by what the cluster \
         has of its signatures",
        file = dir.join(Cosigned::FILE).display()
    )
}
