//! A policy as people and clients write it: a JSON object.
//!
//! Limits that the types alone do not enforce are checked here, once. An error names the path of the member
//! at fault and what is allowed there.

use serde_json::Value;

use super::{Policy, PolicyName, Protection};

/// Why a document is not a policy. The message may be shown to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy {member}: {problem}")]
pub struct PolicyError {
    /// The path of the member at fault, such as `protection.playready.analog_television`.
    pub member: String,
    /// The problem, and what is allowed.
    pub problem: String,
}

impl PolicyError {
    fn new(member: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { member: member.into(), problem: problem.into() }
    }
}

impl Policy {
    /// Reads a policy. Its name is the document's `name`, or `name` when the document has none.
    ///
    /// # Errors
    /// [`PolicyError`] names the member at fault and what is allowed there.
    pub fn from_json(document: &[u8], name: Option<&PolicyName>) -> Result<Self, PolicyError> {
        let value: Value = serde_json::from_slice(document)
            .map_err(|error| PolicyError::new("document", format!("not JSON: {error}")))?;
        Self::from_value(value, name)
    }

    /// Reads a policy from parsed JSON.
    ///
    /// # Errors
    /// As for [`Self::from_json`].
    pub fn from_value(mut value: Value, name: Option<&PolicyName>) -> Result<Self, PolicyError> {
        let members =
            value.as_object_mut().ok_or_else(|| PolicyError::new("document", "must be a JSON object"))?;
        match (name, members.get("name")) {
            (_, None) if name.is_none() => return Err(PolicyError::new("name", "is missing")),
            (Some(name), None) => {
                members.insert("name".to_owned(), name.as_str().into());
            }
            (Some(name), Some(own)) if own.as_str() != Some(name.as_str()) => {
                let problem = format!("must be {name}, the name it is stored under, or left out");
                return Err(PolicyError::new("name", problem));
            }
            _ => {}
        }
        let mut policy: Self = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let member = if path == "." { "document".to_owned() } else { path };
            PolicyError::new(member, error.inner().to_string())
        })?;
        policy.check()?;
        // A track without requirements of its own is dropped, so that equal policies have equal documents.
        policy.tracks.retain(|_, own| *own != Protection::default());
        Ok(policy)
    }

    /// The document. Members that the policy leaves out are left out.
    pub fn to_json(&self) -> Value {
        // Serialization cannot fail: a policy consists of texts, numbers and maps with text keys.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        strip(&mut value);
        value
    }

    /// Checks what the types alone do not enforce: lengths, and members that exclude each other.
    ///
    /// # Errors
    /// [`PolicyError`] names the member at fault and what is allowed there.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.description.len() > Self::DESCRIPTION_BYTES_MAX || self.description.contains(char::is_control)
        {
            let problem =
                format!("must be at most {} bytes without control characters", Self::DESCRIPTION_BYTES_MAX);
            return Err(PolicyError::new("description", problem));
        }
        if self.tracks.len() > Self::TRACKS_MAX {
            return Err(PolicyError::new("tracks", format!("must be at most {}", Self::TRACKS_MAX)));
        }
        if self.lease.is_some() && self.can_persist {
            let problem = "must be left out when can_persist is true: a device that plays without the network \
                           cannot be counted";
            return Err(PolicyError::new("lease", problem));
        }
        self.check_renewal()
    }

    fn check_renewal(&self) -> Result<(), PolicyError> {
        let Some(url) = self.renewal.as_ref().and_then(|renewal| renewal.url.as_deref()) else {
            return Ok(());
        };
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
        if is_web && is_plain && url.len() <= Self::URL_BYTES_MAX {
            return Ok(());
        }
        let problem = format!(
            "must start with https:// or http://, hold no space and have at most {} bytes",
            Self::URL_BYTES_MAX
        );
        Err(PolicyError::new("renewal.url", problem))
    }
}

/// Removes `null` members, and objects that hold nothing else.
fn strip(value: &mut Value) {
    let Value::Object(members) = value else { return };
    members.values_mut().for_each(strip);
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    members.retain(|_, value| !says_nothing(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrackName;

    /// A policy that uses every member.
    const FULL: &str = r#"{
        "name": "uhd-rental", "description": "48 h", "can_persist": false,
        "license_duration_seconds": 86400, "rental_duration_seconds": 172800, "playback_duration_seconds": 14400,
        "renewal": {"url": "https://r.example/renew", "delay_seconds": 60, "retry_interval_seconds": 10,
                    "recovery_duration_seconds": 300, "with_usage": true},
        "lease": {"duration_seconds": 300, "slots": 2},
        "protection": {
            "widevine": {"security_level": 3, "hdcp": "v1", "cgms_a": "copy_once", "aps": "type2", "cit": true,
                         "disable_analog_output": false},
            "playready": {"minimum_security_level": 2000, "compressed_digital_audio": 150,
                          "uncompressed_digital_audio": 300, "compressed_digital_video": 500,
                          "uncompressed_digital_video": 270, "analog_television": 200},
            "fairplay": {"hdcp": "type0"}, "clear_key": {"allow": false}},
        "tracks": {"UHD1": {"widevine": {"hdcp": "v2.2"}}}
    }"#;

    fn refusal(document: &str) -> String {
        Policy::from_json(document.as_bytes(), None).unwrap_err().to_string()
    }

    #[test]
    fn a_policy_reads_back_from_its_document() {
        let policy = Policy::from_json(FULL.as_bytes(), None).unwrap();
        let written = policy.to_json();
        assert_eq!(Policy::from_json(written.to_string().as_bytes(), None), Ok(policy.clone()));
        assert_eq!(written, serde_json::from_str::<Value>(FULL).unwrap());
    }

    #[test]
    fn what_is_not_said_is_not_in_the_document() {
        let policy = Policy::streaming(PolicyName::new("p").unwrap());
        assert_eq!(policy.to_json().to_string(), r#"{"can_persist":false,"name":"p"}"#);
    }

    #[test]
    fn a_track_that_asks_for_nothing_of_its_own_is_left_out() {
        let document =
            br#"{"name":"p","tracks":{"SD":{},"HD":{"widevine":{}},"UHD1":{"fairplay":{"hdcp":"type1"}}}}"#;
        let policy = Policy::from_json(document, None).unwrap();
        assert_eq!(policy.tracks.keys().map(TrackName::as_str).collect::<Vec<_>>(), ["UHD1"]);
        assert_eq!(Policy::from_json(policy.to_json().to_string().as_bytes(), None), Ok(policy));
    }

    #[test]
    fn each_level_is_held_to_the_specifications_values() {
        for (member, allowed) in [
            ("compressed_digital_audio", "one of 100, 150, 200, 250, 300"),
            ("uncompressed_digital_audio", "one of 100, 150, 200, 250, 300"),
            ("compressed_digital_video", "one of 400, 500"),
            ("uncompressed_digital_video", "one of 100, 250, 270, 300"),
            ("analog_television", "one of 100, 150, 200"),
            ("minimum_security_level", "one of 150, 2000, 3000"),
        ] {
            let document = |value: &str| {
                format!(r#"{{"name":"p","protection":{{"playready":{{"{member}":{value}}}}}}}"#)
            };
            let path = format!("policy protection.playready.{member}:");
            for wrong in ["120", "0", "-1", "70000", "\"400\"", "400.5", "true", "[]"] {
                let refused = refusal(&document(wrong));
                assert!(refused.starts_with(&path) && refused.contains(allowed), "{refused}");
            }
            let numbers = allowed.trim_start_matches("one of ").split(", ");
            for number in numbers {
                Policy::from_json(document(number).as_bytes(), None).unwrap();
            }
        }
    }

    #[test]
    fn mistakes_are_named_with_what_is_allowed() {
        for (members, words) in [
            (
                r#""lisence_duration_seconds":1"#,
                &["lisence_duration_seconds", "license_duration_seconds"][..],
            ),
            (r#""license_duration_seconds":0"#, &["license_duration_seconds:", "from 1 to 4294967295"]),
            (r#""playback_duration_seconds":-5"#, &["playback_duration_seconds:", "whole number of seconds"]),
            (r#""protection":{"widevine":{"hdcp":"v9"}}"#, &["protection.widevine.hdcp:", "`v2.2`"]),
            (r#""protection":{"widevine":{"security_level":6}}"#, &["security_level:", "1, 2, 3, 4, 5"]),
            (r#""protection":{"fairplay":{"hdcp":"type2"}}"#, &["protection.fairplay.hdcp:", "`type1`"]),
            (r#""tracks":{"U D":{}}"#, &["tracks", "character"]),
            (
                r#""tracks":{"UHD1":{"playready":{"analog_television":1}}}"#,
                &["tracks.UHD1.playready", "100, 150, 200"],
            ),
            (r#""lease":{"slots":1}"#, &["lease", "duration_seconds"]),
            (r#""lease":{"slots":0,"duration_seconds":1}"#, &["lease.slots:", "nonzero"]),
            (r#""lease":{"slots":1,"duration_seconds":1},"can_persist":true"#, &["lease:", "can_persist"]),
            (r#""renewal":{"url":"ftp://x"}"#, &["renewal.url:", "https://"]),
            (r#""description":"a\nb""#, &["description:", "control"]),
        ] {
            let refused = refusal(&format!(r#"{{"name":"p",{members}}}"#));
            assert!(words.iter().all(|word| refused.contains(word)), "{members}: {refused}");
        }
        assert!(refusal("{}").contains("name"));
        assert!(refusal("[]").contains("object"));
        assert!(refusal("{").contains("JSON"));
    }

    #[test]
    fn the_name_may_be_left_to_where_it_is_stored_but_not_differ() {
        let name = PolicyName::new("p").unwrap();
        assert_eq!(Policy::from_json(b"{}", Some(&name)).unwrap(), Policy::streaming(name.clone()));
        let refused = Policy::from_json(br#"{"name":"q"}"#, Some(&name)).unwrap_err().to_string();
        assert!(refused.contains("must be p"), "{refused}");
    }
}
