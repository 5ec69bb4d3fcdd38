//! The load generator: N clients, each with one request under way.
//!
//! It is meant to cost little beside what it measures: raw TCP for HTTP, one buffer for each
//! connection, and answers that are measured but not taken apart. In a closed loop a client asks
//! again as soon as it was answered: that says how fast the servers are with N clients that wait. In an
//! open loop requests leave by the clock, and one that should have left earlier is measured from when
//! it should have: so a stall counts for all who would have come meanwhile (coordinated omission).

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::RigError;
use crate::raw;
use crate::stats::Latencies;

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

/// Makes the requests of an HTTP load. The generator knows nothing of their meaning.
pub trait Traffic: Send + Sync + 'static {
    /// Writes the request that `client` sends as its `serial`th into the empty `out`.
    fn write_request(&self, client: usize, serial: u64, out: &mut Vec<u8>);
}

/// HTTP over kept-alive connections, which are dealt to the servers in turn.
pub struct Http {
    /// Where to.
    pub servers: Vec<SocketAddr>,
    /// What is asked.
    pub traffic: Arc<dyn Traffic>,
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

/// Runs `plan` with `load`.
///
/// # Errors
/// When a connection fails, or a server answers what its protocol does not know: a benchmark whose
/// connections break measures nothing. Also when it is interrupted.
pub async fn run<L: Load>(plan: &Plan, load: Arc<L>) -> Result<Outcome, RigError> {
    let started = Instant::now();
    let window = Window { started, from: started + plan.warm_up, to: started + plan.warm_up + plan.measured };
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..plan.clients {
        clients.spawn(run_client(client, *plan, window, Arc::clone(&load)));
    }
    let mut whole = Outcome { measured: plan.measured, ..Outcome::default() };
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
    plan: Plan,
    window: Window,
    load: Arc<L>,
) -> Result<Outcome, RigError> {
    let mut connection = load.connect(client).await?;
    let mut outcome = Outcome::default();
    for serial in 0.. {
        crate::wait::not_interrupted()?;
        let due_at = match plan.due_after(client, serial) {
            Some(after) => {
                let due_at = window.started + after;
                tokio::time::sleep_until(due_at.into()).await;
                due_at
            }
            None => Instant::now(),
        };
        if due_at >= window.to {
            break;
        }
        let asked = load.ask(&mut connection, client, serial);
        let refusal = tokio::time::timeout(raw::ANSWER_WITHIN, asked)
            .await
            .map_err(|_| RigError::Answer("there was no answer in time".to_owned()))??;
        let answered_at = Instant::now();
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

/// A connection of an HTTP client.
pub struct HttpConnection {
    stream: TcpStream,
    server: SocketAddr,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Load for Http {
    type Connection = HttpConnection;

    async fn connect(&self, client: usize) -> Result<HttpConnection, RigError> {
        let server = self.servers.iter().cycle().nth(client % self.servers.len().max(1));
        let server = *server.ok_or_else(|| RigError::Program("there is no server to ask".to_owned()))?;
        let io = |doing: &str| RigError::io(format!("{doing} {server}"));
        let stream = TcpStream::connect(server).await.map_err(io("cannot connect to"))?;
        stream.set_nodelay(true).map_err(io("cannot set up the connection to"))?;
        Ok(HttpConnection { stream, server, request: Vec::new(), answer: Vec::new() })
    }

    async fn ask(
        &self,
        connection: &mut HttpConnection,
        client: usize,
        serial: u64,
    ) -> Result<Option<String>, RigError> {
        let HttpConnection { stream, server, request, answer } = connection;
        request.clear();
        self.traffic.write_request(client, serial, request);
        let frame = exchange(stream, request, answer)
            .await
            .map_err(RigError::io(format!("lost the connection to {server}")))??;
        if frame.status == 200 {
            return Ok(None);
        }
        let body = answer.get(frame.head_bytes..frame.whole_bytes).unwrap_or_default();
        Ok(Some(format!("{}: {}", frame.status, String::from_utf8_lossy(body))))
    }
}

/// Sends a request and reads its answer into `buffer`.
async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> std::io::Result<Result<raw::Frame, RigError>> {
    stream.write_all(request).await?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(frame) = raw::frame(buffer).transpose() {
            return Ok(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    struct Hello;

    impl Traffic for Hello {
        fn write_request(&self, _: usize, serial: u64, out: &mut Vec<u8>) {
            out.extend_from_slice(format!("GET /{serial} HTTP/1.1\r\n\r\n").as_bytes());
        }
    }

    /// Answers 404 to each tenth request of a connection, and 200 in two pieces to the others.
    async fn serve(listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.set_nodelay(true).unwrap();
                let mut request = [0_u8; 256];
                for serial in 1_u64.. {
                    if stream.read(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                    let status = if serial % 10 == 0 { "404 Not Found" } else { "200 OK" };
                    let head = format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\nab");
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(b"cd").await;
                }
            });
        }
    }

    #[tokio::test]
    async fn answers_are_counted_by_what_they_say() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let servers = vec![listener.local_addr().unwrap()];
        tokio::spawn(serve(listener));
        let (warm_up, measured) = (Duration::from_millis(20), Duration::from_millis(200));
        let plan = Plan { clients: 4, rate_per_s: None, warm_up, measured };
        let outcome = run(&plan, Arc::new(Http { servers, traffic: Arc::new(Hello) })).await.unwrap();
        assert!(outcome.latencies.count() > 20, "{}", outcome.latencies.count());
        assert!(outcome.refused > 2, "{}", outcome.refused);
        assert_eq!(outcome.first_refusal.as_deref(), Some("404: abcd"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let servers = vec![listener.local_addr().unwrap()];
        drop(listener);
        let second = Duration::from_secs(1);
        let plan = Plan { clients: 1, rate_per_s: None, warm_up: second, measured: second };
        assert!(run(&plan, Arc::new(Http { servers, traffic: Arc::new(Hello) })).await.is_err());
    }

    /// Answers in no time, but the tenth request of all after a tenth of a second.
    struct Stalling(std::sync::atomic::AtomicU64);

    impl Load for Stalling {
        type Connection = ();

        async fn connect(&self, _: usize) -> Result<(), RigError> {
            Ok(())
        }

        async fn ask(&self, (): &mut (), _: usize, _: u64) -> Result<Option<String>, RigError> {
            if self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 9 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(None)
        }
    }

    #[tokio::test]
    async fn in_an_open_loop_a_stall_counts_for_all_who_would_have_come() {
        let stalling = || Arc::new(Stalling(0.into()));
        let measured = Duration::from_millis(300);
        let open = Plan { clients: 1, rate_per_s: Some(200.0), warm_up: Duration::ZERO, measured };
        let outcome = run(&open, stalling()).await.unwrap();
        assert_eq!(outcome.latencies.count(), 60, "one each 5 ms");
        assert!(outcome.latencies.percentile_ms(80.0) > 20.0, "about twenty were due during the stall");
        let turns: Vec<u128> = (0..4)
            .map(|turn| Plan { clients: 2, ..open }.due_after(turn % 2, turn as u64 / 2).unwrap().as_millis())
            .collect();
        assert_eq!(turns, [0, 5, 10, 15]);
    }
}
