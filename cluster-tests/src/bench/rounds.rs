//! Rounds of workloads, interleaved: each round runs every workload once, every second one
//! backwards, so that no workload always follows the same other.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::figures::{Round, Row};
use super::load::Plan;
use super::machine;
use super::names::{Name, System};
use super::usage::Usage;
use super::workloads::Workload;
use crate::{Cluster, RigError, metrics, wait};

/// The longest pause for earlier writes to settle; it is as long as the warm-up, but no longer than
/// this.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// The assumed request rate of one client before anything is measured, and of all together.
const GUESS_PER_CLIENT: f64 = 1000.0;
const GUESS_MAX: f64 = 20_000.0;
/// How many more requests are prepared than are expected.
const SPARE: f64 = 1.5;

/// A measured system.
pub trait Watched {
    /// The process ids of a system.
    ///
    /// # Errors
    /// When it was not started.
    fn pids(&self, system: System) -> Result<Vec<u32>, RigError>;

    /// The number of a system's log fsyncs so far.
    ///
    /// # Errors
    /// When it does not report it.
    fn fsyncs(&self, system: System) -> Result<f64, RigError>;

    /// The time of a durable write of 4 KiB on the systems' disk, in milliseconds at the median.
    ///
    /// # Errors
    /// When the disk cannot be written to.
    fn fsync_ms(&self) -> Result<f64, RigError>;
}

impl Watched for Cluster {
    fn pids(&self, _: System) -> Result<Vec<u32>, RigError> {
        Ok(self.nodes().iter().map(|node| node.pid).collect())
    }

    fn fsyncs(&self, _: System) -> Result<f64, RigError> {
        self.addresses().into_iter().map(|node| metrics::sample(node, metrics::LOG_FSYNCS)).sum()
    }

    fn fsync_ms(&self) -> Result<f64, RigError> {
        machine::fsync_ms(&self.dir())
    }
}

/// The parameters of all rounds.
pub struct Rounds<'w> {
    /// The measured systems.
    pub watched: &'w dyn Watched,
    /// The number of rounds.
    pub count: usize,
    /// The time before each round of each workload, not counted.
    pub warm_up: Duration,
    /// The measured time.
    pub measured: Duration,
    /// The fsync times between rounds of creates with one client, in milliseconds.
    pub fsyncs_ms: Vec<f64>,
}

impl Rounds<'_> {
    /// All rounds with this many clients; `rate` returns the requests per second of open loops.
    ///
    /// # Errors
    /// When a system does not answer, or refuses.
    pub fn measure(
        &mut self,
        clients: usize,
        workloads: &[&Workload],
        rate: impl Fn(Name) -> Option<f64>,
    ) -> Result<Vec<Row>, RigError> {
        let mut measured: Vec<(&Workload, Vec<Round>)> = workloads.iter().map(|w| (*w, Vec::new())).collect();
        for number in 1..=self.count {
            for (workload, rounds) in &mut measured {
                let rate_per_s = rate(workload.name);
                let how = rate_per_s.map_or_else(String::new, |rate| format!(" at {rate:.0}/s"));
                eprintln!("{clients} clients, round {number} of {}: {}{how}", self.count, workload.name);
                if clients == 1 && workload.name == Name::Create {
                    self.fsyncs_ms.push(self.watched.fsync_ms()?);
                }
                let plan = Plan { clients, rate_per_s, warm_up: self.warm_up, measured: self.measured };
                workload.prepare(expected(&plan, rounds.last()));
                rounds.push(self.round(workload, &plan)?);
            }
            measured.reverse();
        }
        if self.count % 2 == 1 {
            measured.reverse();
        }
        Ok(measured.iter().map(|(w, rounds)| Row::of(w.name, clients, rate(w.name), rounds)).collect())
    }

    fn round(&self, workload: &Workload, plan: &Plan) -> Result<Round, RigError> {
        wait::pause(plan.warm_up.min(PAUSE_MAX))?;
        let system = workload.name.system();
        let (pids, own) = (self.watched.pids(system)?, [std::process::id()]);
        let fsyncs = self.watched.fsyncs(system)?;
        let used = || Ok::<_, RigError>((Usage::of(&pids)?, Usage::of(&own)?, Instant::now()));
        // Connecting, with handshakes, is not part of a request's cost.
        let before = OnceLock::new();
        let outcome = workload.run(plan, || {
            let _ = before.set(used());
        })?;
        let (servers, generator, ended) = used()?;
        let before = before.into_inner().ok_or_else(|| RigError::Program("nothing was run".to_owned()))?;
        let (servers_before, generator_before, began) = before?;
        Ok(Round {
            outcome,
            servers: servers.since(servers_before),
            generator_cpu_s: generator.since(generator_before).cpu_s,
            fsyncs: self.watched.fsyncs(system)? - fsyncs,
            lasted_s: (ended - began).as_secs_f64(),
        })
    }
}

/// The number of requests that a round is expected to send.
#[expect(clippy::cast_precision_loss, reason = "clients are few")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far below 2^53, and positive")]
fn expected(plan: &Plan, before: Option<&Round>) -> usize {
    let guess = (plan.clients as f64 * GUESS_PER_CLIENT).min(GUESS_MAX);
    let known = plan.rate_per_s.or_else(|| before.map(|round| round.outcome.answers_per_second()));
    let seconds = (plan.warm_up + plan.measured).as_secs_f64();
    (known.map_or(guess, |rate| rate * SPARE) * seconds) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_requests_are_made_ready_as_may_be_sent() {
        let second = Duration::from_secs(1);
        let closed = |clients| Plan { clients, rate_per_s: None, warm_up: second, measured: second };
        assert_eq!(expected(&closed(1), None), 2000);
        assert_eq!(expected(&closed(512), None), 40_000);
        let open = Plan { rate_per_s: Some(100.0), ..closed(512) };
        assert_eq!(expected(&open, None), 300);
    }
}
