//! What players are given: challenges read, licenses made, or asked of the servers that make them.
//!
//! This room knows the DRM systems' own protocols and no HTTP of ours, no cluster and no store. Keys
//! come to it already found and already known to belong to the content that was signed for. What
//! comes from outside, challenges and the answers of license servers, is bounded and parsed before
//! anything is made of it; no error holds a key, a token or the bytes of a challenge.

pub mod clear_key;
pub mod entitlement;
pub mod outgoing;
mod provider;

#[cfg(test)]
mod stand_in;

pub use provider::LicenseProvider;
