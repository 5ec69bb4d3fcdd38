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
#[derive(Debug, Default)]
pub struct LineRate(Mutex<Known>);

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
    const fn new(now: Instant) -> Self {
        Self { left: BURST, refilled_at: now, left_out: 0 }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled_at);
        let more = u32::try_from(passed.as_millis() / LINE_EVERY.as_millis()).unwrap_or(BURST).min(BURST);
        if more > 0 {
            self.left = (self.left + more).min(BURST);
            self.refilled_at = now;
        }
    }

    fn note(&mut self, now: Instant) -> Option<u64> {
        self.refill(now);
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
        Self(Mutex::new(Known { addresses: BTreeMap::new(), others: None }))
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
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lines) = known.addresses.get_mut(&address) {
            return lines.note(now);
        }
        if known.addresses.len() >= ADDRESSES_MAX {
            known.addresses.retain(|_, lines| {
                lines.refill(now);
                lines.left < BURST || lines.left_out > 0
            });
        }
        if known.addresses.len() >= ADDRESSES_MAX {
            return known.others.get_or_insert(Lines::new(now)).note(now);
        }
        known.addresses.entry(address).or_insert(Lines::new(now)).note(now)
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
