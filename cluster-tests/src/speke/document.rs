//! A request document of an encryptor.

use std::fmt::Write as _;

use aws_lc_rs::digest;

use super::Version;

/// A document that asks for keys.
#[derive(Clone, Debug)]
pub struct Document {
    pub content: String,
    /// `cenc` or `cbcs`.
    pub scheme: &'static str,
    pub keys: Vec<DocumentKey>,
    /// The ids of the systems that each key is for.
    pub systems: Vec<&'static str>,
}

/// A key that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentKey {
    pub kid: [u8; 16],
    /// `SD`, `AUDIO`, a sum such as `HD1+HD2`, …
    pub track: String,
    /// The index of its crypto period, if the content rotates.
    pub period: Option<u32>,
}

impl Document {
    /// For one key of each track, all of one period if there is one, under key ids that follow from the names.
    pub fn of_tracks(content: &str, tracks: &[&str], period: Option<u32>) -> Self {
        let key = |track: &&str| DocumentKey {
            kid: kid_of(&format!("{content}/{track}/{period:?}")),
            track: (*track).to_owned(),
            period,
        };
        Self {
            content: content.to_owned(),
            scheme: "cenc",
            keys: tracks.iter().map(key).collect(),
            systems: vec![super::WIDEVINE, super::PLAYREADY, super::COMMON],
        }
    }

    /// The same for these systems, in this scheme.
    #[must_use]
    pub fn for_systems(self, scheme: &'static str, systems: &[&'static str]) -> Self {
        Self { scheme, systems: systems.to_vec(), ..self }
    }

    /// Its text, in one line.
    pub fn text(&self, version: Version) -> String {
        let (name, number) = match version {
            Version::Speke1 => ("id", ""),
            Version::Speke2_0 | Version::Cpix => ("contentId", " version=\"2.3\""),
            Version::Speke2_1 => ("contentId", " version=\"2.4\""),
        };
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><cpix:CPIX {name}=\"{}\"{number} xmlns:cpix=\"urn:dashif:org:cpix\" \
             xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\" xmlns:speke=\"urn:aws:amazon:com:speke\"><cpix:ContentKeyList>",
            self.content
        );
        let mut add = |part: std::fmt::Arguments<'_>| {
            // A string takes whatever is written.
            let _ = text.write_fmt(part);
        };
        for key in &self.keys {
            let (kid, scheme) = (guid(&key.kid), self.scheme);
            match version {
                Version::Speke1 => add(format_args!("<cpix:ContentKey kid=\"{kid}\"/>")),
                _ => {
                    add(format_args!("<cpix:ContentKey kid=\"{kid}\" commonEncryptionScheme=\"{scheme}\"/>"))
                }
            }
        }
        add(format_args!("</cpix:ContentKeyList><cpix:DRMSystemList>"));
        for (key, system) in
            self.keys.iter().flat_map(|key| self.systems.iter().map(move |system| (key, system)))
        {
            add(format_args!("<cpix:DRMSystem kid=\"{}\" systemId=\"{system}\"/>", guid(&key.kid)));
        }
        add(format_args!("</cpix:DRMSystemList>"));
        let mut periods: Vec<u32> = self.keys.iter().filter_map(|key| key.period).collect();
        periods.dedup();
        if !periods.is_empty() {
            add(format_args!("<cpix:ContentKeyPeriodList>"));
            for index in &periods {
                add(format_args!("<cpix:ContentKeyPeriod id=\"period-{index}\" index=\"{index}\"/>"));
            }
            add(format_args!("</cpix:ContentKeyPeriodList>"));
        }
        if version != Version::Speke1 || !periods.is_empty() {
            add(format_args!("<cpix:ContentKeyUsageRuleList>"));
            self.keys.iter().for_each(|key| add(format_args!("{}", rule(version, key))));
            add(format_args!("</cpix:ContentKeyUsageRuleList>"));
        }
        add(format_args!("</cpix:CPIX>"));
        text
    }
}

fn rule(version: Version, key: &DocumentKey) -> String {
    let (kid, track) = (guid(&key.kid), key.track.as_str());
    let period = key.period.map(|index| format!("<cpix:KeyPeriodFilter periodId=\"period-{index}\"/>"));
    let filters = match track {
        _ if version == Version::Speke1 => "",
        "ALL" => "<cpix:VideoFilter/><cpix:AudioFilter/>",
        audio if audio.contains("AUDIO") => "<cpix:AudioFilter/>",
        _ => "<cpix:VideoFilter/>",
    };
    let named = match version {
        Version::Speke1 => String::new(),
        _ => format!(" intendedTrackType=\"{track}\""),
    };
    format!(
        "<cpix:ContentKeyUsageRule kid=\"{kid}\"{named}>{}{filters}</cpix:ContentKeyUsageRule>",
        period.unwrap_or_default()
    )
}

/// A key id that follows from a name.
pub fn kid_of(name: &str) -> [u8; 16] {
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// A key id as documents have it.
pub fn guid(kid: &[u8; 16]) -> String {
    let hex = crate::signed::hex(kid);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}
