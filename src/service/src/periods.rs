//! The keys of crypto periods: arithmetic over one stored seed, and no consensus write per period.
//!
//! The first request for periods of a length stores a seed; every later one, on any node and for any
//! period, past or coming, is answered from it. A key that was supplied for a period wins there.

use keymoot_audit::Action;
use keymoot_auth::Grant;
use keymoot_crypto::{ContentKey, KidKey, PeriodKeys};
use keymoot_model::{Kid, Period, SeedRecord};
use keymoot_state as state;

use super::changes::key_name;
use super::error::ServiceError;
use super::keys::Keys;
use super::replicated_state::ReplicatedState;
use super::track::ContentTrack;

/// The periods that one request may ask for, all tracks together.
pub const PERIODS_MAX: u32 = 10_000;

/// Successive crypto periods of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodRange {
    length_s: u32,
    first: u32,
    last: u32,
}

/// Why there are no such periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodsError {
    /// No period at all was asked for, or periods beyond the last there can be.
    #[error(
        "there are no such crypto periods; indexes are 0 to 4294967295 and at least one must be asked for"
    )]
    None,
    /// More than one request may ask for.
    #[error("at most {PERIODS_MAX} crypto periods may be asked for at once, all tracks together")]
    TooMany,
}

impl PeriodRange {
    /// `count` periods of `length_s` seconds from index `first` on.
    ///
    /// # Errors
    /// [`PeriodsError`] when there are none or too many.
    pub fn new(length_s: u32, first: u32, count: u32) -> Result<Self, PeriodsError> {
        let last = count.checked_sub(1).and_then(|more| first.checked_add(more)).ok_or(PeriodsError::None)?;
        if count > PERIODS_MAX {
            return Err(PeriodsError::TooMany);
        }
        Ok(Self { length_s, first, last })
    }

    /// How long they are.
    pub fn length_s(self) -> u32 {
        self.length_s
    }

    /// The index of the first.
    pub fn first(self) -> u32 {
        self.first
    }

    /// How many periods there are.
    pub fn count(self) -> u32 {
        self.last - self.first + 1
    }
}

/// The key of one period, as a scrambler gets it.
#[derive(Debug)]
pub struct ServedPeriod {
    pub period: Period,
    pub kid: Kid,
    pub key: ContentKey,
    /// The version within its track.
    pub version: u32,
    /// Whether it was supplied for this period; else it is derived from the track's seed.
    pub supplied: bool,
}

impl<R: ReplicatedState> Keys<R> {
    /// The keys of successive periods of a track, in their order, without making anything: `None` when the
    /// track has no seed for such periods.
    ///
    /// # Errors
    /// When the cluster does not answer, or a seed or key cannot be opened.
    pub async fn known_periods<'t>(
        &self,
        grant: &Grant,
        track: impl Into<ContentTrack<'t>>,
        range: PeriodRange,
    ) -> Result<Option<Vec<ServedPeriod>>, ServiceError> {
        let place = track.into().place(&grant.account().id);
        self.make_fresh(grant).await?;
        match state::schedule(self.cluster.state(), &place, range.length_s)? {
            Some(record) => self.serve(grant, &record, range).await.map(Some),
            None => Ok(None),
        }
    }

    /// The keys that hold: supplied ones where there are any, derived ones else.
    pub(super) async fn serve(
        &self,
        grant: &Grant,
        record: &SeedRecord,
        range: PeriodRange,
    ) -> Result<Vec<ServedPeriod>, ServiceError> {
        let kid_key = self.kid_key(grant).await?;
        let PeriodRange { length_s, first, last } = range;
        let supplied = state::supplied_keys(self.cluster.state(), &record.place, length_s, first, last)?;
        let mut served = self.derive(record, &kid_key, range)?;
        for supplied in supplied {
            let at = supplied.period.map(|period| (period.index - first) as usize);
            if let Some(period) = at.and_then(|at| served.get_mut(at)) {
                let key = self.open(&supplied)?;
                (period.kid, period.key, period.version) = (key.kid, key.key, key.version);
                period.supplied = true;
            }
        }
        for ServedPeriod { period, kid, version, .. } in &served {
            let name = key_name(&record.place, *kid, *version, Some(*period));
            grant.trail().hand_out(Action::PERIODS_READ, name);
        }
        Ok(served)
    }

    fn derive(
        &self,
        record: &SeedRecord,
        kid_key: &KidKey,
        range: PeriodRange,
    ) -> Result<Vec<ServedPeriod>, ServiceError> {
        let seed = self.keyring.unwrap_period_seed(record)?;
        let keys = PeriodKeys::new(&seed, &record.place, record.length_s);
        Ok((range.first..=range.last)
            .map(|index| ServedPeriod {
                period: Period { length_s: record.length_s, index },
                kid: kid_key.kid(keymoot_crypto::KidPlace { seed: record.id, index }),
                key: keys.key(index),
                version: record.id.version.into(),
                supplied: false,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_at_the_last_index_there_is() {
        assert_eq!(PeriodRange::new(10, u32::MAX, 1).unwrap().count(), 1);
        assert_eq!(PeriodRange::new(10, u32::MAX, 2), Err(PeriodsError::None));
        assert_eq!(PeriodRange::new(10, 0, 0), Err(PeriodsError::None));
        assert_eq!(PeriodRange::new(10, 0, PERIODS_MAX).unwrap().count(), PERIODS_MAX);
        assert_eq!(PeriodRange::new(10, 0, PERIODS_MAX + 1), Err(PeriodsError::TooMany));
    }
}
