//! The clock of this machine, and instants as they are shown.

use std::time::{SystemTime, UNIX_EPOCH};

use keymoot_model::TimeStamp;

/// Milliseconds since 1970 UTC.
pub(super) fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// An instant of milliseconds since 1970 UTC, to the second.
pub(super) fn instant(at_ms: u64) -> String {
    TimeStamp::from_unix_ms(at_ms).map_or_else(|| format!("{at_ms} ms"), |at| at.to_string())
}
