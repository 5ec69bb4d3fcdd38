//! Fetched keys, cached for outages.
//!
//! The cache is used in outages only: while any service point answers, its answer counts. The cache
//! is limited in number and time, and a key that leaves it is zeroized.

use std::collections::HashMap;
use std::time::Duration;

use super::answer::FetchedKey;
use super::key_client::ContentTrack;

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// A service point returned it now.
    Answered,
    /// No service point answered; the key comes from the cache.
    Remembered {
        /// The time since a service point last returned the key.
        age: Duration,
    },
}

struct Remembered {
    key: FetchedKey,
    confirmed_at: Duration,
}

/// The cached keys, by content and track.
pub(super) struct KeyCache {
    keys: HashMap<ContentTrack, Remembered>,
    entries_max: usize,
    tolerance: Duration,
}

impl KeyCache {
    /// Remembers up to `entries_max` keys, each for `tolerance` after it was last confirmed.
    pub(super) fn new(entries_max: usize, tolerance: Duration) -> Self {
        Self { keys: HashMap::new(), entries_max, tolerance }
    }

    /// Caches a key that a service point returned.
    pub(super) fn remember(&mut self, key: &FetchedKey, now: Duration) {
        if self.tolerance.is_zero() || self.entries_max == 0 {
            return;
        }
        let tolerance = self.tolerance;
        self.keys.retain(|_, known| now.saturating_sub(known.confirmed_at) <= tolerance);
        if self.keys.len() >= self.entries_max && !self.keys.contains_key(&key.of) {
            let oldest = self.keys.iter().min_by_key(|(_, known)| known.confirmed_at);
            if let Some(of) = oldest.map(|(of, _)| of.clone()) {
                self.keys.remove(&of);
            }
        }
        self.keys.insert(key.of.clone(), Remembered { key: key.copy(), confirmed_at: now });
    }

    /// The key and its age, if it may still be used.
    pub(super) fn recall(&self, of: &ContentTrack, now: Duration) -> Option<(FetchedKey, Duration)> {
        let known = self.keys.get(of)?;
        let age = now.saturating_sub(known.confirmed_at);
        (age <= self.tolerance).then(|| (known.key.copy(), age))
    }

    /// Removes a key: the key server says that it does not exist, or that the caller may not have
    /// it.
    pub(super) fn forget(&mut self, of: &ContentTrack) {
        self.keys.remove(of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_crypto::ContentKey;
    use keymoot_model::{ContentId, Kid};

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn key(name: &str, byte: u8) -> FetchedKey {
        FetchedKey {
            of: ContentTrack::from(&ContentId::new(name).unwrap()),
            iv: None,
            kid: Kid::from_bytes([byte; 16]),
            key: ContentKey::from_bytes(&[byte; 16]),
            pssh: Vec::new(),
            license_url: None,
        }
    }

    #[test]
    fn a_key_is_remembered_until_its_time_is_over_and_confirming_it_renews_it() {
        let mut cache = KeyCache::new(8, secs(60));
        let film = key("film", 1);
        cache.remember(&film, secs(0));
        assert_eq!(cache.recall(&film.of, secs(60)).unwrap().1, secs(60));
        assert!(cache.recall(&film.of, secs(61)).is_none());
        cache.remember(&key("film", 2), secs(50));
        assert_eq!(cache.recall(&film.of, secs(100)).unwrap().0.kid, Kid::from_bytes([2; 16]));
        cache.forget(&film.of);
        assert!(cache.recall(&film.of, secs(100)).is_none());
    }

    #[test]
    fn the_key_confirmed_longest_ago_makes_room() {
        let mut cache = KeyCache::new(2, secs(60));
        for (at, name) in ["a", "b", "a", "c"].iter().enumerate() {
            cache.remember(&key(name, 1), secs(at as u64));
        }
        let knows =
            |name: &str| cache.recall(&ContentTrack::from(&ContentId::new(name).unwrap()), secs(4)).is_some();
        assert_eq!(["a", "b", "c"].map(knows), [true, false, true]);
    }

    #[test]
    fn without_tolerance_nothing_is_kept() {
        for (entries, tolerance) in [(8, secs(0)), (0, secs(60))] {
            let mut cache = KeyCache::new(entries, tolerance);
            cache.remember(&key("film", 1), secs(0));
            assert!(cache.keys.is_empty());
        }
    }
}
