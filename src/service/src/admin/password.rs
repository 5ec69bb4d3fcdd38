//! A password on its way from a person to its hash.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use keymoot_crypto::PASSWORD_CHARS;

/// A password in the clear: never logged, and overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password(Zeroizing<String>);

/// The text cannot be a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has {} to {} characters", PASSWORD_CHARS.start(), PASSWORD_CHARS.end())]
pub struct PasswordLength;

impl Password {
    /// What somebody typed.
    pub const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// Whether it can be set anew.
    ///
    /// # Errors
    /// [`PasswordLength`] when it is too short or too long.
    pub fn check(&self) -> Result<(), PasswordLength> {
        if PASSWORD_CHARS.contains(&self.0.chars().count()) { Ok(()) } else { Err(PasswordLength) }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_neither_shown_nor_too_short() {
        let password = |text: &str| Password::new(Zeroizing::new(text.to_owned()));
        assert_eq!(format!("{:?}", password("hunter22hunter22")), "Password(redacted)");
        assert_eq!(password("hunter22hunter22").check(), Ok(()));
        assert_eq!(password("elevenchars").check(), Err(PasswordLength));
        assert_eq!(password(&"é".repeat(128)).check(), Ok(()));
        assert_eq!(password(&"x".repeat(129)).check(), Err(PasswordLength));
    }
}
