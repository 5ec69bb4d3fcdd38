//! Requests that nobody sent: the document for a packager that asks by GET with parameters.
//!
//! Made as text and read like any other, so that both ways to ask have one way to be answered.

use std::fmt::Write as _;

use keymoot_drm::ProtectionScheme;
use keymoot_model::{ContentId, Kid};
use quick_xml::escape::escape;

use super::track_type::TrackPreset;
use super::xml::Namespace;
use super::{DrmSystem, TrackType};

/// What a document is made for.
#[derive(Clone, Debug)]
pub struct Composition<'a> {
    pub content: &'a ContentId,
    /// The keys, each with the tracks that it encrypts.
    pub keys: &'a [(Kid, TrackType)],
    pub scheme: ProtectionScheme,
    pub systems: &'a [DrmSystem],
}

impl Composition<'_> {
    /// The document, of CPIX 2.3, for [`crate::Request::parse`] as plain CPIX.
    pub fn document(&self) -> String {
        let Self { content, keys, scheme, systems } = self;
        let mut out = String::new();
        // Writing to a text cannot fail.
        let _ = write!(
            out,
            "<cpix:CPIX contentId=\"{}\" version=\"2.3\" xmlns:cpix=\"{}\" xmlns:pskc=\"{}\"><cpix:ContentKeyList>",
            escape(content.as_str()),
            Namespace::Cpix.uri(),
            Namespace::Pskc.uri(),
        );
        for (kid, _) in *keys {
            let _ = write!(out, "<cpix:ContentKey kid=\"{kid}\" commonEncryptionScheme=\"{scheme}\"/>");
        }
        out.push_str("</cpix:ContentKeyList>");
        if !systems.is_empty() {
            out.push_str("<cpix:DRMSystemList>");
            for (kid, _) in *keys {
                for system in *systems {
                    let _ = write!(out, "<cpix:DRMSystem kid=\"{kid}\" systemId=\"{}\"/>", system.id());
                }
            }
            out.push_str("</cpix:DRMSystemList>");
        }
        out.push_str("<cpix:ContentKeyUsageRuleList>");
        for (kid, track_type) in *keys {
            let name = escape(track_type.as_str());
            let _ = write!(out, "<cpix:ContentKeyUsageRule kid=\"{kid}\" intendedTrackType=\"{name}\">");
            // The schema has filters of video before those of audio.
            track_type.presets().flatten().for_each(|preset| put_video_filter(preset, &mut out));
            track_type.presets().flatten().for_each(|preset| put_audio_filter(preset, &mut out));
            out.push_str("</cpix:ContentKeyUsageRule>");
        }
        out.push_str("</cpix:ContentKeyUsageRuleList></cpix:CPIX>");
        out
    }
}

fn put_video_filter(preset: TrackPreset, out: &mut String) {
    match preset {
        TrackPreset::Video { min_pixels, max_pixels } => {
            put_filter("VideoFilter", ["minPixels", "maxPixels"], [min_pixels, max_pixels], out);
        }
        TrackPreset::VideoKind | TrackPreset::All => out.push_str("<cpix:VideoFilter/>"),
        TrackPreset::Audio { .. } => {}
    }
}

fn put_audio_filter(preset: TrackPreset, out: &mut String) {
    match preset {
        TrackPreset::Audio { min_channels, max_channels } => {
            put_filter("AudioFilter", ["minChannels", "maxChannels"], [min_channels, max_channels], out);
        }
        TrackPreset::All => out.push_str("<cpix:AudioFilter/>"),
        TrackPreset::Video { .. } | TrackPreset::VideoKind => {}
    }
}

/// A filter; what bounds nothing is left out.
fn put_filter(element: &str, names: [&str; 2], values: [u64; 2], out: &mut String) {
    let _ = write!(out, "<cpix:{element}");
    let [min, max] = names.map(|name| name.to_owned());
    let [min_value, max_value] = values;
    if min_value > 0 {
        let _ = write!(out, " {min}=\"{min_value}\"");
    }
    if max_value < u64::MAX {
        let _ = write!(out, " {max}=\"{max_value}\"");
    }
    out.push_str("/>");
}
