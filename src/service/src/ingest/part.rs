//! A key or seed on its way into the state: the command that stores it, and what the answer means.

use keymoot_crypto::{ContentKey, Keyring, PeriodSeed};
use keymoot_model::{KeyOrigin, KeyPath, KeyRecord, Kid, Period, SeedRecord};
use keymoot_state::{Command, DocumentKeyRecord, NewKey, NewSeed, Response};

use crate::documents::derived_key;
use crate::error::ServiceError;
use crate::keys::ServedKey;

/// A key that is about to be proposed: supplied by the scrambler, or made here.
pub(super) struct Candidate {
    pub kid: Kid,
    pub key: ContentKey,
    pub origin: KeyOrigin,
}

/// What is to be stored in a track as its next version.
pub(super) enum Part {
    /// A key, for the whole track or for one period.
    Key { place: KeyPath, version: u32, candidate: Candidate, period: Option<Period>, replaces: bool },
    /// A seed for periods of one length.
    Seed { place: KeyPath, version: u32, length_s: u32, seed: PeriodSeed, replaces: bool },
}

/// What is in a track.
pub(super) enum Stored {
    Key(ServedKey),
    Seed(Box<SeedRecord>),
}

/// What an answer means for a part.
pub(super) enum Outcome {
    /// This key was stored in this track, which had none.
    Created(ServedKey, KeyPath),
    /// This is there, stored now or before.
    There(Stored),
    /// Others came first: propose it again.
    Again(Part),
}

impl Part {
    /// The command that stores it, wrapped for the version that comes next as far as is known.
    pub(super) fn command(&self, keyring: &Keyring) -> Result<Command, ServiceError> {
        Ok(match self {
            Self::Key { place, version, candidate: Candidate { kid, key, origin }, period, replaces } => {
                let wrapped = match period {
                    None => keyring.wrap_content_key(key, place, *version, kid),
                    Some(period) => keyring.wrap_period_key(key, place, *version, kid, *period),
                };
                let key = wrapped.map_err(|error| ServiceError::Making(error.to_string()))?;
                let place = place.clone();
                let new = NewKey { place, version: *version, kid: *kid, key, origin: *origin };
                match (period, replaces) {
                    (Some(period), _) => Command::SupplyPeriodKey { key: new, period: *period },
                    (None, true) => Command::ReplaceKey(new),
                    (None, false) => Command::CreateKey(new),
                }
            }
            Self::Seed { place, version, length_s, seed, replaces } => {
                let wrapped = keyring.wrap_period_seed(seed, place, *version, *length_s);
                let seed = wrapped.map_err(|error| ServiceError::Making(error.to_string()))?;
                let new = NewSeed { place: place.clone(), version: *version, length_s: *length_s, seed };
                if *replaces { Command::ReplaceSeed(new) } else { Command::CreateSeed(new) }
            }
        })
    }

    /// What the state's answer to [`Self::command`] means.
    pub(super) fn outcome(self, response: Response, keyring: &Keyring) -> Result<Outcome, ServiceError> {
        match (self, response) {
            (Self::Key { place, version, candidate, period, replaces }, Response::Stored) => {
                let served = ServedKey { kid: candidate.kid, key: candidate.key, version, iv: None };
                Ok(match (period, replaces) {
                    (None, false) => Outcome::Created(served, place),
                    _ => Outcome::There(Stored::Key(served)),
                })
            }
            (Self::Key { period: None, replaces: false, .. }, Response::Existing(record)) => {
                Ok(Outcome::There(Stored::Key(open(keyring, &record)?)))
            }
            (Self::Key { place, candidate, period, .. }, Response::KidTaken(taken)) => {
                repeated(&place, &candidate, period, &taken, keyring)
                    .map(|served| Outcome::There(Stored::Key(served)))
            }
            (Self::Key { place, candidate, period, replaces, .. }, Response::DocumentKey(record)) => {
                let has_track = period.is_none() && !replaces && record.place == place;
                of_document(&record, &candidate, &place, has_track, keyring)
            }
            (Self::Seed { .. }, Response::Seed(record)) => Ok(Outcome::There(Stored::Seed(record))),
            (Self::Seed { .. }, Response::NumbersExhausted) => Err(ServiceError::Conflict(
                "the content has used up its versions; use another content_id".to_owned(),
            )),
            (part, Response::VersionMoved { next }) => Ok(Outcome::Again(part.of_version(next))),
            (part, _) => Err(out_of_protocol(part.command_name())),
        }
    }

    fn of_version(mut self, next: u32) -> Self {
        match &mut self {
            Self::Key { version, .. } | Self::Seed { version, .. } => *version = next,
        }
        self
    }

    fn command_name(&self) -> &'static str {
        match self {
            Self::Key { period: Some(_), .. } => "supply-period-key",
            Self::Key { replaces: true, .. } => "replace-key",
            Self::Key { .. } => "create-key",
            Self::Seed { .. } => "create-seed",
        }
    }
}

/// The key id exists. The same key for the same place is a repetition of a request whose answer got lost;
/// anything else is a conflict.
pub(super) fn repeated(
    place: &KeyPath,
    candidate: &Candidate,
    period: Option<Period>,
    taken: &KeyRecord,
    keyring: &Keyring,
) -> Result<ServedKey, ServiceError> {
    let served = open(keyring, taken)?;
    let is_there = taken.place == *place && (period.is_none() || taken.period == period);
    if is_there && served.key.same_as(&candidate.key) {
        return Ok(served);
    }
    Err(ServiceError::Conflict(format!(
        "key_id {} already names another key; give a key_id that was never used",
        candidate.kid.to_base64()
    )))
}

/// A document gave the track a key, which stays, or the key id another one.
fn of_document(
    record: &DocumentKeyRecord,
    candidate: &Candidate,
    place: &KeyPath,
    has_track: bool,
    keyring: &Keyring,
) -> Result<Outcome, ServiceError> {
    let served = derived_key(keyring, record)?;
    let is_repeated = record.place.content == place.content && served.key.same_as(&candidate.key);
    if !record.is_deleted && (has_track || is_repeated) {
        return Ok(Outcome::There(Stored::Key(served)));
    }
    Err(ServiceError::Conflict(format!(
        "an encryptor's document gave key_id {} a key already; give a key_id that was never used",
        candidate.kid.to_base64()
    )))
}

/// The state answered with something that the command cannot have.
pub(super) fn out_of_protocol(command: &'static str) -> ServiceError {
    ServiceError::Protocol { command }
}

/// Opens a stored key.
pub(super) fn open(keyring: &Keyring, record: &KeyRecord) -> Result<ServedKey, ServiceError> {
    let key = keyring.unwrap_content_key(record)?;
    Ok(ServedKey { kid: record.kid, key, version: record.version, iv: None })
}
