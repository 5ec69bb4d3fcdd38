//! One-time codes of an authenticator app (TOTP, RFC 6238): SHA-1, six digits, thirty seconds, which every app can.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::SecretBytes;
use super::random::{RandomError, random_bytes};

/// For how long a code holds.
pub const CODE_STEP_S: u64 = 30;
/// A code has six digits.
const CODES: u32 = 1_000_000;
/// How many steps a phone's clock may be off.
const STEPS_OFF_MAX: u64 = 1;

/// The secret that a cluster and an authenticator app share.
#[derive(Debug)]
pub struct CodeSecret(SecretBytes);

impl CodeSecret {
    /// A new one, of the length that the standard recommends.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Self(SecretBytes::new(random_bytes::<20>()?.to_vec())))
    }

    /// The one in these bytes.
    pub const fn from_secret(secret: SecretBytes) -> Self {
        Self(secret)
    }

    /// Its bytes.
    pub const fn secret(&self) -> &SecretBytes {
        &self.0
    }

    /// What an authenticator app takes, as text or as a QR code. It holds the secret.
    pub fn uri(&self, issuer: &str, name: &str) -> SecretBytes {
        let secret = zeroize::Zeroizing::new(BASE32_NOPAD.encode(self.0.expose()));
        let (issuer, name) = (escaped(issuer), escaped(name));
        let uri = format!("otpauth://totp/{issuer}:{name}?secret={}&issuer={issuer}", *secret);
        SecretBytes::new(uri.into_bytes())
    }

    /// The code of a time step.
    pub fn code(&self, step: u64) -> u32 {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.0.expose());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag.last().copied().unwrap_or(0) & 0xf);
        let four = tag.get(offset..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
        (u32::from_be_bytes(four) & 0x7fff_ffff) % CODES
    }

    /// The time step that a code is of, as a clock says that may be off by a step. All of them are tried, so that time
    /// tells nothing.
    pub fn step_of(&self, code: u32, now_s: u64) -> Option<u64> {
        let now = now_s / CODE_STEP_S;
        let mut found = (0_u64, Choice::from(0));
        for step in now.saturating_sub(STEPS_OFF_MAX)..=now.saturating_add(STEPS_OFF_MAX) {
            let is_it = self.code(step).ct_eq(&code);
            found = (u64::conditional_select(&found.0, &step, is_it), found.1 | is_it);
        }
        bool::from(found.1).then_some(found.0)
    }
}

/// A text in the path or query of a URI.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, in its last six digits.
    #[test]
    fn the_codes_are_those_of_the_standard() {
        let secret = CodeSecret::from_secret(SecretBytes::new(b"12345678901234567890".to_vec()));
        for (at_s, code) in
            [(59, 287_082), (1_111_111_109, 81_804), (1_234_567_890, 5_924), (20_000_000_000, 353_130)]
        {
            assert_eq!(secret.code(at_s / CODE_STEP_S), code, "{at_s}");
            assert_eq!(secret.step_of(code, at_s), Some(at_s / CODE_STEP_S));
            assert_eq!(secret.step_of(code, at_s + CODE_STEP_S), Some(at_s / CODE_STEP_S));
            assert_eq!(secret.step_of(code, at_s + 2 * CODE_STEP_S), None);
            assert_eq!(secret.step_of((code + 1) % CODES, at_s), None);
        }
    }

    #[test]
    fn an_app_is_told_the_secret_in_base32_and_names_are_escaped() {
        let secret = CodeSecret::from_secret(SecretBytes::new(b"12345678901234567890".to_vec()));
        let uri = secret.uri("west 1", "alice@example.net");
        assert_eq!(
            std::str::from_utf8(uri.expose()).unwrap(),
            "otpauth://totp/west%201:alice%40example.net?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=west%201"
        );
    }
}
