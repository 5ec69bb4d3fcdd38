//! The names of tracks in contracts, alone and in sums.

use std::fmt;

/// What a rule's key is for, as the encryptor names it: `HD`, `SD+HD1`, `STEREO_AUDIO`, `ALL`, or a name of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackType(String);

/// The tracks that a name stands for where everybody means the same by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackPreset {
    /// Video of so many pixels, inclusive.
    Video { min_pixels: u64, max_pixels: u64 },
    /// Audio of so many channels, inclusive.
    Audio { min_channels: u64, max_channels: u64 },
    /// A property of video beside its size: `HDR`, `HFR`.
    VideoKind,
    /// Every track.
    All,
}

impl TrackType {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 256;

    /// `None` for a name that is empty, too long, has an empty part or a control character.
    pub fn new(text: &str) -> Option<Self> {
        let is_sound =
            text.split('+').all(|part| !part.trim().is_empty() && !part.contains(char::is_control));
        (is_sound && text.len() <= Self::BYTES_MAX).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts of a sum; a name alone is one part.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('+').map(str::trim)
    }

    /// What each part stands for; `None` for a name of the encryptor's own.
    pub fn presets(&self) -> impl Iterator<Item = Option<TrackPreset>> {
        self.parts().map(preset)
    }

    /// Whether it is for every track.
    pub fn is_all(&self) -> bool {
        self.presets().any(|preset| preset == Some(TrackPreset::All))
    }

    /// Whether video is among its tracks, as far as its name says it.
    pub fn has_video(&self) -> bool {
        self.presets().flatten().any(|preset| {
            matches!(preset, TrackPreset::Video { .. } | TrackPreset::VideoKind | TrackPreset::All)
        })
    }

    /// Whether audio is among its tracks, as far as its name says it.
    pub fn has_audio(&self) -> bool {
        let mut presets = self.presets().flatten();
        presets.any(|preset| matches!(preset, TrackPreset::Audio { .. } | TrackPreset::All))
    }
}

impl fmt::Display for TrackType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The fewest pixels of each class above standard definition.
const HD: u64 = 589_825;
const HD2: u64 = 921_601;
pub(crate) const UHD: u64 = 2_073_601;
const UHD2: u64 = 8_847_361;

fn preset(name: &str) -> Option<TrackPreset> {
    let video = |min_pixels, max_pixels| Some(TrackPreset::Video { min_pixels, max_pixels });
    let audio = |min_channels, max_channels| Some(TrackPreset::Audio { min_channels, max_channels });
    match name {
        "VIDEO" => video(0, u64::MAX),
        "SD" => video(0, HD - 1),
        // Everything above SD, unless a rule for UHD stands behind it.
        "HD" => video(HD, u64::MAX),
        "HD1" => video(HD, HD2 - 1),
        "HD2" => video(HD2, UHD - 1),
        "UHD" => video(UHD, u64::MAX),
        "UHD1" => video(UHD, UHD2 - 1),
        "UHD2" => video(UHD2, u64::MAX),
        "HDR" | "HFR" => Some(TrackPreset::VideoKind),
        "AUDIO" => audio(0, u64::MAX),
        "STEREO_AUDIO" => audio(0, 2),
        "MULTICHANNEL_AUDIO" => audio(3, u64::MAX),
        "MULTICHANNEL_AUDIO_3_6" => audio(3, 6),
        "MULTICHANNEL_AUDIO_7" => audio(7, u64::MAX),
        "ALL" => Some(TrackPreset::All),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_of_video_and_audio_leave_no_gap() {
        for names in [&["SD", "HD1", "HD2", "UHD1", "UHD2"][..], &["SD", "HD"]] {
            let mut next = 0;
            for name in names {
                let Some(TrackPreset::Video { min_pixels, max_pixels }) = preset(name) else {
                    panic!("{name}")
                };
                assert_eq!(min_pixels, next, "{name}");
                next = max_pixels.wrapping_add(1);
            }
            assert_eq!(next, 0);
        }
        let Some(TrackPreset::Audio { max_channels, .. }) = preset("STEREO_AUDIO") else { panic!() };
        let Some(TrackPreset::Audio { min_channels, .. }) = preset("MULTICHANNEL_AUDIO") else { panic!() };
        assert_eq!(max_channels + 1, min_channels);
    }

    #[test]
    fn sums_are_of_all_their_parts_and_none_is_empty() {
        let sum = TrackType::new("HDR+HFR+UHD").unwrap();
        assert_eq!(sum.parts().collect::<Vec<_>>(), ["HDR", "HFR", "UHD"]);
        assert!(sum.has_video() && !sum.has_audio() && !sum.is_all());
        let all = TrackType::new("ALL").unwrap();
        assert!(all.has_video() && all.has_audio() && all.is_all());
        for text in ["", "+", "SD+", "SD++HD", "SD\n"] {
            assert_eq!(TrackType::new(text), None, "{text}");
        }
    }
}
