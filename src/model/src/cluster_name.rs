//! The name of a cluster.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A cluster's name: one lower-case DNS label, as it stands in certificates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);

/// The text is not a cluster name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cluster name is 1 to {max} lower-case letters, digits or inner `-`", max = ClusterName::BYTES_MAX)]
pub struct ClusterNameError;

impl ClusterName {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 40;

    /// Checks `text` and makes the name.
    ///
    /// # Errors
    /// [`ClusterNameError`] when the text is not one lower-case DNS label of acceptable length.
    pub fn new(text: impl Into<String>) -> Result<Self, ClusterNameError> {
        let text = text.into();
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edges = !text.starts_with('-') && !text.ends_with('-');
        if (1..=Self::BYTES_MAX).contains(&text.len()) && text.chars().all(inner) && edges {
            Ok(Self(text))
        } else {
            Err(ClusterNameError)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClusterName {
    type Err = ClusterNameError;
    fn from_str(text: &str) -> Result<Self, ClusterNameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for ClusterName {
    type Error = ClusterNameError;
    fn try_from(text: String) -> Result<Self, ClusterNameError> {
        Self::new(text)
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> String {
        name.0
    }
}
