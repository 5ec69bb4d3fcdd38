//! The keys of a plan, opened or derived, with the terms that licenses have for them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use keymoot_audit::{Action, KeyName};
use keymoot_auth::Grant;
use keymoot_model::{ContentId, Policy};

use super::DocumentKey;
use super::plan::{DocumentPlan, KeyOriginOf, PlannedKey};
use super::seeds::OpenSeeds;
use crate::error::ServiceError;
use crate::keys::Keys;
use crate::policies::Policies;
use crate::replicated_state::ReplicatedState;

impl<R: ReplicatedState> Keys<R> {
    /// The keys of a document whose contents are all known, and says on the trail that they leave.
    pub(super) fn answer_document(
        &self,
        grant: &Grant,
        plan: DocumentPlan,
    ) -> Result<Vec<DocumentKey>, ServiceError> {
        let account = grant.account();
        let policies = Policies::new(self.cluster.clone());
        let mut by_content: HashMap<ContentId, Option<Policy>> = HashMap::new();
        let mut seeds = OpenSeeds::new(self.cluster.state(), &self.keyring, &account.id);
        let mut answer = Vec::with_capacity(plan.keys.len());
        for planned in plan.keys {
            let policy = match by_content.entry(planned.content.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unseen) => unseen.insert(policies.of_content(account, &planned.content)?),
            };
            let protection =
                policy.as_ref().map(|policy| policy.protection_of(&planned.track)).unwrap_or_default();
            let PlannedKey { content, kid, kind, origin, source, track, iv, .. } = planned;
            let (key, version) = match origin {
                KeyOriginOf::Stored(stored) => (stored.key, stored.version),
                KeyOriginOf::Derived(Some(version)) => {
                    (seeds.keys(&content, version)?.key(kind, &kid), version.version)
                }
                KeyOriginOf::Derived(None) | KeyOriginOf::Later => {
                    return Err(ServiceError::Protocol { command: "note-document" });
                }
            };
            let name = KeyName {
                content: Some(content),
                track: Some(track),
                kid: Some(kid),
                version: Some(version),
                period: None,
            };
            grant.trail().hand_out(Action::DOCUMENT_KEY, name);
            if let Some(metrics) = &self.metrics {
                metrics.document_keys_total.with_label_values(&[source.label()]).inc();
            }
            answer.push(DocumentKey { kid, key, iv, source, protection });
        }
        Ok(answer)
    }
}
