//! Every refusal that leaves this server, in the specification's format (uDRM 2.6).
//!
//! One kind maps to one status, here and nowhere else. Making an error draws its reference and logs
//! the true reason beside it; the caller gets a message that helps with the request it sent and
//! tells nothing about accounts, addresses or the inside of the server. Reasons hold no secrets:
//! the error types of the other crates see to that.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::soap;
use crate::request::answering;
use crate::request::path::PathError;
use keymoot_auth::{AuthError, Denied, LedgerError};
use keymoot_protocol::query::QueryError;
use keymoot_protocol::{CustomDataError, SignatureError};
use keymoot_service::OverLimit;
use keymoot_telemetry::{LineRate, quoted};

/// What every unauthorized caller is told. An unknown account, a wrong signature, an address off the
/// allow-list and a foreign `ca_system` read the same, so that nobody can probe for accounts or for
/// what an allow-list holds; the log has the true reason under the reference.
const UNAUTHORIZED: &str = "unauthorized: the signature, the account or the caller's address is not accepted";

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The request is wrong in itself.
    Invalid,
    /// The request does not open what it asks for.
    Denied,
    /// There is no such content, or no such route.
    NotFound,
    /// The route exists, but not for this method.
    MethodNotAllowed,
    /// The request is at odds with what is stored.
    Conflict,
    /// The request is larger than a request may be.
    TooLarge,
    /// There were too many such requests, of an account or from an address.
    TooMany,
    /// Too many requests wait.
    Busy,
    /// No quorum could be reached before the deadline.
    NoQuorum,
    /// The server is at fault.
    Internal,
}

impl ErrorKind {
    /// The HTTP status. The specification knows 400, 401, 404 and 500 and its clients know no other,
    /// so a wrong method, a conflict and a large body are 400 ("invalid call"), not 405, 409 and 413.
    /// A refused address is 401 like a bad signature. The extensions are 503 and, where limits are set, 429, always with
    /// `Retry-After`, because only those tell a client that the same request may later succeed.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Invalid | Self::MethodNotAllowed | Self::Conflict | Self::TooLarge => {
                StatusCode::BAD_REQUEST
            }
            Self::Denied => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy | Self::NoQuorum => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A refusal, logged when it was made.
#[derive(Debug, thiserror::Error)]
#[error("{message} (reference {reference})")]
pub(crate) struct ApiError {
    kind: ErrorKind,
    message: String,
    /// The true reason, where it is another one than the caller is told.
    reason: Option<String>,
    reference: u64,
    refusal: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    retry_after_s: Option<NonZeroU64>,
    form: Form,
}

/// How a refusal is written down.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// The specification's JSON.
    Udrm,
    /// A SOAP fault, for protocols of that kind.
    Soap,
    /// The message alone, as text, which a header repeats: for encryptors that send documents.
    Text,
}

/// What is wrong, for clients that hide bodies from their operators.
static ERROR_HEADER: HeaderName = HeaderName::from_static("x-keymoot-error");
/// The number under which the log has the reason, beside it.
static REFERENCE_HEADER: HeaderName = HeaderName::from_static("x-keymoot-reference");
/// The longest text in the header.
const ERROR_HEADER_BYTES_MAX: usize = 256;

impl ApiError {
    /// A refusal whose reason the caller may read.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        let reference = draw_reference();
        log(kind, reference, &message);
        Self::logged(kind, message, None, reference)
    }

    /// A refusal with one `message` for the caller and the true `reason` for the log.
    pub(crate) fn with_reason(
        kind: ErrorKind,
        message: impl Into<String>,
        reason: impl fmt::Display,
    ) -> Self {
        let reference = draw_reference();
        log(kind, reference, &reason);
        Self::logged(kind, message.into(), Some(reason.to_string()), reference)
    }

    fn logged(kind: ErrorKind, message: String, reason: Option<String>, reference: u64) -> Self {
        let is_unavailable = kind.status() == StatusCode::SERVICE_UNAVAILABLE;
        let retry_after_s = is_unavailable.then_some(NonZeroU64::MIN);
        let (refusal, headers, form) = (None, Vec::new(), Form::Udrm);
        Self { kind, message, reason, reference, refusal, headers, retry_after_s, form }
    }

    /// A refusal of one request too many, which may be sent again after this time.
    pub(crate) fn too_many(
        message: impl Into<String>,
        reason: impl fmt::Display,
        retry_after: Duration,
    ) -> Self {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        let retry_after_s = Some(NonZeroU64::new(seconds).unwrap_or(NonZeroU64::MIN));
        Self { retry_after_s, ..Self::with_reason(ErrorKind::TooMany, message, reason) }
    }

    /// A fault of the server. The caller learns only the reference.
    pub(crate) fn internal(reason: impl fmt::Display) -> Self {
        Self::with_reason(ErrorKind::Internal, "internal server error", reason)
    }

    /// A refusal to anyone unauthorized, whatever the reason.
    pub(crate) fn unauthorized(reason: impl fmt::Display) -> Self {
        Self::with_reason(ErrorKind::Denied, UNAUTHORIZED, reason)
    }

    /// The same, counted under this label when it is an unauthorized one.
    pub(crate) fn counted_as(self, refusal: &'static str) -> Self {
        Self { refusal: Some(refusal), ..self }
    }

    /// The same, with these headers too.
    pub(crate) fn with_headers(mut self, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The same in other words, for protocols with words of their own.
    pub(crate) fn saying(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The same as a SOAP fault. The status stays: packagers give up at any but 200, and monitors and
    /// proxies read it.
    pub(crate) fn into_soap_fault(self) -> Self {
        Self { form: Form::Soap, ..self }
    }

    /// The same as text, with the statuses that encryptors know.
    pub(crate) fn into_text(self) -> Self {
        Self { form: Form::Text, ..self }
    }

    /// The status of the answer: its kind's, or that which clients of its form know.
    pub(crate) fn status(&self) -> StatusCode {
        match (self.form, self.kind) {
            (Form::Text, ErrorKind::Invalid | ErrorKind::Conflict) => StatusCode::UNPROCESSABLE_ENTITY,
            (Form::Text, ErrorKind::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            (_, kind) => kind.status(),
        }
    }

    /// The message in visible ASCII, as a header can hold it.
    fn header_text(&self) -> String {
        let visible = |c| if matches!(c, ' '..='~') { c } else { '?' };
        self.message.chars().take(ERROR_HEADER_BYTES_MAX).map(visible).collect()
    }

    /// What kind of refusal it is.
    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The label under which a refusal to somebody unauthorized is counted. A refusal without a
    /// label counts as malformed: it was refused before anybody looked for the account.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        (self.kind == ErrorKind::Denied).then_some(self.refusal.unwrap_or("malformed"))
    }

    /// After how many seconds the same request may succeed.
    pub(crate) fn retry_after(&self) -> Option<HeaderValue> {
        self.retry_after_s.map(|seconds| HeaderValue::from(seconds.get()))
    }

    /// What the caller is told.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The true reason, for the log and the audit.
    pub(crate) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(&self.message)
    }

    /// The number under which the log has the reason.
    pub(crate) fn reference(&self) -> u64 {
        self.reference
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        if let Some(after) = self.retry_after() {
            response.insert_header((header::RETRY_AFTER, after));
        }
        for (name, value) in &self.headers {
            response.append_header((name, value));
        }
        if let Form::Soap = self.form {
            return response.content_type(soap::CONTENT_TYPE).body(soap::fault(self));
        }
        if let Form::Text = self.form {
            response.insert_header((ERROR_HEADER.clone(), self.header_text()));
            response.insert_header((REFERENCE_HEADER.clone(), self.reference));
            return response.content_type("text/plain; charset=utf-8").body(self.message.clone());
        }
        response.json(RefusalBody {
            message: &self.message,
            status_code: status.as_str(),
            reference: self.reference,
        })
    }
}

impl From<CustomDataError> for ApiError {
    fn from(error: CustomDataError) -> Self {
        match error {
            CustomDataError::TooLong { .. } => Self::new(ErrorKind::TooLarge, error.to_string()),
            _ => Self::new(ErrorKind::Invalid, error.to_string()),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Signature(signature) => signature.into(),
            QueryError::TooLong | QueryError::CustomDataTooLong => {
                Self::new(ErrorKind::TooLarge, error.to_string())
            }
            _ => Self::new(ErrorKind::Invalid, error.to_string()),
        }
    }
}

impl From<OverLimit> for ApiError {
    fn from(error: OverLimit) -> Self {
        Self::too_many(error.to_string(), error, error.retry_after)
    }
}

impl From<SignatureError> for ApiError {
    /// A malformed signature is an "error in signature", 401. Its message may help, because it
    /// depends on the request alone.
    fn from(error: SignatureError) -> Self {
        Self::new(ErrorKind::Denied, error.to_string())
    }
}

impl From<PathError> for ApiError {
    fn from(error: PathError) -> Self {
        match error {
            PathError::TooLong => Self::new(ErrorKind::TooLarge, error.to_string()),
            _ => Self::new(ErrorKind::Invalid, error.to_string()),
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let reason = denied.reason();
        match denied {
            // Whoever shows it holds a right signature, and may know what that does not cover.
            Denied::Unsaid { unsaid, .. } => Self::with_reason(ErrorKind::Denied, unsaid.to_string(), denied),
            _ => Self::unauthorized(denied),
        }
        .counted_as(reason)
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Denied(denied) => denied.into(),
            AuthError::Ledger(LedgerError::NoQuorum(reason)) => {
                let message = "no quorum of the key servers could be reached in time; try again";
                Self::with_reason(ErrorKind::NoQuorum, message, reason)
            }
            AuthError::Ledger(LedgerError::Internal(reason)) => Self::internal(reason),
            AuthError::Unreadable(reason) => Self::internal(reason),
            busy => Self::with_reason(ErrorKind::Busy, "the server is busy; try again", busy),
        }
    }
}

/// Why a request is refused (uDRM 2.6).
// `status_code` is text and `reference` a number, as the specification has it.
#[derive(Serialize, ToSchema)]
#[schema(as = Refusal)]
pub(crate) struct RefusalBody<'e> {
    /// What was wrong with the request, and what to do.
    message: &'e str,
    /// The HTTP status, as text.
    status_code: &'e str,
    /// The number under which the node's log has the reason.
    reference: u64,
}

/// A random number that every JSON reader holds exactly (below 2^53) and that is never 0, which
/// some clients take for "none".
fn draw_reference() -> u64 {
    (rand::random::<u64>() >> 11).max(1)
}

/// The lines that strangers cause.
static LINES: LineRate = LineRate::new();

/// Logs the reason, as what a stranger may have chosen: bounded, in quotes, and not without end.
fn log(kind: ErrorKind, reference: u64, reason: &dyn fmt::Display) {
    let client = answering::client();
    let unlogged = match client {
        // A fault of ours is never left out.
        Some(client) if kind != ErrorKind::Internal => match LINES.note(client) {
            Some(unlogged) => unlogged,
            None => return,
        },
        _ => 0,
    };
    let client = client.map(tracing::field::display);
    let reason = quoted(reason);
    let (reason, unlogged) = (reason.as_str(), (unlogged > 0).then_some(unlogged));
    if kind.status().is_server_error() {
        tracing::warn!(reference, ?kind, client, unlogged, reason, "request failed");
    } else {
        tracing::info!(reference, ?kind, client, unlogged, reason, "request refused");
    }
}

#[cfg(test)]
mod tests;
