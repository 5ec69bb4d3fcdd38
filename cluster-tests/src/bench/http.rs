//! HTTP for the load generator: raw requests over kept-alive connections, plain or with a client
//! certificate. It does not interpret them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::load::Load;
use crate::{RigError, raw};

/// Longer than any measured answer, so that a buffer rarely grows.
const BUFFER_BYTES: usize = 16 * 1024;

/// Makes the requests of an HTTP load.
pub trait Traffic: Send + Sync + 'static {
    /// Prepares about this many requests.
    fn prepare(&self, _requests: usize) {}

    /// Writes the request that `client` sends as its `serial`th into the empty `out`.
    fn write_request(&self, client: usize, serial: u64, out: &mut Vec<u8>);
}

/// HTTP over kept-alive connections, which are assigned to the servers in turn.
pub struct Http {
    /// The servers' addresses.
    pub servers: Vec<SocketAddr>,
    /// The TLS connector, if TLS is used.
    pub tls: Option<TlsConnector>,
    /// The source of requests.
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

    /// Sends `request` and returns the answer.
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
mod tests;
