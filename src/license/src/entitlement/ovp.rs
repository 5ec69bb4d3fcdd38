//! The protocol `ovp`: a video platform's `drm_drmlicenseaccess.getAccess`.
//!
//! The platform knows the viewer by the session `ks`, which is the custom data's `user_token`, and
//! answers `policy`, `duration` (how long playback may last) and `absolute_duration` (how long the
//! license is valid), in seconds from now. A refusal is an exception object, or a response with an
//! empty policy or a duration of 0, which a DRM system would take for "without end".

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::member::{bytes_of, missing, object, policy, seconds};
use super::{Entitled, NotEntitled, Viewer};

/// The path below the base URL of the platform's API.
pub(super) const PATH: &str = "service/drm_drmlicenseaccess/action/getAccess";

#[derive(Serialize)]
struct OvpRequest<'a> {
    ks: &'a str,
    #[serde(rename = "entryId")]
    entry_id: &'a str,
    #[serde(rename = "flavorIds")]
    flavor_ids: String,
    referrer: &'a str,
    /// The number for JSON.
    format: u8,
}

/// The terms in the platform's form. Unknown members are ignored, because the platform adds some.
#[derive(Deserialize)]
pub(super) struct Terms {
    policy: Option<String>,
    duration: Option<Number>,
    absolute_duration: Option<Number>,
    /// The code of an exception.
    code: Option<serde::de::IgnoredAny>,
}

/// A number, which some versions write as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(i64),
    Text(String),
}

impl Number {
    fn value(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

pub(super) fn request(viewer: &Viewer<'_>) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    bytes_of(&OvpRequest {
        ks: viewer.user_token.unwrap_or(""),
        entry_id: viewer.content.as_str(),
        flavor_ids: viewer.files.join(","),
        referrer: "",
        format: 1,
    })
}

pub(super) fn read(answer: &[u8]) -> Result<Entitled, NotEntitled> {
    object::<Terms>(answer)?.read()
}

impl Terms {
    pub(super) fn read(self) -> Result<Entitled, NotEntitled> {
        if self.code.is_some() {
            return Err(NotEntitled::Refused);
        }
        let name = self.policy.ok_or(missing("policy"))?;
        let playback = self.duration.ok_or(missing("duration"))?.value();
        let license = self.absolute_duration.ok_or(missing("absolute_duration"))?.value();
        if name.is_empty() || playback == 0 || license == 0 {
            return Err(NotEntitled::Refused);
        }
        Ok(Entitled {
            policy: Some(policy(name)?),
            license_duration_s: Some(seconds("absolute_duration", license)?),
            playback_duration_s: Some(seconds("duration", playback)?),
            rental_duration_s: None,
        })
    }
}
