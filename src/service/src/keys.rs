//! Content keys that are there: read and deleted (uDRM 2.3.3). They are made by [`super::ingest`].

use std::sync::Arc;

use keymoot_audit::Action;
use keymoot_auth::Grant;
use keymoot_cluster::Cluster;
use keymoot_crypto::{ContentKey, Keyring};
use keymoot_model::{Consistency, KeyPath, KeyRecord, Kid, TrackName};
use keymoot_state as state;
use keymoot_state::{Command, DELETED_VERSIONS_MAX, Response};
use keymoot_telemetry::Metrics;

use super::account_limits::AccountLimits;
use super::changes::{change, key_name};
use super::documents::LateNotes;
use super::error::ServiceError;
use super::ingest::Turns;
use super::kid_key::KidKeys;
use super::replicated_state::ReplicatedState;
use super::track::ContentTrack;
use super::viewer_digests::OpenedDigests;

/// A key as a scrambler gets it.
#[derive(Debug)]
pub struct ServedKey {
    pub kid: Kid,
    pub key: ContentKey,
    /// Its version within its track.
    pub version: u32,
    /// The IV that licenses announce for it; `None`: the one that follows from the key id.
    pub iv: Option<[u8; 16]>,
}

/// The use cases around content keys.
#[derive(Clone)]
pub struct Keys<R = Cluster> {
    pub(super) cluster: R,
    pub(super) keyring: Arc<Keyring>,
    pub(super) kid_keys: Arc<KidKeys>,
    pub(super) turns: Arc<Turns>,
    pub(super) limits: Option<Arc<AccountLimits>>,
    pub(super) digests: Arc<OpenedDigests>,
    pub(super) late_notes: Arc<LateNotes>,
    pub(super) metrics: Option<Arc<Metrics>>,
}

impl<R: ReplicatedState> Keys<R> {
    /// Over this cluster, with this keyring.
    pub fn new(cluster: R, keyring: Arc<Keyring>) -> Self {
        Self {
            cluster,
            keyring,
            kid_keys: Arc::default(),
            turns: Arc::default(),
            limits: None,
            digests: Arc::default(),
            late_notes: Arc::default(),
            metrics: None,
        }
    }

    /// The same with these limits on new keys.
    pub fn with_limits(self, limits: Arc<AccountLimits>) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// The same, which counts what it hands out to documents.
    pub fn with_metrics(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// The track's current key, if it has one. A content alone stands for its default track.
    ///
    /// # Errors
    /// When the cluster does not answer or the key cannot be opened.
    pub async fn read<'t>(
        &self,
        grant: &Grant,
        track: impl Into<ContentTrack<'t>>,
    ) -> Result<Option<ServedKey>, ServiceError> {
        self.make_fresh(grant).await?;
        let (place, served) = self.applied(grant, track)?;
        if let Some(ServedKey { kid, version, .. }) = &served {
            grant.trail().hand_out(Action::KEY_READ, key_name(&place, *kid, *version, None));
        }
        Ok(served)
    }

    /// The same, as far as this node has applied the log, and where it is. Whoever hands it out says so on the trail.
    pub(super) fn applied<'t>(
        &self,
        grant: &Grant,
        track: impl Into<ContentTrack<'t>>,
    ) -> Result<(KeyPath, Option<ServedKey>), ServiceError> {
        let place = track.into().place(&grant.account().id);
        let served = self.current_of(&place)?;
        Ok((place, served))
    }

    /// A track's key as far as this node has applied the log: the stored one, else the one that documents gave it.
    pub(super) fn current_of(&self, place: &KeyPath) -> Result<Option<ServedKey>, ServiceError> {
        match state::current_key(self.cluster.state(), place)? {
            Some(record) => self.open(&record).map(Some),
            None => self.document_key_of(place),
        }
    }

    /// Deletes the track's key with all its versions and seeds, or only the version of `kid`; says
    /// how many versions went. With all versions of the default track go the content's auxiliary data, and what
    /// documents made of it: made anew by the same document, it has other keys.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn delete<'t>(
        &self,
        grant: &Grant,
        track: impl Into<ContentTrack<'t>>,
        kid: Option<Kid>,
    ) -> Result<u32, ServiceError> {
        let place = track.into().place(&grant.account().id);
        self.cluster.read_barrier().await?;
        let through = state::next_version(self.cluster.state(), &place)?.saturating_sub(1);
        let mut commands = Vec::with_capacity(2);
        let mut deleted = 0_u32;
        // Auxiliary data, and what documents made, belong to the content, which the default track stands for.
        if kid.is_none() && place.track == TrackName::default_track() {
            deleted = self.delete_documents(grant, &place.content).await?;
            commands.extend(self.auxiliary_deletion(grant, &place.content)?);
        }
        loop {
            commands.push(Command::DeleteKey { place: place.clone(), through, kid });
            match change(&self.cluster, grant, std::mem::take(&mut commands)).await?.pop() {
                Some(Response::Deleted { versions }) if versions < DELETED_VERSIONS_MAX => {
                    deleted = deleted.saturating_add(versions);
                    break;
                }
                // One command deletes no more.
                Some(Response::Deleted { versions }) => deleted = deleted.saturating_add(versions),
                _ => return Err(ServiceError::Protocol { command: "delete-key" }),
            }
        }
        // Behind the stored key: documents that name its key id must not get a derived one in its place.
        Ok(match kid {
            Some(kid) => deleted.max(self.delete_document_key(grant, &place.content, kid).await?),
            None => deleted,
        })
    }

    /// Waits for a linearizable read unless the account reads locally.
    pub(super) async fn make_fresh(&self, grant: &Grant) -> Result<(), ServiceError> {
        match grant.account().consistency {
            Consistency::Linearizable => Ok(self.cluster.read_barrier().await?),
            Consistency::Local => Ok(()),
        }
    }

    pub(super) fn open(&self, record: &KeyRecord) -> Result<ServedKey, ServiceError> {
        let key = self.keyring.unwrap_content_key(record)?;
        Ok(ServedKey { kid: record.kid, key, version: record.version, iv: None })
    }
}
