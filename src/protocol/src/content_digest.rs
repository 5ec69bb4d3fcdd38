//! `Content-Digest` (RFC 9530): what ties a body to a signature over headers.
//!
//! Every digest of an algorithm known here must be right, so that a right one cannot carry a wrong
//! one past a reader who looks at the other. Digests of unknown algorithms are passed over.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA512, digest};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// Why a body is not the one its digest speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentDigestError {
    /// The header is not as RFC 9530 has it, or knows neither algorithm.
    #[error("Content-Digest must be sha-256=:base64: or sha-512=:base64:")]
    Form,
    /// The body has another digest.
    #[error("Content-Digest is not that of the body")]
    Mismatch,
}

/// Checks the body against the header's digests.
///
/// # Errors
/// [`ContentDigestError`] unless there is at least one known digest and all known ones are right.
pub fn check(header: &str, body: &[u8]) -> Result<(), ContentDigestError> {
    let digests: Dictionary = Parser::new(header).parse().map_err(|_| ContentDigestError::Form)?;
    let mut known = 0;
    for (name, entry) in &digests {
        let Some(algorithm) = algorithm(name.as_str()) else { continue };
        let ListEntry::Item(item) = entry else { return Err(ContentDigestError::Form) };
        let BareItem::ByteSequence(stated) = &item.bare_item else { return Err(ContentDigestError::Form) };
        if digest(algorithm, body).as_ref() != stated.as_slice() {
            return Err(ContentDigestError::Mismatch);
        }
        known += 1;
    }
    if known == 0 { Err(ContentDigestError::Form) } else { Ok(()) }
}

/// The header of a body, with SHA-256.
pub fn of(body: &[u8]) -> String {
    use base64::Engine as _;
    let digest = digest(&SHA256, body);
    format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(digest))
}

fn algorithm(name: &str) -> Option<&'static Algorithm> {
    match name {
        "sha-256" => Some(&SHA256),
        "sha-512" => Some(&SHA512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"hello": "world"}"#;
    /// RFC 9421, appendix B.2.
    const SHA_512: &str =
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

    #[test]
    fn the_digests_of_the_specifications_are_right() {
        assert_eq!(check(SHA_512, BODY), Ok(()));
        assert_eq!(of(BODY), "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
        assert_eq!(check(&format!("{SHA_512}, {}", of(BODY)), BODY), Ok(()));
    }

    #[test]
    fn one_wrong_digest_refuses_whatever_stands_beside_it() {
        let wrong = format!("{SHA_512}, {}", of(b"other"));
        assert_eq!(check(&wrong, BODY), Err(ContentDigestError::Mismatch));
        assert_eq!(check(&of(BODY), b"{}"), Err(ContentDigestError::Mismatch));
    }

    #[test]
    fn a_header_without_a_known_digest_proves_nothing() {
        for bad in ["", "md5=:AAAA:", "sha-256", "sha-256=AAAA", "sha-256=(:AAAA:)", "sha-256=\"AAAA\"", ","]
        {
            assert_eq!(check(bad, BODY), Err(ContentDigestError::Form), "{bad:?}");
        }
    }
}
