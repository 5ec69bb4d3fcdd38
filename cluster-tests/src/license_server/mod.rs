//! Stand-ins for the DRM vendors' license servers, which cannot run here.
//!
//! A stand-in checks every byte of a request against the published protocol, with code of its own,
//! and records the requests and their errors. It can be told to fail, to hang, to lie and to
//! refuse. No device would accept its licenses: it tests Keymoot's side of the protocol.

pub mod fairplay;
pub mod playready;
pub mod widevine;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::RigError;

/// The longest request read.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// How long a hanging stand-in is silent; longer than any client waits for it.
const SILENCE: Duration = Duration::from_secs(20);

/// The behaviour of a stand-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// It answers like a license server.
    #[default]
    Serve,
    /// It answers with HTTP status 500.
    Fail,
    /// It accepts the request and does not answer.
    Hang,
    /// It answers 200 with a body that is no license.
    Lie,
    /// It refuses in the form of its protocol.
    Refuse,
}

/// A received request.
pub struct Received {
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The one header with this lower-case name.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn header(&self, name: &str) -> Result<&str, String> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Ok(value),
            _ => Err(format!("there is not exactly one header {name}")),
        }
    }
}

/// Checks a request against the published protocol: returns its contents and the answer, or what is
/// wrong.
type Check = fn(&Received) -> Result<(Value, Vec<u8>), String>;

/// The protocol of a stand-in.
#[derive(Clone, Copy)]
pub struct Protocol {
    /// Checks a request; returns its contents and the answer, or what is wrong.
    pub check: Check,
    /// Status and body of a refusal.
    pub refusal: (u16, &'static str),
    /// A body that is no license.
    pub lie: &'static str,
}

#[derive(Default)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    seen: Mutex<Vec<Value>>,
    problems: Mutex<Vec<String>>,
    stops: AtomicBool,
}

/// A running stand-in. It ends when this value is dropped.
pub struct StandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepts: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Starts a stand-in on loopback.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(protocol: Protocol) -> Result<Self, RigError> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(RigError::io("a stand-in cannot listen"))?;
        let address = listener.local_addr().map_err(RigError::io("a stand-in has no address"))?;
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let accepts = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own.stops.load(Ordering::Relaxed) {
                    return;
                }
                let shared = own.clone();
                std::thread::spawn(move || serve(stream, protocol, &shared));
            }
        });
        Ok(Self { address, shared, accepts: Some(accepts) })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/license", self.address)
    }

    /// Sets its behaviour from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.shared.behaviour) = behaviour;
    }

    /// The requests since the last call.
    ///
    /// # Panics
    /// When one of the requests breaks the protocol.
    pub fn seen(&self) -> Vec<Value> {
        let problems = std::mem::take(&mut *lock(&self.shared.problems));
        assert!(problems.is_empty(), "the stand-in was asked out of protocol: {}", problems.join("; "));
        std::mem::take(&mut *lock(&self.shared.seen))
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(accepts) = self.accepts.take() {
            drop(accepts.join());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers the one request of a connection.
fn serve(mut stream: TcpStream, protocol: Protocol, shared: &Shared) {
    let Some(received) = receive(&mut stream) else { return };
    let (status, body) = match (protocol.check)(&received) {
        Err(problem) => {
            lock(&shared.problems).push(problem);
            (400, Vec::new())
        }
        Ok((seen, answer)) => {
            lock(&shared.seen).push(seen);
            let behaviour = *lock(&shared.behaviour);
            match behaviour {
                Behaviour::Serve => (200, answer),
                Behaviour::Fail => (500, b"down".to_vec()),
                Behaviour::Lie => (200, protocol.lie.as_bytes().to_vec()),
                Behaviour::Refuse => (protocol.refusal.0, protocol.refusal.1.as_bytes().to_vec()),
                Behaviour::Hang => {
                    let waits = SILENCE.as_millis() / 50;
                    for _ in 0..waits {
                        if shared.stops.load(Ordering::Relaxed) {
                            break;
                        }
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    return;
                }
            }
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    // A node that has closed the connection needs no answer.
    drop(stream.write_all(&[head.as_bytes(), &body].concat()));
}

fn receive(stream: &mut TcpStream) -> Option<Received> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut buffer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(received) = whole(&buffer) {
            return Some(received);
        }
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        buffer.extend_from_slice(chunk.get(..read)?);
        if buffer.len() > REQUEST_BYTES_MAX {
            return None;
        }
    }
}

/// The request in a buffer, once it is complete.
fn whole(buffer: &[u8]) -> Option<Received> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = request.parse(buffer).ok()? else { return None };
    if request.method != Some("POST") || request.path != Some("/license") {
        return None;
    }
    let text = |header: &httparse::Header<'_>| {
        (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
    };
    let headers: Vec<(String, String)> = request.headers.iter().map(text).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse::<usize>().ok()?;
    let body = buffer.get(head_bytes..head_bytes + length)?.to_vec();
    Some(Received { headers, body })
}
