//! The sites whose pages may ask for licenses with credentials.

use serde::{Deserialize, Serialize};

/// A web site as browsers name it in `Origin`: scheme, host and a port that is not the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebOrigin(String);

/// The text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is https:// or http:// and a lower-case host, with a port only if it is not 443 or 80, and \
     without a path or a slash behind it"
)]
pub struct WebOriginError;

impl WebOrigin {
    /// The text, as it stands in `Origin`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = WebOriginError;
    fn try_from(text: String) -> Result<Self, WebOriginError> {
        let secure = text.strip_prefix("https://").map(|host| (host, ":443"));
        let plain = || text.strip_prefix("http://").map(|host| (host, ":80"));
        let (host, own_port) = secure.or_else(plain).ok_or(WebOriginError)?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
        if host.is_empty()
            || !host.chars().all(allowed)
            || host.ends_with([':', '.'])
            || host.ends_with(own_port)
        {
            return Err(WebOriginError);
        }
        Ok(Self(text))
    }
}

impl From<WebOrigin> for String {
    fn from(origin: WebOrigin) -> String {
        origin.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for good in ["https://player.example.net", "http://localhost:8080", "https://[::1]:8443"] {
            assert_eq!(WebOrigin::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "*", "player.example.net", "https://", "https://a/", "https://A", "https://a:443"] {
            assert_eq!(WebOrigin::try_from(bad.to_owned()), Err(WebOriginError), "{bad:?}");
        }
    }
}
