//! Encrypted streams beside their source, frame by frame.

use std::path::Path;

use crate::media::{self, Stream};

/// How many of a stream's frames may be in the clear in `cbcs`, which encrypts whole blocks only: one in so many.
/// Silence is a frame shorter than a block.
const CLEAR_ONE_IN: usize = 10;
/// A comparison of fewer frames would prove little.
const FRAMES_MIN: usize = 100;

/// Asserts that the stream decrypts to the source's frames with `key`, and to none of them with
/// `wrong` or without a key.
///
/// # Panics
/// When it does not, or FFmpeg cannot read a file that it must be able to read.
#[track_caller]
pub fn assert_opens_only_with(
    sealed: &Path,
    stream: Stream,
    source: &Path,
    key: &[u8; 16],
    wrong: &[u8; 16],
) {
    assert_at_most_opens(sealed, stream, source, [key, wrong], |_| 0);
}

/// The same for media in `cbcs`, which leaves frames that are shorter than a block as they are.
///
/// # Panics
/// As for [`assert_opens_only_with`].
#[track_caller]
pub fn assert_cbcs_opens_only_with(
    sealed: &Path,
    stream: Stream,
    source: &Path,
    key: &[u8; 16],
    wrong: &[u8; 16],
) {
    assert_at_most_opens(sealed, stream, source, [key, wrong], |frames| frames / CLEAR_ONE_IN);
}

#[track_caller]
fn assert_at_most_opens(
    sealed: &Path,
    stream: Stream,
    source: &Path,
    [key, wrong]: [&[u8; 16]; 2],
    clear_max: impl Fn(usize) -> usize,
) {
    let opened = |path: &Path, key: Option<&[u8; 16]>| {
        media::frames(path, stream, key).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let clear = opened(source, None);
    assert_alike(&opened(sealed, Some(key)), &clear);
    for wrong in [Some(wrong), None] {
        // Frames under a wrong key may be refused or come out wrong; none may come out right.
        let opened = media::frames(sealed, stream, wrong).unwrap_or_default();
        let shown = opened.iter().filter(|frame| clear.contains(frame)).count();
        assert!(
            shown <= clear_max(clear.len()),
            "{shown} frames of {} open with {wrong:?}",
            sealed.display()
        );
    }
}

/// Asserts that there are as many frames, and that each is the same.
///
/// # Panics
/// When they differ, or are too few for a comparison.
#[track_caller]
pub fn assert_alike(decrypted: &[String], source: &[String]) {
    assert!(source.len() >= FRAMES_MIN, "the source has only {} frames", source.len());
    assert_eq!(decrypted.len(), source.len(), "frames were lost or added");
    let differing = decrypted.iter().zip(source).position(|(a, b)| a != b);
    assert_eq!(differing, None, "the first frame that differs from the source");
}
