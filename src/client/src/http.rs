//! HTTP to a service point, in the clear or over TLS.
//!
//! No redirect is followed and no proxy of the environment is used: a request, and the key in its
//! answer, travel only between this process and the configured service point.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Timeout};
use zeroize::Zeroizing;

use super::request::Request;
use super::service_point::ServicePoint;
use super::settings::Timeouts;
use super::transport::{Answer, Failure, Reach, Transport};
use keymoot_crypto::secret_file::{self, SecretFileError};

/// The keys of 10,000 periods, the most that one request may ask for, take less than this.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How long an idle connection is kept: shorter than servers keep theirs, so that it is rarely
/// found closed.
const IDLE_MAX: Duration = Duration::from_secs(3);

/// The files that TLS to a key server needs.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// PEM certificates of the authorities that are trusted; without the file, those of the public
    /// web.
    pub ca: Option<PathBuf>,
    /// This scrambler's own certificate chain and private key, both PEM, for key servers that
    /// demand one. The key is a secret file.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFilesError {
    /// A certificate file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The certificate file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A certificate file holds no certificate.
    #[error("{} holds no certificate in PEM", path.display())]
    NoCertificate {
        /// The certificate file.
        path: PathBuf,
    },
    /// A key file cannot be read, or other users can.
    #[error(transparent)]
    KeyFile(#[from] SecretFileError),
    /// A key file holds no key.
    #[error("{} holds no private key in PEM", path.display())]
    NoKey {
        /// The key file.
        path: PathBuf,
    },
}

/// The transport of a real client: HTTP over TCP or TLS.
pub struct HttpTransport {
    asking: Agent,
    probing: Agent,
}

impl HttpTransport {
    /// A transport with these time-outs for each service point.
    ///
    /// # Errors
    /// [`TlsFilesError`] names the file at fault.
    pub fn new(timeouts: Timeouts, tls: &TlsFiles) -> Result<Self, TlsFilesError> {
        let tls = tls_config(tls)?;
        // A probe waits less than a request does.
        let look = Timeouts { connect: timeouts.connect, answer: timeouts.connect.min(timeouts.answer) };
        Ok(Self { asking: agent(timeouts, tls.clone()), probing: agent(look, tls) })
    }
}

impl Transport for HttpTransport {
    fn exchange(&self, point: &ServicePoint, request: &Request) -> Result<Answer, Failure> {
        let mut builder = ureq::http::Request::builder().method(request.method.as_str()).uri(format!(
            "{}{}",
            point.as_str(),
            request.target()
        ));
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let sent = if request.body().is_empty() {
            builder.body(()).map_err(|error| not_sent(&error)).map(|request| self.asking.run(request))
        } else {
            builder = builder.header("content-type", "application/json");
            builder
                .body(request.body())
                .map_err(|error| not_sent(&error))
                .map(|request| self.asking.run(request))
        };
        let mut answer = sent?.map_err(|error| failure(&error))?;
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let text = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let headers = answer.headers().iter().filter_map(text).collect();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        Ok(Answer {
            status: answer.status().as_u16(),
            retry_after: retry_after.map(Duration::from_secs),
            headers,
            body: Zeroizing::new(body.map_err(|error| failure(&error))?),
        })
    }

    fn probe(&self, point: &ServicePoint) -> Result<(), Failure> {
        let answer = self.probing.get(format!("{}/readyz", point.as_str())).call();
        match answer.map_err(|error| failure(&error))?.status().as_u16() {
            200 => Ok(()),
            status => Err(Failure { reach: Reach::MaybeDone, reason: format!("not ready: status {status}") }),
        }
    }
}

fn agent(timeouts: Timeouts, tls: TlsConfig) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .max_idle_age(IDLE_MAX)
        .user_agent(concat!("keymoot/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(timeouts.connect))
        .timeout_connect(Some(timeouts.connect))
        .timeout_send_request(Some(timeouts.answer))
        .timeout_send_body(Some(timeouts.answer))
        .timeout_recv_response(Some(timeouts.answer))
        .timeout_recv_body(Some(timeouts.answer))
        .tls_config(tls)
        .build()
        .new_agent()
}

fn tls_config(files: &TlsFiles) -> Result<TlsConfig, TlsFilesError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut builder = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    if let Some(ca) = &files.ca {
        builder = builder.root_certs(RootCerts::Specific(Arc::new(certificates(ca)?)));
    }
    if let Some((chain, key)) = &files.client {
        let pem = secret_file::read(key)?;
        let key =
            PrivateKey::from_pem(pem.expose()).map_err(|_| TlsFilesError::NoKey { path: key.clone() })?;
        builder = builder.client_cert(Some(ClientCert::new_with_certs(&certificates(chain)?, key)));
    }
    Ok(builder.build())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, TlsFilesError> {
    let pem = std::fs::read(path).map_err(|source| TlsFilesError::Read { path: path.to_owned(), source })?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(TlsFilesError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

fn not_sent(error: &dyn std::fmt::Display) -> Failure {
    Failure { reach: Reach::NotSent, reason: error.to_string() }
}

/// The part of an error that may be shown: nothing with the request's URL, whose query holds a
/// signature.
fn failure(error: &ureq::Error) -> Failure {
    use ureq::Error;
    let (reach, reason) = match error {
        Error::Timeout(Timeout::Resolve) => (Reach::NotSent, "its name took too long to find".to_owned()),
        Error::Timeout(Timeout::Connect) => (Reach::NotSent, "no connection in time".to_owned()),
        Error::Timeout(_) => (Reach::MaybeDone, "no answer in time".to_owned()),
        Error::HostNotFound => (Reach::NotSent, "its name is not known".to_owned()),
        Error::ConnectionFailed => (Reach::NotSent, "no connection".to_owned()),
        Error::Tls(_) => (Reach::NotSent, error.to_string()),
        Error::Rustls(cause) => tls_failure(cause),
        Error::Io(cause) => io_failure(cause),
        Error::BadUri(_) => (Reach::NotSent, "its URL cannot be used".to_owned()),
        other => (Reach::MaybeDone, other.to_string()),
    };
    Failure { reach, reason }
}

fn io_failure(error: &io::Error) -> (Reach, String) {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    if let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        return tls_failure(cause);
    }
    match error.kind() {
        ConnectionRefused => (Reach::NotSent, "connection refused".to_owned()),
        HostUnreachable | NetworkUnreachable => (Reach::NotSent, error.to_string()),
        _ => (Reach::MaybeDone, format!("the connection broke: {error}")),
    }
}

/// Nothing is sent to a server whose certificate is not trusted. Any other TLS error may come after
/// the request was sent.
fn tls_failure(error: &rustls::Error) -> (Reach, String) {
    let reach = match error {
        rustls::Error::InvalidCertificate(_) => Reach::NotSent,
        _ => Reach::MaybeDone,
    };
    (reach, format!("TLS: {error}"))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod tls_tests;
