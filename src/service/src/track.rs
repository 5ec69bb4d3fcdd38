//! Which keys of a content are meant: those of one track.

use keymoot_model::{AccountId, ContentId, KeyPath, TrackName};

/// A track of a content. A content alone stands for its default track, the one of front ends that
/// know no tracks.
#[derive(Clone, Copy, Debug)]
pub struct ContentTrack<'a> {
    content: &'a ContentId,
    track: Option<&'a TrackName>,
}

impl<'a> ContentTrack<'a> {
    /// This track of this content.
    pub fn new(content: &'a ContentId, track: &'a TrackName) -> Self {
        Self { content, track: Some(track) }
    }

    /// Where the keys of the track are, in an account.
    pub(super) fn place(self, account: &AccountId) -> KeyPath {
        let track = self.track.cloned().unwrap_or_else(TrackName::default_track);
        KeyPath { account: account.clone(), content: self.content.clone(), track }
    }
}

impl<'a> From<&'a ContentId> for ContentTrack<'a> {
    fn from(content: &'a ContentId) -> Self {
        Self { content, track: None }
    }
}
