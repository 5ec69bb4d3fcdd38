//! A small web server for tests: pages, media, and substitutes for back ends.
//!
//! One thread per connection, one request per connection, and all of them end with this value.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::RigError;

/// Test requests are never longer.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// The time limit for a client to send a request.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A response.
pub struct Served {
    /// The HTTP status.
    pub status: u16,
    /// The media type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Served {
    /// A response with status 200.
    pub fn ok(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, content_type, body: body.into() }
    }

    /// A response with status 404.
    pub fn not_found() -> Self {
        Self { status: 404, content_type: "text/plain", body: b"not found".to_vec() }
    }
}

/// A running server.
pub struct WebServer {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl WebServer {
    /// Serves on a free port of loopback.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start(answer: impl Fn(&Asked) -> Served + Send + Sync + 'static) -> Result<Self, RigError> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(RigError::io("cannot listen"))?;
        let address = listener.local_addr().map_err(RigError::io("cannot tell the own address"))?;
        listener.set_nonblocking(true).map_err(RigError::io("cannot set up the listener"))?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = stopping.clone();
        let answer = Arc::new(answer);
        let accepting = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let answer = answer.clone();
                        // A broken connection is the client's problem.
                        std::thread::spawn(move || drop(converse(stream, answer.as_ref())));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Ok(Self { address, stopping, accepting: Some(accepting) })
    }

    /// The server's URL with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn converse(mut stream: TcpStream, answer: &dyn Fn(&Asked) -> Served) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(REQUEST_WITHIN))?;
    let Some(asked) = read(&mut stream)? else { return Ok(()) };
    let served = answer(&asked);
    let head = format!(
        "HTTP/1.1 {} x\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n",
        served.status,
        served.content_type,
        served.body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&served.body)
}

fn read(stream: &mut TcpStream) -> std::io::Result<Option<Asked>> {
    let (mut buffer, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        let taken = stream.read(&mut piece)?;
        buffer.extend_from_slice(piece.get(..taken).unwrap_or_default());
        if let Some(asked) = parse(&buffer) {
            return Ok(Some(asked));
        }
        if taken == 0 || buffer.len() > REQUEST_BYTES_MAX {
            return Ok(None);
        }
    }
}

/// The request at the start of `buffer`, or `None` while it is incomplete.
fn parse(buffer: &[u8]) -> Option<Asked> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(head_bytes)) = head.parse(buffer) else { return None };
    let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok());
    let body = buffer.get(head_bytes..head_bytes + length.unwrap_or(0))?.to_vec();
    let path = head.path?.split('?').next()?.to_owned();
    Some(Asked { method: head.method?.to_owned(), path, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw;

    #[test]
    fn a_request_is_answered_by_its_path_and_body() {
        let echo = |asked: &Asked| Served::ok("text/plain", [asked.path.as_bytes(), &asked.body].concat());
        let server = WebServer::start(echo).unwrap();
        let request = raw::request("POST", "/a?b", &[], b"body");
        let answer = raw::exchange(server.address, &request, raw::ANSWER_WITHIN).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "/abody"));
    }
}
