//! A node that was away until the others purged the entries it lacks, and gets a snapshot while
//! they serve.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::growth::{READY_WITHIN, ready, timed};
use crate::purge::write_until_purged;
use crate::wait::wait_until;
use crate::{Cluster, RigError, Signer, metrics};

/// How often the other nodes get a request meanwhile.
const ASKED_EVERY: Duration = Duration::from_millis(10);

const LOGGED_WITHIN: Duration = Duration::from_secs(10);

/// The measurements.
pub struct CatchingUp {
    /// From the start of the node until it has caught up and is ready.
    pub whole: Duration,
    /// The time for building and sending the snapshot, which overlap: it is read and sent piece by
    /// piece.
    pub sent: Duration,
    /// The time for replacing the node's old data.
    pub installed: Duration,
    /// The size of the snapshot.
    pub bytes: u64,
    /// The term before and after.
    pub terms: [f64; 2],
    seen: Seen,
}

/// The requests of the other nodes' clients.
#[derive(Default)]
struct Seen {
    slowest: Duration,
    answered: u64,
    failed: u64,
}

impl CatchingUp {
    /// The figures as JSON.
    pub fn to_json(&self) -> Value {
        let [before, after] = self.terms;
        json!({
            "catch_up_s": self.whole.as_secs_f64(), "build_and_send_s": self.sent.as_secs_f64(),
            "install_s": self.installed.as_secs_f64(), "bytes": self.bytes, "term_before": before,
            "term_after": after, "elections": after - before,
            "slowest_answer_ms": self.seen.slowest.as_secs_f64() * 1000.0,
            "answers": self.seen.answered, "failed": self.seen.failed,
        })
    }
}

/// Kills the node, writes until the others' logs no longer reach it, and starts it again under
/// load.
///
/// # Errors
/// When it does not catch up.
pub fn measure(cluster: &mut Cluster, away: u64) -> Result<CatchingUp, RigError> {
    let node = cluster.node(away)?.api;
    let last_known = metrics::sample(node, metrics::LAST_LOG_INDEX)?;
    cluster.kill(away)?;
    let others: Vec<SocketAddr> =
        cluster.nodes().iter().filter(|node| node.id != away).map(|node| node.api).collect();
    let signer = cluster.signer().clone();
    write_until_purged(&signer, &others, "missed", last_known + 1.0, READY_WITHIN)?;
    let term = || metrics::sample(others.first().copied().unwrap_or(node), metrics::TERM);
    let before = term()?;
    let stop = AtomicBool::new(false);
    let (whole, seen) = std::thread::scope(|scope| {
        let client = scope.spawn(|| keep_asking(&signer, &others, &stop));
        let whole = timed(|| {
            cluster.restart(away)?;
            catch_up(cluster, away)?;
            ready(node)
        });
        stop.store(true, Ordering::Relaxed);
        let seen = client.join().map_err(|_| RigError::Program("a client panicked".to_owned()));
        Ok::<_, RigError>((whole?, seen?))
    })?;
    // The old data are deleted meanwhile, so a directory may vanish while it is read.
    let logged = |what: &str, field: &str| {
        wait_until("the logs to tell of the snapshot", LOGGED_WITHIN, || {
            largest_in_logs(cluster, what, field)
        })
    };
    Ok(CatchingUp {
        whole,
        sent: Duration::from_millis(logged("snapshot sent", "took_ms=")?),
        installed: Duration::from_millis(logged("snapshot installed", "took_ms=")?),
        bytes: logged("snapshot sent", "bytes=")?,
        terms: [before, term()?],
        seen,
    })
}

fn catch_up(cluster: &Cluster, away: u64) -> Result<(), RigError> {
    let leader = cluster.node(cluster.leader()?)?.api;
    let target = metrics::sample(leader, metrics::LAST_LOG_INDEX)?;
    let api = cluster.node(away)?.api;
    wait_until("the node to have what the others have", READY_WITHIN, || {
        match metrics::sample(api, metrics::APPLIED_INDEX)? {
            applied if applied >= target => Ok(()),
            applied => Err(RigError::Answer(format!("it has applied {applied}"))),
        }
    })
}

fn keep_asking(signer: &Signer, nodes: &[SocketAddr], stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    for (serial, node) in (0_u64..).zip(nodes.iter().cycle()) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        match signer.create(*node, &format!("meanwhile-{serial}.mp4")) {
            Ok(_) => seen.answered += 1,
            Err(_) => seen.failed += 1,
        }
        seen.slowest = seen.slowest.max(began.elapsed());
        std::thread::sleep(ASKED_EVERY);
    }
    seen
}

/// The largest number after `field` in any line of the nodes' logs with the message `what`.
fn largest_in_logs(cluster: &Cluster, what: &str, field: &str) -> Result<u64, RigError> {
    let mut largest = None;
    for path in cluster.log_files()? {
        let text = std::fs::read(&path).map_err(RigError::at("read", &path))?;
        largest = largest.max(largest_in(&String::from_utf8_lossy(&text), what, field));
    }
    largest.ok_or_else(|| RigError::Answer(format!("no log of a node says {what:?}")))
}

fn largest_in(log: &str, what: &str, field: &str) -> Option<u64> {
    let number = |line: &str| {
        let digits = line.split_once(field)?.1;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    log.lines().filter(|line| line.contains(what)).filter_map(number).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_from_the_lines_that_say_what_it_is_of() {
        let log = "INFO snapshot sent bytes=12 took_ms=7\nINFO snapshot sent bytes=9 took_ms=30 x=1\nINFO other bytes=99";
        assert_eq!(largest_in(log, "snapshot sent", "bytes="), Some(12));
        assert_eq!(largest_in(log, "snapshot sent", "took_ms="), Some(30));
        assert_eq!(largest_in(log, "snapshot installed", "took_ms="), None);
    }
}
