//! What an account decides of SPEKE and CPIX documents: where they are asked for, and what their answers hold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::DocumentPath;

/// The settings. The default answers documents at the common paths, each as it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DocumentSettings {
    /// Paths of the account's own at which SPEKE is answered, beside the common ones.
    pub speke_paths: Vec<DocumentPath>,
    /// Paths of the account's own at which plain CPIX is answered, beside `/cpix/{account}`.
    pub cpix_paths: Vec<DocumentPath>,
    /// The template of FairPlay's URIs in playlists; `None` for `skd://{kid}`.
    pub fairplay_uri: Option<String>,
    /// The URL of clear AES-128 keys in playlists; with `None` such keys are refused.
    pub aes128_uri: Option<String>,
    /// Whether keys leave encrypted to a certificate only.
    pub encrypted_only: bool,
    /// What must not share a key.
    pub apart: Vec<ApartRule>,
    /// The DRM systems that a document may ask for, by their names; empty: all.
    pub systems: Vec<String>,
    /// Whether a node that is cut off answers documents of contents that are new to it at once, and notes them later.
    pub note_later: bool,
}

/// New settings; `None` leaves one as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentChange {
    pub speke_paths: Option<Vec<DocumentPath>>,
    pub cpix_paths: Option<Vec<DocumentPath>>,
    /// `Some(None)` removes it.
    pub fairplay_uri: Option<Option<String>>,
    /// `Some(None)` removes it.
    pub aes128_uri: Option<Option<String>>,
    pub encrypted_only: Option<bool>,
    pub apart: Option<Vec<ApartRule>>,
    pub systems: Option<Vec<String>>,
    pub note_later: Option<bool>,
}

impl DocumentChange {
    /// Changes settings by these.
    pub fn apply_to(&self, settings: &mut DocumentSettings) {
        fn set<T: Clone>(to: &mut T, new: Option<&T>) {
            if let Some(new) = new {
                new.clone_into(to);
            }
        }
        set(&mut settings.speke_paths, self.speke_paths.as_ref());
        set(&mut settings.cpix_paths, self.cpix_paths.as_ref());
        set(&mut settings.fairplay_uri, self.fairplay_uri.as_ref());
        set(&mut settings.aes128_uri, self.aes128_uri.as_ref());
        set(&mut settings.encrypted_only, self.encrypted_only.as_ref());
        set(&mut settings.apart, self.apart.as_ref());
        set(&mut settings.systems, self.systems.as_ref());
        set(&mut settings.note_later, self.note_later.as_ref());
    }
}

impl DocumentSettings {
    /// The account's own paths, of both kinds.
    pub fn paths(&self) -> impl Iterator<Item = &DocumentPath> {
        self.speke_paths.iter().chain(&self.cpix_paths)
    }
}

/// What must not share a key, for one DRM system: `widevine:audio-from-video`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApartRule {
    /// The DRM system's name.
    pub system: String,
    pub apart: Apart,
}

/// What must not share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// Audio from video: audio is licensed to devices without a secure path.
    AudioFromVideo,
    /// Ultra high definition from anything below it, and from audio.
    UhdFromOthers,
}

/// The text is no such rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rule for contracts; it is SYSTEM:audio-from-video or SYSTEM:uhd-from-others")]
pub struct ApartRuleError(String);

impl Apart {
    pub const ALL: [Self; 2] = [Self::AudioFromVideo, Self::UhdFromOthers];

    /// Its name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AudioFromVideo => "audio-from-video",
            Self::UhdFromOthers => "uhd-from-others",
        }
    }
}

impl FromStr for ApartRule {
    type Err = ApartRuleError;

    fn from_str(text: &str) -> Result<Self, ApartRuleError> {
        let wrong = || ApartRuleError(text.to_owned());
        let (system, name) = text.split_once(':').ok_or_else(wrong)?;
        let apart = Apart::ALL.into_iter().find(|known| known.name() == name).ok_or_else(wrong)?;
        if system.is_empty() {
            return Err(wrong());
        }
        Ok(Self { system: system.to_owned(), apart })
    }
}

impl fmt::Display for ApartRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.system, self.apart.name())
    }
}

impl TryFrom<String> for ApartRule {
    type Error = ApartRuleError;

    fn try_from(text: String) -> Result<Self, ApartRuleError> {
        text.parse()
    }
}

impl From<ApartRule> for String {
    fn from(rule: ApartRule) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_from_their_text() {
        for apart in Apart::ALL {
            let rule = ApartRule { system: "widevine".to_owned(), apart };
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        for wrong in ["widevine", "widevine:", ":audio-from-video", "widevine:all"] {
            assert!(wrong.parse::<ApartRule>().unwrap_err().to_string().contains(wrong));
        }
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let mut settings = DocumentSettings {
            fairplay_uri: Some("skd://a/{kid}".to_owned()),
            encrypted_only: true,
            ..DocumentSettings::default()
        };
        let change = DocumentChange {
            fairplay_uri: Some(None),
            systems: Some(vec!["widevine".to_owned()]),
            ..DocumentChange::default()
        };
        change.apply_to(&mut settings);
        let systems = vec!["widevine".to_owned()];
        assert_eq!(
            settings,
            DocumentSettings { encrypted_only: true, systems, ..DocumentSettings::default() }
        );
    }
}
