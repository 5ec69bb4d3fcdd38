//! How many requests a second and how many new keys a day an account has on this node, where that is configured. A
//! request over the rate waits for its turn, in the order in which they came, as long as requests may wait at all.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use keymoot_model::AccountId;
use prometheus::IntCounter;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

const DAY: Duration = Duration::from_secs(86_400);

/// An account has used up what it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account has no more {what} for now; the limits are the operator's, see limits.account_{key}")]
pub struct OverLimit {
    what: &'static str,
    key: &'static str,
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// The number of one account, where it differs from the others': `ACCOUNT=NUMBER`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountNumber {
    pub account: AccountId,
    /// 0 for no limit.
    pub number: u32,
}

/// The text names no account and number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no account with its number, such as `demo=500`; 0 is no limit")]
pub struct AccountNumberError(String);

impl TryFrom<String> for AccountNumber {
    type Error = AccountNumberError;

    fn try_from(text: String) -> Result<Self, AccountNumberError> {
        let read = text.rsplit_once('=').and_then(|(account, number)| {
            Some(Self { account: AccountId::new(account).ok()?, number: number.parse().ok()? })
        });
        read.ok_or(AccountNumberError(text))
    }
}

impl From<AccountNumber> for String {
    fn from(of: AccountNumber) -> Self {
        format!("{}={}", of.account, of.number)
    }
}

/// What is configured: 0 is no limit.
#[derive(Clone, Debug, Default)]
pub struct AccountLimitSettings {
    pub requests_per_s: u32,
    pub requests_per_s_of: Vec<AccountNumber>,
    pub new_keys_per_day: u32,
    pub new_keys_per_day_of: Vec<AccountNumber>,
    /// How long a request may wait for its turn.
    pub patience: Duration,
}

/// The limits of all accounts.
pub struct AccountLimits {
    requests: Limit,
    new_keys: Limit,
    patience: Duration,
}

impl AccountLimits {
    /// As they are configured; `refused` counts what had to be refused, of requests and of new keys.
    pub fn new(settings: &AccountLimitSettings, [requests, new_keys]: [IntCounter; 2]) -> Self {
        let by_account = |numbers: &[AccountNumber]| {
            numbers.iter().map(|of| (of.account.clone(), of.number)).collect::<BTreeMap<_, _>>()
        };
        Self {
            requests: Limit {
                what: "requests",
                key: "requests_per_s",
                quota: |number| Quota::per_second(number),
                number: settings.requests_per_s,
                own: by_account(&settings.requests_per_s_of),
                accounts: Mutex::default(),
                refused: requests,
            },
            new_keys: Limit {
                what: "new keys",
                key: "new_keys_per_day",
                quota: new_keys_per_day,
                number: settings.new_keys_per_day,
                own: by_account(&settings.new_keys_per_day_of),
                accounts: Mutex::default(),
                refused: new_keys,
            },
            patience: settings.patience,
        }
    }

    /// Waits for the turn of a request of this account.
    ///
    /// # Errors
    /// [`OverLimit`] when it would have to wait for too long.
    pub async fn request(&self, account: &AccountId) -> Result<(), OverLimit> {
        self.requests.turn(account, 1, self.patience).await
    }

    /// Waits until the account may have so many new keys.
    ///
    /// # Errors
    /// [`OverLimit`] when it would have to wait for too long.
    pub async fn new_keys(&self, account: &AccountId, count: u32) -> Result<(), OverLimit> {
        self.new_keys.turn(account, count, self.patience).await
    }
}

/// As many at once as a day has, and refilled evenly over the day.
fn new_keys_per_day(number: NonZeroU32) -> Quota {
    Quota::with_period(DAY / number.get())
        .map_or(Quota::per_second(NonZeroU32::MAX), |quota| quota.allow_burst(number))
}

/// One kind of limit.
struct Limit {
    what: &'static str,
    key: &'static str,
    quota: fn(NonZeroU32) -> Quota,
    number: u32,
    own: BTreeMap<AccountId, u32>,
    /// Those that have asked. Only who is authenticated asks, so there are no more than accounts.
    accounts: Mutex<BTreeMap<AccountId, Arc<Line>>>,
    refused: IntCounter,
}

/// Those of an account who wait for their turn.
struct Line {
    limiter: DefaultDirectRateLimiter,
    /// Whoever has it is next.
    first: Semaphore,
}

impl Limit {
    async fn turn(&self, account: &AccountId, count: u32, patience: Duration) -> Result<(), OverLimit> {
        let Some(line) = self.line(account) else { return Ok(()) };
        let deadline = Instant::now() + patience;
        let turn = async {
            // It is never closed.
            let _first = line.first.acquire().await;
            for _ in 0..count {
                while let Err(early) = line.limiter.check() {
                    let wait = early.wait_time_from(DefaultClock::default().now());
                    if Instant::now() + wait > deadline {
                        return Err(wait);
                    }
                    sleep(wait).await;
                }
            }
            Ok(())
        };
        let retry_after = match timeout_at(deadline, turn).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(wait)) => wait,
            // The line is too long.
            Err(_) => patience,
        };
        self.refused.inc();
        Err(OverLimit { what: self.what, key: self.key, retry_after })
    }

    fn line(&self, account: &AccountId) -> Option<Arc<Line>> {
        let number = NonZeroU32::new(self.own.get(account).copied().unwrap_or(self.number))?;
        // No code panics while it holds the lock, so a poisoned map is intact.
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = accounts.get(account) {
            return Some(line.clone());
        }
        let line =
            Arc::new(Line { limiter: RateLimiter::direct((self.quota)(number)), first: Semaphore::new(1) });
        accounts.insert(account.clone(), line.clone());
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    fn limits(settings: AccountLimitSettings) -> AccountLimits {
        AccountLimits::new(&settings, ["a", "b"].map(|name| IntCounter::new(name, name).unwrap()))
    }

    fn of(text: &str) -> AccountNumber {
        AccountNumber::try_from(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn who_is_over_the_rate_waits_for_the_turn_and_is_refused_when_that_is_too_long() {
        let limits = limits(AccountLimitSettings {
            requests_per_s: 20,
            requests_per_s_of: vec![of("free=0")],
            patience: Duration::from_millis(500),
            ..AccountLimitSettings::default()
        });
        let [demo, other, free] = ["demo", "other", "free"].map(|id| AccountId::new(id).unwrap());
        let began = Instant::now();
        let came_of = join_all((0..100).map(|_| limits.request(&demo))).await;
        let granted = came_of.iter().filter(|turn| turn.is_ok()).count();
        assert!((24..=36).contains(&granted), "{granted} of 100 in {:?}", began.elapsed());
        assert!(began.elapsed() >= Duration::from_millis(400));
        let refused = came_of.iter().filter(|turn| turn.is_err()).count() as u64;
        assert_eq!(limits.requests.refused.get(), refused);
        assert_eq!(limits.request(&other).await, Ok(()), "each account has its own");
        assert!(join_all((0..100).map(|_| limits.request(&free))).await.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn a_day_has_so_many_new_keys_and_what_is_not_configured_is_not_limited() {
        let limits = limits(AccountLimitSettings {
            new_keys_per_day_of: vec![of("demo=3")],
            patience: Duration::from_secs(1),
            ..AccountLimitSettings::default()
        });
        let [demo, other] = ["demo", "other"].map(|id| AccountId::new(id).unwrap());
        assert_eq!(limits.new_keys(&demo, 3).await, Ok(()));
        let refused = limits.new_keys(&demo, 1).await.unwrap_err();
        assert!(refused.retry_after > Duration::from_secs(8 * 3600 - 60), "{refused:?}");
        assert!(refused.to_string().contains("limits.account_new_keys_per_day"), "{refused}");
        assert_eq!(limits.new_keys(&other, 100_000).await, Ok(()));
        assert_eq!(limits.request(&demo).await, Ok(()));
    }

    #[test]
    fn an_account_and_its_number_are_read_and_written() {
        assert_eq!(String::from(of("demo=7")), "demo=7");
        for wrong in ["demo", "demo=", "=5", "demo=-1", "demo=x"] {
            assert!(AccountNumber::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
