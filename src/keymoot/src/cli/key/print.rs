//! A key as it is printed: for people without the key itself, for programs with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::cli::args::OutputFormat;
use keymoot_client::FetchedKey;
use keymoot_command::{Column, Table};
use keymoot_drm::{SystemData, SystemId};
use keymoot_model::{ContentId, TrackName};

/// Aligned lines. The key is shown only on request: terminals are seen and scrolled back.
pub(super) fn table(key: &FetchedKey, show_key: bool) -> Zeroizing<String> {
    let mut table = Table::new([Column::Left(""); 2]);
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    line("content", key.of.content.to_string());
    if key.of.track != TrackName::default_track() {
        line("track", key.of.track.to_string());
    }
    line("key id", key.kid.to_string());
    if show_key {
        line("key", std::mem::take(&mut *key.key.to_hex()));
    } else {
        line("key", "(hidden; --show-key shows it)".to_owned());
    }
    if let Some(iv) = &key.iv {
        line("iv", base16ct::lower::encode_string(iv));
    }
    for system in &key.pssh {
        let name = match system.uuid {
            SystemId::WIDEVINE => "Widevine".to_owned(),
            SystemId::PLAYREADY => "PlayReady".to_owned(),
            SystemId::COMMON => "Common".to_owned(),
            other => other.to_string(),
        };
        line("pssh", format!("{name}, {} bytes", system.data.len()));
    }
    if let Some(url) = &key.license_url {
        line("licenses", url.clone());
    }
    table.text()
}

/// What `--output json` prints; its members are public.
#[derive(Serialize)]
struct PrintedKey<'a> {
    content_id: &'a str,
    /// Left out for the one that all share who name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<&'a str>,
    /// Lower-case dashed GUID.
    kid: String,
    /// Hexadecimal, as FFmpeg and Shaka Packager take it.
    key: &'a str,
    /// The constant IV, in hexadecimal; for media in `cbcs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<String>,
    pssh: Vec<PrintedPssh>,
    license_url: Option<&'a str>,
}

/// The data of a system, as it is printed.
#[derive(Serialize)]
pub(super) struct PrintedPssh {
    uuid: String,
    /// Base64 of the system's data.
    data: String,
    /// Base64 of the whole box.
    r#box: String,
}

/// One object, with the key.
pub(super) fn json(key: &FetchedKey) -> Zeroizing<String> {
    let hex = key.key.to_hex();
    let printed = PrintedKey {
        content_id: key.of.content.as_str(),
        track: Some(&key.of.track)
            .filter(|track| **track != TrackName::default_track())
            .map(TrackName::as_str),
        iv: key.iv.as_ref().map(|iv| base16ct::lower::encode_string(iv)),
        kid: key.kid.to_string(),
        key: &hex,
        pssh: printed_pssh(&key.pssh),
        license_url: key.license_url.as_deref(),
    };
    pretty(&printed, 8192)
}

/// The data of each system.
pub(super) fn printed_pssh(systems: &[SystemData]) -> Vec<PrintedPssh> {
    let printed = |system: &SystemData| PrintedPssh {
        uuid: system.uuid.to_string(),
        data: STANDARD.encode(&system.data),
        r#box: STANDARD.encode(system.pssh_box()),
    };
    systems.iter().map(printed).collect()
}

/// Indented JSON with a line end. Room for all of it keeps copies of keys from staying behind.
pub(super) fn pretty(printed: &impl Serialize, bytes: usize) -> Zeroizing<String> {
    // Plain texts always serialise.
    let mut json = Zeroizing::new(Vec::with_capacity(bytes));
    let _ = serde_json::to_writer_pretty(&mut *json, printed);
    let mut text = Zeroizing::new(String::with_capacity(json.len().saturating_add(1)));
    text.push_str(&String::from_utf8_lossy(&json));
    text.push('\n');
    text
}

/// What a delete did.
pub(super) fn deleted(output: OutputFormat, content: &ContentId, versions: u32) -> String {
    match output {
        OutputFormat::Table if versions == 0 => format!("{content} had no key\n"),
        OutputFormat::Table if versions == 1 => format!("{content}: its key is deleted\n"),
        OutputFormat::Table => format!("{content}: its key is deleted, in {versions} versions\n"),
        OutputFormat::Json => {
            format!("{:#}\n", serde_json::json!({ "content_id": content.as_str(), "deleted": versions }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_client::ContentTrack;
    use keymoot_crypto::ContentKey;
    use keymoot_model::Kid;

    fn key() -> FetchedKey {
        FetchedKey {
            of: ContentTrack::from(&ContentId::new("film").unwrap()),
            iv: None,
            kid: Kid::from_bytes([0x11; 16]),
            key: ContentKey::from_bytes(&[0xab; 16]),
            pssh: vec![SystemData { uuid: SystemId::WIDEVINE, data: b"hi".to_vec() }],
            license_url: Some("http://a/license".into()),
        }
    }

    #[test]
    fn the_table_hides_the_key_until_asked() {
        let (hidden, shown) = (table(&key(), false), table(&key(), true));
        assert!(!hidden.contains("abab") && hidden.contains("--show-key"), "{}", *hidden);
        assert!(
            shown.contains(&"ab".repeat(16)) && shown.contains("pssh      Widevine, 2 bytes"),
            "{}",
            *shown
        );
    }

    #[test]
    fn json_has_the_documented_members() {
        let printed: serde_json::Value = serde_json::from_str(&json(&key())).unwrap();
        let expected = serde_json::json!({
            "content_id": "film",
            "kid": "11111111-1111-1111-1111-111111111111",
            "key": "ab".repeat(16),
            "pssh": [{
                "uuid": "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed",
                "data": "aGk=",
                "box": "AAAAInBzc2gAAAAA7e+LqXnWSs6jyCfc1R0h7QAAAAJoaQ==",
            }],
            "license_url": "http://a/license",
        });
        assert_eq!(printed, expected);
    }

    #[test]
    fn a_track_and_an_iv_are_printed_where_there_are_such() {
        let mut key = key();
        key.of.track = TrackName::new("HD").unwrap();
        key.iv = Some([2; 16]);
        let printed: serde_json::Value = serde_json::from_str(&json(&key)).unwrap();
        assert_eq!((&printed["track"], &printed["iv"]), (&"HD".into(), &"02".repeat(16).into()));
        let shown = table(&key, false);
        assert!(shown.contains("track     HD") && shown.contains(&"02".repeat(16)), "{}", *shown);
    }
}
