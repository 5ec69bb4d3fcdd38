//! A path at which an account's documents are asked for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A path of an account's own, in the one form that requests are compared with: lower case, no slash doubled, none at
/// the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentPath(String);

/// A path cannot be an account's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentPathError {
    /// It is no path, or one that no client writes alike.
    #[error(
        "the path `{0}` must begin with a slash and have 1 to {max} segments of letters, digits, `.`, `-`, `_` and `~`, \
         {bytes} bytes at most",
        max = DocumentPath::SEGMENTS_MAX,
        bytes = DocumentPath::BYTES_MAX
    )]
    Form(String),
    /// Something else is served there.
    #[error("the path `{0}` begins like one that is served already; choose another first segment")]
    Reserved(String),
}

impl DocumentPath {
    /// The longest, in bytes.
    pub const BYTES_MAX: usize = 128;
    /// The most segments.
    pub const SEGMENTS_MAX: usize = 8;
    /// The paths at which SPEKE is answered for all accounts. One account may have them as its own.
    pub const COMMON: [&'static str; 2] = ["/speke/v1.0/copyprotection", "/speke/v2.0/copyprotection"];
    /// First segments of paths that the API has itself.
    pub const RESERVED: [&'static str; 16] = [
        "bulk",
        "capabilities",
        "cenc",
        "cpix",
        "docs",
        "export",
        "fps",
        "healthz",
        "hls",
        "metrics",
        "openapi.json",
        "playready",
        "policy",
        "readyz",
        "system",
        "widevine",
    ];

    /// A path, of segments in whatever case.
    ///
    /// # Errors
    /// [`DocumentPathError`] says why it cannot be an account's own.
    pub fn new(text: &str) -> Result<Self, DocumentPathError> {
        let lower = text.to_ascii_lowercase();
        let segments: Vec<&str> = lower.split('/').filter(|segment| !segment.is_empty()).collect();
        let is_sound = |segment: &&str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
            segment.bytes().all(known) && !matches!(*segment, "." | "..")
        };
        let is_bounded = text.len() <= Self::BYTES_MAX && (1..=Self::SEGMENTS_MAX).contains(&segments.len());
        if !text.starts_with('/') || !is_bounded || !segments.iter().all(is_sound) {
            return Err(DocumentPathError::Form(text.chars().take(Self::BYTES_MAX).collect()));
        }
        let path = Self(format!("/{}", segments.join("/")));
        let first = segments.first().copied().unwrap_or_default();
        // Below a common path stands the account's name, and beside it the heartbeat.
        let of_common = matches!(segments.as_slice(), ["speke", "v1.0" | "v2.0", ..]);
        let is_common = Self::COMMON.contains(&path.as_str());
        if Self::RESERVED.contains(&first) || (of_common && !is_common) {
            return Err(DocumentPathError::Reserved(path.0));
        }
        Ok(path)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DocumentPath {
    type Err = DocumentPathError;

    fn from_str(text: &str) -> Result<Self, DocumentPathError> {
        Self::new(text)
    }
}

impl TryFrom<String> for DocumentPath {
    type Error = DocumentPathError;

    fn try_from(text: String) -> Result<Self, DocumentPathError> {
        Self::new(&text)
    }
}

impl From<DocumentPath> for String {
    fn from(path: DocumentPath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        let of = |text: &str| DocumentPath::new(text).map(String::from);
        assert_eq!(of("/EkeStage//copyProtection/").as_deref(), Ok("/ekestage/copyprotection"));
        assert_eq!(of("/speke/v2.0/copyProtection").as_deref(), Ok("/speke/v2.0/copyprotection"));
        assert_eq!(of("/speke/acme/v2").as_deref(), Ok("/speke/acme/v2"));
    }

    #[test]
    fn what_no_client_could_ask_for_or_gets_something_else_at_is_refused() {
        let long = format!("/{}", "a".repeat(DocumentPath::BYTES_MAX));
        for bad in ["", "/", "speke", "/a/../b", "/a b", "/a%20b", "/a?b", "/é", &"/a".repeat(9), &long] {
            assert!(matches!(DocumentPath::new(bad), Err(DocumentPathError::Form(_))), "{bad}");
        }
        for taken in ["/cenc/x", "/CPIX/acme", "/healthz", "/speke/v1.0/heartbeat", "/speke/v2.0/x"] {
            assert!(matches!(DocumentPath::new(taken), Err(DocumentPathError::Reserved(_))), "{taken}");
        }
    }
}
