//! Passwords of people: only a slow hash of one is kept. A hash takes memory and time by design, so whoever asks for
//! one must not hold a thread that others wait for.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};

use super::SecretBytes;
use super::random::{RandomError, random_bytes};

/// How many characters a password has: short ones are guessed, and long ones cost time.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 12..=128;

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error(transparent)]
    Random(#[from] RandomError),
    #[error("the password cannot be hashed")]
    Hash(argon2::password_hash::Error),
}

/// Argon2id with what OWASP asks for at least: 19 MiB, two passes, one lane.
fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| PasswordError::Hash(error.into()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The hash of a password with a new salt, as text that names its parameters (PHC).
///
/// # Errors
/// When no salt could be drawn.
pub fn hash_password(password: &[u8]) -> Result<SecretBytes, PasswordError> {
    let salt = random_bytes::<16>()?;
    let hash: PasswordHash =
        argon2()?.hash_password_with_salt(password, &salt).map_err(PasswordError::Hash)?;
    Ok(SecretBytes::new(hash.to_string().into_bytes()))
}

/// Whether the hash is of this password. What is compared is compared in constant time.
pub fn is_password(hash: &SecretBytes, password: &[u8]) -> bool {
    let text = std::str::from_utf8(hash.expose()).ok();
    let hash = text.and_then(|text| PasswordHash::new(text).ok());
    let (Some(hash), Ok(argon2)) = (hash, argon2()) else { return false };
    argon2.verify_password(password, &hash).is_ok()
}

/// Takes as long as [`is_password`], for a name that has no password.
pub fn verify_nothing(password: &[u8]) {
    let _ = std::hint::black_box(hash_password(password));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_one_password_names_its_parameters_and_has_a_salt_of_its_own() {
        let hash = hash_password(b"correct horse battery").unwrap();
        let text = String::from_utf8(hash.expose().to_vec()).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        assert!(is_password(&hash, b"correct horse battery"));
        assert!(!is_password(&hash, b"correct horse batterz") && !is_password(&hash, b""));
        assert!(!is_password(&SecretBytes::new(b"no hash".to_vec()), b"no hash"));
        assert_ne!(hash_password(b"correct horse battery").unwrap().expose(), text.as_bytes());
    }
}
