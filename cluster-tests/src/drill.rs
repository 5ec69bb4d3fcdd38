//! The drills: load at all nodes, nodes that go away and come back, and a record of every answer.
//! In one drill the leader is killed again and again; in the other each node in turn is asked to
//! stop, as in an upgrade.
//!
//! A worker behaves as a patient scrambler does: it has a home node, waits for the answer, and when
//! its connection breaks it asks the next node for the same content. An answer that is not a key is
//! an error of the cluster; a broken connection to a killed node is not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ledger::Ledger;
use crate::raw::{self, Link};
use crate::signed::WIDEVINE;
use crate::wait::{pause, wait_until};
use crate::{Cluster, KeyAnswer, RigError, Signer};

/// The way in which nodes go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The leader is killed with `kill -9`, this many times.
    LeaderKilled(usize),
    /// Each node in turn is asked to stop by SIGTERM, this many times.
    RollingRestart(usize),
}

/// The parameters of a drill.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How nodes go away, and how often.
    pub manner: Manner,
    /// The number of clients with the same home node.
    pub clients_per_node: usize,
    /// How long a client waits between an answer and its next request.
    pub think: Duration,
    /// Load before the first outage, and between a restarted node's return and the next outage.
    pub calm: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        let (think, calm) = (Duration::from_millis(25), Duration::from_secs(2));
        Self { manner: Manner::LeaderKilled(5), clients_per_node: 4, think, calm }
    }
}

/// A key that was returned.
#[derive(Clone, Copy, Debug)]
pub struct Success {
    /// The index of the node that answered.
    pub node: usize,
    /// When the answered request was sent, since the start of the drill.
    pub sent_at: Duration,
    /// When its answer arrived, since the start of the drill.
    pub answered_at: Duration,
    /// From the client's first attempt to the answer.
    pub waited: Duration,
}

/// An answer that is not a key.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// When it arrived, since the start of the drill.
    pub at: Duration,
    /// The text of the answer.
    pub text: String,
}

/// All answers.
#[derive(Default)]
pub struct Record {
    /// Every returned key.
    pub successes: Vec<Success>,
    /// Every other answer.
    pub refusals: Vec<Refusal>,
    /// Every acknowledged key.
    pub ledger: Ledger,
}

/// One absence of a node.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// The node's id.
    pub node: u64,
    /// Whether it led.
    pub led: bool,
    /// When it was killed or asked to stop, since the start of the drill.
    pub at: Duration,
    /// When it had caught up again, since the start of the drill.
    pub back_at: Duration,
}

/// The result of a drill.
pub struct Report {
    /// How nodes went away.
    pub manner: Manner,
    /// The absences, in order.
    pub outages: Vec<Outage>,
    pub record: Record,
    /// The duration of the load.
    pub lasted: Duration,
    /// Keys that are lost, changed or shared, read back from every node at the end.
    pub findings: Vec<String>,
}

impl Report {
    /// How long no request was answered: after a kill, the time to the first answer to a request
    /// that was sent after it; for a node that was asked to stop, the longest time between two
    /// answers while it was away.
    pub fn gap(&self, outage: Outage) -> Option<Duration> {
        match self.manner {
            Manner::LeaderKilled(_) => {
                let after = self.record.successes.iter().filter(|success| success.sent_at > outage.at);
                after.map(|success| success.answered_at - outage.at).min()
            }
            Manner::RollingRestart(_) => Some(self.longest_silence(outage.at, outage.back_at)),
        }
    }

    fn longest_silence(&self, from: Duration, to: Duration) -> Duration {
        let within = |at: &Duration| *at > from && *at < to;
        let mut answers: Vec<Duration> =
            self.record.successes.iter().map(|success| success.answered_at).filter(within).collect();
        answers.push(to);
        answers.sort_unstable();
        let mut last = from;
        let silences = answers.into_iter().map(|at| at - std::mem::replace(&mut last, at));
        silences.max().unwrap_or_default()
    }

    /// The period that belongs to an outage: until the next one, or the end.
    pub fn window(&self, index: usize) -> std::ops::Range<Duration> {
        let from = self.outages.get(index).map_or(self.lasted, |outage| outage.at);
        let to = self.outages.get(index + 1).map_or(self.lasted, |outage| outage.at);
        from..to
    }
}

struct Shared {
    began: Instant,
    stop: AtomicBool,
    record: Mutex<Record>,
}

impl Shared {
    /// A worker that panicked has already failed the drill; its record still counts.
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the drill on `cluster`, and reads every acknowledged key back from every node.
///
/// # Errors
/// When a node does not come back, no leader is found, no request succeeds after an outage, or the
/// drill is interrupted.
pub fn run(cluster: &mut Cluster, plan: Plan) -> Result<Report, RigError> {
    let shared =
        Shared { began: Instant::now(), stop: AtomicBool::new(false), record: Mutex::new(Record::default()) };
    let (nodes, signer) = (cluster.addresses(), cluster.signer().clone());
    let outages = std::thread::scope(|scope| {
        for client in 0..plan.clients_per_node * nodes.len() {
            let worker =
                Worker { shared: &shared, signer: &signer, nodes: &nodes, client, think: plan.think };
            scope.spawn(move || worker.run());
        }
        let outages = disturb(cluster, plan, &shared);
        shared.stop.store(true, Ordering::Relaxed);
        outages
    })?;
    let lasted = shared.began.elapsed();
    let record = shared.record.into_inner().unwrap_or_else(PoisonError::into_inner);
    let findings = record.ledger.audit(&signer, &nodes)?;
    Ok(Report { manner: plan.manner, outages, record, lasted, findings })
}

fn disturb(cluster: &mut Cluster, plan: Plan, shared: &Shared) -> Result<Vec<Outage>, RigError> {
    let mut outages = Vec::new();
    match plan.manner {
        Manner::LeaderKilled(times) => {
            for _ in 0..times {
                pause(plan.calm)?;
                let leader = cluster.leader()?;
                outages.push(outage(cluster, leader, plan, shared)?);
            }
        }
        Manner::RollingRestart(times) => {
            let nodes: Vec<u64> = cluster.nodes().iter().map(|node| node.id).collect();
            for node in nodes.iter().cycle().take(times * nodes.len()) {
                pause(plan.calm)?;
                outages.push(outage(cluster, *node, plan, shared)?);
            }
        }
    }
    pause(plan.calm)?;
    Ok(outages)
}

fn outage(cluster: &mut Cluster, node: u64, plan: Plan, shared: &Shared) -> Result<Outage, RigError> {
    let led = cluster.leader()? == node;
    let at = shared.began.elapsed();
    match plan.manner {
        Manner::LeaderKilled(_) => cluster.kill(node)?,
        Manner::RollingRestart(_) => cluster.stop(node)?,
    }
    wait_until("a request sent after a node went to succeed", Duration::from_secs(60), || {
        let record = shared.record();
        let late = record.successes.iter().rev().any(|success| success.sent_at > at);
        if late { Ok(()) } else { Err(RigError::Answer("none did yet".to_owned())) }
    })?;
    // The other nodes carry the load alone for a while, so that the restart is not part of a kill's
    // gap.
    pause(plan.calm)?;
    cluster.restart(node)?;
    cluster.await_caught_up(node)?;
    Ok(Outage { node, led, at, back_at: shared.began.elapsed() })
}

struct Worker<'a> {
    shared: &'a Shared,
    signer: &'a Signer,
    nodes: &'a [SocketAddr],
    client: usize,
    think: Duration,
}

impl Worker<'_> {
    /// Creates contents of its own, and requests each a second time later, at another node.
    fn run(&self) {
        let mut links: Vec<Option<Link>> = self.nodes.iter().map(|_| None).collect();
        for serial in 0_u64.. {
            // Even serials create; odd ones request a content that was created a while ago.
            let (content, home) = match serial % 2 {
                0 => (serial, self.client),
                _ => (serial.saturating_sub(21) & !1, self.client + 1),
            };
            let content_id = format!("drill-{}-{content}.mp4", self.client);
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            self.ask(&mut links, &content_id, home);
            std::thread::sleep(self.think);
        }
    }

    /// Asks the nodes from `home` on until one answers or the drill ends.
    fn ask(&self, links: &mut [Option<Link>], content_id: &str, home: usize) {
        let request = self.signer.request("POST", WIDEVINE, &self.signer.custom_data(content_id, &[]));
        let first_at = self.shared.began.elapsed();
        for attempt in 0.. {
            let node = (home + attempt) % self.nodes.len().max(1);
            let (Some(address), Some(slot)) = (self.nodes.get(node), links.get_mut(node)) else { return };
            let sent_at = self.shared.began.elapsed();
            match exchange(slot, *address, &request) {
                Ok(answer) => return self.enter(&answer, node, first_at, sent_at),
                Err(error) if error.is_broken_connection() => *slot = None,
                Err(error) => return self.refuse(error.to_string()),
            }
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn enter(&self, answer: &raw::Answer, node: usize, first_at: Duration, sent_at: Duration) {
        let answered_at = self.shared.began.elapsed();
        match KeyAnswer::from_answer(answer) {
            Ok(key) => {
                let waited = answered_at - first_at;
                let mut record = self.shared.record();
                record.ledger.enter(key, &format!("node {}", node + 1));
                record.successes.push(Success { node, sent_at, answered_at, waited });
            }
            Err(error) => self.refuse(format!("node {}: {error}", node + 1)),
        }
    }

    fn refuse(&self, text: String) {
        let at = self.shared.began.elapsed();
        self.shared.record().refusals.push(Refusal { at, text });
    }
}

fn exchange(slot: &mut Option<Link>, address: SocketAddr, request: &[u8]) -> Result<raw::Answer, RigError> {
    let link = match slot {
        Some(link) => link,
        None => slot.insert(Link::open(address, Duration::from_secs(2))?),
    };
    link.ask(request, raw::ANSWER_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_answer_that_was_under_way_at_the_kill_does_not_end_the_gap() {
        let success = |sent: u64, answered: u64| Success {
            node: 0,
            sent_at: ms(sent),
            answered_at: ms(answered),
            waited: ms(answered - sent),
        };
        let outage = |node, at, back_at| Outage { node, led: true, at: ms(at), back_at: ms(back_at) };
        let outages = vec![outage(1, 100, 800), outage(2, 900, 1900)];
        let successes = vec![success(99, 101), success(105, 600), success(110, 550), success(700, 701)];
        let record = Record { successes, ..Record::default() };
        let manner = Manner::LeaderKilled(2);
        let report = Report { manner, outages: outages.clone(), record, lasted: ms(2000), findings: vec![] };
        assert_eq!(report.gap(outages[0]), Some(ms(450)));
        assert_eq!(report.gap(outages[1]), None);
        let report = Report { manner: Manner::RollingRestart(1), ..report };
        assert_eq!(report.gap(outages[0]), Some(ms(449)), "101 to 550");
        assert_eq!(report.gap(outages[1]), Some(ms(1000)), "nobody was served at all");
        assert_eq!((report.window(0), report.window(1)), (ms(100)..ms(900), ms(900)..ms(2000)));
    }
}
