//! The load generator: N clients, each with one request in flight.
//!
//! It costs little compared with the measured systems. Each core runs one thread with its share of
//! the clients and an event loop of its own, so no request changes threads; requests are made
//! beforehand ([`Load::prepare`]), and answers are measured, not parsed. In a closed loop a client
//! sends its next request as soon as it is answered: that shows how fast the servers are with N
//! waiting clients. In an open loop requests leave by the clock, and the latency of a late one
//! counts from its due time: so a stall counts for all requests that were due during it
//! (coordinated omission).

use std::future::Future;
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use super::pacer::Pacer;
use crate::stats::Latencies;
use crate::{RigError, raw, wait};

/// The number of clients, and the durations.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The number of clients.
    pub clients: usize,
    /// Requests per second of all clients together; `None` for a closed loop.
    pub rate_per_s: Option<f64>,
    /// The time before the measurement, not counted.
    pub warm_up: Duration,
    /// The measured time.
    pub measured: Duration,
}

/// The behaviour of clients: they connect, and send requests repeatedly.
pub trait Load: Send + Sync + 'static {
    /// The connection of a client.
    type Connection: Send;

    /// Makes about this many requests before the measurement. Without it they are made as they are
    /// sent.
    fn prepare(&self, _requests: usize) {}

    /// Connects the client with this number.
    fn connect(&self, client: usize) -> impl Future<Output = Result<Self::Connection, RigError>> + Send;

    /// Sends the client's request number `serial`. A refusal is an answer, and is returned as text.
    fn ask(
        &self,
        connection: &mut Self::Connection,
        client: usize,
        serial: u64,
    ) -> impl Future<Output = Result<Option<String>, RigError>> + Send;
}

/// The result of a run.
#[derive(Clone, Default)]
pub struct Outcome {
    /// The latencies of all requests that were not refused, in the measured time.
    pub latencies: Latencies,
    /// The number of refusals.
    pub refused: u64,
    /// The text of the first refusal.
    pub first_refusal: Option<String>,
    /// The measured time.
    pub measured: Duration,
}

impl Outcome {
    /// Successful requests per second.
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

/// Runs `plan` with `load`; `begun` is called once, when all clients are connected and before the
/// first request.
///
/// # Errors
/// When a connection fails, a server breaks its protocol or does not answer: a benchmark with
/// broken connections measures nothing. Also when it is interrupted.
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
        // Each thread has clients with successive numbers, so that they are spread over all
        // servers.
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

/// The clients of one thread. Every thread waits for the others at `begin`, even if it could not
/// connect.
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
    /// When a client's request is due in an open loop, since the start: clients take turns.
    #[expect(clippy::cast_precision_loss, reason = "clients and serials are far below 2^53")]
    fn due_after(&self, client: usize, serial: u64) -> Option<Duration> {
        let rate = self.rate_per_s?;
        let turn = serial as f64 * self.clients as f64 + client as f64;
        Some(Duration::from_secs_f64(turn / rate.max(f64::EPSILON)))
    }

    /// A closed loop counts answers that arrived in the measured time; an open one counts requests
    /// that were due in it, however late their answers.
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
