//! What of an ingestion is there already, and what must be proposed.
//!
//! What is absent here may exist elsewhere: then the command answers with it. What is present here may
//! have been replaced elsewhere: only a fresh read may be answered.

use keymoot_auth::Grant;
use keymoot_crypto::{ContentKey, PeriodSeed, random_kid};
use keymoot_model::{AccountId, ContentId, KeyOrigin, KeyPath, Kid, Period, TrackName};
use keymoot_state as state;

use super::part::{Candidate, Part, Stored, open, repeated};
use super::{KeyChange, WantedTrack};
use crate::ContentTrack;
use crate::error::ServiceError;
use crate::keys::{Keys, ServedKey};
use crate::replicated_state::ReplicatedState;

/// A key or seed that is wanted.
pub(super) enum Planned {
    There(Stored),
    /// It must be proposed.
    Propose(Part),
}

/// A track's key that is wanted.
pub(super) struct PlannedTrack {
    pub planned: Planned,
    /// What it is held against once it is there.
    pub import: Option<Import>,
}

/// A key brought along from elsewhere.
pub(super) struct Import {
    place: KeyPath,
    kid: Kid,
    key: ContentKey,
}

impl<R: ReplicatedState> Keys<R> {
    /// Plans the keys of whole tracks. Unless they are all that is wanted, one that must be refused is
    /// found here and not by the state, which would apply the rest.
    pub(super) async fn plan_tracks(
        &self,
        grant: &Grant,
        content: &ContentId,
        tracks: Vec<WantedTrack<'_>>,
        is_alone: bool,
    ) -> Result<Vec<PlannedTrack>, ServiceError> {
        let placed: Vec<(KeyPath, WantedTrack<'_>)> = tracks
            .into_iter()
            .map(|wanted| (ContentTrack::new(content, wanted.track).place(&grant.account().id), wanted))
            .collect();
        let mut keeps = false;
        for (place, wanted) in &placed {
            keeps |= wanted.change != KeyChange::Replace && self.current_of(place)?.is_some();
        }
        if !is_alone && placed.iter().any(|(_, wanted)| wanted.supplied.is_some()) {
            self.cluster.read_barrier().await?;
        } else if keeps {
            self.make_fresh(grant).await?;
        }
        let mut planned = Vec::with_capacity(placed.len());
        for (place, wanted) in placed {
            planned.push(self.plan_track(place, wanted, is_alone).await?);
        }
        Ok(planned)
    }

    async fn plan_track(
        &self,
        place: KeyPath,
        WantedTrack { change, supplied, .. }: WantedTrack<'_>,
        is_alone: bool,
    ) -> Result<PlannedTrack, ServiceError> {
        let import = match (change, &supplied) {
            (KeyChange::Import, Some((kid, key))) => {
                let key = ContentKey::from_bytes(key.expose());
                Some(Import { place: place.clone(), kid: *kid, key })
            }
            _ => None,
        };
        if change != KeyChange::Replace
            && let Some(mut served) = self.current_of(&place)?
        {
            if let Some(import) = &import {
                served = self.imported(served, import).await?;
            }
            return Ok(PlannedTrack { planned: Planned::There(Stored::Key(served)), import: None });
        }
        let candidate = self.candidate(&place.account, supplied)?;
        if !is_alone
            && let Some(taken) = state::key_by_kid(self.cluster.state(), &place.account, &candidate.kid)?
        {
            repeated(&place, &candidate, None, &taken, &self.keyring)?;
        }
        let version = state::next_version(self.cluster.state(), &place)?;
        let replaces = change == KeyChange::Replace;
        let part = Part::Key { place, version, candidate, period: None, replaces };
        Ok(PlannedTrack { planned: Planned::Propose(part), import })
    }

    /// Plans the seeds of rotating tracks for periods of one length.
    pub(super) async fn plan_seeds(
        &self,
        grant: &Grant,
        content: &ContentId,
        tracks: &[&TrackName],
        length_s: u32,
    ) -> Result<Vec<Planned>, ServiceError> {
        // The seed may have been replaced elsewhere: only a fresh read may be answered.
        self.make_fresh(grant).await?;
        let places = tracks.iter().map(|track| ContentTrack::new(content, track).place(&grant.account().id));
        places
            .map(|place| match state::schedule(self.cluster.state(), &place, length_s)? {
                Some(seed) => Ok(Planned::There(Stored::Seed(Box::new(seed)))),
                None => self.new_seed(place, length_s, false),
            })
            .collect()
    }

    /// Plans a seed that is made now.
    pub(super) fn new_seed(
        &self,
        place: KeyPath,
        length_s: u32,
        replaces: bool,
    ) -> Result<Planned, ServiceError> {
        let seed = PeriodSeed::generate().map_err(|error| ServiceError::Making(error.to_string()))?;
        let version = state::next_version(self.cluster.state(), &place)?;
        Ok(Planned::Propose(Part::Seed { place, version, length_s, seed, replaces }))
    }

    /// Plans a packager's own key for one period.
    pub(super) async fn plan_period_key(
        &self,
        place: KeyPath,
        period: Period,
        own: (Kid, ContentKey),
    ) -> Result<Planned, ServiceError> {
        self.cluster.read_barrier().await?;
        let candidate = self.candidate(&place.account, Some(own))?;
        if let Some(taken) = state::key_by_kid(self.cluster.state(), &place.account, &candidate.kid)? {
            let served = repeated(&place, &candidate, Some(period), &taken, &self.keyring)?;
            return Ok(Planned::There(Stored::Key(served)));
        }
        let version = state::next_version(self.cluster.state(), &place)?;
        Ok(Planned::Propose(Part::Key { place, version, candidate, period: Some(period), replaces: false }))
    }

    /// Holds the key of a track against the one that was brought along for it.
    pub(super) async fn imported(
        &self,
        served: ServedKey,
        import: &Import,
    ) -> Result<ServedKey, ServiceError> {
        if served.kid == import.kid && served.key.same_as(&import.key) {
            return Ok(served);
        }
        // It may have been the track's key before the one it has now.
        self.cluster.read_barrier().await?;
        if let Some(record) = state::key_by_kid(self.cluster.state(), &import.place.account, &import.kid)? {
            let known = open(&self.keyring, &record)?;
            if record.place == import.place && known.key.same_as(&import.key) {
                return Ok(known);
            }
        }
        Err(ServiceError::Conflict(format!(
            "the track has another key, key_id {}, which stays; PUT, or an item of /bulk with \"replace\":true, replaces it",
            served.kid.to_base64()
        )))
    }

    /// The key to propose: what was supplied, or a new one.
    fn candidate(
        &self,
        account: &AccountId,
        supplied: Option<(Kid, ContentKey)>,
    ) -> Result<Candidate, ServiceError> {
        let making = |error: keymoot_crypto::RandomError| ServiceError::Making(error.to_string());
        match supplied {
            Some((kid, key)) => {
                self.must_not_be_derived(account, &kid)?;
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
