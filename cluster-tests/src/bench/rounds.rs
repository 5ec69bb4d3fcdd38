//! Rounds of workloads, interleaved: each round runs every workload once, every second one backwards, so that
//! none always follows the same other.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::figures::{Round, Row};
use super::load::Plan;
use super::machine;
use super::names::{Name, System};
use super::usage::Usage;
use super::workloads::Workload;
use crate::{Cluster, RigError, metrics, wait};

/// What was written before settles meanwhile, for as long as warming up takes but no longer than this.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// Requests a second that one client may be expected to send before anything is known, and all together.
const GUESS_PER_CLIENT: f64 = 1000.0;
const GUESS_MAX: f64 = 20_000.0;
/// How many more requests are made ready than are expected.
const SPARE: f64 = 1.5;

/// Who is measured.
pub trait Watched {
    /// The processes of a system.
    ///
    /// # Errors
    /// When it was not started.
    fn pids(&self, system: System) -> Result<Vec<u32>, RigError>;

    /// How often a system made its logs durable so far.
    ///
    /// # Errors
    /// When it does not say.
    fn fsyncs(&self, system: System) -> Result<f64, RigError>;

    /// How long it takes to make 4 KiB durable where they do, in milliseconds at the median.
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

/// What all rounds have in common.
pub struct Rounds<'w> {
    /// Who answers.
    pub watched: &'w dyn Watched,
    /// How many rounds.
    pub count: usize,
    /// Not counted, before each round of each workload.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
    /// What the disk took for an fsync, between rounds of creates with one client, in milliseconds.
    pub fsyncs_ms: Vec<f64>,
}

impl Rounds<'_> {
    /// All rounds with so many clients; `rate` says what they ask a second in open loops.
    ///
    /// # Errors
    /// When somebody does not answer, or refuses.
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
        // Connecting, with handshakes, is not what a request costs.
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

/// How many requests a round may send.
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
