//! Selects which keys of a live stream are held and which must be fetched: the policy, without
//! clock, network or thread.
//!
//! The window holds the period before the current one, whose last segment may still be in use, the
//! current one, and as many coming ones as the configured time covers. A fetch replaces the held
//! keys of coming periods. A period that has begun keeps its key to its end, because media already
//! name it. A key that leaves the window is zeroized.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::live_keys::LivePlan;
use super::period_answer::PeriodKey;
use super::periods::starts_at;

/// How many keys one request asks for.
pub(super) const KEYS_PER_REQUEST: u32 = 256;

/// The held keys, and when they were last checked.
pub(super) struct PrefetchWindow {
    plan: LivePlan,
    held: BTreeMap<u32, PeriodKey>,
    /// When all held keys were last fetched.
    checked_at: Option<OffsetDateTime>,
}

/// Successive periods to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) first: u32,
    pub(super) last: u32,
    /// Whether held keys are fetched again.
    pub(super) is_check: bool,
}

impl PrefetchWindow {
    pub(super) const fn new(plan: LivePlan) -> Self {
        Self { plan, held: BTreeMap::new(), checked_at: None }
    }

    /// The index of the period at this time; `None` before the first and after the last possible
    /// one.
    pub(super) fn index_at(&self, time: OffsetDateTime) -> Option<u32> {
        let since = (time - self.plan.epoch).whole_nanoseconds();
        let length = i128::from(self.plan.length_s) * 1_000_000_000;
        u32::try_from(since.div_euclid(length)).ok()
    }

    /// The time at which the period after the current one starts.
    pub(super) fn next_start(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        starts_at(self.plan.epoch, self.plan.length_s, self.index_at(now)?.checked_add(1)?)
    }

    /// The keys that must be fetched now: all of them, when that was not done for a while; the
    /// missing ones, when less than the configured time is held.
    pub(super) fn due(&self, now: OffsetDateTime) -> Option<Due> {
        let current = self.index_at(now)?;
        // An eighth more than is configured, so that not every period costs a request.
        let ahead = self.plan.prefetch.saturating_add(self.plan.prefetch / 8);
        let last = self.index_at(now.checked_add(ahead.try_into().ok()?)?)?;
        let is_checked = self.checked_at.is_some_and(|at| at <= now && now - at < self.plan.recheck);
        if !is_checked {
            return Some(Due { first: current, last, is_check: true });
        }
        let first = self.first_missing(current);
        let owed = self.index_at(now.checked_add(self.plan.prefetch.try_into().ok()?)?)?;
        (first <= owed).then_some(Due { first, last: last.max(first), is_check: false })
    }

    /// Stores fetched keys.
    pub(super) fn take(&mut self, keys: Vec<PeriodKey>, now: OffsetDateTime) {
        for key in keys {
            let has_begun = key.starts_at <= now;
            if !(has_begun && self.held.contains_key(&key.period.index)) {
                self.held.insert(key.period.index, key);
            }
        }
    }

    /// Records that all due keys were fetched.
    pub(super) fn checked(&mut self, now: OffsetDateTime) {
        self.checked_at = Some(now);
    }

    /// Drops the periods that are over, except the last one.
    pub(super) fn drop_past(&mut self, now: OffsetDateTime) {
        if let Some(current) = self.index_at(now) {
            self.held = self.held.split_off(&current.saturating_sub(1));
        }
    }

    /// Drops the coming periods, because the key server refuses them.
    pub(super) fn revoke(&mut self, now: OffsetDateTime) {
        self.held.retain(|_, key| key.starts_at <= now);
        self.checked_at = None;
    }

    /// The held key of a period.
    pub(super) fn key(&self, index: u32) -> Option<&PeriodKey> {
        self.held.get(&index)
    }

    /// The time until which keys are held without a gap from `now`; `None` when the current one is
    /// missing.
    pub(super) fn held_until(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let current = self.index_at(now)?;
        let last = self.first_missing(current).checked_sub(1).filter(|last| *last >= current)?;
        self.held.get(&last).map(|key| key.ends_at)
    }

    /// How many keys are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// For how long keys are held ahead.
    pub(super) fn depth(&self, now: OffsetDateTime) -> Duration {
        let until = self.held_until(now).unwrap_or(now);
        (until - now).try_into().unwrap_or_default()
    }

    fn first_missing(&self, from: u32) -> u32 {
        let run =
            self.held.range(from..).zip(from..).take_while(|((index, _), expected)| **index == *expected);
        run.last().map_or(from, |((index, _), _)| index.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use keymoot_crypto::ContentKey;
    use keymoot_model::{ContentId, Kid, Period, TrackName};

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    fn prefetch_window(prefetch_s: u64) -> PrefetchWindow {
        let (content, track) = (ContentId::new("live").unwrap(), TrackName::default_track());
        let prefetch = Duration::from_secs(prefetch_s);
        let recheck = Duration::from_secs(60);
        PrefetchWindow::new(LivePlan { length_s: 10, prefetch, recheck, ..LivePlan::new(content, track, 10) })
    }

    fn key(index: u32, byte: u8) -> PeriodKey {
        PeriodKey {
            period: Period { length_s: 10, index },
            starts_at: at(i64::from(index) * 10),
            ends_at: at(i64::from(index) * 10 + 10),
            kid: Kid::from_bytes([byte; 16]),
            key: ContentKey::from_bytes(&[byte; 16]),
            version: 1,
            is_supplied: false,
            iv: None,
            pssh: Vec::new(),
        }
    }

    fn fill(prefetch_window: &mut PrefetchWindow, now: OffsetDateTime, byte: u8) -> Option<Due> {
        let due = prefetch_window.due(now)?;
        prefetch_window.take((due.first..=due.last).map(|index| key(index, byte)).collect(), now);
        if due.is_check {
            prefetch_window.checked(now);
        }
        Some(due)
    }

    #[test]
    fn the_configured_time_is_held_and_asked_for_again_when_it_runs_short() {
        let mut prefetch_window = prefetch_window(80);
        assert_eq!(
            fill(&mut prefetch_window, at(1005), 1),
            Some(Due { first: 100, last: 109, is_check: true })
        );
        assert_eq!(prefetch_window.held_until(at(1005)), Some(at(1100)));
        assert_eq!(prefetch_window.due(at(1019)), None, "an eighth more was asked for");
        assert_eq!(
            fill(&mut prefetch_window, at(1020), 1),
            Some(Due { first: 110, last: 111, is_check: false })
        );
        assert_eq!(prefetch_window.due(at(1065)).unwrap().first, 106, "all are asked for anew after a while");
        assert_eq!(prefetch_window.next_start(at(1065)), Some(at(1070)));
    }

    #[test]
    fn a_key_that_changes_is_taken_for_coming_periods_and_never_in_the_middle_of_one() {
        let mut prefetch_window = prefetch_window(30);
        fill(&mut prefetch_window, at(1005), 1);
        fill(&mut prefetch_window, at(1075), 2);
        assert_eq!(prefetch_window.key(107).unwrap().kid, Kid::from_bytes([2; 16]));
        fill(&mut prefetch_window, at(1138), 3);
        let byte = |index| prefetch_window.key(index).unwrap().kid.as_bytes()[0];
        assert_eq!((byte(113), byte(114)), (3, 3));
        let mut prefetch_window = self::prefetch_window(30);
        fill(&mut prefetch_window, at(1005), 1);
        prefetch_window.checked_at = None;
        fill(&mut prefetch_window, at(1006), 2);
        assert_eq!(prefetch_window.key(100).unwrap().kid, Kid::from_bytes([1; 16]));
        assert_eq!(prefetch_window.key(101).unwrap().kid, Kid::from_bytes([2; 16]));
    }

    #[test]
    fn without_fetches_the_held_keys_end_and_a_refusal_ends_them_at_the_next_period() {
        let mut prefetch_window = prefetch_window(30);
        fill(&mut prefetch_window, at(1005), 1);
        prefetch_window.drop_past(at(1035));
        assert_eq!(prefetch_window.held_until(at(1035)), Some(at(1040)));
        assert_eq!(prefetch_window.depth(at(1035)), Duration::from_secs(5));
        assert_eq!(
            (prefetch_window.held_until(at(1040)), prefetch_window.depth(at(1040))),
            (None, Duration::ZERO)
        );
        fill(&mut prefetch_window, at(1040), 1);
        prefetch_window.revoke(at(1045));
        assert_eq!(prefetch_window.held_until(at(1045)), Some(at(1050)));
    }

    #[test]
    fn before_the_epoch_there_is_no_period() {
        let prefetch_window = prefetch_window(30);
        assert_eq!(
            (prefetch_window.index_at(at(-1)), prefetch_window.index_at(at(0)), prefetch_window.due(at(-5))),
            (None, Some(0), None)
        );
    }

    proptest! {
        #[test]
        fn with_a_server_that_answers_the_configured_time_is_always_held_and_memory_is_bounded(
            prefetch_s in 0_u64..500, steps in prop::collection::vec(0_i64..120, 1..80),
        ) {
            let mut prefetch_window = prefetch_window(prefetch_s);
            let mut now = 100_000;
            for step in steps {
                now += step;
                prefetch_window.drop_past(at(now));
                fill(&mut prefetch_window, at(now), 1);
                prop_assert!(prefetch_window.depth(at(now)) >= Duration::from_secs(prefetch_s));
                prop_assert!(prefetch_window.len() as u64 <= prefetch_s * 9 / 80 + 4, "{}", prefetch_window.len());
                prop_assert!(prefetch_window.key(prefetch_window.index_at(at(now)).unwrap()).is_some());
            }
        }
    }
}
