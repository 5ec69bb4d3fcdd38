//! Keys that the scrambler makes itself (key exchange 5.3.2).

use keymoot_crypto::{ContentKey, RandomError, random_kid};
use keymoot_model::Kid;

/// The party that makes a new key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeySource {
    /// The key server makes it.
    #[default]
    Server,
    /// This client, which supplies key and key id.
    Own,
}

/// A key and its id, made by this client.
pub(super) struct OwnKey {
    pub(super) kid: Kid,
    pub(super) key: ContentKey,
}

impl OwnKey {
    /// Draws both from the operating system's randomness.
    pub(super) fn generate() -> Result<Self, RandomError> {
        Ok(Self { kid: random_kid()?, key: ContentKey::generate()? })
    }

    /// A key made here for [`KeySource::Own`], else `None`.
    pub(super) fn of(source: KeySource) -> Result<Option<Self>, RandomError> {
        match source {
            KeySource::Server => Ok(None),
            KeySource::Own => Self::generate().map(Some),
        }
    }
}
