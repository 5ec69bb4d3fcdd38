//! A key as manifests name it: ContentProtection elements of DASH, EXT-X-KEY lines of HLS. Never the key itself.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use quick_xml::escape::escape;

use keymoot_client::{EncryptionProvider, FetchedKey, ProtectionScheme, SystemData, SystemId};
use keymoot_command::Failure;

/// The namespace of both license URL elements.
const DASHIF: &str = "https://dashif.org/CPIX";
/// Clear Key in manifests. It has no data of its own.
const CLEAR_KEY: &str = "e2719d58-a985-b3c9-781a-b030af78d30e";

/// Which elements say where players ask for licenses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LaurlStyle {
    /// None: players are told by their page.
    #[default]
    None,
    /// `dashif:Laurl`, which Shaka Player and ExoPlayer read.
    #[value(name = "Laurl")]
    Upper,
    /// `dashif:laurl`, which dash.js reads.
    #[value(name = "laurl")]
    Lower,
    /// Both.
    Both,
}

impl LaurlStyle {
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Upper => &["Laurl"],
            Self::Lower => &["laurl"],
            Self::Both => &["Laurl", "laurl"],
        }
    }
}

/// What a manifest is made for.
pub(super) struct ManifestOf<'a> {
    pub key: &'a FetchedKey,
    pub provider: EncryptionProvider,
    pub scheme: ProtectionScheme,
    /// Where licenses are asked for, without what names the system: one for each node.
    pub license_urls: &'a [String],
}

/// What a key cannot be written as.
#[derive(Debug, thiserror::Error)]
enum ManifestError {
    #[error("DASH has no ContentProtection for keys of {0}")]
    Dash(EncryptionProvider),
    #[error("HLS has no METHOD for media in {0}")]
    Method(ProtectionScheme),
    #[error("Widevine Classic is in no HLS playlist")]
    Hls,
}

/// The ContentProtection elements of the key's AdaptationSets.
pub(super) fn dash(of: &ManifestOf<'_>, laurl: LaurlStyle, with_clear_key: bool) -> Result<String, Failure> {
    let is_of_dash = !matches!(of.provider, EncryptionProvider::Hls | EncryptionProvider::Widevine);
    if !is_of_dash || of.key.pssh.is_empty() {
        return Err(Failure::usage(ManifestError::Dash(of.provider)).hint("ask by --provider cenc"));
    }
    let mut text = format!(
        "<ContentProtection xmlns:cenc=\"urn:mpeg:cenc:2013\" schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" \
         value=\"{}\" cenc:default_KID=\"{}\"/>\n",
        of.scheme, of.key.kid
    );
    // Where Clear Key has its own element, the one with the common box goes: dash.js would take that box for a list of key
    // ids, and play nothing. The box itself stays in the segments.
    let systems = of.key.pssh.iter().filter(|system| !(with_clear_key && system.uuid == SystemId::COMMON));
    for system in systems {
        let (value, path) = named(system.uuid);
        let value = value.map(|value| format!(" value=\"{value}\"")).unwrap_or_default();
        let box_text = STANDARD.encode(system.pssh_box());
        let mut inner = format!("  <cenc:pssh xmlns:cenc=\"urn:mpeg:cenc:2013\">{box_text}</cenc:pssh>\n");
        if system.uuid == SystemId::PLAYREADY {
            let object = STANDARD.encode(&system.data);
            inner.push_str(&format!(
                "  <mspr:pro xmlns:mspr=\"urn:microsoft:playready\">{object}</mspr:pro>\n"
            ));
        }
        if let Some(path) = path {
            inner.push_str(&laurls(of, path, laurl));
        }
        push_system(&mut text, &system.uuid.to_string(), &value, &inner);
    }
    if with_clear_key {
        push_system(&mut text, CLEAR_KEY, " value=\"ClearKey1.0\"", &laurls(of, "clearkey", laurl));
    }
    Ok(text)
}

fn push_system(text: &mut String, uuid: &str, value: &str, inner: &str) {
    // Writing into a text cannot fail.
    let _ = match inner.is_empty() {
        true => writeln!(text, "<ContentProtection schemeIdUri=\"urn:uuid:{uuid}\"{value}/>"),
        false => {
            writeln!(
                text,
                "<ContentProtection schemeIdUri=\"urn:uuid:{uuid}\"{value}>\n{inner}</ContentProtection>"
            )
        }
    };
}

/// The name of a system in manifests, and of its license endpoint below `cenc`.
fn named(system: SystemId) -> (Option<&'static str>, Option<&'static str>) {
    match system {
        SystemId::WIDEVINE => (Some("Widevine"), Some("widevine")),
        SystemId::PLAYREADY => (Some("MSPR 2.0"), Some("playready")),
        SystemId::COMMON => (Some("cenc"), None),
        _ => (None, None),
    }
}

/// The elements with the license URLs of a system.
fn laurls(of: &ManifestOf<'_>, system: &str, style: LaurlStyle) -> String {
    let mut text = String::new();
    for name in style.names() {
        for url in of.license_urls {
            let url = system_url(of.provider, url, system);
            let url = escape(url.as_str());
            let _ = writeln!(text, "  <dashif:{name} xmlns:dashif=\"{DASHIF}\">{url}</dashif:{name}>");
        }
    }
    text
}

/// Where a system's licenses are asked for. The answer for several systems names what is before the system's name.
fn system_url(provider: EncryptionProvider, url: &str, system: &str) -> String {
    let base = url.strip_suffix(provider.license_path()).unwrap_or(url).trim_end_matches('/');
    format!("{base}/cenc/{system}/license")
}

/// The EXT-X-KEY lines of the key's playlists.
pub(super) fn hls(of: &ManifestOf<'_>) -> Result<String, Failure> {
    let kid = &of.key.kid;
    if of.provider == EncryptionProvider::Hls {
        let url = of.license_urls.first().map(String::as_str).unwrap_or_default();
        return Ok(format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{url}/{kid}\"\n"));
    }
    if of.provider == EncryptionProvider::Widevine {
        return Err(Failure::usage(ManifestError::Hls).hint("ask by --provider cenc"));
    }
    let method = match of.scheme {
        ProtectionScheme::Cbcs => "SAMPLE-AES",
        ProtectionScheme::Cenc => "SAMPLE-AES-CTR",
        other => {
            return Err(Failure::usage(ManifestError::Method(other)).hint("ask by --scheme cbcs or cenc"));
        }
    };
    let mut text = String::new();
    let mut line = |uri: String, format: &str, more: &str| {
        let _ = writeln!(
            text,
            "#EXT-X-KEY:METHOD={method},URI=\"{uri}\",KEYFORMAT=\"{format}\",KEYFORMATVERSIONS=\"1\"{more}"
        );
    };
    let data = |kind: &str, bytes: &[u8]| format!("data:{kind};base64,{}", STANDARD.encode(bytes));
    for SystemData { uuid, data: own } in &of.key.pssh {
        let whole = SystemData { uuid: *uuid, data: own.clone() }.pssh_box();
        match *uuid {
            SystemId::WIDEVINE => {
                line(
                    data("text/plain", &whole),
                    &format!("urn:uuid:{uuid}"),
                    &format!(",KEYID=0x{}", kid.to_hex()),
                );
            }
            SystemId::PLAYREADY => {
                line(data("text/plain;charset=UTF-16", own), "com.microsoft.playready", "")
            }
            // What is left has no key format of HLS.
            _ => {}
        }
    }
    if of.scheme == ProtectionScheme::Cbcs {
        line(format!("skd://{kid}"), "com.apple.streamingkeydelivery", "");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_client::{ContentId, ContentKey, ContentTrack, Kid};

    fn key() -> FetchedKey {
        let data = |uuid, data: &[u8]| SystemData { uuid, data: data.to_vec() };
        FetchedKey {
            of: ContentTrack::from(&ContentId::new("film").unwrap()),
            kid: Kid::from_bytes([0x11; 16]),
            key: ContentKey::from_bytes(&[0xab; 16]),
            iv: Some([2; 16]),
            pssh: vec![
                data(SystemId::WIDEVINE, b"hi"),
                data(SystemId::PLAYREADY, b"ho"),
                data(SystemId::COMMON, b"c"),
            ],
            license_url: None,
        }
    }

    fn of<'a>(
        key: &'a FetchedKey,
        provider: EncryptionProvider,
        scheme: ProtectionScheme,
        license_urls: &'a [String],
    ) -> ManifestOf<'a> {
        ManifestOf { key, provider, scheme, license_urls }
    }

    #[test]
    fn a_dash_manifest_names_key_systems_and_a_license_url_for_each_node_and_never_the_key() {
        let urls = ["https://a/x&y/cenc".to_owned(), "https://b/cenc".to_owned()];
        let (key, provider) = (key(), EncryptionProvider::Cenc);
        let made = |style| dash(&of(&key, provider, ProtectionScheme::Cbcs, &urls), style, true).unwrap();
        let text = made(LaurlStyle::Both);
        assert!(text.contains("value=\"cbcs\" cenc:default_KID=\"11111111-1111-1111-1111-111111111111\""));
        assert!(text.contains(">aG8=</mspr:pro>"), "{text}");
        for name in ["Laurl", "laurl"] {
            for url in ["https://a/x&amp;y/cenc/widevine/license", "https://b/cenc/playready/license"] {
                let element = format!("<dashif:{name} xmlns:dashif=\"{DASHIF}\">{url}</dashif:{name}>");
                assert!(text.contains(&element), "{element} is not in {text}");
            }
        }
        assert!(text.contains("https://b/cenc/clearkey/license") && text.contains("ClearKey1.0"));
        let common = SystemId::COMMON.to_string();
        assert!(!text.contains(&common), "dash.js plays nothing with both");
        let without =
            dash(&of(&key, provider, ProtectionScheme::Cenc, &urls), LaurlStyle::None, false).unwrap();
        assert!(without.contains(&common));
        assert!(!text.contains("abab") && !text.contains("q6urq6"), "{text}");
        let mut reader = quick_xml::Reader::from_str(&text);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
        assert!(!made(LaurlStyle::None).contains("aurl"));
        let one = of(&key, EncryptionProvider::Hls, ProtectionScheme::Cenc, &urls);
        assert!(dash(&one, LaurlStyle::None, false).is_err());
    }

    #[test]
    fn playlists_have_a_line_for_each_system_that_hls_knows() {
        let (key, urls) = (key(), ["https://a/hls/key".to_owned()]);
        let lines = |provider, scheme| hls(&of(&key, provider, scheme, &urls)).unwrap();
        let text = lines(EncryptionProvider::Cenc, ProtectionScheme::Cbcs);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().all(|line| line.starts_with("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"")));
        assert!(text.contains("KEYID=0x1111") && text.contains("charset=UTF-16;base64,aG8=\""), "{text}");
        assert!(text.contains("URI=\"skd://11111111-1111-1111-1111-111111111111\""));
        let text = lines(EncryptionProvider::Cenc, ProtectionScheme::Cenc);
        assert!(text.contains("SAMPLE-AES-CTR") && !text.contains("skd"), "{text}");
        let text = lines(EncryptionProvider::Hls, ProtectionScheme::Cenc);
        assert_eq!(text, format!("#EXT-X-KEY:METHOD=AES-128,URI=\"https://a/hls/key/{}\"\n", key.kid));
        let one = of(&key, EncryptionProvider::CencWidevine, ProtectionScheme::Cens, &urls);
        assert!(hls(&one).is_err());
    }
}
