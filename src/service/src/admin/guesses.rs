//! Slows down whoever guesses passwords: by address and name together. By the name alone, anybody could keep its owner
//! out; by the address alone, one person could keep out all others behind it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use keymoot_model::client_network;

/// How many guesses are free.
const FREE: u32 = 5;
/// How long the longest wait is.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// When a guesser is forgotten who no longer guesses.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);
/// How many guessers are remembered.
const GUESSERS_MAX: usize = 4096;

/// Who guesses what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Guesser {
    network: IpAddr,
    name: String,
}

impl Guesser {
    /// An address that guesses the password of a name. A network of IPv6 has as many addresses as it likes.
    pub(super) fn new(address: IpAddr, name: &str) -> Self {
        Self { network: client_network(address), name: name.to_owned() }
    }
}

struct Attempts {
    failed: u32,
    last: Instant,
}

impl Attempts {
    fn wait(&self) -> Duration {
        let doublings = self.failed.saturating_sub(FREE);
        match doublings {
            0 => Duration::ZERO,
            _ => WAIT_MAX.min(Duration::from_secs(1) * 2_u32.saturating_pow((doublings - 1).min(16))),
        }
    }
}

/// The guesses of this node's last minutes.
#[derive(Default)]
pub(super) struct Guesses(Mutex<HashMap<Guesser, Attempts>>);

impl Guesses {
    /// Counts an attempt, before it is known whether it is good: guesses that are made at once count, too.
    ///
    /// # Errors
    /// How long to wait first. A wait that is not kept costs nothing more.
    pub(super) fn begin(&self, guesser: &Guesser, now: Instant) -> Result<(), Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(guesser) {
            let since = now.saturating_duration_since(known.last);
            if since >= FORGOTTEN_AFTER {
                known.failed = 0;
            }
            if let Some(left) = known.wait().checked_sub(since).filter(|left| !left.is_zero()) {
                return Err(left);
            }
            known.failed = known.failed.saturating_add(1);
            known.last = now;
            return Ok(());
        }
        if all.len() >= GUESSERS_MAX {
            all.retain(|_, known| now.saturating_duration_since(known.last) < FORGOTTEN_AFTER);
        }
        if all.len() >= GUESSERS_MAX {
            // The one who guessed least is the least loss.
            let least = all.iter().min_by_key(|(_, known)| (known.failed, known.last));
            if let Some(least) = least.map(|(guesser, _)| guesser.clone()) {
                all.remove(&least);
            }
        }
        all.insert(guesser.clone(), Attempts { failed: 1, last: now });
        Ok(())
    }

    /// Forgets the attempts of somebody who knew.
    pub(super) fn forget(&self, guesser: &Guesser) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(guesser);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guesser(address: &str, name: &str) -> Guesser {
        Guesser::new(address.parse().unwrap(), name)
    }

    #[test]
    fn guesses_wait_longer_each_time_and_only_those_of_the_address_on_the_name() {
        let (guesses, mut now) = (Guesses::default(), Instant::now());
        let eve = guesser("192.0.2.1", "alice");
        for _ in 0..=FREE {
            assert_eq!(guesses.begin(&eve, now), Ok(()));
        }
        for wait in [1, 2, 4, 8] {
            assert_eq!(guesses.begin(&eve, now), Err(Duration::from_secs(wait)));
            now += Duration::from_secs(wait);
            assert_eq!(guesses.begin(&eve, now), Ok(()), "after {wait} s");
        }
        assert_eq!(guesses.begin(&guesser("192.0.2.2", "alice"), now), Ok(()), "the owner, elsewhere");
        assert_eq!(guesses.begin(&guesser("192.0.2.1", "bob"), now), Ok(()), "a neighbour");
        assert!(guesses.begin(&eve, now).is_err());
        guesses.forget(&eve);
        assert_eq!(guesses.begin(&eve, now), Ok(()));
    }

    #[test]
    fn the_wait_has_an_end_and_so_has_the_memory() {
        let (guesses, mut now) = (Guesses::default(), Instant::now());
        let eve = guesser("2001:db8::1", "alice");
        for _ in 0..40 {
            now += WAIT_MAX;
            assert_eq!(guesses.begin(&eve, now), Ok(()));
        }
        assert_eq!(guesses.begin(&guesser("2001:db8::2", "alice"), now), Err(WAIT_MAX), "the same network");
        for number in 0..2 * GUESSERS_MAX {
            let _ = guesses.begin(&guesser("192.0.2.1", &number.to_string()), now);
        }
        assert!(guesses.0.lock().unwrap().len() <= GUESSERS_MAX);
        assert!(guesses.begin(&eve, now).is_err(), "names without end make nobody forgotten");
        assert_eq!(guesses.begin(&eve, now + FORGOTTEN_AFTER), Ok(()));
        assert_eq!(guesses.begin(&eve, now + FORGOTTEN_AFTER), Ok(()));
    }
}
