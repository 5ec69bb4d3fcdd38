//! The load generator: N clients, each with one request under way.
//!
//! It is meant to cost little beside what it measures. Each core runs one thread with its share of the
//! clients and an event loop of its own, so no request changes threads; what is sent was made beforehand
//! ([`Load::prepare`]), and answers are measured, not taken apart. In a closed loop a client asks
//! again as soon as it was answered: that says how fast the servers are with N clients that wait. In an
//! open loop requests leave by the clock, and one that should have left earlier is measured from when
//! it should have: so a stall counts for all who would have come meanwhile (coordinated omission).

use std::future::Future;
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use super::pacer::Pacer;
use crate::stats::Latencies;
use crate::{RigError, raw, wait};

/// How much, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Clients in all.
    pub clients: usize,
    /// Requests a second of all clients together; without one, each asks as soon as it was answered.
    pub rate_per_s: Option<f64>,
    /// Not counted, before.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
}

/// What clients do: connect, and ask again and again.
pub trait Load: Send + Sync + 'static {
    /// What a client holds.
    type Connection: Send;

    /// Makes about so many requests ready, before time is measured. Without it they are made as they leave.
    fn prepare(&self, _requests: usize) {}

    /// Connects the client of this number.
    fn connect(&self, client: usize) -> impl Future<Output = Result<Self::Connection, RigError>> + Send;

    /// Asks once, as the client's `serial`th request. A refusal is an answer, and told as text.
    fn ask(
        &self,
        connection: &mut Self::Connection,
        client: usize,
        serial: u64,
    ) -> impl Future<Output = Result<Option<String>, RigError>> + Send;
}

/// What a run measured.
#[derive(Clone, Default)]
pub struct Outcome {
    /// Of every request that was not refused, in the measured time.
    pub latencies: Latencies,
    /// Refusals.
    pub refused: u64,
    /// The first of them.
    pub first_refusal: Option<String>,
    /// How long was measured.
    pub measured: Duration,
}

impl Outcome {
    /// Requests that were not refused, a second.
    #[expect(clippy::cast_precision_loss, reason = "a count of answers is far below 2^53")]
    pub fn answers_per_second(&self) -> f64 {
        self.latencies.count() as f64 / self.measured.as_secs_f64().max(f64::EPSILON)
    }

    fn merge(&mut self, other: Self) {
        self.latencies.merge(&other.latencies);
        self.refused += other.refused;
        self.first_refusal = self.first_refusal.take().or(other.first_refusal);
    }
}

/// Runs `plan` with `load`; `begun` is called once, when all are connected and before the first asks.
///
/// # Errors
/// When a connection fails, a server answers what its protocol does not know, or not at all: a benchmark
/// whose connections break measures nothing. Also when it is interrupted.
pub fn run<L: Load>(plan: &Plan, load: &Arc<L>, begun: impl Fn() + Send + Sync) -> Result<Outcome, RigError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, plan.clients.max(1));
    let (all_connected, beginning) = (Barrier::new(threads), OnceLock::new());
    let begin = || {
        all_connected.wait();
        *beginning.get_or_init(|| {
            begun();
            Instant::now()
        })
    };
    let mut whole = Outcome { measured: plan.measured, ..Outcome::default() };
    std::thread::scope(|scope| {
        // Each thread has neighbours, so that its clients are dealt to all servers.
        let clients = |thread: usize| plan.clients * thread / threads..plan.clients * (thread + 1) / threads;
        let share = |thread: usize| scope.spawn(move || run_share(plan, load, clients(thread), begin));
        let shares: Vec<_> = (0..threads).map(share).collect();
        shares.into_iter().try_for_each(|share| {
            whole.merge(share.join().map_err(|_| RigError::Program("a load thread panicked".to_owned()))??);
            Ok(())
        })
    })?;
    Ok(whole)
}

/// The clients of one thread. Every thread meets the others at `begin`, also when it could not connect.
fn run_share<L: Load>(
    plan: &Plan,
    load: &Arc<L>,
    clients: impl Iterator<Item = usize>,
    begin: impl Fn() -> Instant,
) -> Result<Outcome, RigError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(RigError::io("cannot start the load generator"));
    let connected = runtime.and_then(|runtime| {
        let connections = runtime.block_on(connect(load.as_ref(), clients))?;
        Ok((runtime, connections))
    });
    let started = begin();
    let (runtime, connections) = connected?;
    let from = started + plan.warm_up;
    let window = Window { started, from, to: from + plan.measured };
    let within = plan.warm_up + plan.measured + raw::ANSWER_WITHIN;
    runtime.block_on(async {
        let all = run_clients(*plan, window, load, connections);
        let late = |_| RigError::Answer("there was no answer in time".to_owned());
        tokio::time::timeout(within, all).await.map_err(late)?
    })
}

type Connected<L> = Vec<(usize, <L as Load>::Connection)>;

async fn connect<L: Load>(load: &L, clients: impl Iterator<Item = usize>) -> Result<Connected<L>, RigError> {
    let mut connections = Vec::new();
    for client in clients {
        wait::not_interrupted()?;
        let connecting = tokio::time::timeout(raw::ANSWER_WITHIN, load.connect(client)).await;
        let late = |_| RigError::Answer("a connection was not made in time".to_owned());
        connections.push((client, connecting.map_err(late)??));
    }
    Ok(connections)
}

async fn run_clients<L: Load>(
    plan: Plan,
    window: Window,
    load: &Arc<L>,
    connections: Connected<L>,
) -> Result<Outcome, RigError> {
    let mut clients = tokio::task::JoinSet::new();
    for (client, connection) in connections {
        let load = Arc::clone(load);
        clients.spawn(async move { run_client(client, connection, plan, window, &*load).await });
    }
    let mut whole = Outcome::default();
    while let Some(ended) = clients.join_next().await {
        whole.merge(ended.map_err(|_| RigError::Program("a load client panicked".to_owned()))??);
    }
    Ok(whole)
}

#[derive(Clone, Copy)]
struct Window {
    started: Instant,
    from: Instant,
    to: Instant,
}

async fn run_client<L: Load>(
    client: usize,
    mut connection: L::Connection,
    plan: Plan,
    window: Window,
    load: &L,
) -> Result<Outcome, RigError> {
    let mut pacer = plan.rate_per_s.map(|_| Pacer::new()).transpose()?;
    let mut outcome = Outcome::default();
    let mut answered_at = Instant::now();
    for serial in 0.. {
        wait::not_interrupted()?;
        let due_at = match (&mut pacer, plan.due_after(client, serial)) {
            (Some(pacer), Some(after)) => {
                let due_at = window.started + after;
                if due_at < window.to {
                    pacer.sleep_until(due_at).await?;
                }
                due_at
            }
            _ => answered_at,
        };
        if due_at >= window.to {
            break;
        }
        let refusal = load.ask(&mut connection, client, serial).await?;
        answered_at = Instant::now();
        if let Some(refusal) = refusal {
            outcome.refused += 1;
            outcome.first_refusal.get_or_insert(refusal);
        } else if plan.counts(window, due_at, answered_at) {
            outcome.latencies.record(answered_at - due_at);
        }
    }
    Ok(outcome)
}

impl Plan {
    /// When a client's request is due in an open loop, after the beginning: clients take turns.
    #[expect(clippy::cast_precision_loss, reason = "clients and serials are far below 2^53")]
    fn due_after(&self, client: usize, serial: u64) -> Option<Duration> {
        let rate = self.rate_per_s?;
        let turn = serial as f64 * self.clients as f64 + client as f64;
        Some(Duration::from_secs_f64(turn / rate.max(f64::EPSILON)))
    }

    /// A closed loop counts answers that came in the measured time; an open one counts requests that
    /// were due in it, however late they were answered.
    fn counts(&self, window: Window, due_at: Instant, answered_at: Instant) -> bool {
        let counted = window.from..window.to;
        match self.rate_per_s {
            Some(_) => counted.contains(&due_at),
            None => counted.contains(&answered_at),
        }
    }
}

#[cfg(test)]
mod tests;
