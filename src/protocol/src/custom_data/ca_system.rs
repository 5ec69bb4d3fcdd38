//! The member `ca_system`.

use super::CustomDataError;

/// A `ca_system` as the client wrote it: `OVP`, `ott`, or the URL of an entitlement back end.
///
/// A URL here is the client's word only. Nothing may connect to it that has not found the same
/// address in the account's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaSystem(String);

impl CaSystem {
    /// The longest text accepted, in bytes.
    pub const BYTES_MAX: usize = 512;

    pub fn new(text: &str) -> Result<Self, CustomDataError> {
        if text.len() > Self::BYTES_MAX || text.chars().any(char::is_control) {
            let expected = "at most 512 bytes of text without control characters";
            return Err(CustomDataError::Form { member: "ca_system", expected });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `other`, without regard to ASCII case.
    pub fn is(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}
