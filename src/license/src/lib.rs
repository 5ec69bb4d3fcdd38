//! Licenses for players: reads challenges, makes licenses, or requests them from the servers that
//! make them.
//!
//! This crate knows the protocols of the DRM systems. It knows neither Keymoot's HTTP API nor the
//! cluster or the store. Its callers have found the keys and have checked that they belong to the
//! signed content. All input from outside, challenges and responses of license servers, is bounded
//! and parsed before it is used. No error holds a key, a token or bytes of a challenge.

pub mod clear_key;
pub mod entitlement;
pub mod fairplay;
pub mod playready;
mod provider;
pub mod request_signer;
pub mod settings;
mod system;
mod systems;
pub mod terms;
pub mod upstream;
pub mod widevine;

use keymoot_crypto::ContentKey;
use keymoot_model::{AccountId, ContentId, Kid, Policy, TrackName};

pub use provider::{ChallengeForm, LicenseProvider};
pub use system::{
    Challenge, ChallengeError, LicenseFuture, LicenseSystem, LicensingError, NotServed, PolicyRefusal,
    WantedKeys,
};
pub use systems::{LicenseSystems, ServersError};

/// A key that a license hands out.
#[derive(Clone, Copy, Debug)]
pub struct LicensedKey<'k> {
    pub kid: &'k Kid,
    pub key: &'k ContentKey,
    /// The track of the key; a policy may have terms of its own for it.
    pub track: &'k TrackName,
    /// The IV that a license announces, for systems that do; `None`: the one that follows from the key id.
    pub iv: Option<[u8; 16]>,
}

/// What a license server is told in addition to the player's challenge.
#[derive(Clone, Copy, Debug)]
pub struct LicenseTerms<'t> {
    /// The account that owns the content.
    pub account: &'t AccountId,
    /// The content that the request was signed for.
    pub content: &'t ContentId,
    /// The requested keys of this content.
    pub keys: &'t [LicensedKey<'t>],
    /// What the license allows.
    pub policy: &'t Policy,
}
