//! How many log lines each stranger may cause: some at once, then a few a second. The line that follows says how
//! many were left out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::unlogged::OF_CLIENTS;

/// Lines of an address that come at once.
const BURST: u32 = 200;
/// One more after so long.
const LINE_EVERY: Duration = Duration::from_millis(200);
/// The most addresses that are told apart; what comes beyond shares the lines of one.
const ADDRESSES_MAX: usize = 1024;

/// Lines that strangers cause, told apart by their addresses.
#[derive(Debug)]
pub struct LineRate {
    burst: u32,
    line_every: Duration,
    known: Mutex<Known>,
}

impl Default for LineRate {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug, Default)]
struct Known {
    addresses: BTreeMap<IpAddr, Lines>,
    others: Option<Lines>,
}

#[derive(Clone, Copy, Debug)]
struct Lines {
    left: u32,
    refilled_at: Instant,
    left_out: u64,
}

impl Lines {
    const fn new(left: u32, now: Instant) -> Self {
        Self { left, refilled_at: now, left_out: 0 }
    }

    fn refill(&mut self, now: Instant, (burst, line_every): (u32, Duration)) {
        let passed = now.saturating_duration_since(self.refilled_at);
        let more = u32::try_from(passed.as_millis() / line_every.as_millis()).unwrap_or(burst).min(burst);
        if more > 0 {
            self.left = (self.left + more).min(burst);
            self.refilled_at = now;
        }
    }

    fn note(&mut self, now: Instant, pace: (u32, Duration)) -> Option<u64> {
        self.refill(now, pace);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.left_out))
            }
            None => {
                self.left_out += 1;
                None
            }
        }
    }
}

impl LineRate {
    /// No line yet.
    pub const fn new() -> Self {
        Self::paced(BURST, LINE_EVERY)
    }

    /// The same with other bounds: so many at once, then one more each time after so many milliseconds.
    pub const fn of(burst: u32, line_every_ms: u64) -> Self {
        Self::paced(burst, Duration::from_millis(line_every_ms))
    }

    const fn paced(burst: u32, line_every: Duration) -> Self {
        let known = Mutex::new(Known { addresses: BTreeMap::new(), others: None });
        Self { burst, line_every, known }
    }

    /// Counts lines of this address that are left out for another reason.
    pub fn leave_out(&self, address: IpAddr, count: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { addresses, others } = &mut *known;
        if let Some(lines) = addresses.get_mut(&address).or(others.as_mut()) {
            lines.left_out += count;
        }
    }

    /// Whether a line that this address causes is written; then, how many were left out since the last.
    pub fn note(&self, address: IpAddr) -> Option<u64> {
        let noted = self.note_at(address, Instant::now());
        if noted.is_none() {
            OF_CLIENTS.count();
        }
        noted
    }

    fn note_at(&self, address: IpAddr, now: Instant) -> Option<u64> {
        // No code panics while it holds the lock, so a poisoned map is intact.
        let (burst, pace) = (self.burst, (self.burst, self.line_every));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lines) = known.addresses.get_mut(&address) {
            return lines.note(now, pace);
        }
        if known.addresses.len() >= ADDRESSES_MAX {
            known.addresses.retain(|_, lines| {
                lines.refill(now, pace);
                lines.left < burst || lines.left_out > 0
            });
        }
        if known.addresses.len() >= ADDRESSES_MAX {
            return known.others.get_or_insert(Lines::new(burst, now)).note(now, pace);
        }
        known.addresses.entry(address).or_insert(Lines::new(burst, now)).note(now, pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_flood_has_some_lines_and_then_a_few_and_says_how_many_were_left_out() {
        let (rate, began) = (LineRate::new(), Instant::now());
        let flood = |address: [u8; 4], at| {
            (0..5000).filter_map(|_| rate.note_at(address.into(), at)).collect::<Vec<_>>()
        };
        assert_eq!(flood([192, 0, 2, 1], began), [0; 200]);
        assert_eq!(flood([192, 0, 2, 1], began + SECOND), [4800, 0, 0, 0, 0]);
        assert_eq!(rate.note_at([192, 0, 2, 2].into(), began), Some(0), "another address has its own");
    }

    #[test]
    fn lines_that_are_left_out_are_counted() {
        let (rate, before) = (LineRate::new(), OF_CLIENTS.lines());
        let written = (0..300).filter(|_| rate.note([192, 0, 2, 1].into()).is_some()).count() as u64;
        assert!(written < 300);
        assert_eq!(OF_CLIENTS.lines() - before, 300 - written);
    }

    #[test]
    fn so_have_many_addresses_together() {
        let (rate, began) = (LineRate::new(), Instant::now());
        let lines =
            |at| (0..100_000_u32).filter(|n| rate.note_at(n.to_be_bytes().into(), at).is_some()).count();
        assert_eq!(lines(began), ADDRESSES_MAX + BURST as usize);
    }
}
