//! Conditions that last, such as a peer that cannot be reached: each has a line in the log when it
//! begins, and one a minute while it goes on, however often it is noticed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::unlogged::OF_CONDITIONS;

/// The pause between two lines about one condition.
const LINE_EVERY: Duration = Duration::from_secs(60);
/// A condition that nobody noted for so long has ended.
const ENDS_AFTER: Duration = Duration::from_secs(180);
/// The most conditions that are told apart; what comes beyond shares the lines of one.
const CONDITIONS_MAX: usize = 256;

/// Conditions of one kind, told apart by `K`: a peer, or a peer and a reason. A key from outside is
/// harmless, because only so many are kept. Use no key that differs each time, such as an error that
/// names a duration: its lines would not be limited.
#[derive(Debug)]
pub struct LastingConditions<K = ()>(Mutex<Known<K>>);

#[derive(Debug)]
struct Known<K> {
    conditions: BTreeMap<K, Condition>,
    /// What stands for all that came when there was no room.
    others: Option<Condition>,
}

#[derive(Clone, Copy, Debug)]
struct Condition {
    noted_at: Instant,
    logged_at: Instant,
    unlogged: u64,
}

impl Condition {
    const fn begun(now: Instant) -> Self {
        Self { noted_at: now, logged_at: now, unlogged: 0 }
    }

    fn has_ended(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.noted_at) >= ENDS_AFTER
    }

    /// Notes it once more: how often it was noted without a line, if one is due.
    fn note(&mut self, now: Instant) -> Option<u64> {
        self.noted_at = now;
        if now.saturating_duration_since(self.logged_at) < LINE_EVERY {
            self.unlogged += 1;
            return None;
        }
        self.logged_at = now;
        Some(std::mem::take(&mut self.unlogged))
    }
}

impl<K: Ord> LastingConditions<K> {
    /// No condition is known yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Known { conditions: BTreeMap::new(), others: None }))
    }

    /// Notes that a condition holds. If a line about it is due, returns how often it was noted since
    /// the last one.
    pub fn note(&self, key: K) -> Option<u64> {
        let noted = self.note_at(key, Instant::now());
        if noted.is_none() {
            OF_CONDITIONS.count();
        }
        noted
    }

    /// The condition has ended; returns whether it was known.
    pub fn end(&self, key: &K) -> bool {
        self.lock().conditions.remove(key).is_some()
    }

    /// All conditions that `ended` holds of have ended; returns whether one was known.
    pub fn end_all(&self, mut ended: impl FnMut(&K) -> bool) -> bool {
        let mut known = self.lock();
        let before = known.conditions.len();
        known.conditions.retain(|key, _| !ended(key));
        known.conditions.len() < before
    }

    fn note_at(&self, key: K, now: Instant) -> Option<u64> {
        let mut known = self.lock();
        if let Some(condition) = known.conditions.get_mut(&key).filter(|known| !known.has_ended(now)) {
            return condition.note(now);
        }
        if known.conditions.len() >= CONDITIONS_MAX {
            known.conditions.retain(|_, condition| !condition.has_ended(now));
        }
        if known.conditions.len() >= CONDITIONS_MAX {
            return match &mut known.others {
                Some(others) => others.note(now),
                others => others.insert(Condition::begun(now)).unlogged.into(),
            };
        }
        known.conditions.insert(key, Condition::begun(now));
        Some(0)
    }

    fn lock(&self) -> MutexGuard<'_, Known<K>> {
        // No code panics while it holds the lock, so a poisoned map is intact.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord> Default for LastingConditions<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn there_is_a_line_when_it_begins_and_one_a_minute() {
        let (peers, began) = (LastingConditions::new(), Instant::now());
        let due: Vec<_> = (0..1800).map(|tenth| peers.note_at(2, began + SECOND * tenth / 10)).collect();
        let lines: Vec<_> = due.into_iter().flatten().collect();
        assert_eq!(lines, [0, 599, 599]);
        assert_eq!(peers.note_at(3, began), Some(0), "another peer is another condition");
    }

    #[test]
    fn what_ended_begins_anew() {
        let (peers, began) = (LastingConditions::new(), Instant::now());
        assert_eq!((peers.note_at(2, began), peers.note_at(2, began)), (Some(0), None));
        assert!(peers.end(&2) && !peers.end(&2));
        assert_eq!(peers.note_at(2, began), Some(0));
        assert_eq!(peers.note_at(2, began + ENDS_AFTER), Some(0), "nobody noted it for long");
        assert!(peers.end_all(|peer| *peer == 2) && !peers.end_all(|_| true));
    }

    #[test]
    fn a_flood_of_conditions_has_a_line_each_up_to_a_bound() {
        let (peers, began) = (LastingConditions::new(), Instant::now());
        let lines = |at| (0..10_000).filter(|key| peers.note_at(*key, at).is_some()).count();
        assert_eq!(lines(began), CONDITIONS_MAX + 1);
        assert_eq!(lines(began + SECOND), 0);
        assert_eq!(lines(began + LINE_EVERY), CONDITIONS_MAX + 1);
    }
}
