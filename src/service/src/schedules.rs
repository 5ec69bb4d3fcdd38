//! How the tracks of a content rotate: which period lengths they have seeds for, and which periods
//! have a key of the scrambler's own (key exchange requirement 5.2.4).

use std::collections::BTreeMap;

use keymoot_auth::Grant;
use keymoot_state as state;

use super::error::ServiceError;
use super::keys::Keys;
use super::replicated_state::ReplicatedState;
use super::track::ContentTrack;

/// The supplied periods that a schedule lists; a track with more of them has the first ones listed.
pub const SUPPLIED_LISTED_MAX: usize = 1000;

/// The periods of one length that a track rotates by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// How long they are.
    pub length_s: u32,
    /// The version of the track that their seed is; `None` when all their keys were supplied.
    pub version: Option<u32>,
    /// The indexes of the periods with a supplied key, ascending, at most [`SUPPLIED_LISTED_MAX`].
    pub supplied: Vec<u32>,
    /// How many periods have a supplied key.
    pub supplied_count: usize,
}

impl<R: ReplicatedState> Keys<R> {
    /// The schedules of a track, shortest periods first; none when it does not rotate.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn schedules<'t>(
        &self,
        grant: &Grant,
        track: impl Into<ContentTrack<'t>>,
    ) -> Result<Vec<Schedule>, ServiceError> {
        let place = track.into().place(&grant.account().id);
        self.make_fresh(grant).await?;
        let mut found: BTreeMap<u32, Schedule> = BTreeMap::new();
        for seed in state::schedules(self.cluster.state(), &place)? {
            of_length(&mut found, seed.length_s).version = Some(seed.id.version.into());
        }
        for period in state::supplied_periods(self.cluster.state(), &place)? {
            let schedule = of_length(&mut found, period.length_s);
            schedule.supplied_count += 1;
            if schedule.supplied_count <= SUPPLIED_LISTED_MAX {
                schedule.supplied.push(period.index);
            }
        }
        Ok(found.into_values().collect())
    }
}

fn of_length(found: &mut BTreeMap<u32, Schedule>, length_s: u32) -> &mut Schedule {
    found.entry(length_s).or_insert_with(|| Schedule { length_s, ..Schedule::default() })
}
