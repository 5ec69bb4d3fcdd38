//! Why system data could not be made or read.

use super::playready::PlayReadyError;
use super::pssh::PsshError;
use super::{EncryptionProvider, ProtectionScheme, System};

/// Why DRM data could not be made or read. No variant holds a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrmError {
    /// The path names no encryption provider.
    #[error("no encryption provider has this path; use {}", EncryptionProvider::listed())]
    UnknownProvider,
    /// The text or number names no protection scheme.
    #[error("the protection scheme is not known; use cenc, cens, cbc1 or cbcs")]
    UnknownScheme,
    /// The system's clients cannot play content encrypted this way.
    #[error("{system} clients cannot play scheme {scheme}; use {playable}")]
    SchemeNotPlayable {
        system: System,
        /// The requested scheme.
        scheme: ProtectionScheme,
        /// The schemes that its clients can play.
        playable: &'static str,
    },
    /// Not all players of a provider know the scheme.
    #[error("{provider} {}", fitting(*provider, *scheme))]
    SchemeUnfit { provider: EncryptionProvider, scheme: ProtectionScheme },
    /// A license URL that cannot stand in a PlayReady header.
    #[error("the PlayReady license URL {url:?} cannot be used: {problem}")]
    LicenseUrl {
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The bytes are not data of the system.
    #[error("this is not {system} system data: {what}")]
    Malformed { system: System, what: &'static str },
    /// A PlayReady Object that cannot be made or read.
    #[error(transparent)]
    PlayReady(#[from] PlayReadyError),
    /// A `pssh` box that cannot be read.
    #[error(transparent)]
    Pssh(#[from] PsshError),
    /// The actor's mailbox is full: the caller should answer 503 and ask its client to come back.
    #[error("too many requests for system data are waiting; try again shortly")]
    Busy,
    /// The actor has stopped: the node shuts down.
    #[error("system data is no longer made on this node: it is shutting down; ask another node")]
    Stopped,
}

/// Which schemes go with a provider, behind its name.
fn fitting(provider: EncryptionProvider, scheme: ProtectionScheme) -> String {
    let names: Vec<&str> = provider.schemes().iter().map(|scheme| scheme.name()).collect();
    match names.as_slice() {
        [] => "has no protection scheme; leave scheme out".to_owned(),
        [only] => format!("does not go with scheme {scheme}; it goes with {only} only"),
        [all @ .., last] => {
            format!("does not go with scheme {scheme}; it goes with {} or {last}", all.join(", "))
        }
    }
}
