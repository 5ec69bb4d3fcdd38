//! What players are given: challenges read, licenses made, or asked of the servers that make them.
//!
//! This crate knows the DRM systems' own protocols and no HTTP of ours, no cluster and no store. Keys
//! come to it already found and already known to belong to the content that was signed for. What
//! comes from outside, challenges and the answers of license servers, is bounded and parsed before
//! anything is made of it; no error holds a key, a token or the bytes of a challenge.

pub mod clear_key;
mod dial;
pub mod entitlement;
mod exchange;
pub mod fairplay;
mod idle_connections;
pub mod outgoing;
pub mod playready;
mod provider;
pub mod request_signer;
pub mod settings;
mod system;
mod systems;
pub mod terms;
pub mod upstream;
pub mod widevine;
mod wiped_buffer;

#[cfg(test)]
mod stand_in;

use keymoot_crypto::ContentKey;
use keymoot_model::{AccountId, ContentId, Kid, Policy, TrackName};

pub use provider::LicenseProvider;
pub use system::{
    Challenge, ChallengeError, LicenseFuture, LicenseSystem, LicensingError, NotServed, PolicyRefusal,
    WantedKeys,
};
pub use systems::{LicenseSystems, ServersError};

/// A key that a license hands out.
#[derive(Clone, Copy, Debug)]
pub struct LicensedKey<'k> {
    /// Its key id.
    pub kid: &'k Kid,
    /// The key.
    pub key: &'k ContentKey,
    /// The track that it belongs to, which the policy may have words of its own for.
    pub track: &'k TrackName,
}

/// What a license server is told beside the player's challenge.
#[derive(Clone, Copy, Debug)]
pub struct LicenseTerms<'t> {
    /// Whose content it is.
    pub account: &'t AccountId,
    /// The content that was signed for.
    pub content: &'t ContentId,
    /// Those of its keys that are wanted.
    pub keys: &'t [LicensedKey<'t>],
    /// What the license allows.
    pub policy: &'t Policy,
}
