//! What a node runs out of: the validity of its certificate, and the room on its disk.

use super::{Findings, is_full};
use keymoot_cluster::NodeStatus;

/// A certificate that ends so soon is renewed now.
const CERTIFICATE_DAYS: i64 = 30;
/// The least that should be free on a node's disk.
const FREE_BYTES_MIN: u64 = 1 << 30;
pub(super) const DAY_S: i64 = 24 * 3600;

pub(super) fn resources(node: &NodeStatus, now_s: i64, findings: &mut Findings) {
    let id = node.id;
    if let Some(left_s) = node.certificate_expires_at_s.map(|at_s| at_s - now_s)
        && left_s < CERTIFICATE_DAYS * DAY_S
    {
        let problem = match left_s {
            ..=0 => format!("the certificate of node {id} has expired"),
            _ => format!("the certificate of node {id} ends in {} days", left_s / DAY_S),
        };
        let cure = "issue a new one, replace the file cluster.cert_file names, and restart the node";
        findings.add(problem, cure);
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
