//! The track types of the Widevine common encryption API, each of which is a track with a key of its own.

/// The track types of the API, in its spelling.
pub const TRACK_TYPES: [&str; 5] = ["SD", "HD", "UHD1", "UHD2", "AUDIO"];

/// The type of this name, in the API's spelling.
pub fn track_type(name: &str) -> Option<&'static str> {
    TRACK_TYPES.into_iter().find(|known| *known == name)
}
