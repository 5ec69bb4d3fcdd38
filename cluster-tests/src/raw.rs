//! HTTP/1.1 by hand: exactly the bytes that a test wants to send, and the unchanged answer.
//!
//! A library would correct or refuse the malformed requests that the tests are about. Answers must
//! carry a `Content-Length`, as the encryption API's always do.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::RigError;

/// Longer than a node may hold a request through an election.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// No answer of the API is near this size; that for 10,000 periods takes some 6 MiB.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// No answer has nearly so many headers.
const HEADERS_MAX: usize = 64;

/// The name by which requests call every node.
pub const HOST: &str = "keymoot";

/// An answer, unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, values as text.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as shortened text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(300).collect()
    }
}

/// The length of the first answer in a buffer, and its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The HTTP status.
    pub status: u16,
    /// The length of status line and headers in bytes.
    pub head_bytes: usize,
    /// The length of the whole answer in bytes.
    pub whole_bytes: usize,
}

/// Measures the answer at the start of `buffer`, or `None` while it is incomplete.
///
/// Allocates nothing, so that it is cheap enough for a load generator.
///
/// # Errors
/// [`RigError::Answer`] when the bytes are no HTTP/1.1 answer, or one without a length.
pub fn frame(buffer: &[u8]) -> Result<Option<Frame>, RigError> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let head_bytes = match parser.parse_response_with_uninit_headers(&mut head, buffer, &mut headers) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(RigError::Answer(format!("the answer is not HTTP: {error}"))),
    };
    let length = head.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let body_bytes = length
        .and_then(|h| std::str::from_utf8(h.value).ok())
        .and_then(|text| text.trim().parse::<usize>().ok())
        .filter(|bytes| *bytes <= ANSWER_BYTES_MAX)
        .ok_or_else(|| RigError::Answer("the answer has no sound content-length".to_owned()))?;
    let whole_bytes = head_bytes + body_bytes;
    let frame = Frame { status: head.code.unwrap_or(0), head_bytes, whole_bytes };
    Ok((buffer.len() >= whole_bytes).then_some(frame))
}

/// The answer at the start of `buffer` and its length, or `None` while it is incomplete.
///
/// # Errors
/// As for [`frame`].
pub fn parse(buffer: &[u8]) -> Result<Option<(Answer, usize)>, RigError> {
    let Some(frame) = frame(buffer)? else { return Ok(None) };
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    // The same bytes were parsed above.
    let _ = head.parse(buffer);
    let headers = head
        .headers
        .iter()
        .map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned()))
        .collect();
    let body = buffer.get(frame.head_bytes..frame.whole_bytes).unwrap_or_default().to_vec();
    Ok(Some((Answer { status: frame.status, headers, body }, frame.whole_bytes)))
}

/// The bytes of a request with the headers the rig always sends.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() {
        let length = body.len();
        bytes.extend_from_slice(
            format!("Content-Type: application/json\r\nContent-Length: {length}\r\n").as_bytes(),
        );
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// A kept-alive connection to a node.
pub struct Link {
    stream: TcpStream,
    address: SocketAddr,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// [`RigError::Io`] when no process listens there or the deadline passes.
    pub fn open(address: SocketAddr, within: Duration) -> Result<Self, RigError> {
        let io = |doing: &str| RigError::io(format!("{doing} {address}"));
        let stream = TcpStream::connect_timeout(&address, within).map_err(io("cannot connect to"))?;
        stream.set_nodelay(true).map_err(io("cannot set up the connection to"))?;
        Ok(Self { stream, address })
    }

    /// Sends `request` and reads its answer. After an error the link cannot be used again.
    ///
    /// A server that refuses a large request early may close its end while the rest is still being
    /// sent; its answer counts, so a failed send alone is not an error.
    ///
    /// # Errors
    /// [`RigError::Io`] without an answer, [`RigError::Answer`] when the answer is no HTTP.
    pub fn ask(&mut self, request: &[u8], within: Duration) -> Result<Answer, RigError> {
        let deadline = Instant::now() + within;
        let address = self.address;
        let io = |doing: &str| RigError::io(format!("{doing} {address}"));
        self.stream.set_write_timeout(Some(within)).map_err(io("cannot set a time-out to"))?;
        let sent = self.stream.write_all(request);
        let mut buffer = Vec::new();
        let mut chunk = [0_u8; 16 * 1024];
        loop {
            if let Some((answer, _)) = parse(&buffer)? {
                return Ok(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).map_err(io("cannot set a time-out to"))?;
            let bytes = self.stream.read(&mut chunk).map_err(io("no answer came from"))?;
            if bytes == 0 {
                sent.map_err(io("cannot send to"))?;
                let source = std::io::ErrorKind::UnexpectedEof.into();
                return Err(RigError::Io { doing: format!("{address} closed before its answer"), source });
            }
            buffer.extend_from_slice(chunk.get(..bytes).unwrap_or_default());
        }
    }
}

/// Sends `request` on a connection of its own and reads the answer.
///
/// # Errors
/// As for [`Link::open`] and [`Link::ask`].
pub fn exchange(address: SocketAddr, request: &[u8], within: Duration) -> Result<Answer, RigError> {
    Link::open(address, within)?.ask(request, within)
}

/// Sends `request`, which must ask to close the connection, and reads a streamed answer: its whole
/// body, without the chunk headers.
///
/// # Errors
/// As for [`Link::open`]; [`RigError::Answer`] when the answer is no HTTP or was cut off.
pub fn exchange_streamed(address: SocketAddr, request: &[u8], within: Duration) -> Result<Answer, RigError> {
    let io = |doing: &str| RigError::io(format!("{doing} {address}"));
    let mut stream = Link::open(address, within)?.stream;
    stream.set_read_timeout(Some(within)).map_err(io("cannot set a time-out to"))?;
    let sent = stream.write_all(request);
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX as u64).read_to_end(&mut bytes).map_err(io("no answer came from"))?;
    sent.or_else(|error| if bytes.is_empty() { Err(error) } else { Ok(()) }).map_err(io("cannot send to"))?;
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head_bytes)) = head.parse(&bytes) else {
        return Err(RigError::Answer("the answer is not HTTP".to_owned()));
    };
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned()))
        .collect();
    let rest = bytes.get(head_bytes..).unwrap_or_default();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { without_chunks(rest)? } else { rest.to_vec() };
    Ok(Answer { status: head.code.unwrap_or(0), headers, body })
}

fn without_chunks(mut rest: &[u8]) -> Result<Vec<u8>, RigError> {
    let cut_off = || RigError::Answer("the answer was cut off".to_owned());
    let mut body = Vec::new();
    loop {
        let (start, bytes) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((start, bytes))) => (start, bytes as usize),
            _ => return Err(cut_off()),
        };
        let chunk = rest.get(start..start + bytes).ok_or_else(cut_off)?;
        if chunk.is_empty() {
            return Ok(body);
        }
        body.extend_from_slice(chunk);
        rest = rest.get(start + bytes + 2..).ok_or_else(cut_off)?;
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// The address behind a base URL such as `http://127.0.0.1:8001`.
///
/// # Errors
/// [`RigError::Answer`] for anything but plain HTTP at a numeric address.
pub fn address_of(base_url: &str) -> Result<SocketAddr, RigError> {
    base_url
        .strip_prefix("http://")
        .and_then(|rest| rest.trim_end_matches('/').parse().ok())
        .ok_or_else(|| RigError::Answer(format!("{base_url} is not http://ADDRESS:PORT")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_only_with_its_whole_body() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabcHTTP";
        for cut in 0..bytes.len() - 4 {
            let part = bytes.get(..cut).unwrap();
            assert!(parse(part).unwrap().is_none(), "cut at {cut}");
        }
        let (answer, used) = parse(bytes).unwrap().unwrap();
        assert_eq!((answer.status, answer.body.as_slice(), used), (200, b"abc".as_slice(), bytes.len() - 4));
        assert_eq!(answer.header("x-a"), Some("b"));
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse(b"nonsense\r\n\r\n").is_err());
    }

    #[test]
    fn percent_encoding_leaves_no_base64_sign_as_it_is() {
        assert_eq!(percent_encode("a+b/c=~"), "a%2Bb%2Fc%3D~");
        assert_eq!(percent_encode("é"), "%C3%A9");
    }

    #[test]
    fn only_plain_numeric_urls_are_addresses() {
        assert_eq!(address_of("http://127.0.0.1:80/").unwrap().port(), 80);
        assert!(address_of("https://127.0.0.1:80").is_err());
        assert!(address_of("http://localhost").is_err());
    }
}
