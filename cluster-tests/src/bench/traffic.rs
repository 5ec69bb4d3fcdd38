//! Requests of the HTTP workloads, signed before they are sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::http::Traffic;

/// Prepared requests, sent repeatedly, in a different order by each client.
pub struct Ring(pub Vec<Vec<u8>>);

impl Traffic for Ring {
    fn write_request(&self, client: usize, serial: u64, out: &mut Vec<u8>) {
        let count = self.0.len().max(1);
        let index = usize::try_from(serial).unwrap_or(0).wrapping_add(client.wrapping_mul(7919)) % count;
        out.extend_from_slice(self.0.get(index).map_or(&[], Vec::as_slice));
    }
}

/// The same requests again and again, which are signed anew before each round: a signature of AWS's kind ends after some
/// minutes.
pub struct Resigned {
    sign: Box<dyn Fn() -> Vec<Vec<u8>> + Send + Sync>,
    ring: RwLock<Ring>,
}

impl Resigned {
    /// What `sign` signs.
    pub fn new(sign: impl Fn() -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self { ring: RwLock::new(Ring(sign())), sign: Box::new(sign) }
    }
}

impl Traffic for Resigned {
    fn prepare(&self, _requests: usize) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Ring((self.sign)());
    }

    fn write_request(&self, client: usize, serial: u64, out: &mut Vec<u8>) {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.write_request(client, serial, out);
    }
}

type Make = Box<dyn Fn(u64) -> Vec<u8> + Send + Sync>;

/// Requests that are all different: for contents that do not exist yet.
pub struct Fresh {
    make: Make,
    next: AtomicU64,
    ready: RwLock<Ready>,
}

/// Prepared requests, one after the other in a buffer.
#[derive(Default)]
struct Ready {
    first: u64,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Fresh {
    /// Requests that `make` makes from serial numbers.
    pub fn new(make: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), next: AtomicU64::new(0), ready: RwLock::default() }
    }
}

impl Traffic for Fresh {
    fn prepare(&self, requests: usize) {
        let mut ready = Ready { first: self.next.load(Ordering::Relaxed), ..Ready::default() };
        for serial in (ready.first..).take(requests) {
            ready.bytes.extend_from_slice(&(self.make)(serial));
            ready.ends.push(ready.bytes.len());
        }
        *self.ready.write().unwrap_or_else(PoisonError::into_inner) = ready;
    }

    fn write_request(&self, _client: usize, _serial: u64, out: &mut Vec<u8>) {
        let serial = self.next.fetch_add(1, Ordering::Relaxed);
        let ready = self.ready.read().unwrap_or_else(PoisonError::into_inner);
        match ready.request(serial) {
            Some(request) => out.extend_from_slice(request),
            None => out.extend_from_slice(&(self.make)(serial)),
        }
    }
}

impl Ready {
    fn request(&self, serial: u64) -> Option<&[u8]> {
        let index = usize::try_from(serial.checked_sub(self.first)?).ok()?;
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.bytes.get(start..*self.ends.get(index)?)
    }
}

/// One create among twenty requests.
pub struct Mixed {
    /// The nineteen reads.
    pub reads: Arc<dyn Traffic>,
    /// The one create.
    pub creates: Fresh,
}

impl Traffic for Mixed {
    fn prepare(&self, requests: usize) {
        self.creates.prepare(requests / 20);
    }

    fn write_request(&self, client: usize, serial: u64, out: &mut Vec<u8>) {
        match serial.wrapping_add(client as u64) % 20 {
            0 => self.creates.write_request(client, serial, out),
            _ => self.reads.write_request(client, serial, out),
        }
    }
}

#[cfg(test)]
mod tests;
