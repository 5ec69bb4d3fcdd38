//! What a player shows, beside the source.

use std::path::{Path, PathBuf};

use super::Player;
use crate::media;

/// The rate of the films that [`media::make_source`] makes.
const FRAMES_PER_S: f64 = 25.0;
/// How many frames away a picture is different for sure.
const APART: u32 = 25;

/// Stops on the displayed frame, keeps a picture of it among the artifacts under this name, and asserts that it is the
/// source's own.
///
/// # Panics
/// When it is another one, or none was shown.
#[track_caller]
pub fn assert_shows_the_source(player: &Player, source: &Path, name: &str) {
    let (picture, at_s) = player.freeze().unwrap();
    let shot = artifact(name);
    std::fs::write(&shot, picture).unwrap();
    let shown = media::pixels(&shot, 0).unwrap();
    let number = (at_s * FRAMES_PER_S).round() as u32;
    let from = |number: u32| distance(&shown, &media::pixels(source, number).unwrap());
    // A stream whose sound begins earlier than its picture shows that picture later than the source has it.
    let own = from(number).min(from(number.saturating_sub(1)));
    println!("frame {number} at {at_s} s is {own} from the source");
    let nearest = from(number.saturating_sub(APART)).min(from(number + APART));
    assert!(own < 4.0 && own * 4.0 < nearest, "frame {number}: {own} from its own, {nearest} from another");
}

/// How far two pictures are apart: the mean of all differences, from 0 to 255.
fn distance(one: &[u8], other: &[u8]) -> f64 {
    assert_eq!(one.len(), other.len(), "the pictures differ in size");
    let sum: u64 = one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.len() as f64
}

/// Where pictures are kept for a person to look at.
fn artifact(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/artifacts");
    std::fs::create_dir_all(&dir).unwrap();
    dir.join(name)
}
