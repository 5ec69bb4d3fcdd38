//! Searches the memory of a running process for secrets.
//!
//! A node lets nobody but root look at its memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use aho_corasick::AhoCorasick;

use crate::RigError;
use crate::search::Needle;

/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What was found, and how much was searched.
#[derive(Debug, Default)]
pub struct Findings {
    /// How often each needle was found, by its name and the mapping in which it was.
    pub found: BTreeMap<(String, String), usize>,
    /// Bytes in pages that hold anything at all.
    pub searched_bytes: u64,
}

impl Findings {
    /// How many needles were found, each counted as often as it was.
    pub fn total(&self) -> usize {
        self.found.values().sum()
    }
}

/// A writable mapping.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    name: String,
}

/// Whether this process may read the memory of that one.
pub fn may_be_read(pid: u32) -> bool {
    let mappings = mappings(pid).unwrap_or_default();
    let (Some(mapping), Ok(memory)) = (mappings.first(), memory(pid)) else { return false };
    memory.read_exact_at(&mut [0], mapping.start).is_ok()
}

/// Searches all writable mappings of a process, which should be stopped meanwhile.
///
/// # Errors
/// When its memory may not be read, or a mapping cannot be.
pub fn search(pid: u32, needles: &[Needle]) -> Result<Findings, RigError> {
    let longest = needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or_default();
    let machine = AhoCorasick::new(needles.iter().map(|needle| &needle.bytes))
        .map_err(|error| RigError::Program(format!("cannot search for so much: {error}")))?;
    let (memory, mut findings) = (memory(pid)?, Findings::default());
    let (zeros, mut chunk) = (vec![0_u8; CHUNK_BYTES], vec![0_u8; CHUNK_BYTES]);
    for mapping in mappings(pid)? {
        let mut at = mapping.start;
        while at < mapping.end {
            let length = usize::try_from(mapping.end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let bytes = chunk.get_mut(..length).unwrap_or_default();
            memory.read_exact_at(bytes, at).map_err(RigError::io(format!(
                "cannot read the memory of {pid} at {at:x}, {}",
                mapping.name
            )))?;
            if Some(&*bytes) != zeros.get(..length) {
                findings.searched_bytes += length as u64;
                for hit in machine.find_iter(&*bytes) {
                    let Some(needle) = needles.get(hit.pattern().as_usize()) else { continue };
                    *findings.found.entry((needle.name.clone(), mapping.name.clone())).or_default() += 1;
                }
            }
            // What lies across the end of a chunk is found in the next one.
            let back = if at + (length as u64) < mapping.end { longest.saturating_sub(1) } else { 0 };
            at += (length - back.min(length - 1)) as u64;
        }
    }
    Ok(findings)
}

fn memory(pid: u32) -> Result<File, RigError> {
    let path = PathBuf::from(format!("/proc/{pid}/mem"));
    File::open(&path).map_err(RigError::at("read", &path))
}

fn mappings(pid: u32) -> Result<Vec<Mapping>, RigError> {
    let path = PathBuf::from(format!("/proc/{pid}/maps"));
    let text = std::fs::read_to_string(&path).map_err(RigError::at("read", &path))?;
    Ok(text.lines().filter_map(writable).collect())
}

/// A line of `/proc/PID/maps`, if the process may write there.
fn writable(line: &str) -> Option<Mapping> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    fields.next().filter(|rights| rights.starts_with("rw"))?;
    let number = |hex| u64::from_str_radix(hex, 16).ok();
    let (start, end) = (number(start)?, number(end)?);
    let name = fields.nth(3).unwrap_or("anonymous");
    // By their size one tells stacks of threads from the heap.
    Some(Mapping { start, end, name: format!("{name}, {} KiB", (end - start) >> 10) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writable_mappings_are_read_and_others_left_out() {
        let line = "7f10a000-7f10c000 rw-p 00000000 00:00 0                          [stack]";
        let stack = Mapping { start: 0x7f10_a000, end: 0x7f10_c000, name: "[stack], 8 KiB".to_owned() };
        assert_eq!(writable(line), Some(stack));
        assert_eq!(writable("7f10a000-7f10c000 r--p 00000000 00:00 0 /bin/a"), None);
        assert_eq!(writable("7f10a000-7f10c000 rw-p 00000000 00:00 0").unwrap().name, "anonymous, 8 KiB");
    }

    #[test]
    fn what_a_process_holds_is_found_in_it() {
        // Our own memory: nobody forbids that.
        let held: Vec<u8> = (0..40_u8).map(|at| at.wrapping_mul(37) ^ 0x5a).collect();
        let needle = Needle { name: "held".to_owned(), bytes: held.clone() };
        let found = search(std::process::id(), &[needle]).unwrap();
        assert!(found.total() >= 1 && found.searched_bytes > 0, "{found:?}");
        assert!(may_be_read(std::process::id()));
        drop(held);
    }
}
