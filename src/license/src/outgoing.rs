//! HTTP to the servers that a license needs: entitlement back ends, license servers.
//!
//! Only URLs of the configuration are asked. No redirect is followed and no proxy of the environment
//! used: what is sent holds viewers' tokens and content keys. Every exchange has an end, in time and
//! in bytes. Errors name what failed and hold neither what was sent nor what came back.

use std::path::Path;
use std::time::Duration;

use ureq_proto::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use ureq_proto::http::{self, HeaderMap, HeaderValue, Request};
use zeroize::Zeroizing;

use keymoot_tls::{TlsError, web_client_config};

use super::dial::Dialer;
use super::exchange::{ExchangeError, exchange};
use super::idle_connections::IdleConnections;
use crate::settings::ServerUrl;

/// What every exchange is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingLimits {
    /// To find the host and connect to it, TLS included.
    pub connect_timeout: Duration,
    /// The longest answer.
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
    /// The authorities' certificates cannot be used.
    #[error("TLS to other servers cannot be set up")]
    Tls(#[from] TlsError),
}

/// Why an exchange came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// The server was not reached, or could not prove who it is. It was told nothing.
    #[error("no connection: {reason}")]
    Connect {
        /// The innermost cause.
        reason: String,
    },
    /// No whole answer in time.
    #[error("no answer within {} ms", within.as_millis())]
    Timeout {
        /// The limit.
        within: Duration,
    },
    /// The exchange broke off.
    #[error("the exchange broke off: {reason}")]
    Broken {
        /// The innermost cause.
        reason: String,
    },
    /// An answer that is too long.
    #[error("the answer is longer than {bytes_max} bytes")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
}

/// What a server is asked.
#[derive(Debug)]
pub struct OutgoingRequest {
    /// The media type of the body.
    pub content_type: &'static str,
    /// More headers; mark secret values as sensitive.
    pub headers: HeaderMap,
    /// What is posted. Wiped when it was sent.
    pub body: Zeroizing<Vec<u8>>,
}

impl OutgoingRequest {
    /// A JSON document without further headers.
    pub fn json(body: Zeroizing<Vec<u8>>) -> Self {
        Self { content_type: "application/json", headers: HeaderMap::new(), body }
    }
}

/// What a server answered, whatever its status; a redirect is an answer like any other.
pub struct OutgoingResponse {
    /// The status code.
    pub status: u16,
    /// The body. A license, or a word about a viewer.
    pub body: Zeroizing<Vec<u8>>,
}

/// The client. Cloning shares its connections.
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
    /// [`OutgoingSetupError`] names the file when it cannot be used.
    pub fn new(limits: OutgoingLimits, ca_file: Option<&Path>) -> Result<Self, OutgoingSetupError> {
        Ok(Self {
            dialer: Dialer::new(web_client_config(ca_file)?, limits.connect_timeout),
            idle: IdleConnections::default(),
            answer_bytes_max: limits.answer_bytes_max,
        })
    }

    /// Posts a request and reads the whole answer, within `within`.
    ///
    /// # Errors
    /// [`OutgoingError`]; a server may have acted on the request unless it is
    /// [`OutgoingError::Connect`].
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
