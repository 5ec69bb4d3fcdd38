//! Ingestion: what a packager wants of a content, all of it in one proposal.
//!
//! A proposal applies its commands in order, and one that is refused does not keep the others from being
//! applied. So what can be refused is looked for first, after a linearizable read where more than a key is
//! at stake: of an ingestion that is refused then, nothing is proposed at all. What comes in between, in
//! the moment until the proposal is applied, is answered the same, and taken back: see [`batch`].

mod batch;
mod part;
mod plan;
mod turns;

use keymoot_audit::Action;
use keymoot_auth::Grant;
use keymoot_crypto::ContentKey;
use keymoot_model::{Auxiliary, ContentId, Kid, Period, PolicyName, TrackName};

use super::attachment::attachment;
use super::changes::key_name;
use super::error::ServiceError;
use super::keys::{Keys, ServedKey};
use super::periods::{PeriodRange, ServedPeriod};
use super::replicated_state::ReplicatedState;
use super::track::ContentTrack;
use batch::Batch;
use part::{Stored, out_of_protocol};
use plan::{Planned, PlannedTrack};

pub(super) use turns::Turns;

/// What a packager wants of a content. [`Self::of`] gives one to add to.
#[derive(Debug)]
pub struct Ingestion<'i> {
    pub content: &'i ContentId,
    pub keys: WantedKeys<'i>,
    /// To be attached to the content.
    pub policy: Option<&'i PolicyName>,
    /// To be kept with the content.
    pub auxiliary: Option<Auxiliary>,
    /// Leave a policy alone that is attached, and auxiliary data that is kept.
    pub if_absent: bool,
}

impl<'i> Ingestion<'i> {
    /// These keys of a content, and nothing beside them.
    pub fn of(content: &'i ContentId, keys: WantedKeys<'i>) -> Self {
        Self { content, keys, policy: None, auxiliary: None, if_absent: true }
    }
}

/// The keys that are wanted of a content.
#[derive(Debug)]
pub enum WantedKeys<'i> {
    /// A key of each of these tracks.
    Tracks(Vec<WantedTrack<'i>>),
    /// The keys of successive crypto periods of each of these tracks, which begin to rotate if they do not.
    Periods { tracks: Vec<&'i TrackName>, range: PeriodRange },
    /// A new seed for the periods of one length, and the keys of some of these. Keys derived from the old
    /// seed stay licensable by their key ids.
    NewSeed {
        track: &'i TrackName,
        length_s: u32,
        /// The periods whose keys are the answer, if any are; of this length.
        range: Option<PeriodRange>,
    },
    /// Stores a key of the packager's own for one period; it wins over the derived one. Supplied again,
    /// another key takes its place, and the old one stays licensable.
    PeriodKey { track: &'i TrackName, period: Period, own: (Kid, ContentKey) },
}

impl<'i> WantedKeys<'i> {
    /// The key of one track, made now if it has none. Whoever asks first, on whatever node, decides; all
    /// get the same key.
    pub fn created(track: &'i TrackName) -> Self {
        Self::Tracks(vec![WantedTrack::created(track)])
    }

    /// The tracks whose keys are wanted for their whole length, in their order.
    fn tracks(&self) -> Vec<&'i TrackName> {
        match self {
            Self::Tracks(tracks) => tracks.iter().map(|wanted| wanted.track).collect(),
            Self::Periods { .. } | Self::NewSeed { .. } | Self::PeriodKey { .. } => Vec::new(),
        }
    }

    /// The keys of successive crypto periods of one track.
    pub fn periods(track: &'i TrackName, range: PeriodRange) -> Self {
        Self::Periods { tracks: vec![track], range }
    }
}

/// A track whose key is wanted.
#[derive(Debug)]
pub struct WantedTrack<'i> {
    pub track: &'i TrackName,
    /// What becomes of a key that it has.
    pub change: KeyChange,
    /// The packager's own key; without it one is made.
    pub supplied: Option<(Kid, ContentKey)>,
}

impl<'i> WantedTrack<'i> {
    /// The track's key, made now if it has none.
    pub fn created(track: &'i TrackName) -> Self {
        Self { track, change: KeyChange::Create, supplied: None }
    }
}

/// What becomes of a key that a track has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// It stays and is the answer, whatever was supplied.
    Create,
    /// It stays. Supplied again, it is the answer, be it an old version; another one is a conflict.
    Import,
    /// It becomes an old version, which stays licensable.
    Replace,
}

/// What came of an ingestion.
#[derive(Debug, Default)]
pub struct Ingested {
    /// The tracks' keys, in the order of the tracks.
    pub keys: Vec<ServedKey>,
    /// The keys of each track's periods, in the order of the tracks.
    pub periods: Vec<Vec<ServedPeriod>>,
}

impl<R: ReplicatedState> Keys<R> {
    /// Does what a packager wants of a content in one proposal, or in none when all of it is there. Only a
    /// lost race for a track's version takes another one, in its turn and up to the deadline of requests,
    /// and the cluster's first crypto period ever.
    ///
    /// What is refused, and what is left of it:
    /// - An unknown policy, a key id that names another key, an import of another key than the track has:
    ///   nothing was changed.
    /// - The same, brought about by another request between the look and the proposal: keys that this
    ///   request created are deleted again if the policy is gone, so that no license is made without it, and
    ///   auxiliary data is put back as it was. A policy that is there is attached; a key that replaced
    ///   another one or holds for a period stays, and so does a seed, of which nothing was handed out.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPolicy`]; [`ServiceError::Conflict`] says what a supplied key contradicts;
    /// [`ServiceError::Contended`]; when the cluster does not answer, or a key cannot be made or opened.
    pub async fn ingest(&self, grant: &Grant, wanted: Ingestion<'_>) -> Result<Ingested, ServiceError> {
        let (content, tracks) = (wanted.content, wanted.keys.tracks());
        let ingested = self.ingest_wanted(grant, wanted).await?;
        let place = |track| ContentTrack::new(content, track).place(&grant.account().id);
        for (track, ServedKey { kid, version, .. }) in tracks.iter().zip(&ingested.keys) {
            grant.trail().hand_out(Action::KEY_READ, key_name(&place(track), *kid, *version, None));
        }
        Ok(ingested)
    }

    async fn ingest_wanted(&self, grant: &Grant, wanted: Ingestion<'_>) -> Result<Ingested, ServiceError> {
        let Ingestion { content, keys, policy, auxiliary, if_absent } = wanted;
        let is_alone = policy.is_none() && auxiliary.is_none();
        let attach = match policy {
            Some(policy) => attachment(&self.cluster, grant, content, policy, if_absent).await?,
            None => None,
        };
        let mut batch = Batch::new(grant, content).attaching(attach);
        if let Some(auxiliary) = auxiliary {
            batch = batch.keeping(content, auxiliary, if_absent);
        }
        let place = |track| ContentTrack::new(content, track).place(&grant.account().id);
        Ok(match keys {
            WantedKeys::Tracks(tracks) => {
                let plan = self.plan_tracks(grant, content, tracks, is_alone).await?;
                Ingested { keys: self.store_tracks(batch, plan).await?, periods: Vec::new() }
            }
            WantedKeys::Periods { tracks, range } => {
                let plan = self.plan_seeds(grant, content, &tracks, range.length_s()).await?;
                let periods = self.store_seeds(grant, batch, plan, Some(range)).await?;
                Ingested { keys: Vec::new(), periods }
            }
            WantedKeys::NewSeed { track, length_s, range } => {
                if range.is_some() {
                    // Keys may have been supplied for its periods elsewhere.
                    self.make_fresh(grant).await?;
                }
                let plan = self.new_seed(place(track), length_s, true)?;
                let periods = self.store_seeds(grant, batch, vec![plan], range).await?;
                Ingested { keys: Vec::new(), periods }
            }
            WantedKeys::PeriodKey { track, period, own } => {
                let plan = self.plan_period_key(place(track), period, own).await?;
                let served = self.store_period_key(batch, plan, period).await?;
                let name = key_name(&place(track), served.kid, served.version, Some(period));
                grant.trail().hand_out(Action::KEY_READ, name);
                Ingested { keys: Vec::new(), periods: vec![vec![served]] }
            }
        })
    }

    /// Stores what is planned, and holds imports against what came of it.
    async fn store_tracks(
        &self,
        batch: Batch<'_>,
        plan: Vec<PlannedTrack>,
    ) -> Result<Vec<ServedKey>, ServiceError> {
        let (planned, imports): (Vec<Planned>, Vec<_>) =
            plan.into_iter().map(|track| (track.planned, track.import)).unzip();
        let mut keys = Vec::with_capacity(planned.len());
        for (stored, import) in self.store(batch, planned).await?.into_iter().zip(imports) {
            let Stored::Key(served) = stored else { return Err(out_of_protocol("create-key")) };
            keys.push(match import {
                Some(import) => self.imported(served, &import).await?,
                None => served,
            });
        }
        Ok(keys)
    }

    async fn store_seeds(
        &self,
        grant: &Grant,
        batch: Batch<'_>,
        plan: Vec<Planned>,
        range: Option<PeriodRange>,
    ) -> Result<Vec<Vec<ServedPeriod>>, ServiceError> {
        let mut periods = Vec::with_capacity(plan.len());
        for stored in self.store(batch, plan).await? {
            let Stored::Seed(seed) = stored else { return Err(out_of_protocol("create-seed")) };
            periods.push(match range {
                Some(range) => self.serve(grant, &seed, range).await?,
                None => Vec::new(),
            });
        }
        Ok(periods)
    }

    async fn store_period_key(
        &self,
        batch: Batch<'_>,
        plan: Planned,
        period: Period,
    ) -> Result<ServedPeriod, ServiceError> {
        match self.store(batch, vec![plan]).await?.pop() {
            Some(Stored::Key(ServedKey { kid, key, version, .. })) => {
                Ok(ServedPeriod { period, kid, key, version, supplied: true })
            }
            _ => Err(out_of_protocol("supply-period-key")),
        }
    }
}

impl Ingested {
    /// The key of the one track that was wanted.
    ///
    /// # Errors
    /// [`ServiceError::Protocol`] when no key of a track was wanted.
    pub fn into_key(mut self) -> Result<ServedKey, ServiceError> {
        self.keys.pop().ok_or_else(|| out_of_protocol("create-key"))
    }

    /// The periods of the one track that was wanted.
    ///
    /// # Errors
    /// [`ServiceError::Protocol`] when no periods were wanted.
    pub fn into_periods(mut self) -> Result<Vec<ServedPeriod>, ServiceError> {
        self.periods.pop().ok_or_else(|| out_of_protocol("create-seed"))
    }
}
