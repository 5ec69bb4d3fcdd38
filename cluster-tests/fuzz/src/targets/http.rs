//! The whole way of a request: HTTP, the dispatcher, the front ends, the accounts, the state. Several connections
//! in memory send any bytes in any order, and requests that are signed with the account's keys.
//!
//! An input is a text of steps, each behind a byte 0xFF and one that says which:
//!
//! | step | what |
//! |---|---|
//! | `0` … `7` | these bytes are sent on that connection of the API; so is what stands in front of all steps, on the first |
//! | `p` | the same on a connection of the packagers' listener |
//! | `s` | `METHOD TARGET` and a body behind the line's end are made a request with a right signature by SHA-1, and sent on the last connection |
//! | `m` | the same, with a right message signature |
//! | `b` | the same, with the right password |
//! | `g` | the same, with a right answer to a Digest challenge |
//! | `v` | the same, with a right signature of AWS's kind |
//! | `a` | the same, and the body is the inner request of the Widevine API, with a right signature of a packager |
//! | `x` | the next request that is made so is altered: two bytes say where, one how many bytes go, the others come |
//! | `c` | the last connection sends nothing more |
//! | `d` | the last connection is dropped, with what it did not read |
//! | `n` | the last connection reads nothing from now on |
//! | `w` | time passes: the first byte tells how long |
//! | `y` | everybody else has a turn |

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::{System, SystemRunner};
use keymoot::cli::serve::{Licensing, assemble_api};
use keymoot_http::MemoryListener;
use keymoot_protocol::ServerKeys;
use keymoot_service::open_server_keys;
use tokio::io::DuplexStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::advance;

use super::node::FuzzedNode;
use super::proofs::{by_aws, by_digest, by_message, by_packager, by_password, by_sha1, signed};

/// Begins a step.
const STEP: u8 = 0xff;
/// The packagers' connection.
const PACKAGER: u8 = b'p';
/// The most steps of an input.
const STEPS_MAX: usize = 64;
/// How often those that serve have their turn behind each step.
const TURNS: usize = 4;
/// The connections that a listener has, at most.
const CONNECTIONS_MAX: usize = 64;
/// How often the machine's own clock ticks. The clients' clock goes on at each tick at which a connection has not ended.
const TICK: Duration = Duration::from_millis(10);
/// By how much it goes on at the first ticks, and then; and how often at most, which is longer than any limit.
const FIRST_STEP: Duration = Duration::from_secs(1);
const STEP_LATER: Duration = Duration::from_secs(30);
const FIRST_STEPS: u32 = 12;
const STEPS_OF_TIME_MAX: u32 = 40;

/// Runs an input. It panics when the server does, fails with an error of its own, does not end a connection whose client
/// has, or keeps what clients make up.
pub fn run(input: &[u8]) {
    SERVER.with(|server| server.run(input, None));
}

/// What the server answers to an input, of all connections.
#[allow(dead_code, reason = "the fuzzer looks at no answer; the test of the seeds does")]
pub fn answers_to(input: &[u8]) -> String {
    let answers = Rc::<RefCell<Vec<u8>>>::default();
    SERVER.with(|server| server.run(input, Some(&answers)));
    String::from_utf8_lossy(&answers.take()).into_owned()
}

thread_local! {
    // Never dropped: when the fuzzer ends, a node that stops in good order would wait for a clock that stands.
    static SERVER: &'static Server = Box::leak(Box::new(Server::start()));
}

/// The listeners over a running node.
struct Server {
    system: SystemRunner,
    api: MemoryListener,
    packagers: MemoryListener,
    node: FuzzedNode,
    inputs: RefCell<u64>,
    ticks: Arc<Notify>,
    server_keys: Arc<OnceLock<ServerKeys>>,
    /// While this is held, the clients' clock goes on only when it is told to.
    _clock: std::sync::mpsc::Sender<()>,
}

impl Server {
    fn start() -> Self {
        let node = FuzzedNode::start();
        // Time stands still but for what inputs and limits need, so that nobody waits for it.
        let system = System::with_tokio_rt(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .expect("a runtime")
        });
        let (clock, held) = std::sync::mpsc::channel::<()>();
        let (api, packagers, server_keys) = system.block_on(async {
            // The clock of a paused runtime jumps ahead when all wait, unless a blocking task runs.
            tokio::task::spawn_blocking(move || held.recv());
            let licensing = Licensing::prepare(&node.config, &node.metrics).expect("license systems");
            let metrics = node.metrics.clone();
            let api = assemble_api(&node.config, licensing, &node.cluster, &node.keyring, metrics);
            let api = api.expect("what serves");
            open_server_keys(&node.cluster, &node.keyring, node.cluster.events(), &api.server_keys).await;
            actix::spawn(api.contact.clone().keep());
            let server_keys = api.server_keys.clone();
            let settings = node.config.http_settings();
            let packagers = MemoryListener::of_packagers(&settings, CONNECTIONS_MAX, api.clone()).await;
            let api =
                MemoryListener::of_api(&settings, CONNECTIONS_MAX * settings.http.worker_threads(), api);
            let packagers = packagers.expect("its services").expect("a listener for packagers");
            (api.await.expect("its services"), packagers, server_keys)
        });
        Self {
            system,
            api,
            packagers,
            node,
            inputs: RefCell::default(),
            ticks: ticks(),
            server_keys,
            _clock: clock,
        }
    }

    fn run(&self, input: &[u8], answers: Option<&Answers>) {
        self.system.block_on(async {
            let mut client = Client {
                server: self,
                connections: BTreeMap::new(),
                last: b'0',
                alteration: Vec::new(),
                answers: answers.cloned(),
            };
            for (step, bytes) in steps(input) {
                client.take(step, bytes).await;
                turns().await;
            }
            client.end().await;
        });
        self.node.must_run();
        let inputs = self.inputs.replace_with(|inputs| *inputs + 1);
        if inputs < 256 || inputs.is_multiple_of(256) {
            self.must_count_no_inventions();
        }
    }

    /// No client's invention becomes a series of the metrics.
    fn must_count_no_inventions(&self) {
        use prometheus::core::Collector as _;
        for family in self.node.metrics.http_requests_total.collect() {
            for label in family.get_metric().iter().flat_map(|metric| metric.get_label()) {
                let known = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "other"];
                assert!(
                    label.name() != "method" || known.contains(&label.value()),
                    "a series for the method {:?}",
                    label.value()
                );
            }
        }
    }
}

/// The machine's clock, for as long as somebody looks at it.
fn ticks() -> Arc<Notify> {
    let ticks = Arc::new(Notify::new());
    let theirs = Arc::downgrade(&ticks);
    std::thread::spawn(move || {
        while let Some(ticks) = theirs.upgrade() {
            ticks.notify_one();
            std::thread::sleep(TICK);
        }
    });
    ticks
}

/// The steps of an input.
fn steps(input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut parts = input.split(|byte| *byte == STEP);
    let first = parts.next().filter(|first| !first.is_empty()).map(|first| (b'0', first));
    let others = parts.filter_map(|part| part.split_first().map(|(step, bytes)| (*step, bytes)));
    first.into_iter().chain(others).take(STEPS_MAX)
}

async fn turns() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

/// All connections of an input.
struct Client<'s> {
    server: &'s Server,
    connections: BTreeMap<u8, Open>,
    last: u8,
    /// What is done to the next request that is made with a proof.
    alteration: Vec<u8>,
    answers: Option<Answers>,
}

/// What all connections were answered.
type Answers = Rc<RefCell<Vec<u8>>>;

struct Open {
    writer: Option<WriteHalf<DuplexStream>>,
    /// Stops the reading.
    stop: Option<oneshot::Sender<()>>,
    reading: JoinHandle<()>,
    serving: JoinHandle<()>,
}

impl Client<'_> {
    async fn take(&mut self, step: u8, bytes: &[u8]) {
        match step {
            b'0'..=b'7' | PACKAGER => {
                self.last = step;
                self.send(bytes).await;
            }
            b's' => self.send_proven(signed(bytes, by_sha1)).await,
            b'm' => self.send_proven(signed(bytes, by_message)).await,
            b'b' => self.send_proven(signed(bytes, by_password)).await,
            b'v' => self.send_proven(signed(bytes, by_aws)).await,
            b'a' => self.send_proven(signed(bytes, by_packager)).await,
            b'g' => {
                let keys = self.server.server_keys.get().expect("the server's keys");
                self.send_proven(signed(bytes, |asked| by_digest(asked, keys))).await;
            }
            b'x' => self.alteration = bytes.to_vec(),
            b'c' => {
                if let Some(mut writer) =
                    self.connections.get_mut(&self.last).and_then(|open| open.writer.take())
                {
                    drop(writer.shutdown().await);
                }
            }
            b'd' => {
                if let Some(open) = self.connections.remove(&self.last) {
                    open.end(&self.server.ticks).await;
                }
            }
            b'n' => {
                if let Some(stop) = self.connections.get_mut(&self.last).and_then(|open| open.stop.take()) {
                    let _ = stop.send(());
                }
            }
            b'w' => advance(Duration::from_millis(1 << (bytes.first().copied().unwrap_or(0) % 18))).await,
            _ => turns().await,
        }
    }

    /// Sends a request with its proof, altered as the step before it says.
    async fn send_proven(&mut self, mut request: Vec<u8>) {
        if let [high, low, gone, come @ ..] = std::mem::take(&mut self.alteration).as_slice() {
            let start = usize::from(u16::from_be_bytes([*high, *low])) % (request.len() + 1);
            let end = request.len().min(start + usize::from(*gone));
            request.splice(start..end, come.iter().copied());
        }
        self.send(&request).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        let (server, last, answers) = (self.server, self.last, &self.answers);
        let open = self.connections.entry(last).or_insert_with(|| Open::new(server, last, answers.clone()));
        let Some(writer) = &mut open.writer else { return };
        let writing = writer.write_all(bytes);
        // Whoever takes no answers is not read from, either, and would wait here for ever.
        let patience = async {
            for _ in 0..64 {
                tokio::task::yield_now().await;
            }
        };
        let done = tokio::select! {
            biased;
            written = writing => written.is_ok(),
            () = patience => false,
        };
        if !done {
            open.writer = None;
        }
    }

    /// Ends all connections.
    async fn end(self) {
        let ticks = &self.server.ticks;
        for open in self.connections.into_values() {
            open.end(ticks).await;
        }
        advance(Duration::from_millis(50)).await;
    }
}

impl Open {
    fn new(server: &Server, number: u8, answers: Option<Answers>) -> Self {
        let from = SocketAddr::from(([127, 0, 0, 1 + (number & 1)], 1000 + u16::from(number)));
        let listener = if number == PACKAGER { &server.packagers } else { &server.api };
        let (near, serving) = listener.connect(from);
        let (reader, writer) = split(near);
        let (stop, stopped) = oneshot::channel();
        let reading = actix::spawn(read(reader, stopped, answers));
        Self { writer: Some(writer), stop: Some(stop), reading, serving }
    }

    /// Sends no more, and waits until the server has ended the connection, too.
    async fn end(mut self, ticks: &Notify) {
        if let Some(mut writer) = self.writer.take() {
            drop(writer.shutdown().await);
        }
        let reads = self.stop.is_some();
        if !reads {
            self.reading.abort();
        }
        let mut serving = self.serving;
        for tick in 0..STEPS_OF_TIME_MAX {
            tokio::select! {
                biased;
                served = &mut serving => {
                    served.expect("the server panicked");
                    if reads {
                        self.reading.await.expect("the answers");
                    }
                    return;
                }
                () = ticks.notified() => match tick {
                    // It may have come just before.
                    0 => {}
                    1..=FIRST_STEPS => advance(FIRST_STEP).await,
                    _ => advance(STEP_LATER).await,
                },
            }
        }
        panic!("a connection whose client has ended it goes on");
    }
}

/// Reads all answers. What the server says first may not be that it failed.
async fn read(
    mut reader: ReadHalf<DuplexStream>,
    mut stopped: oneshot::Receiver<()>,
    answers: Option<Answers>,
) {
    let (mut head, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        let read = tokio::select! {
            biased;
            stop = &mut stopped => match stop {
                // The stream stays open, and nobody reads.
                Ok(()) => return std::future::pending().await,
                Err(_) => reader.read(&mut bytes).await,
            },
            read = reader.read(&mut bytes) => read,
        };
        let count = read.unwrap_or(0);
        if count == 0 {
            break;
        }
        if head.len() < 64 {
            head.extend(&bytes[..count]);
        }
        if let Some(answers) = &answers {
            answers.borrow_mut().extend(&bytes[..count]);
        }
    }
    assert!(head.is_empty() || head.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&head));
    assert!(!head.starts_with(b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&head));
}
