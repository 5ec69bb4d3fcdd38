//! What an operator's proxies and packagers put before the packagers' paths.

use serde::{Deserialize, Serialize};

/// Segments of a path; none is no prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackagerPrefix(Vec<String>);

/// The text is no prefix of a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no beginning of a path: write /drm or /drm/keys, of letters, digits, `-`, `_` and `.`")]
pub struct PackagerPrefixError(String);

impl PackagerPrefix {
    /// The segments, in their order.
    pub fn segments(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<String> for PackagerPrefix {
    type Error = PackagerPrefixError;

    fn try_from(text: String) -> Result<Self, PackagerPrefixError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let segments: Vec<String> =
            text.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        let is_path = text.is_empty() || (text.starts_with('/') && !segments.is_empty());
        match is_path && segments.iter().all(|segment| segment.chars().all(fits)) {
            true => Ok(Self(segments)),
            false => Err(PackagerPrefixError(text)),
        }
    }
}

impl From<PackagerPrefix> for String {
    fn from(prefix: PackagerPrefix) -> String {
        prefix.0.iter().fold(String::new(), |text, segment| text + "/" + segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_the_beginning_of_a_path() {
        let read = |text: &str| PackagerPrefix::try_from(text.to_owned()).map(String::from);
        for (text, kept) in [("", ""), ("/drm", "/drm"), ("/drm/keys/", "/drm/keys"), ("//drm", "/drm")] {
            assert_eq!(read(text).as_deref(), Ok(kept), "{text}");
        }
        for bad in ["drm", "/", "/a b", "/a?b", "/%41", "https://a/b"] {
            assert!(read(bad).unwrap_err().to_string().contains("write /drm"), "{bad}");
        }
    }
}
