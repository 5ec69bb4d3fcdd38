//! Refusals of the admin API (RFC 9457): what was wrong, and what to do.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde_json::json;

use keymoot_cluster::ClusterError;
use keymoot_service::admin::{AdministrationError, OperationError, RefusedOperator};

use crate::answer::error::{ApiError, ErrorKind};

/// A refusal.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    remedy: Option<&'static str>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), remedy: None }
    }

    /// What was sent cannot be used.
    pub(super) fn invalid(detail: String) -> Self {
        let remedy = Some("GET /openapi.json has an example of every request");
        Self { remedy, ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }

    /// Nobody asks.
    pub(super) fn no_certificate() -> Self {
        let detail = "operators show a client certificate of the cluster's authority";
        let remedy = Some("pass --credential FILE, or with curl --cert FILE");
        Self { remedy, ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// There is no such route.
    pub(super) fn unknown(method: &str, path: &str) -> Self {
        let detail = format!("{method} {path} is no request of the admin API");
        let remedy = Some("GET /openapi.json lists them");
        Self { remedy, ..Self::new(StatusCode::NOT_FOUND, detail) }
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, "1"));
        }
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("refused"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "remedy": self.remedy,
        });
        response.content_type("application/problem+json").body(body.to_string())
    }
}

impl From<RefusedOperator> for Problem {
    fn from(refused: RefusedOperator) -> Self {
        let (status, remedy) = match &refused {
            RefusedOperator::Unregistered { .. }
            | RefusedOperator::Revoked { .. }
            | RefusedOperator::CertificateRevoked { .. }
            | RefusedOperator::Expired { .. } => (StatusCode::UNAUTHORIZED, None),
            RefusedOperator::Role { .. } => (
                StatusCode::FORBIDDEN,
                Some("ask an operator with the role security: keymoot operator roles gives others"),
            ),
            RefusedOperator::Unconfirmed(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some("keymoot cluster status says what is amiss"))
            }
            RefusedOperator::State(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        Self { remedy, ..Self::new(status, refused.to_string()) }
    }
}

impl From<AdministrationError> for Problem {
    fn from(error: AdministrationError) -> Self {
        let status = match &error {
            AdministrationError::Invalid(_) => StatusCode::BAD_REQUEST,
            AdministrationError::Operation(
                OperationError::NoPolicy { .. }
                | OperationError::NoAccount { .. }
                | OperationError::NoNode { .. },
            ) => StatusCode::NOT_FOUND,
            AdministrationError::Operation(OperationError::Unexpected) | AdministrationError::Answer(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            AdministrationError::Operation(_) => StatusCode::CONFLICT,
            AdministrationError::Cluster(error) => of_cluster(error),
        };
        let remedy = match &error {
            AdministrationError::Operation(error) => error.remedy(),
            _ => None,
        };
        Self { remedy, ..Self::new(status, error.to_string()) }
    }
}

fn of_cluster(error: &ClusterError) -> StatusCode {
    match error {
        ClusterError::Refused(_) => StatusCode::CONFLICT,
        ClusterError::NoQuorum { .. }
        | ClusterError::Behind { .. }
        | ClusterError::Busy { .. }
        | ClusterError::DiskFull
        | ClusterError::Diverged(_)
        | ClusterError::CutOff { .. }
        | ClusterError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        ClusterError::State(_) | ClusterError::Protocol(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let status = match error.kind() {
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            kind => kind.status(),
        };
        Self::new(status, error.message())
    }
}
