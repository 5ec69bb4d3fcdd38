//! Searches everything that a cluster leaves behind for a secret, in every form it could have.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::RigError;
use crate::signed::hex;

/// The size of the blocks that are skipped as a whole when they do not hold the searched byte.
const PAGE_BYTES: usize = 4096;

/// A form of a secret, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle {
    /// The form's name in messages.
    pub name: String,
    /// The bytes to search for.
    pub bytes: Vec<u8>,
}

/// The secret raw, in hexadecimal of both cases, reversed as a GUID's halves would be, and in both
/// alphabets of base64, at each of the three alignments that surrounding data can cause.
pub fn forms_of(what: &str, secret: &[u8]) -> Vec<Needle> {
    let needle = |form: &str, bytes: Vec<u8>| Needle { name: format!("{what} ({form})"), bytes };
    let mut needles = vec![
        needle("raw", secret.to_vec()),
        needle("raw, reversed", secret.iter().rev().copied().collect()),
        needle("hex", hex(secret).into_bytes()),
        needle("HEX", hex(secret).to_uppercase().into_bytes()),
        needle("base64", STANDARD_NO_PAD.encode(secret).into_bytes()),
        needle("base64url", URL_SAFE_NO_PAD.encode(secret).into_bytes()),
        needle("base64 of its base64", STANDARD_NO_PAD.encode(STANDARD.encode(secret)).into_bytes()),
    ];
    for skip in [0, 1, 2] {
        // The characters that are shared with a neighbouring byte are left out at both ends.
        let inner = secret.get(skip..).unwrap_or_default();
        let whole = inner.get(..inner.len() / 3 * 3).unwrap_or_default();
        needles.push(needle("base64, inside more", STANDARD.encode(whole).into_bytes()));
        needles.push(needle("base64url, inside more", URL_SAFE_NO_PAD.encode(whole).into_bytes()));
    }
    needles.sort_by(|a, b| a.bytes.cmp(&b.bytes));
    needles.dedup_by(|a, b| a.bytes == b.bytes);
    needles
}

/// The names of the needles that occur in `haystack`.
pub fn found_in<'a>(haystack: &[u8], needles: &'a [Needle]) -> Vec<&'a str> {
    needles.iter().filter(|needle| contains(haystack, &needle.bytes)).map(|n| n.name.as_str()).collect()
}

/// Whether `haystack` contains `needle`. Searches for the first byte before it compares.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut rest = haystack;
    while let Some(at) = position(rest, *first) {
        let candidate = rest.get(at..).unwrap_or_default();
        if candidate.starts_with(needle) {
            return true;
        }
        rest = candidate.get(1..).unwrap_or_default();
    }
    false
}

/// The first position of a byte. Most bytes of a node's files are zeros. Pages without the byte are
/// skipped as fast as the standard library can, even in a build that is hardly optimised.
fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    let skipped = PAGE_BYTES * bytes.chunks(PAGE_BYTES).position(|page| page.contains(&byte))?;
    let page = bytes.get(skipped..).unwrap_or_default();
    page.iter().position(|found| *found == byte).map(|at| skipped + at)
}

/// Every regular file under `dir`, at any depth, in the order of their paths.
///
/// # Errors
/// When a directory cannot be read.
pub fn files_under(dir: &Path) -> Result<Vec<PathBuf>, RigError> {
    let mut files = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(&dir).map_err(RigError::at("read", &dir))? {
            let path = entry.map_err(RigError::at("read", &dir))?.path();
            let kind = path.symlink_metadata().map_err(RigError::at("look at", &path))?;
            if kind.is_dir() {
                waiting.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
