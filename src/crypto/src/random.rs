//! Randomness, from the operating system only.
//!
//! Nothing here keeps a generator of its own: a process that was cloned, restored or started before the
//! entropy pool was ready cannot repeat the output of another process.

use rand::TryRng as _;
use rand::rngs::SysRng;

use keymoot_model::Kid;

/// The operating system returned no randomness. Nothing was generated.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random source failed; nothing was generated")]
pub struct RandomError(#[source] rand::rngs::SysError);

/// Fills `bytes` from the operating system.
///
/// # Errors
/// [`RandomError`] when the operating system's source fails; `bytes` must then not be used.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), RandomError> {
    SysRng.try_fill_bytes(bytes).map_err(RandomError)
}

/// Draws `N` bytes that are not secret: serials, nonces, file names.
///
/// # Errors
/// [`RandomError`] when the operating system's source fails.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0_u8; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Draws a key id.
///
/// # Errors
/// [`RandomError`] when the operating system's source fails.
pub fn random_kid() -> Result<Kid, RandomError> {
    Ok(Kid::from_bytes(random_bytes()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_kids_differ() {
        assert_ne!(random_kid().unwrap(), random_kid().unwrap());
    }
}
