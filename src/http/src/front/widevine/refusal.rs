//! What a packager is told that gets no key: each error's status in the words of the API.

use actix_web::http::header::HeaderValue;

use crate::answer::error::{ApiError, ErrorKind};
use keymoot_audit::Outcome;
use keymoot_auth::{AuthError, Denied};
use keymoot_cluster::ClusterError;
use keymoot_drm::DrmError;
use keymoot_protocol::widevine::{RequestError, Status};
use keymoot_service::{PeriodsError, ServiceError};

/// A request that gets no key. Made from an `ApiError`, which logs it under its reference.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: Status,
    /// What the caller is told.
    pub(super) message: String,
    /// The true reason, for the audit.
    pub(super) reason: String,
    /// The number under which the log has the reason.
    pub(super) reference: u64,
    /// After how many seconds the same request may succeed.
    pub(super) retry_after: Option<HeaderValue>,
}

impl Refusal {
    /// A refusal whose reason the caller may read.
    pub(super) fn new(status: Status, message: impl Into<String>) -> Self {
        Self::of(status, ApiError::new(ErrorKind::Invalid, message))
    }

    /// One of this status.
    pub(super) fn of(status: Status, error: ApiError) -> Self {
        let retry_after = error.retry_after();
        let (message, reason) = (error.message().to_owned(), error.reason().to_owned());
        Self { status, message, reason, reference: error.reference(), retry_after }
    }

    /// What the audit calls it.
    pub(super) const fn outcome(&self) -> Outcome {
        match self.status {
            Status::InternalError => Outcome::Failed,
            Status::AssetNotFound | Status::AssetMissingKey => Outcome::NotFound,
            _ => Outcome::Refused,
        }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::of(Status::InternalError, error)
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::new(error.status, error.message)
    }
}

impl From<PeriodsError> for Refusal {
    fn from(error: PeriodsError) -> Self {
        let status = match error {
            PeriodsError::TooMany => Status::MalformedRequest,
            PeriodsError::None => Status::NoRequestedCryptoPeriods,
        };
        Self::new(status, error.to_string())
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        let status = match &error {
            AuthError::Denied(
                Denied::Signature { .. } | Denied::Certificate { .. } | Denied::Downgrade { .. },
            ) => Status::SignatureFailed,
            AuthError::Denied(_) => Status::AccessDenied,
            _ => return Self::from(ApiError::from(error)),
        };
        Self::of(status, ApiError::with_reason(ErrorKind::Denied, status.meaning(), error))
    }
}

impl From<ServiceError> for Refusal {
    fn from(error: ServiceError) -> Self {
        let status = match error {
            ServiceError::Conflict(_) => Status::MalformedRequest,
            ServiceError::UnknownPolicy { .. } => Status::PolicyUnknown,
            _ => Status::InternalError,
        };
        Self::of(status, error.into())
    }
}

impl From<ClusterError> for Refusal {
    fn from(error: ClusterError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<DrmError> for Refusal {
    fn from(error: DrmError) -> Self {
        ApiError::from(error).into()
    }
}
