//! Documents of new contents that a node answers while it is cut off, for accounts that want that: what must be noted of
//! them is kept on disk before the answer leaves, and proposed once a quorum is back.
//!
//! The answer holds the keys of the seed and version that the content would get here. If the others noted the content
//! meanwhile with another seed, each key id keeps the key that was given; one that both gave a key is told in the log, in
//! the metrics and in the audit, since one of the two keys opens nothing any more.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keymoot_audit::{Action, NodeAudit, Outcome, Pending};
use keymoot_auth::Grant;
use keymoot_cluster::ClusterError;
use keymoot_model::{AccountId, ContentId, Kid};
use keymoot_state as state;
use keymoot_state::{Command, DOCUMENT_KEYS_MAX, DocumentVersion, NewDocument, Response};

use super::plan::{DocumentPlan, KeyOriginOf, PlannedKey};
use crate::error::ServiceError;
use crate::keys::Keys;
use crate::replicated_state::ReplicatedState;

/// How often it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The most contents that wait; a document of one more waits for the quorum as without the setting.
const WAITING_MAX: usize = 10_000;

/// The intents of what was tried and is tried again, by account and content: one for all attempts.
pub(crate) type Begun = BTreeMap<String, Pending>;
type Waiting = BTreeMap<(AccountId, ContentId), NewDocument>;

/// Whether the account lets a content that is new be answered at once, and noted later.
pub(super) fn notes_later(grant: &Grant) -> bool {
    grant.documents().note_later
}

/// What waits to be noted. Shared by all workers of a node.
#[derive(Debug, Default)]
pub(crate) struct LateNotes {
    waiting: Mutex<Waiting>,
    /// One file, which one writes at a time.
    writing: tokio::sync::Mutex<()>,
}

impl LateNotes {
    /// Gives key ids that were answered late what they were answered with. Whether nothing else is left to be noted.
    pub(super) fn complete(&self, account: &AccountId, keys: &mut [PlannedKey]) -> bool {
        let waiting = self.lock();
        if waiting.is_empty() {
            return false;
        }
        let mut is_complete = true;
        for key in keys {
            let late = waiting.get(&(account.clone(), key.content.clone()));
            let known = late.and_then(|late| late.keys.iter().find(|known| known.kid == key.kid));
            match (known, &mut key.origin) {
                (None, _) => is_complete &= key.news.is_none(),
                (Some(known), KeyOriginOf::Derived(version)) if known.replaced_in.is_none() => {
                    *version = late.and_then(|late| late.answered);
                }
                // What the server made says itself of which version it is.
                (Some(_), _) => {}
            }
        }
        is_complete
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code panics while it holds the lock, so a poisoned map is intact.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<NewDocument> {
        self.lock().values().cloned().collect()
    }

    /// Adds what was not noted; `false` when too much waits.
    fn add(&self, new: NewDocument) -> bool {
        let mut waiting = self.lock();
        let place = (new.account.clone(), new.content.clone());
        if waiting.len() >= WAITING_MAX && !waiting.contains_key(&place) {
            return false;
        }
        match waiting.get_mut(&place) {
            Some(known) => {
                let has = |kid: Kid| known.keys.iter().any(|key| key.kid == kid);
                let more: Vec<_> = new.keys.into_iter().filter(|key| !has(key.kid)).collect();
                if known.keys.len() + more.len() > DOCUMENT_KEYS_MAX {
                    return false;
                }
                known.keys.extend(more);
            }
            None => drop(waiting.insert(place, new)),
        }
        true
    }

    /// Forgets what was noted, unless more came meanwhile.
    fn noted(&self, noted: &NewDocument) {
        let place = (noted.account.clone(), noted.content.clone());
        let mut waiting = self.lock();
        if waiting.get(&place) == Some(noted) {
            waiting.remove(&place);
        }
    }

    /// The version that a content was answered with that waits.
    fn answered(&self, account: &AccountId, content: &ContentId) -> Option<DocumentVersion> {
        self.lock().get(&(account.clone(), content.clone())).and_then(|late| late.answered)
    }
}

impl<R: ReplicatedState> Keys<R> {
    /// Keeps what is new of a plan to be noted later, and lets the plan be answered.
    pub(super) async fn note_later(
        &self,
        grant: &Grant,
        plan: &mut DocumentPlan,
    ) -> Result<(), ServiceError> {
        let account = &grant.account().id;
        let waited = self.cluster.request_deadline();
        for (content, keys) in plan.news() {
            let Some(answered) = self.answered_with(account, content)? else {
                // Without a seed of the account's there is nothing to derive keys from.
                return Err(ClusterError::NoQuorum { waited }.into());
            };
            let (account, content) = (account.clone(), content.clone());
            let new = NewDocument { account, content, seed: None, keys, answered: Some(answered) };
            if !self.late_notes.add(new) {
                return Err(ClusterError::NoQuorum { waited }.into());
            }
        }
        self.keep_late_notes().await?;
        self.late_notes.complete(account, &mut plan.keys);
        Ok(())
    }

    /// The seed and version that a content has, or would get here.
    fn answered_with(
        &self,
        account: &AccountId,
        content: &ContentId,
    ) -> Result<Option<DocumentVersion>, ServiceError> {
        if let Some(answered) = self.late_notes.answered(account, content) {
            return Ok(Some(answered));
        }
        let tables = self.cluster.state();
        if let Some(known) = state::document_content(tables, account, content)? {
            return Ok(known.first());
        }
        let version = state::next_document_version(tables, account, content)?;
        let seed = state::current_document_seed(tables, account)?;
        Ok(seed.map(|seed| DocumentVersion { version, seed: seed.number }))
    }

    async fn keep_late_notes(&self) -> Result<(), ServiceError> {
        let _writing = self.late_notes.writing.lock().await;
        let waiting = self.late_notes.all();
        let bytes = if waiting.is_empty() { Vec::new() } else { state::documents_to_bytes(&waiting)? };
        Ok(self.cluster.keep_late_notes(bytes).await?)
    }

    /// Takes up what an earlier run of this node left to be noted.
    ///
    /// # Errors
    /// When what it kept cannot be read: the node must not start as if nothing had been answered.
    pub fn take_up_late_notes(&self) -> Result<(), ServiceError> {
        let kept = self.cluster.kept_late_notes()?;
        if kept.is_empty() {
            return Ok(());
        }
        let kept = state::documents_from_bytes(&kept)?;
        tracing::warn!(contents = kept.len(), "documents that were answered while cut off wait to be noted");
        for new in kept {
            self.late_notes.add(new);
        }
        Ok(())
    }

    /// Notes what waits as soon as a quorum answers, for as long as the node runs.
    pub async fn note_late_documents(self, audit: NodeAudit) {
        let mut begun = Begun::new();
        loop {
            self.note_waiting(&audit, &mut begun).await;
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Notes what waits, as far as a quorum answers.
    pub(crate) async fn note_waiting(&self, audit: &NodeAudit, begun: &mut Begun) {
        let waiting = self.late_notes.all();
        if let Some(metrics) = &self.metrics {
            metrics.late_documents.set(i64::try_from(waiting.len()).unwrap_or(i64::MAX));
        }
        for new in waiting {
            self.note_one_late(&new, audit, begun).await;
        }
    }

    async fn note_one_late(&self, new: &NewDocument, audit: &NodeAudit, begun: &mut Begun) {
        let object = format!("{}/{}", new.account, new.content);
        let intent = match begun.remove(&object) {
            Some(intent) => intent,
            None => {
                let event = audit.own(Action::DOCUMENT_NOTE, Outcome::Done, object.clone());
                // Where it cannot be written, nothing is proposed; it is tried again.
                let Ok(intent) = audit.begin(event).await else { return };
                intent
            }
        };
        let outcome = match self.cluster.propose_one(Command::NoteDocument(Box::new(new.clone()))).await {
            Ok(Response::DocumentRefused(refusal)) => {
                if let Some(metrics) = &self.metrics {
                    metrics.late_document_conflicts_total.inc();
                }
                tracing::error!(
                    account = %new.account, content = %new.content, why = %refusal,
                    "key ids that were answered while cut off have other keys in the cluster: encrypt the content again"
                );
                Outcome::Failed
            }
            Ok(_) => {
                tracing::info!(account = %new.account, content = %new.content, "a document answered while cut off is noted");
                Outcome::Done
            }
            // It is tried again.
            Err(_) => {
                begun.insert(object, intent);
                return;
            }
        };
        // The note stands whether or not this can be written; the intent then has no outcome, which says as much.
        drop(intent.end(outcome, None, None));
        self.late_notes.noted(new);
        if let Err(error) = self.keep_late_notes().await {
            tracing::warn!(%error, "that documents are noted is not kept; they are noted again after the next start");
        }
    }
}
