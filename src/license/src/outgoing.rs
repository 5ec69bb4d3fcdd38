//! HTTP to the servers that a license needs: entitlement back ends, license servers.
//!
//! Only URLs of the configuration are asked. No redirect is followed and no proxy of the environment
//! used: what is sent holds viewers' tokens and content keys. Every exchange has an end, in time and
//! in bytes. Errors name what failed and hold neither what was sent nor what came back.

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, redirect};
use zeroize::Zeroizing;

use crate::settings::ServerUrl;
use keymoot_crypto::tls::{TlsError, web_client_config};

/// How long an idle connection is kept; less than servers keep theirs.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Idle connections kept for each host.
const IDLE_CONNECTIONS_MAX: usize = 32;

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
    /// The HTTP library refused its settings.
    #[error("HTTP to other servers cannot be set up")]
    Http(#[from] reqwest::Error),
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
pub struct Question {
    /// The media type of the body.
    pub content_type: &'static str,
    /// More headers; mark secret values as sensitive.
    pub headers: HeaderMap,
    /// What is posted. Wiped when it was sent.
    pub body: Zeroizing<Vec<u8>>,
}

impl Question {
    /// A JSON document without further headers.
    pub fn json(body: Zeroizing<Vec<u8>>) -> Self {
        Self { content_type: "application/json", headers: HeaderMap::new(), body }
    }
}

/// What a server answered, whatever its status; a redirect is an answer like any other.
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body. A license, or a word about a viewer.
    pub body: Zeroizing<Vec<u8>>,
}

/// The client. Cloning shares its connections.
#[derive(Clone, Debug)]
pub struct Outgoing {
    client: Client,
    answer_bytes_max: usize,
}

impl Outgoing {
    /// A client that trusts the authorities in `ca_file`, or those of the public web.
    ///
    /// # Errors
    /// [`OutgoingSetupError`] names the file when it cannot be used.
    pub fn new(limits: OutgoingLimits, ca_file: Option<&Path>) -> Result<Self, OutgoingSetupError> {
        let client = Client::builder()
            .tls_backend_preconfigured(web_client_config(ca_file)?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(limits.connect_timeout)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .user_agent(concat!("keymoot/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, answer_bytes_max: limits.answer_bytes_max })
    }

    /// Posts a question and reads the whole answer, within `within`.
    ///
    /// # Errors
    /// [`OutgoingError`]; a server may have acted on the question unless it is
    /// [`OutgoingError::Connect`].
    pub async fn post(
        &self,
        server: &ServerUrl,
        question: Question,
        within: Duration,
    ) -> Result<Reply, OutgoingError> {
        match tokio::time::timeout(within, self.exchange(server, question)).await {
            Ok(reply) => reply,
            Err(_) => Err(OutgoingError::Timeout { within }),
        }
    }

    async fn exchange(&self, server: &ServerUrl, question: Question) -> Result<Reply, OutgoingError> {
        let request = self
            .client
            .post(server.url().clone())
            .headers(question.headers)
            .header(CONTENT_TYPE, HeaderValue::from_static(question.content_type))
            .body(Bytes::from_owner(question.body));
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
            if body.len() + chunk.len() > self.answer_bytes_max {
                return Err(OutgoingError::TooLong { bytes_max: self.answer_bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status: response.status().as_u16(), body })
    }
}

/// What of an error may be shown: its innermost cause, which knows the socket and not the request.
fn failure(error: &reqwest::Error) -> OutgoingError {
    let mut reason = "unknown".to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    if error.is_connect() { OutgoingError::Connect { reason } } else { OutgoingError::Broken { reason } }
}

#[cfg(test)]
mod tests;
