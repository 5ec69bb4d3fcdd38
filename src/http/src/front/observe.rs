//! What a monitor asks of a node: alive, ready, measured.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use keymoot_crypto::SecretBytes;
use keymoot_crypto::secret_file::{SecretFileError, read_signing_key};

use crate::answer::error::{ApiError, ErrorKind};
use crate::listener::drain::Drain;
use crate::listener::settings::MetricsAccess;
use keymoot_service::Readiness;
use keymoot_telemetry::Metrics;

/// The process answers. Says nothing about the cluster.
pub(crate) fn healthy() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("alive\n")
}

/// The node can serve now: it is not about to stop, reaches a quorum, has caught up, and its keyring
/// opens the cluster's keys.
pub(crate) async fn ready(readiness: &Readiness, drain: &Drain) -> Result<HttpResponse, ApiError> {
    if drain.has_begun() {
        return Err(not_ready("the node is stopping"));
    }
    readiness.check().await.map_err(not_ready)?;
    Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
}

/// The answer to a probe: to one by OPTIONS, which load balancers send, without its body.
pub(crate) fn probed(request: &HttpRequest, answer: HttpResponse) -> HttpResponse {
    if *request.method() != Method::OPTIONS {
        return answer;
    }
    let mut answer = answer.drop_body().map_into_boxed_body();
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    answer
}

fn not_ready(reason: impl Display) -> ApiError {
    ApiError::new(ErrorKind::Busy, format!("not ready: {reason}"))
}

/// The content type of metrics.
pub(crate) const METRICS_TYPE: &str = "text/plain; version=0.0.4";
/// The shortest token.
const TOKEN_BYTES_MIN: usize = 16;

/// What opens the metrics.
#[derive(Clone)]
pub struct MetricsToken(Arc<SecretBytes>);

/// Why a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetricsTokenError {
    /// Its file cannot be read.
    #[error("the file of http.metrics_token_file cannot be used")]
    File(#[from] SecretFileError),
    /// It can be guessed.
    #[error(
        "the token in the file of http.metrics_token_file has fewer than {TOKEN_BYTES_MIN} characters; `openssl rand -hex 32` \
         makes one"
    )]
    Short,
}

impl MetricsToken {
    /// Reads it from its file.
    ///
    /// # Errors
    /// [`MetricsTokenError`] when it cannot be read or can be guessed.
    pub fn load(file: &Path) -> Result<Self, MetricsTokenError> {
        let token = read_signing_key(file)?;
        if token.expose().len() < TOKEN_BYTES_MIN {
            return Err(MetricsTokenError::Short);
        }
        Ok(Self(Arc::new(token)))
    }

    fn is_shown(&self, request: &HttpRequest) -> bool {
        let header = request.headers().get(header::AUTHORIZATION);
        let shown = header.and_then(|header| header.to_str().ok()?.split_once(' '));
        shown.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && self.0.same_as(token.trim().as_bytes())
        })
    }
}

/// Answers what is measured, to whoever may read it.
pub(crate) fn metrics(
    request: &HttpRequest,
    (access, token): (MetricsAccess, Option<&MetricsToken>),
    metrics: &Metrics,
) -> Result<HttpResponse, ApiError> {
    let text = match (access, token) {
        (MetricsAccess::Open, _) => metrics.encode_for_strangers(),
        (MetricsAccess::Token, Some(token)) if token.is_shown(request) => metrics.encode(),
        (MetricsAccess::Token, _) => {
            let message = "the metrics are for whoever shows their token, as Authorization: Bearer TOKEN";
            return Err(ApiError::new(ErrorKind::Denied, message).counted_as("metrics"));
        }
        (MetricsAccess::Off, _) => {
            let message =
                "the metrics are not served here; operators read them at admin.listen, see http.metrics";
            return Err(ApiError::new(ErrorKind::NotFound, message));
        }
    };
    Ok(HttpResponse::Ok().content_type(METRICS_TYPE).body(text.map_err(ApiError::internal)?))
}
