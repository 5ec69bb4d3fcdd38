//! The fail-over drill: load at all nodes, the leader killed again and again, and a record of
//! every answer.
//!
//! A worker behaves as a patient scrambler does: it has a home node, waits for the answer, and
//! when its connection breaks it asks the next node for the same content. An answer that is not
//! a key is an error of the cluster; a broken connection to a killed node is not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ledger::Ledger;
use crate::raw::{self, Link};
use crate::signed::WIDEVINE;
use crate::wait::{pause, wait_until};
use crate::{Cluster, KeyAnswer, RigError, Signer};

/// How hard and how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many leaders are killed, one after another.
    pub kills: usize,
    /// Clients whose home is the same node.
    pub clients_per_node: usize,
    /// What a client waits between an answer and its next request.
    pub think: Duration,
    /// Load before the first kill, and between a restarted node's return and the next kill.
    pub calm: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        let (think, calm) = (Duration::from_millis(25), Duration::from_secs(2));
        Self { kills: 5, clients_per_node: 4, think, calm }
    }
}

/// A key that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Success {
    /// Which node answered, counted from 0.
    pub node: usize,
    /// When the request that was answered left, since the drill began.
    pub sent_at: Duration,
    /// When its answer came, since the drill began.
    pub answered_at: Duration,
    /// From the client's first attempt to the answer.
    pub waited: Duration,
}

/// An answer that is no key.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// When it came, since the drill began.
    pub at: Duration,
    /// What it said.
    pub text: String,
}

/// All that was answered.
#[derive(Default)]
pub struct Record {
    /// Every key answered.
    pub successes: Vec<Success>,
    /// Every other answer.
    pub refusals: Vec<Refusal>,
    /// Every acknowledged key.
    pub ledger: Ledger,
}

/// One kill of a leader.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    /// The leader's id.
    pub node: u64,
    /// When it was killed, since the drill began.
    pub at: Duration,
}

/// What a drill found.
pub struct Report {
    /// The leaders killed, in order.
    pub kills: Vec<Kill>,
    /// All that was answered.
    pub record: Record,
    /// How long the load lasted.
    pub lasted: Duration,
    /// What is lost, changed or shared, read back from every node at the end.
    pub findings: Vec<String>,
}

impl Report {
    /// From a kill to the first answer to a request that was sent after it.
    pub fn gap(&self, kill: Kill) -> Option<Duration> {
        let after = self.record.successes.iter().filter(|success| success.sent_at > kill.at);
        after.map(|success| success.answered_at - kill.at).min()
    }

    /// The time that counts for a kill: until the next one, or the end.
    pub fn window(&self, index: usize) -> std::ops::Range<Duration> {
        let from = self.kills.get(index).map_or(self.lasted, |kill| kill.at);
        let to = self.kills.get(index + 1).map_or(self.lasted, |kill| kill.at);
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
/// When a node does not come back, no leader is found, no request succeeds after a kill, or the
/// drill is interrupted.
pub fn run(cluster: &mut Cluster, plan: Plan) -> Result<Report, RigError> {
    let shared =
        Shared { began: Instant::now(), stop: AtomicBool::new(false), record: Mutex::new(Record::default()) };
    let (nodes, signer) = (cluster.addresses(), cluster.signer().clone());
    let kills = std::thread::scope(|scope| {
        for client in 0..plan.clients_per_node * nodes.len() {
            let worker =
                Worker { shared: &shared, signer: &signer, nodes: &nodes, client, think: plan.think };
            scope.spawn(move || worker.run());
        }
        let kills = kill_leaders(cluster, plan, &shared);
        shared.stop.store(true, Ordering::Relaxed);
        kills
    })?;
    let lasted = shared.began.elapsed();
    let record = shared.record.into_inner().unwrap_or_else(PoisonError::into_inner);
    let findings = record.ledger.audit(&signer, &nodes)?;
    Ok(Report { kills, record, lasted, findings })
}

fn kill_leaders(cluster: &mut Cluster, plan: Plan, shared: &Shared) -> Result<Vec<Kill>, RigError> {
    let mut kills = Vec::new();
    for _ in 0..plan.kills {
        pause(plan.calm)?;
        let node = cluster.leader()?;
        let at = shared.began.elapsed();
        cluster.kill(node)?;
        kills.push(Kill { node, at });
        wait_until("a request sent after the kill to succeed", Duration::from_secs(60), || {
            let record = shared.record();
            let late = record.successes.iter().rev().any(|success| success.sent_at > at);
            if late { Ok(()) } else { Err(RigError::Answer("none did yet".to_owned())) }
        })?;
        // The survivors carry the load alone for a while, so that the restart is not part of the gap.
        pause(plan.calm)?;
        cluster.restart(node)?;
        cluster.await_caught_up(node)?;
    }
    pause(plan.calm)?;
    Ok(kills)
}

struct Worker<'a> {
    shared: &'a Shared,
    signer: &'a Signer,
    nodes: &'a [SocketAddr],
    client: usize,
    think: Duration,
}

impl Worker<'_> {
    /// Creates contents of its own, and asks for each a second time later, at another node.
    fn run(&self) {
        let mut links: Vec<Option<Link>> = self.nodes.iter().map(|_| None).collect();
        for serial in 0_u64.. {
            // Even serials create; odd ones ask again for what was created a while ago.
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

    /// Asks from `home` on until a node answers or the drill ends.
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
        let kills = vec![Kill { node: 1, at: ms(100) }, Kill { node: 2, at: ms(900) }];
        let successes = vec![success(99, 101), success(105, 600), success(110, 550), success(700, 701)];
        let record = Record { successes, ..Record::default() };
        let report = Report { kills: kills.clone(), record, lasted: ms(2000), findings: vec![] };
        assert_eq!(report.gap(kills[0]), Some(ms(450)));
        assert_eq!(report.gap(kills[1]), None);
        assert_eq!((report.window(0), report.window(1)), (ms(100)..ms(900), ms(900)..ms(2000)));
    }
}
