//! Filling a cluster with very many keys, by bulk requests over several connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::seq::index;
use serde_json::json;

use super::known::Content;
use crate::raw::{self, percent_encode};
use crate::{Cluster, RigError, Signer, wait};

/// The number of keys in one bulk request.
const BULK_ITEMS: u64 = 2000;
/// Concurrent requests.
const FILLERS: u64 = 6;
/// The number of keys after which progress is printed.
const TOLD_EVERY: u64 = 500_000;
const BATCH_WITHIN: Duration = Duration::from_secs(120);
/// The most disk space per key on each node during the load, snapshots and merging included.
const BYTES_PER_KEY_MAX: u64 = 700;

/// The name of the content with this number.
pub fn content_id(number: u64) -> String {
    format!("library/film-{number}.mp4")
}

/// `count` contents drawn at random from the first `keys`, no two the same.
pub fn some(keys: u64, count: usize) -> Vec<Content> {
    let keys = usize::try_from(keys).unwrap_or(usize::MAX);
    let drawn = index::sample(&mut rand::rng(), keys, count.min(keys));
    let content = |number: usize| Content { name: content_id(number as u64), kid: [0; 16] };
    drawn.into_iter().map(content).collect()
}

/// Checks that the disk has space for so many keys on all nodes.
///
/// # Errors
/// When it has not.
pub fn there_is_room(cluster: &Cluster, keys: u64) -> Result<(), RigError> {
    let dir = cluster.dir();
    let disk = rustix::fs::statvfs(&dir).map_err(|error| RigError::at("look at", &dir)(error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = keys.saturating_mul(BYTES_PER_KEY_MAX).saturating_mul(cluster.nodes().len() as u64);
    if free >= needed {
        return Ok(());
    }
    let gib = |bytes: u64| bytes >> 30;
    let (needed, free) = (gib(needed) + 1, gib(free));
    Err(RigError::Program(format!(
        "{keys} keys may take {needed} GiB and {} has {free} GiB free: ask for fewer, or set TMPDIR to another disk",
        dir.display()
    )))
}

/// Creates so many keys, and returns how long it took.
///
/// # Errors
/// When a request is refused.
pub fn fill(cluster: &Cluster, keys: u64) -> Result<Duration, RigError> {
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let next = AtomicU64::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let fillers: Vec<_> =
            (0..FILLERS).map(|_| scope.spawn(|| fill_batches(signer, &nodes, &next, keys))).collect();
        fillers.into_iter().try_for_each(|filler| {
            filler.join().map_err(|_| RigError::Program("a filler panicked".to_owned()))?
        })
    })?;
    Ok(began.elapsed())
}

fn fill_batches(signer: &Signer, nodes: &[SocketAddr], next: &AtomicU64, keys: u64) -> Result<(), RigError> {
    loop {
        wait::not_interrupted()?;
        let first = next.fetch_add(BULK_ITEMS, Ordering::Relaxed);
        if first >= keys {
            return Ok(());
        }
        if first > 0 && first.is_multiple_of(TOLD_EVERY) {
            eprintln!("{first} of {keys} keys");
        }
        let turn = usize::try_from(first / BULK_ITEMS).unwrap_or(0);
        let node = nodes.get(turn % nodes.len().max(1)).copied();
        let node = node.ok_or_else(|| RigError::Program("there is no node".to_owned()))?;
        fill_batch(signer, node, first..keys.min(first + BULK_ITEMS))?;
    }
}

fn fill_batch(signer: &Signer, node: SocketAddr, numbers: std::ops::Range<u64>) -> Result<(), RigError> {
    let head = json!({"bulk": 1, "ca_system": signer.ca_system, "account_id": signer.account_id, "keys": false, "method": "POST"});
    let mut body = format!("{head}\n");
    for number in numbers {
        body.push_str(&format!("{{\"content_id\":\"{}\"}}\n", content_id(number)));
    }
    let target = format!("/bulk?signature={}", percent_encode(&signer.signature(body.as_bytes())));
    let request = raw::request("POST", &target, &[("Connection", "close")], body.as_bytes());
    let answer = raw::exchange_streamed(node, &request, BATCH_WITHIN)?;
    let text = String::from_utf8_lossy(&answer.body);
    let summary = text.lines().last().unwrap_or_default();
    if summary.contains("\"errors\":0") {
        return Ok(());
    }
    Err(RigError::Answer(format!("a bulk request failed: {summary}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_drawn_once_each_and_all_of_few() {
        let mut names: Vec<String> = some(5, 100).into_iter().map(|content| content.name).collect();
        names.sort();
        assert_eq!(names, (0..5).map(content_id).collect::<Vec<_>>());
        assert_eq!(some(10_000_000, 3).len(), 3);
    }
}
