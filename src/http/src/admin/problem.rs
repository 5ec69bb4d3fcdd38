//! Refusals of the admin API (RFC 9457): what was wrong, and what to do.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde_json::json;

use keymoot_audit::Unwritable;
use keymoot_cluster::ClusterError;
use keymoot_service::admin::{AdministrationError, OperationError, RefusedOperator, SignInError};

use crate::answer::error::{ApiError, ErrorKind};

/// A refusal.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    remedy: Option<Cow<'static, str>>,
    /// When to try again.
    retry_after: Option<Duration>,
    /// The approval that it waits for.
    approval: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), remedy: None, retry_after: None, approval: None }
    }

    /// What was sent cannot be used.
    pub(super) fn invalid(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail).with("GET /openapi.json has an example of every request")
    }

    /// Nobody asks.
    pub(super) fn no_credential() -> Self {
        let detail =
            "operators show a client certificate of the cluster's authority, or the token of a session";
        let remedy = "pass --operator FILE, or with curl --cert FILE; POST /v1/session begins a session";
        Self::new(StatusCode::UNAUTHORIZED, detail).with(remedy)
    }

    /// What was sent is no token.
    pub(super) fn no_token() -> Self {
        let detail = "the header Authorization holds no token of a session";
        Self::new(StatusCode::UNAUTHORIZED, detail)
            .with("send Authorization: Bearer TOKEN, as POST /v1/session gave it")
    }

    fn with(self, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// There is no such route.
    pub(super) fn unknown(method: &str, path: &str) -> Self {
        let detail = format!("{method} {path} is no request of the admin API");
        Self::new(StatusCode::NOT_FOUND, detail).with("GET /openapi.json lists them")
    }

    /// Nothing is done, because it cannot be written to the audit.
    pub(super) fn unaudited(why: &Unwritable) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("{why}, so nothing is done"))
            .with("ask another node; keymoot cluster status says what is amiss with this one")
    }

    /// Why a sign-in was refused.
    pub(super) fn of_sign_in(error: &SignInError) -> Self {
        let status = match error {
            SignInError::Wrong(_) => StatusCode::UNAUTHORIZED,
            SignInError::Slowed(_) => StatusCode::TOO_MANY_REQUESTS,
            SignInError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            SignInError::Cluster(error) => of_cluster(error),
            SignInError::State(_) | SignInError::Sealed(_) | SignInError::Making(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let problem = Self::new(status, error.to_string());
        match error {
            SignInError::Slowed(wait) => Self { retry_after: Some(*wait), ..problem },
            _ => problem,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        let unavailable = (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::ZERO);
        if let Some(wait) = self.retry_after.or(unavailable) {
            response.insert_header((header::RETRY_AFTER, (wait.as_secs() + 1).to_string()));
        }
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("refused"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "remedy": self.remedy,
        });
        if let (Some(members), Some(approval)) = (body.as_object_mut(), self.approval) {
            members.insert("approval".to_owned(), approval.into());
        }
        response.content_type("application/problem+json").body(body.to_string())
    }
}

impl From<RefusedOperator> for Problem {
    fn from(refused: RefusedOperator) -> Self {
        let (status, remedy) = match &refused {
            RefusedOperator::Unregistered { .. }
            | RefusedOperator::Revoked { .. }
            | RefusedOperator::CertificateRevoked { .. }
            | RefusedOperator::SessionEnded
            | RefusedOperator::Expired { .. } => (StatusCode::UNAUTHORIZED, None),
            RefusedOperator::FirstPassword { .. } => (
                StatusCode::FORBIDDEN,
                Some("POST /v1/operators/self/password sets one; sign in with it then"),
            ),
            RefusedOperator::Role { .. } => (
                StatusCode::FORBIDDEN,
                Some("ask an operator with the role security: keymoot operator roles gives others"),
            ),
            RefusedOperator::Unconfirmed(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some("keymoot cluster status says what is amiss"))
            }
            RefusedOperator::State(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        Self { remedy: remedy.map(Cow::Borrowed), ..Self::new(status, refused.to_string()) }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        Self::of_sign_in(&error)
    }
}

impl From<AdministrationError> for Problem {
    fn from(error: AdministrationError) -> Self {
        let error = match error {
            AdministrationError::SignIn(error) => return error.into(),
            AdministrationError::Waits(record) => {
                let id = record.id;
                let problem = Self::new(StatusCode::CONFLICT, AdministrationError::Waits(record).to_string());
                let remedy = format!(
                    "the other one types: keymoot approval approve {id}; then ask for the same again"
                );
                return Self { approval: Some(id), ..problem.with(remedy) };
            }
            error => error,
        };
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
            AdministrationError::SignIn(_) | AdministrationError::Waits(_) => StatusCode::CONFLICT,
        };
        let remedy = match &error {
            AdministrationError::Operation(error) => error.remedy(),
            _ => None,
        };
        Self { remedy: remedy.map(Cow::Borrowed), ..Self::new(status, error.to_string()) }
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
