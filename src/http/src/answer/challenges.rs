//! What a 401 tells about how a caller can prove itself (requirement 5.6.2): one challenge for each scheme, the
//! strongest first.
//!
//! The challenges depend on the connection alone. Every refused caller reads the same, whether its
//! account exists or not and whatever that account demands.

use actix_web::http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};

use keymoot_model::Scheme;
use keymoot_protocol::{REALM, TAG};

/// The challenges for these schemes, in their order. Digest needs a nonce of the cluster's; `stale`
/// says that the one that was answered is too old, and that the answer may have been right.
pub(crate) fn challenges(
    schemes: &[Scheme],
    digest_nonce: Option<&str>,
    stale: bool,
) -> Vec<(HeaderName, HeaderValue)> {
    let texts = schemes.iter().filter_map(|scheme| challenge(*scheme, digest_nonce, stale));
    let challenges = texts.map(|text| (WWW_AUTHENTICATE, text));
    challenges
        .chain([(HeaderName::from_static("accept-signature"), wanted_signature())])
        // Nonces and names are tokens, so each text is a header value.
        .filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)))
        .collect()
}

fn challenge(scheme: Scheme, digest_nonce: Option<&str>, stale: bool) -> Option<String> {
    let stale = if stale { ", stale=true" } else { "" };
    Some(match scheme {
        Scheme::Digest => format!(
            r#"Digest realm="{REALM}", qop="auth", algorithm=SHA-256, nonce="{}"{stale}"#,
            digest_nonce?
        ),
        Scheme::Basic => format!(r#"Basic realm="{REALM}", charset="UTF-8""#),
        Scheme::AwsSigV4 => format!(r#"AWS4-HMAC-SHA256 realm="{REALM}""#),
        scheme => format!(r#"{scheme} realm="{REALM}""#),
    })
}

/// What a message signature must cover (RFC 9421, 5.1).
fn wanted_signature() -> String {
    format!(r#"{TAG}=("@method" "@target-uri" "content-digest");created;tag="{TAG}""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(nonce: Option<&str>, stale: bool) -> Vec<String> {
        let made = challenges(&Scheme::ALL, nonce, stale);
        let made = made.into_iter().filter(|(name, _)| *name == WWW_AUTHENTICATE);
        made.map(|(_, value)| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_scheme_has_its_challenge_in_the_order_given() {
        let made = texts(Some("n"), false);
        assert_eq!(made.len(), Scheme::ALL.len());
        for (scheme, text) in Scheme::ALL.into_iter().zip(made) {
            let name = if scheme == Scheme::AwsSigV4 { "aws4-hmac-sha256" } else { scheme.name() };
            assert!(text.to_lowercase().starts_with(&format!("{name} realm=\"keymoot\"")), "{text}");
        }
    }

    #[test]
    fn digest_is_offered_with_a_nonce_only_and_says_when_the_old_one_was_stale() {
        let digest = |nonce, stale| texts(nonce, stale).into_iter().find(|text| text.starts_with("Digest"));
        assert_eq!(digest(None, false), None);
        assert!(digest(Some("n"), true).unwrap().ends_with("nonce=\"n\", stale=true"));
        assert!(!digest(Some("n"), false).unwrap().contains("stale"));
    }
}
