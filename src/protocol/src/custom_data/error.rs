//! Why bytes are not custom data.

use keymoot_model::IdError;

/// Why bytes are not custom data. The message is fit for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustomDataError {
    /// More bytes than any client needs.
    #[error("custom data is longer than {bytes_max} bytes")]
    TooLong { bytes_max: usize },
    /// Not one strict JSON object.
    #[error("custom data is not a strict JSON object: {reason}")]
    NotJson {
        /// What is wrong, and at which line and column.
        reason: String,
    },
    /// A required member is absent or `null`.
    #[error("Missing custom data {member}")]
    Missing { member: &'static str },
    /// A required member is the empty string.
    #[error("custom data {member} is empty")]
    Empty { member: &'static str },
    /// A member that only requests of another kind have: a signature for those opens nothing else.
    #[error("custom data with the member {member} is for /{member} only")]
    OfAnother {
        /// Its name, which is the path of those requests.
        member: &'static str,
    },
    /// The data are signed for another HTTP method than the request's.
    #[error(
        "custom data method says {signed}, but this is {request}: what is signed for one method opens no other"
    )]
    OfAnotherMethod {
        /// The method that the data name.
        signed: &'static str,
        /// The request's.
        request: String,
    },
    /// A member of the wrong type or form.
    #[error("custom data {member} must be {expected}")]
    Form {
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A member that is no identifier.
    #[error("custom data {0}")]
    Id(IdError),
    /// A member that nobody here knows, where all must be known.
    #[error("there is a member that is not known here; known are {known}")]
    Unknown {
        /// The names of all that are.
        known: String,
    },
    /// Only one of `key` and `key_id`.
    #[error("custom data {given} is given without {missing}; supply both or neither")]
    Unpaired {
        /// The member that is there.
        given: &'static str,
        /// The member that is not.
        missing: &'static str,
    },
}
