//! How a request ends, in the words of the API.

/// The `status` of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The answer holds the keys.
    Ok,
    /// The signature is not that of a signer known here.
    SignatureFailed,
    /// Nothing says which content is meant.
    ContentIdMissing,
    /// A policy is named that does not exist.
    PolicyUnknown,
    /// No track is asked for.
    TrackTypeMissing,
    /// A track of a type that the API does not know.
    TrackTypeUnknown,
    /// The request is not as the API has it.
    MalformedRequest,
    /// The caller may not ask for this.
    AccessDenied,
    /// The server cannot answer now; the packager asks again.
    InternalError,
    /// The pssh data is not Widevine's.
    InvalidWidevinePssh,
    /// Content id and pssh data together.
    TooManyContentSpecifiers,
    /// No key of the pssh data is known.
    AssetNotFound,
    /// Some keys of the pssh data are not known.
    AssetMissingKey,
    /// There are no such crypto periods.
    NoRequestedCryptoPeriods,
}

impl Status {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::SignatureFailed => "SIGNATURE_FAILED",
            Self::ContentIdMissing => "CONTENT_ID_MISSING",
            Self::PolicyUnknown => "POLICY_UNKNOWN",
            Self::TrackTypeMissing => "TRACK_TYPE_MISSING",
            Self::TrackTypeUnknown => "TRACK_TYPE_UNKNOWN",
            Self::MalformedRequest => "MALFORMED_REQUEST",
            Self::AccessDenied => "ACCESS_DENIED",
            Self::InternalError => "INTERNAL_ERROR",
            Self::InvalidWidevinePssh => "INVALID_WIDEVINE_PSSH",
            Self::TooManyContentSpecifiers => "TOO_MANY_CONTENT_SPECIFIERS",
            Self::AssetNotFound => "ASSET_NOT_FOUND",
            Self::AssetMissingKey => "ASSET_MISSING_KEY",
            Self::NoRequestedCryptoPeriods => "NO_REQUESTED_CRYPTO_PERIODS",
        }
    }

    /// What an unauthorized caller is told, whatever the true reason.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::SignatureFailed => "the signer is not known or its signature is wrong",
            _ => "the account does not serve this caller",
        }
    }
}

/// Why bytes are no request. The message is fit for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    pub status: Status,
    pub message: String,
}

impl RequestError {
    pub(super) fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}
