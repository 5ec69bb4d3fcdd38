//! What a 401 tells about how to be let in (requirement 5.6.2): one challenge for each scheme, the
//! strongest first.
//!
//! The challenges depend on the connection alone. Every refused caller reads the same, whether its
//! account exists or not and whatever that account demands.

use actix_web::http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};

use crate::model::Scheme;

/// The realm of every challenge.
pub const REALM: &str = "keymoot";

/// The challenges for these schemes, in their order.
pub fn challenges(schemes: &[Scheme]) -> Vec<(HeaderName, HeaderValue)> {
    schemes.iter().filter_map(|scheme| challenge(*scheme)).map(|value| (WWW_AUTHENTICATE, value)).collect()
}

fn challenge(scheme: Scheme) -> Option<HeaderValue> {
    let text = format!(r#"{scheme} realm="{REALM}""#);
    // Names of schemes are tokens, so the text is always a header value.
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_has_its_challenge_in_the_order_given() {
        let made = challenges(&Scheme::ALL);
        assert_eq!(made.len(), Scheme::ALL.len());
        for (scheme, (name, value)) in Scheme::ALL.into_iter().zip(made) {
            assert_eq!(name, WWW_AUTHENTICATE);
            let value = value.to_str().unwrap().to_lowercase();
            assert!(value.starts_with(&format!("{scheme} realm=\"keymoot\"")), "{value}");
        }
    }
}
