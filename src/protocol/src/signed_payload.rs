//! What a request says about itself, kept with the very bytes that say it.
//!
//! A signature covers bytes, and a use case believes what was read from them. Both come from one
//! [`SignedPayload`], so what is verified and what is believed cannot differ, and nothing is read twice.

use bytes::Bytes;

use super::{CaSystem, SignedMethod};
use keymoot_model::{AccountId, ContentId};

/// Whose request it says it is. To be believed once there is a grant.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The account that must have signed it.
    pub account: AccountId,
    /// The entitlement back end that the client belongs to.
    pub ca_system: CaSystem,
    /// The one content it is about.
    pub content: Option<ContentId>,
    /// The HTTP method that it is signed for, when it says so.
    pub method: Option<SignedMethod>,
}

/// What can be read from the bytes that a client signs.
pub trait Claims: Sized {
    /// Why bytes are nothing of the kind. Fit for the caller.
    type Error;

    /// Whether a signature that covers neither method nor path proves it only where it names its method: what
    /// is more than the keys of one content. Accounts from before may do without.
    const NAMES_METHOD: bool;

    /// Reads the bytes.
    ///
    /// # Errors
    /// Says what is wrong with them.
    fn read(bytes: &Bytes) -> Result<Self, Self::Error>;

    /// Whose request it says it is.
    fn claim(&self) -> Claim;
}

/// What was read from bytes that are signed, and those bytes.
pub struct SignedPayload<T> {
    value: T,
    bytes: Bytes,
}

impl<T: Claims> SignedPayload<T> {
    /// Reads the bytes as they were received: a body, or the decoded `custom_data` parameter.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn read(bytes: Bytes) -> Result<Self, T::Error> {
        Ok(Self { value: T::read(&bytes)?, bytes })
    }

    /// What was read; to be believed once there is a grant.
    pub fn value(&self) -> &T {
        &self.value
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn into_value(self) -> T {
        self.value
    }
}
