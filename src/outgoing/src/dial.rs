//! Connections to servers: name resolution, TCP, and TLS, all within one time limit.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rustls::ClientConfig;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// How long an address may be silent before the next one is tried in parallel (RFC 8305, section
/// 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// A connection, in the clear or over TLS.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection for S {}

/// Why there is no connection. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The URL has no host to connect to. URLs of the configuration have one.
    #[error("its URL names no host")]
    NoHost,
    /// The name resolves to no address.
    #[error("its name has no address")]
    NoAddress,
    /// No connection within the time limit.
    #[error("not within {} ms", within.as_millis())]
    Timeout { within: Duration },
    /// No certificate can be issued for the name.
    #[error("its name can be in no certificate")]
    Name(#[from] InvalidDnsNameError),
    /// The network or TLS failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Connects to servers.
#[derive(Clone, Debug)]
pub struct Dialer {
    tls: Arc<ClientConfig>,
    within: Duration,
}

impl Dialer {
    /// Connects with this TLS, and gives up after `within`.
    pub fn new(tls: ClientConfig, within: Duration) -> Self {
        Self { tls: Arc::new(tls), within }
    }

    /// A new connection to the server of this URL.
    pub(super) async fn dial(&self, url: &Url) -> Result<Box<dyn Connection>, DialError> {
        let within = self.within;
        tokio::time::timeout(within, self.connect(url)).await.unwrap_or(Err(DialError::Timeout { within }))
    }

    /// A new connection to this host and port, over TLS or in the clear.
    ///
    /// # Errors
    /// [`DialError`] when there is none in time, or the server does not prove that it is this host.
    pub async fn dial_host(
        &self,
        host: &Host<&str>,
        port: u16,
        is_tls: bool,
    ) -> Result<Box<dyn Connection>, DialError> {
        let within = self.within;
        let connected = tokio::time::timeout(within, self.connect_host(host, port, is_tls)).await;
        connected.unwrap_or(Err(DialError::Timeout { within }))
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Connection>, DialError> {
        let host = url.host().ok_or(DialError::NoHost)?;
        let port = url.port_or_known_default().ok_or(DialError::NoHost)?;
        self.connect_host(&host, port, url.scheme() == "https").await
    }

    async fn connect_host(
        &self,
        host: &Host<&str>,
        port: u16,
        is_tls: bool,
    ) -> Result<Box<dyn Connection>, DialError> {
        let stream = connect_to_first(addresses(host, port).await?).await?;
        stream.set_nodelay(true)?;
        if !is_tls {
            return Ok(Box::new(stream));
        }
        let connector = TlsConnector::from(self.tls.clone());
        Ok(Box::new(connector.connect(server_name(host)?, stream).await?))
    }
}

async fn addresses(host: &Host<&str>, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    Ok(match *host {
        Host::Domain(name) => lookup_host((name, port)).await?.collect(),
        Host::Ipv4(address) => vec![SocketAddr::new(IpAddr::V4(address), port)],
        Host::Ipv6(address) => vec![SocketAddr::new(IpAddr::V6(address), port)],
    })
}

fn server_name(host: &Host<&str>) -> Result<ServerName<'static>, DialError> {
    Ok(match *host {
        Host::Domain(name) => ServerName::try_from(name.to_owned())?,
        Host::Ipv4(address) => ServerName::IpAddress(IpAddr::V4(address).into()),
        Host::Ipv6(address) => ServerName::IpAddress(IpAddr::V6(address).into()),
    })
}

/// Connects to the address that answers first. Addresses are tried in order; the next attempt
/// starts when the last one has failed or has been silent for [`NEXT_ADDRESS_AFTER`].
async fn connect_to_first(addresses: Vec<SocketAddr>) -> Result<TcpStream, DialError> {
    let mut waiting = addresses.into_iter();
    let mut tries = FuturesUnordered::new();
    let mut failure = DialError::NoAddress;
    loop {
        tries.extend(waiting.next().map(TcpStream::connect));
        let is_last = waiting.len() == 0;
        let silence = async {
            if is_last { std::future::pending().await } else { tokio::time::sleep(NEXT_ADDRESS_AFTER).await }
        };
        tokio::select! {
            outcome = tries.next() => match outcome {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => failure = error.into(),
                None => return Err(failure),
            },
            () = silence => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn closed() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_hide_the_next() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = open.local_addr().unwrap();
        let stream = connect_to_first(vec![closed().await, closed().await, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let error = connect_to_first(vec![closed().await, closed().await]).await.unwrap_err();
        assert!(error.to_string().contains("refused"), "{error}");
        let error = connect_to_first(Vec::new()).await.unwrap_err();
        assert!(matches!(error, DialError::NoAddress), "{error}");
    }
}
