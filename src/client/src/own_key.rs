//! Keys that the scrambler makes itself (key exchange 5.3.2).

use keymoot_crypto::{ContentKey, RandomError, random_kid};
use keymoot_model::Kid;

/// Who makes a new key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeySource {
    /// The key server.
    #[default]
    Server,
    /// This client, which supplies key and key id.
    Own,
}

/// A key and its id, made here.
pub(super) struct OwnKey {
    pub(super) kid: Kid,
    pub(super) key: ContentKey,
}

impl OwnKey {
    /// Draws both from the operating system's randomness.
    pub(super) fn generate() -> Result<Self, RandomError> {
        Ok(Self { kid: random_kid()?, key: ContentKey::generate()? })
    }

    /// The key that `source` asks for: one made here, or none.
    pub(super) fn of(source: KeySource) -> Result<Option<Self>, RandomError> {
        match source {
            KeySource::Server => Ok(None),
            KeySource::Own => Self::generate().map(Some),
        }
    }
}
