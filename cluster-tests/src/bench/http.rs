//! HTTP for the load generator: raw requests over connections that are kept, plain or with a client
//! certificate. It knows nothing of what they mean.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::load::Load;
use crate::{RigError, raw};

/// Longer than any answer that is measured, so that a buffer is seldom enlarged.
const BUFFER_BYTES: usize = 16 * 1024;

/// Makes the requests of an HTTP load.
pub trait Traffic: Send + Sync + 'static {
    /// Makes about so many requests ready.
    fn prepare(&self, _requests: usize) {}

    /// Writes the request that `client` sends as its `serial`th into the empty `out`.
    fn write_request(&self, client: usize, serial: u64, out: &mut Vec<u8>);
}

/// HTTP over kept-alive connections, which are dealt to the servers in turn.
pub struct Http {
    /// Where to.
    pub servers: Vec<SocketAddr>,
    /// How TLS is spoken, where it is.
    pub tls: Option<TlsConnector>,
    /// What is asked.
    pub traffic: Arc<dyn Traffic>,
}

/// A connection of an HTTP client.
pub struct HttpConnection {
    stream: Stream,
    server: SocketAddr,
    request: Vec<u8>,
    answer: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl HttpConnection {
    /// Connects.
    ///
    /// # Errors
    /// When that fails.
    pub async fn open(server: SocketAddr, tls: Option<&TlsConnector>) -> Result<Self, RigError> {
        let io = |doing: &str| RigError::io(format!("{doing} {server}"));
        let stream = TcpStream::connect(server).await.map_err(io("cannot connect to"))?;
        stream.set_nodelay(true).map_err(io("cannot set up the connection to"))?;
        let stream = match tls {
            None => Stream::Plain(stream),
            Some(tls) => {
                let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
                let stream = tls.connect(name, stream).await.map_err(io("no TLS connection to"))?;
                Stream::Tls(Box::new(stream))
            }
        };
        Ok(Self { stream, server, request: Vec::new(), answer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Sends `request` and hands back what was answered.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is not HTTP or has no length.
    pub async fn ask(&mut self, request: &[u8]) -> Result<raw::Answer, RigError> {
        self.request.clear();
        self.request.extend_from_slice(request);
        self.exchange().await?;
        let parsed = raw::parse(&self.answer)?;
        parsed.map(|(answer, _)| answer).ok_or_else(|| RigError::Answer("the answer is not whole".to_owned()))
    }

    async fn exchange(&mut self) -> Result<raw::Frame, RigError> {
        let exchanged = match &mut self.stream {
            Stream::Plain(stream) => exchange(stream, &self.request, &mut self.answer).await,
            Stream::Tls(stream) => exchange(stream.as_mut(), &self.request, &mut self.answer).await,
        };
        exchanged.map_err(|error| RigError::io(format!("lost the connection to {}", self.server))(error))?
    }
}

impl Load for Http {
    type Connection = HttpConnection;

    fn prepare(&self, requests: usize) {
        self.traffic.prepare(requests);
    }

    async fn connect(&self, client: usize) -> Result<HttpConnection, RigError> {
        let server = self.servers.get(client % self.servers.len().max(1));
        let server = *server.ok_or_else(|| RigError::Program("there is no server to ask".to_owned()))?;
        HttpConnection::open(server, self.tls.as_ref()).await
    }

    async fn ask(
        &self,
        connection: &mut HttpConnection,
        client: usize,
        serial: u64,
    ) -> Result<Option<String>, RigError> {
        connection.request.clear();
        self.traffic.write_request(client, serial, &mut connection.request);
        let frame = connection.exchange().await?;
        if frame.status == 200 {
            return Ok(None);
        }
        let body = connection.answer.get(frame.head_bytes..frame.whole_bytes).unwrap_or_default();
        Ok(Some(format!("{}: {}", frame.status, String::from_utf8_lossy(body))))
    }
}

/// Sends a request and reads its answer into `buffer`.
async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> std::io::Result<Result<raw::Frame, RigError>> {
    stream.write_all(request).await?;
    stream.flush().await?;
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
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::super::load::{Plan, run};
    use super::*;

    struct Hello;

    impl Traffic for Hello {
        fn write_request(&self, _: usize, serial: u64, out: &mut Vec<u8>) {
            out.extend_from_slice(format!("GET /{serial} HTTP/1.1\r\n\r\n").as_bytes());
        }
    }

    /// Answers 404 to each tenth request of a connection, and 200 in two pieces to the others.
    fn serve(listener: &TcpListener) {
        for stream in listener.incoming().take(4) {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut request = [0_u8; 256];
                for serial in 1_u64.. {
                    if stream.read(&mut request).unwrap_or(0) == 0 {
                        return;
                    }
                    let status = if serial % 10 == 0 { "404 Not Found" } else { "200 OK" };
                    let head = format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\nab");
                    let _ = stream.write_all(head.as_bytes());
                    let _ = stream.write_all(b"cd");
                }
            });
        }
    }

    fn http(servers: Vec<SocketAddr>) -> Arc<Http> {
        Arc::new(Http { servers, tls: None, traffic: Arc::new(Hello) })
    }

    #[test]
    fn answers_are_counted_by_what_they_say() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let servers = vec![listener.local_addr().unwrap()];
        std::thread::spawn(move || serve(&listener));
        let (warm_up, measured) = (Duration::from_millis(20), Duration::from_millis(200));
        let plan = Plan { clients: 4, rate_per_s: None, warm_up, measured };
        let outcome = run(&plan, &http(servers), || ()).unwrap();
        assert!(outcome.latencies.count() > 20, "{}", outcome.latencies.count());
        assert!(outcome.refused > 2, "{}", outcome.refused);
        assert_eq!(outcome.first_refusal.as_deref(), Some("404: abcd"));
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let servers = vec![listener.local_addr().unwrap()];
        drop(listener);
        let second = Duration::from_secs(1);
        let plan = Plan { clients: 1, rate_per_s: None, warm_up: second, measured: second };
        assert!(run(&plan, &http(servers), || ()).is_err());
    }
}
