//! A closed-loop load generator: N kept-alive connections, each with one request under way.
//!
//! It is meant to cost little beside what it measures: raw TCP, one buffer per connection, and
//! answers that are measured but not taken apart. Closed-loop figures say how fast the server is
//! with N clients that wait for their answers; they say nothing of a queue in front of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::RigError;
use crate::raw;
use crate::stats::Latencies;

/// Where to and how much.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The servers; connections are dealt to them in turn.
    pub servers: Vec<SocketAddr>,
    /// Connections in all.
    pub connections: usize,
    /// Not counted, before.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
}

/// Makes the requests. The generator knows nothing of their meaning.
pub trait Traffic: Send + Sync + 'static {
    /// Writes the request that `connection` sends as its `serial`th into the empty `out`.
    fn write_request(&self, connection: usize, serial: u64, out: &mut Vec<u8>);
}

/// What a run measured.
#[derive(Clone, Default)]
pub struct Outcome {
    /// Of every answer with status 200 in the measured time.
    pub latencies: Latencies,
    /// Answers with another status.
    pub refused: u64,
    /// The first answer with another status.
    pub first_refusal: Option<String>,
    /// How long was measured.
    pub measured: Duration,
}

impl Outcome {
    /// Answers with status 200 a second.
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

/// Runs `plan` with `traffic`.
///
/// # Errors
/// When a connection fails, or a server answers what is no HTTP: a benchmark whose connections
/// break measures nothing. Also when it is interrupted.
pub async fn run(plan: &Plan, traffic: Arc<dyn Traffic>) -> Result<Outcome, RigError> {
    let started = Instant::now();
    let window = Window { from: started + plan.warm_up, to: started + plan.warm_up + plan.measured };
    let mut clients = tokio::task::JoinSet::new();
    for (connection, server) in plan.servers.iter().cycle().take(plan.connections).enumerate() {
        clients.spawn(client(*server, connection, window, Arc::clone(&traffic)));
    }
    let mut whole = Outcome { measured: plan.measured, ..Outcome::default() };
    while let Some(ended) = clients.join_next().await {
        whole.merge(ended.map_err(|_| RigError::Program("a load client panicked".to_owned()))??);
    }
    Ok(whole)
}

#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    to: Instant,
}

async fn client(
    server: SocketAddr,
    connection: usize,
    window: Window,
    traffic: Arc<dyn Traffic>,
) -> Result<Outcome, RigError> {
    let io = |doing: &str| RigError::io(format!("{doing} {server}"));
    let mut stream = TcpStream::connect(server).await.map_err(io("cannot connect to"))?;
    stream.set_nodelay(true).map_err(io("cannot set up the connection to"))?;
    let mut outcome = Outcome::default();
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    for serial in 0.. {
        crate::wait::not_interrupted()?;
        request.clear();
        traffic.write_request(connection, serial, &mut request);
        let sent_at = Instant::now();
        if sent_at >= window.to {
            break;
        }
        let asked = ask(&mut stream, &request, &mut answer);
        let frame = tokio::time::timeout(raw::ANSWER_WITHIN, asked)
            .await
            .map_err(|_| RigError::Answer(format!("{server} gave no answer in time")))?
            .map_err(io("lost the connection to"))??;
        let answered_at = Instant::now();
        if frame.status != 200 {
            outcome.refused += 1;
            let body = answer.get(frame.head_bytes..frame.whole_bytes).unwrap_or_default();
            let text = || format!("{}: {}", frame.status, String::from_utf8_lossy(body));
            outcome.first_refusal.get_or_insert_with(text);
        } else if answered_at >= window.from && answered_at < window.to {
            outcome.latencies.record(answered_at - sent_at);
        }
    }
    Ok(outcome)
}

/// Sends a request and reads its answer into `buffer`.
async fn ask(
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
        let plan = Plan { servers, connections: 4, warm_up, measured };
        let outcome = run(&plan, Arc::new(Hello)).await.unwrap();
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
        let plan = Plan { servers, connections: 1, warm_up: second, measured: second };
        assert!(run(&plan, Arc::new(Hello)).await.is_err());
    }
}
