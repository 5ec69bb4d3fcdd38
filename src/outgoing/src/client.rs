//! HTTP requests.
//!
//! Errors name what failed and hold nothing of the request or the response.

use std::path::Path;
use std::time::Duration;

use rustls::ClientConfig;
use ureq_proto::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use ureq_proto::http::{self, HeaderMap, HeaderValue, Request};
use zeroize::Zeroizing;

use keymoot_tls::{TlsError, web_client_config};

use super::dial::Dialer;
use super::exchange::{ExchangeError, exchange};
use super::idle_connections::IdleConnections;
use super::server_url::ServerUrl;

/// The limits of every exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingLimits {
    /// The time limit for resolving the host and connecting to it, TLS included.
    pub connect_timeout: Duration,
    /// The longest response body, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for OutgoingLimits {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(2), answer_bytes_max: 256 * 1024 }
    }
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingSetupError {
    /// The CA certificates cannot be used.
    #[error("TLS to other servers cannot be set up")]
    Tls(#[from] TlsError),
}

/// Why an exchange failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// The server was not reached, or did not prove its identity. Nothing was sent to it.
    #[error("no connection: {reason}")]
    Connect {
        /// The innermost cause.
        reason: String,
    },
    /// No complete response in time.
    #[error("no answer within {} ms", within.as_millis())]
    Timeout { within: Duration },
    /// The exchange broke off half-way.
    #[error("the exchange broke off: {reason}")]
    Broken {
        /// The innermost cause.
        reason: String,
    },
    /// The response is too long.
    #[error("the answer is longer than {bytes_max} bytes")]
    TooLong { bytes_max: usize },
}

/// A request to a server.
#[derive(Debug)]
pub struct OutgoingRequest {
    /// The media type of the body.
    pub content_type: &'static str,
    /// More headers; mark secret values as sensitive.
    pub headers: HeaderMap,
    /// The body. It is wiped after it is sent.
    pub body: Zeroizing<Vec<u8>>,
}

impl OutgoingRequest {
    /// A JSON document without further headers.
    pub fn json(body: Zeroizing<Vec<u8>>) -> Self {
        Self { content_type: "application/json", headers: HeaderMap::new(), body }
    }
}

/// A server's response, whatever its status; a redirect is a response like any other.
pub struct OutgoingResponse {
    pub status: u16,
    /// The body: a license, or a decision about a viewer.
    pub body: Zeroizing<Vec<u8>>,
}

/// The HTTP client. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Outgoing {
    dialer: Dialer,
    idle: IdleConnections,
    answer_bytes_max: usize,
}

impl Outgoing {
    /// A client that trusts the authorities in `ca_file`, or those of the public web.
    ///
    /// # Errors
    /// [`OutgoingSetupError`], with the name of the file, when the authorities cannot be used.
    pub fn new(limits: OutgoingLimits, ca_file: Option<&Path>) -> Result<Self, OutgoingSetupError> {
        Ok(Self::with_tls(limits, web_client_config(ca_file, None)?))
    }

    /// A client with this TLS.
    pub fn with_tls(limits: OutgoingLimits, tls: ClientConfig) -> Self {
        Self {
            dialer: Dialer::new(tls, limits.connect_timeout),
            idle: IdleConnections::default(),
            answer_bytes_max: limits.answer_bytes_max,
        }
    }

    /// Connects to a server, with TLS where the URL says so, and sends nothing.
    ///
    /// # Errors
    /// [`OutgoingError::Connect`] says why that is not possible.
    pub async fn reach(&self, server: &ServerUrl) -> Result<(), OutgoingError> {
        let dialled = self.dialer.dial(server.url()).await;
        dialled.map(drop).map_err(|error| OutgoingError::Connect { reason: error.to_string() })
    }

    /// Posts a request and reads the whole response, within `within`.
    ///
    /// # Errors
    /// [`OutgoingError`] when there is no complete response. The server may have acted on the
    /// request, except with [`OutgoingError::Connect`].
    pub async fn post(
        &self,
        server: &ServerUrl,
        request: OutgoingRequest,
        within: Duration,
    ) -> Result<OutgoingResponse, OutgoingError> {
        match tokio::time::timeout(within, self.exchange(server, request)).await {
            Ok(response) => response,
            Err(_) => Err(OutgoingError::Timeout { within }),
        }
    }

    async fn exchange(
        &self,
        server: &ServerUrl,
        request: OutgoingRequest,
    ) -> Result<OutgoingResponse, OutgoingError> {
        let url = server.url();
        let no_connection = |reason: String| OutgoingError::Connect { reason };
        let head = head(server, &request).map_err(|error| no_connection(error.to_string()))?;
        let mut connection = match self.idle.take(url) {
            Some(connection) => connection,
            None => self.dialer.dial(url).await.map_err(|error| no_connection(error.to_string()))?,
        };
        let exchanged = exchange(&mut connection, head, &request.body, self.answer_bytes_max);
        let exchanged = exchanged.await.map_err(|error| self.failure(&error))?;
        if exchanged.is_reusable {
            self.idle.put(url, connection);
        }
        Ok(exchanged.response)
    }

    fn failure(&self, error: &ExchangeError) -> OutgoingError {
        match error {
            ExchangeError::LongBody => OutgoingError::TooLong { bytes_max: self.answer_bytes_max },
            _ => OutgoingError::Broken { reason: error.to_string() },
        }
    }
}

/// The head of a request: all but its body.
fn head(server: &ServerUrl, request: &OutgoingRequest) -> Result<Request<()>, http::Error> {
    let mut head = Request::post(server.as_str()).body(())?;
    let headers = head.headers_mut();
    headers.extend(request.headers.clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(request.content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(request.body.len()));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("keymoot/", env!("CARGO_PKG_VERSION"))));
    Ok(head)
}

#[cfg(test)]
mod tests;
