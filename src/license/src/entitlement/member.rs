//! Members of requests and responses, read with the same strictness for every back end.

use std::num::NonZeroU32;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use zeroize::Zeroizing;

use super::{AnswerFault, NotEntitled};
use keymoot_model::PolicyName;

/// The bytes of a request body, which holds the viewer's token.
pub(super) fn bytes_of(question: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    // The initial size is sufficient, because growing would leave parts of the token behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(32 * 1024));
    serde_json::to_writer(&mut *bytes, question)?;
    Ok(bytes)
}

/// The object of a response, with nothing after it.
pub(super) fn object<T: DeserializeOwned>(answer: &[u8]) -> Result<T, NotEntitled> {
    serde_json::from_slice(answer).map_err(|error| {
        NotEntitled::Unusable(AnswerFault::Form { line: error.line(), column: error.column() })
    })
}

/// Reads a member that may be absent. A `null` member is refused.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

pub(super) fn policy(name: String) -> Result<PolicyName, NotEntitled> {
    PolicyName::new(name).map_err(|_| NotEntitled::Unusable(AnswerFault::Policy))
}

pub(super) fn seconds(member: &'static str, value: i64) -> Result<NonZeroU32, NotEntitled> {
    let number = u32::try_from(value).ok().and_then(NonZeroU32::new);
    number.ok_or(NotEntitled::Unusable(AnswerFault::Duration { member }))
}

pub(super) const fn missing(member: &'static str) -> NotEntitled {
    NotEntitled::Unusable(AnswerFault::Missing { member })
}
