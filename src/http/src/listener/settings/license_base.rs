//! Where players ask for licenses: the address of a license server, which paths are put behind.

use serde::{Deserialize, Serialize};

/// A web address without query and fragment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LicenseBase(String);

/// The text is no such address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LicenseBaseError {
    #[error("{0:?} must begin with https:// or http:// and a host, such as https://keys.example.net")]
    Scheme(String),
    #[error(
        "{url:?} has {character:?} as its character {at}, which no license URL has: paths are put behind it"
    )]
    Character { url: String, character: char, at: usize },
}

impl LicenseBase {
    /// The text, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LicenseBase {
    type Error = LicenseBaseError;

    fn try_from(text: String) -> Result<Self, LicenseBaseError> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        if !host
            .is_some_and(|host| host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '['))
        {
            return Err(LicenseBaseError::Scheme(text));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%".contains(c);
        if let Some((before, character)) = text.chars().enumerate().find(|(_, c)| !fits(*c)) {
            return Err(LicenseBaseError::Character { url: text, character, at: before + 1 });
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl From<LicenseBase> for String {
    fn from(base: LicenseBase) -> String {
        base.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_paths_can_be_put_behind_is_read_and_others_are_named() {
        let read = |text: &str| LicenseBase::try_from(text.to_owned()).map(String::from);
        assert_eq!(read("https://keys.example.net/").unwrap(), "https://keys.example.net");
        assert_eq!(read("http://[fd00::1]:8081/drm").unwrap(), "http://[fd00::1]:8081/drm");
        for bad in ["", "keys.example.net", "ftp://a", "https://", "https:///a", "https://?a"] {
            assert!(matches!(read(bad), Err(LicenseBaseError::Scheme(_))), "{bad}");
        }
        for (bad, at) in
            [("https://a?b", "'?' as its character 10"), ("https://a b", "' ' as its character 10")]
        {
            assert!(read(bad).unwrap_err().to_string().contains(at), "{bad}");
        }
        assert!(read("https://user@a").unwrap_err().to_string().contains("'@'"));
    }
}
