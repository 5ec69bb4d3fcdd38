//! What a node runs out of: the validity of its certificate, which it renews and complains of in time by itself, and
//! the room on its disk.

use super::{Findings, is_full};
use keymoot_cluster::NodeStatus;

/// The least that should be free on a node's disk.
const FREE_BYTES_MIN: u64 = 1 << 30;

pub(super) fn resources(node: &NodeStatus, now_s: i64, findings: &mut Findings) {
    let id = node.id;
    if node.certificate_expires_at_s.is_some_and(|at_s| at_s <= now_s) {
        let cure = "the node's log says why it does not renew it: docs/certificates.md";
        findings.add(format!("the certificate of node {id} has expired"), cure);
    }
    if is_full(node) {
        findings.add(
            format!("node {id} is read-only: its disk is nearly full"),
            "free some, or enlarge it: docs/disks.md",
        );
    } else if let Some(disk) = node.disk
        // A snapshot that is received needs room for itself and for the state made of it.
        && disk.free_bytes < FREE_BYTES_MIN.max(disk.data_bytes.saturating_mul(2))
    {
        findings.add(
            format!("the disk of node {id} has {} MiB left", disk.free_bytes / (1024 * 1024)),
            "make room: a node whose disk is full takes no writes",
        );
    }
}
