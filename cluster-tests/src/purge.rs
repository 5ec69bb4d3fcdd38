//! Logs that are purged, so that a node that was away needs a snapshot.

use std::net::SocketAddr;
use std::time::Duration;

use crate::bench::known;
use crate::signed::WIDEVINE;
use crate::wait::wait_until;
use crate::{RigError, Signer, metrics};

/// Settings of a cluster whose log is purged soon, and whose snapshots of some hundred contents
/// take seconds to send.
pub const SLOW_SNAPSHOTS: [(&str, &str); 3] = [
    ("KEYMOOT__RAFT__SNAPSHOT_LOG_ENTRIES", "60"),
    ("KEYMOOT__RAFT__LOG_KEEP_ENTRIES", "10"),
    ("KEYMOOT__RAFT__SNAPSHOT_RATE_BYTES_PER_S", "65536"),
];

/// Requests that are sent at once to grow the log.
const WRITTEN_AT_ONCE: usize = 64;

/// Creates contents with this name at these nodes until the log of each is purged up to the entry
/// `index`.
///
/// # Errors
/// When one is not in time.
pub fn write_until_purged(
    signer: &Signer,
    nodes: &[SocketAddr],
    name: &str,
    index: f64,
    within: Duration,
) -> Result<(), RigError> {
    let mut serials = 0_u64..;
    wait_until("the log to be purged", within, || {
        // Each create is an entry of the log, however many are proposed together.
        let create = |serial| {
            signer.request("POST", WIDEVINE, &signer.custom_data(&format!("{name}-{serial}.mp4"), &[]))
        };
        known::send_all(nodes, None, serials.by_ref().take(WRITTEN_AT_ONCE).map(create).collect())?;
        nodes.iter().try_for_each(|node| is_purged(*node, index))
    })
}

/// Checks that a node's log is purged up to the entry `index`.
///
/// # Errors
/// When it is not.
pub fn is_purged(node: SocketAddr, index: f64) -> Result<(), RigError> {
    match metrics::sample(node, metrics::PURGED_INDEX)? {
        purged if purged > index => Ok(()),
        purged => Err(RigError::Answer(format!("purged up to {purged}, and not beyond {index}"))),
    }
}
