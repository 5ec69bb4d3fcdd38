//! The clock of this process, and moments as people read them.

use std::time::{SystemTime, UNIX_EPOCH};

use keymoot_model::TimeStamp;

/// Milliseconds since 1970 UTC.
pub(crate) fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// A moment of milliseconds since 1970 UTC, to the second.
pub(crate) fn moment(at_ms: u64) -> String {
    TimeStamp::from_unix_ms(at_ms).map(|at| at.to_string()).unwrap_or_default()
}
