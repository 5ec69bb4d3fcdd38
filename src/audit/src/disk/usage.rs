//! How much room a log takes, and for how long that will do.

use std::path::Path;

use rustix::fs::statvfs;

use crate::Usage;

use super::{DiskLog, Sealed, lock};
use crate::clock::now_ms;

const DAY_MS: f64 = 24.0 * 60.0 * 60.0 * 1000.0;
/// The rate of the log is that of this time.
const RATE_OVER_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// No rate is told from less than this.
const RATE_OVER_MS_MIN: u64 = 10 * 60 * 1000;

impl DiskLog {
    /// Measures, and keeps what was found.
    pub(super) fn measure(&self) {
        let sealed = lock(&self.sealed).clone();
        let (active, active_min_ms, active_bytes, events) = {
            let active = lock(&self.active);
            (active.first, active.times.0, active.end(), active.frontier.size())
        };
        let hashes = lock(&self.hashes).files.bytes();
        let indexes: u64 = sealed
            .iter()
            .filter_map(|sealed| size(&crate::segment::index_path(&self.dir, sealed.first)))
            .sum();
        let ended = directory_bytes(&self.dir.join(super::ENDED));
        let segments: u64 = sealed.iter().map(|sealed| sealed.bytes).sum::<u64>() + active_bytes;
        let bytes = segments + hashes + indexes + ended;
        let oldest_ms =
            sealed.iter().map(|sealed| sealed.min_ms).chain([active_min_ms]).min().unwrap_or(u64::MAX);
        let room = self.settings.budget_bytes.saturating_sub(bytes).min(free(&self.dir));
        let rate = rate(&sealed, active_min_ms, active_bytes);
        let measured = Usage {
            bytes,
            budget_bytes: self.settings.budget_bytes,
            events,
            first_kept: sealed.first().map_or(active, |sealed| sealed.first),
            oldest_ms: if oldest_ms == u64::MAX { 0 } else { oldest_ms },
            days_left: rate.and_then(|rate| self.days_left(rate, bytes, room)),
        };
        *lock(&self.usage) = measured;
    }

    /// In how many days there is no more room at `rate` bytes a day; `None` when events may go before that.
    #[expect(clippy::cast_precision_loss, reason = "a forecast")]
    fn days_left(&self, rate: f64, bytes: u64, room: u64) -> Option<f64> {
        let needs = rate * self.settings.retention_days as f64;
        if needs <= bytes.saturating_add(room) as f64 {
            return None;
        }
        Some(room as f64 / rate)
    }

    /// What was last measured, with the number of events now.
    pub(crate) fn usage(&self) -> Usage {
        Usage { events: *self.written.borrow(), ..*lock(&self.usage) }
    }

    /// Why nothing more may be written, if the budget is used up.
    pub(super) fn over_budget(&self) -> Option<String> {
        let budget = self.settings.budget_bytes;
        // Those that were written since the last measuring.
        let used = lock(&self.usage).bytes.max(lock(&self.active).end());
        (used >= budget).then(|| {
            let (dir, days) = (self.dir.display(), self.settings.retention_days);
            format!(
                "its files in {dir} take {used} bytes, audit.budget_bytes is {budget}, and no event is older than \
                 audit.retention_days, {days}; raise audit.budget_bytes and restart the node"
            )
        })
    }
}

/// How many bytes a day were written in the last days.
#[expect(clippy::cast_precision_loss, reason = "a forecast")]
fn rate(sealed: &[Sealed], active_min_ms: u64, active_bytes: u64) -> Option<f64> {
    let now = now_ms();
    let (mut begin, mut bytes) = (active_min_ms.min(now), active_bytes);
    for sealed in sealed.iter().rev() {
        if now.saturating_sub(begin) >= RATE_OVER_MS {
            break;
        }
        begin = begin.min(sealed.min_ms);
        bytes += sealed.bytes;
    }
    let span = now.saturating_sub(begin);
    (span >= RATE_OVER_MS_MIN).then(|| bytes as f64 / (span as f64 / DAY_MS))
}

fn size(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|found| found.len())
}

/// The bytes of the files under a directory; 0 where there is none.
fn directory_bytes(path: &Path) -> u64 {
    let Ok(entries) = path.read_dir() else { return 0 };
    let bytes = |path: std::path::PathBuf| {
        if path.is_dir() { directory_bytes(&path) } else { size(&path).unwrap_or(0) }
    };
    entries.flatten().map(|entry| bytes(entry.path())).sum()
}

/// What the disk has free.
fn free(path: &Path) -> u64 {
    statvfs(path).map_or(u64::MAX, |found| found.f_bavail.saturating_mul(found.f_frsize))
}
