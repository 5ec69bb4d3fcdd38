//! Content keys: read, create if absent, replace, delete (uDRM 2.3.3).

use std::sync::Arc;

use keymoot_auth::Grant;
use keymoot_cluster::Cluster;
use keymoot_crypto::{ContentKey, Keyring, random_kid};
use keymoot_model::{Consistency, KeyOrigin, KeyPlace, KeyRecord, Kid, TrackName};
use keymoot_state as state;
use keymoot_state::{Command, NewKey, Response};

use super::error::ServiceError;
use super::kid_key::KidKeys;
use super::replicated_state::ReplicatedState;
use super::track::ContentTrack;

/// How often a change is tried while other writers of the same track come first.
pub(super) const ATTEMPTS_MAX: u32 = 32;

/// A key as a scrambler gets it.
#[derive(Debug)]
pub struct ServedKey {
    /// Its key id.
    pub kid: Kid,
    /// The key.
    pub key: ContentKey,
    /// Its version within its track.
    pub version: u32,
}

/// A key that is about to be proposed: supplied by the scrambler, or made here.
struct Candidate {
    kid: Kid,
    key: ContentKey,
    origin: KeyOrigin,
}

/// The use cases around content keys.
#[derive(Clone)]
pub struct Keys<R = Cluster> {
    pub(super) cluster: R,
    pub(super) keyring: Arc<Keyring>,
    pub(super) kid_keys: Arc<KidKeys>,
}

impl<R: ReplicatedState> Keys<R> {
    /// Over this cluster, with this keyring.
    pub fn new(cluster: R, keyring: Arc<Keyring>) -> Self {
        Self { cluster, keyring, kid_keys: Arc::default() }
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
        self.applied(grant, track)
    }

    /// The same, as far as this node has applied the log.
    pub(super) fn applied<'t>(
        &self,
        grant: &Grant,
        track: impl Into<ContentTrack<'t>>,
    ) -> Result<Option<ServedKey>, ServiceError> {
        let place = track.into().place(&grant.account().id);
        match state::current_key(self.cluster.state(), &place)? {
            Some(record) => self.open(&record).map(Some),
            None => Ok(None),
        }
    }

    /// The track's current key; made now if it has none. Whoever asks first, on whatever node,
    /// decides; all get the same key.
    ///
    /// # Errors
    /// As for [`Self::read`]; [`ServiceError::Conflict`] when a supplied key id names another key.
    pub async fn create<'t>(
        &self,
        grant: &Grant,
        track: impl Into<ContentTrack<'t>>,
        supplied: Option<(Kid, ContentKey)>,
    ) -> Result<ServedKey, ServiceError> {
        let track = track.into();
        let place = track.place(&grant.account().id);
        // What is absent here may exist elsewhere: then the command answers with it. What is
        // present here may have been replaced elsewhere: only a fresh read may be answered.
        if state::current_key(self.cluster.state(), &place)?.is_some()
            && let Some(served) = self.read(grant, track).await?
        {
            return Ok(served);
        }
        let candidate = self.candidate(supplied)?;
        self.propose_key("create-key", &place, candidate, Command::CreateKey).await
    }

    /// A new key for the track, whether it has one or not. Old versions stay licensable.
    ///
    /// # Errors
    /// As for [`Self::create`].
    pub async fn replace<'t>(
        &self,
        grant: &Grant,
        track: impl Into<ContentTrack<'t>>,
        supplied: Option<(Kid, ContentKey)>,
    ) -> Result<ServedKey, ServiceError> {
        let candidate = self.candidate(supplied)?;
        let place = track.into().place(&grant.account().id);
        self.propose_key("replace-key", &place, candidate, Command::ReplaceKey).await
    }

    /// Deletes the track's key with all its versions and seeds, or only the version of `kid`; says
    /// how many versions went. With all versions goes the content's auxiliary data.
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
        // Auxiliary data belongs to the content, which the default track stands for.
        if kid.is_none() && place.track == TrackName::default_track() {
            self.delete_auxiliary(grant, &place.content).await?;
        }
        match self.cluster.propose_one(Command::DeleteKey { place, through, kid }).await? {
            Response::Deleted { versions } => Ok(versions),
            _ => Err(ServiceError::Protocol { command: "delete-key" }),
        }
    }

    /// Waits for a linearizable read unless the account reads locally.
    pub(super) async fn make_fresh(&self, grant: &Grant) -> Result<(), ServiceError> {
        match grant.account().consistency {
            Consistency::Linearizable => Ok(self.cluster.read_barrier().await?),
            Consistency::Local => Ok(()),
        }
    }

    /// Proposes a key for the track's next version, wrapping it again while others come first.
    async fn propose_key(
        &self,
        command: &'static str,
        place: &KeyPlace,
        candidate: Candidate,
        make: fn(NewKey) -> Command,
    ) -> Result<ServedKey, ServiceError> {
        let mut version = state::next_version(self.cluster.state(), place)?;
        for _ in 0..ATTEMPTS_MAX {
            let key = self
                .keyring
                .wrap_content_key(&candidate.key, place, version, &candidate.kid)
                .map_err(|error| ServiceError::Making(error.to_string()))?;
            let new =
                NewKey { place: place.clone(), version, kid: candidate.kid, key, origin: candidate.origin };
            match self.cluster.propose_one(make(new)).await? {
                Response::Stored => {
                    return Ok(ServedKey { kid: candidate.kid, key: candidate.key, version });
                }
                Response::Existing(record) => return self.open(&record),
                Response::VersionMoved { next } => version = next,
                Response::KidTaken(record) => return self.repeated(place, &candidate, &record),
                _ => return Err(ServiceError::Protocol { command }),
            }
        }
        Err(ServiceError::Contended { attempts: ATTEMPTS_MAX })
    }

    /// The key id exists. The same key for the same track is a repetition of a request whose
    /// answer got lost; anything else is a conflict.
    fn repeated(
        &self,
        place: &KeyPlace,
        candidate: &Candidate,
        taken: &KeyRecord,
    ) -> Result<ServedKey, ServiceError> {
        let served = self.open(taken)?;
        if taken.place == *place && served.key.same_as(&candidate.key) {
            return Ok(served);
        }
        Err(ServiceError::Conflict(format!(
            "key_id {} already names another key; give a key_id that was never used",
            candidate.kid.to_base64()
        )))
    }

    pub(super) fn open(&self, record: &KeyRecord) -> Result<ServedKey, ServiceError> {
        let key = self.keyring.unwrap_content_key(record)?;
        Ok(ServedKey { kid: record.kid, key, version: record.version })
    }

    /// The key to propose: what was supplied, or a new one.
    fn candidate(&self, supplied: Option<(Kid, ContentKey)>) -> Result<Candidate, ServiceError> {
        let making = |error: keymoot_crypto::RandomError| ServiceError::Making(error.to_string());
        match supplied {
            Some((kid, key)) => {
                self.must_not_be_derived(&kid)?;
                Ok(Candidate { kid, key, origin: KeyOrigin::Supplied })
            }
            None => Ok(Candidate {
                kid: random_kid().map_err(making)?,
                key: ContentKey::generate().map_err(making)?,
                origin: KeyOrigin::Generated,
            }),
        }
    }
}
