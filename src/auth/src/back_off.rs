//! Who showed wrong credentials waits before the next ones are looked at: an address for one account, and an address
//! whatever the accounts. Never an account alone: its name is public, and that would lock its owner out.
//!
//! An address that lately proved itself for an account is not held up there by others who share it: its proofs
//! are tried, but for passwords, of which only those that were right from there are. Digest hides its password, so there
//! each is tried, and the answer to a wrong one comes late. Players share addresses, so a license is held up by the address and
//! the account together only.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use keymoot_model::{AccountId, Scope, client_network};

use super::{AuthError, Denied, Request, SignatureFault};

/// The most addresses, with or without an account, of which something is remembered.
const ENTRIES_MAX: usize = 65_536;
/// How many times as much an address may get wrong, whatever the accounts, as for one of them.
const OF_ADDRESS: u32 = 10;
/// For how long an address that proved itself is remembered.
const PROVED_FOR: Duration = Duration::from_secs(3600);
/// The most passwords that are remembered of one address for one account.
const PASSWORDS_MAX: usize = 8;
/// The longest that the answer to a wrong one is held back. It keeps a connection meanwhile.
const HELD_BACK_MAX: Duration = Duration::from_secs(5);
/// The first wait; each further wrong credential doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What is configured.
#[derive(Clone, Copy, Debug)]
pub struct BackOffSettings {
    /// Wrong credentials in a row, from one address for one account, that nobody waits after; 0: nobody ever waits.
    pub wrong_max: u32,
    /// The longest wait.
    pub wait_max: Duration,
}

/// For how long the caller must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many wrong credentials came from the address; see auth.wrong_credentials_max")]
pub struct MustWait(pub Duration);

/// Whom one must wait for, and who need not.
pub struct BackOff {
    settings: BackOffSettings,
    salt: [u8; 32],
    wrong: Cache<Place, Arc<Mutex<Wrong>>>,
    proved: Cache<Place, Arc<Mutex<Proved>>>,
}

/// A client's address, for one account or for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    client: IpAddr,
    account: Option<AccountId>,
}

/// Wrong credentials in a row.
#[derive(Debug)]
struct Wrong {
    count: u32,
    last: Instant,
    until: Instant,
}

/// What was right.
#[derive(Debug)]
struct Proved {
    last: Instant,
    /// Digests of passwords.
    passwords: Vec<[u8; 32]>,
}

/// Credentials that are looked at.
#[must_use]
pub struct Attempt<'b> {
    back_off: &'b BackOff,
    places: Vec<(Place, u32)>,
    password: Option<[u8; 32]>,
    /// The address proved itself lately.
    has_proved: bool,
    /// It may be a guess that nobody waits with.
    is_favoured: bool,
}

impl BackOff {
    /// Nobody waits yet. `salt` is random.
    pub fn new(settings: BackOffSettings, salt: [u8; 32]) -> Self {
        let (wrong, proved) = (Cache::new(ENTRIES_MAX), Cache::new(ENTRIES_MAX));
        Self { settings, salt, wrong, proved }
    }

    /// Whether the request's credentials are looked at now.
    ///
    /// # Errors
    /// [`MustWait`] when too many wrong ones came from its address.
    pub fn admit(&self, request: &Request) -> Result<Attempt<'_>, MustWait> {
        let client = client_network(request.caller);
        let of_account = Place { client, account: Some(request.account.clone()) };
        let password = request.proofs.password_digest(&self.salt);
        let mut places = vec![(of_account.clone(), self.settings.wrong_max)];
        if request.scope != Scope::License {
            let of_all = Place { client, account: None };
            places.push((of_all, self.settings.wrong_max.saturating_mul(OF_ADDRESS)));
        }
        let has_proved = self.has_proved(&of_account, password.as_ref());
        let is_on = self.settings.wrong_max > 0;
        if is_on && !has_proved && !request.offers().is_empty() {
            let now = Instant::now();
            let waits = places.iter().filter_map(|(place, most)| self.wait(place, *most, now));
            if let Some(wait) = waits.max() {
                return Err(MustWait(wait));
            }
        }
        let is_favoured = is_on && has_proved && request.proofs.has_digest();
        Ok(Attempt { back_off: self, places, password, has_proved, is_favoured })
    }

    fn has_proved(&self, place: &Place, password: Option<&[u8; 32]>) -> bool {
        let Some(proved) = self.proved.get(place) else { return false };
        let proved = proved.lock().unwrap_or_else(PoisonError::into_inner);
        proved.last.elapsed() < PROVED_FOR
            && password.is_none_or(|password| proved.passwords.contains(password))
    }

    /// How long there is to wait. Where there is not, but was, the next may try once the one that tries now is through.
    fn wait(&self, place: &Place, most: u32, now: Instant) -> Option<Duration> {
        let wrong = self.wrong.get(place)?;
        let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_over(&wrong, now) || wrong.count < most {
            return None;
        }
        if wrong.until > now {
            return Some(wrong.until - now);
        }
        wrong.until = now + FIRST_WAIT;
        None
    }

    /// Whether nothing wrong came for so long that it is forgotten.
    fn is_over(&self, wrong: &Wrong, now: Instant) -> bool {
        now.saturating_duration_since(wrong.last) > self.settings.wait_max.saturating_mul(10)
    }

    /// Counts a wrong one; returns how long the next would have to wait.
    fn was_wrong(&self, place: &Place, most: u32) -> Duration {
        let now = Instant::now();
        let none = || {
            Ok::<_, std::convert::Infallible>(Arc::new(Mutex::new(Wrong { count: 0, last: now, until: now })))
        };
        let Ok(wrong) = self.wrong.get_or_insert_with(place, none);
        let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_over(&wrong, now) {
            wrong.count = 0;
        }
        wrong.count = wrong.count.saturating_add(1);
        wrong.last = now;
        if let Some(beyond) = wrong.count.checked_sub(most) {
            let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX));
            wrong.until = now + wait.min(self.settings.wait_max);
        }
        wrong.until.saturating_duration_since(now)
    }

    fn was_right(&self, place: &Place, password: Option<[u8; 32]>) {
        let now = Instant::now();
        let none = || {
            Ok::<_, std::convert::Infallible>(Arc::new(Mutex::new(Proved {
                last: now,
                passwords: Vec::new(),
            })))
        };
        let Ok(proved) = self.proved.get_or_insert_with(place, none);
        let mut proved = proved.lock().unwrap_or_else(PoisonError::into_inner);
        if proved.last.elapsed() >= PROVED_FOR {
            proved.passwords.clear();
        }
        proved.last = now;
        if let Some(password) = password
            && !proved.passwords.contains(&password)
        {
            if proved.passwords.len() == PASSWORDS_MAX {
                proved.passwords.remove(0);
            }
            proved.passwords.push(password);
        }
    }
}

impl Attempt<'_> {
    /// Notes what came of it. If the credentials were wrong, returns for how long that is not said.
    pub fn note<T>(self, outcome: &Result<T, AuthError>) -> Option<Duration> {
        match outcome {
            Ok(_) => {
                if let Some((place, _)) = self.places.first() {
                    // Where others share the address, what is right there every second forgives no guesses.
                    if !self.has_proved {
                        self.back_off.wrong.remove(place);
                    }
                    self.back_off.was_right(place, self.password);
                }
                None
            }
            Err(AuthError::Denied(denied)) if is_wrong(denied) => {
                let waits = self.places.iter().map(|(place, most)| self.back_off.was_wrong(place, *most));
                let wait = waits.fold(Duration::ZERO, Duration::max);
                Some(if self.is_favoured { wait.min(HELD_BACK_MAX) } else { Duration::ZERO })
            }
            Err(_) => None,
        }
    }
}

/// Whether credentials were shown that are nobody's. An account that does not exist and one that does are the same.
fn is_wrong(denied: &Denied) -> bool {
    match denied {
        Denied::Signature { fault, .. } => matches!(
            fault,
            SignatureFault::UnknownAccount
                | SignatureFault::Suspended
                | SignatureFault::NoCredential
                | SignatureFault::Mismatch
        ),
        Denied::Certificate { has_credentials, .. } => *has_credentials,
        Denied::Downgrade { .. } => true,
        _ => false,
    }
}

/// The digest under which a password is remembered.
pub(super) fn password_digest(salt: &[u8; 32], name: &str, password: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(salt);
    context.update(&name.len().to_be_bytes());
    context.update(name.as_bytes());
    context.update(password);
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests;
