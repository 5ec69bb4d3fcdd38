//! The incarnation of this data directory, and those of this node's peers when it first met them.
//! Incarnations detect a data directory that was emptied or replaced.
//!
//! A voter that lost its data has forgotten its votes and the entries that it acknowledged, and must not vote
//! or count under its old id. So each directory has an incarnation, a random number that is sent in every
//! greeting. Each node remembers the first incarnation that it met for an id, and refuses any other of that
//! id.
//!
//! An incarnation belongs to the data: a directory without log and tables gets a new one, whatever else is
//! left in it. The incarnations of peers belong to the fence: a recovered or restored cluster starts without
//! any.
//!
//! ```text
//! format = 1
//! fence = 0
//! own = "<32 hexadecimal digits>"
//! sum = <CRC-32 of fence, own and peers>
//!
//! [peers]
//! 2 = "<32 hexadecimal digits>"
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::toml_file::TomlFile;

/// The name of the file.
pub(super) const FILE: &str = "incarnations.toml";

/// The layout of the file that this build reads and writes.
const FORMAT: u32 = 1;

/// A random number that distinguishes a data directory from every other one of the same node. It detects a
/// directory that was emptied or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incarnation(u128);

impl Incarnation {
    /// The incarnation of the data directory `root`; `None` when it has none yet.
    ///
    /// # Errors
    /// [`StoreError::IncarnationsUnreadable`] when the file does not parse, [`StoreError::NewerFormat`] when
    /// a newer version wrote it, or an I/O error.
    pub fn read(root: &Path) -> Result<Option<Self>, StoreError> {
        Ok(Incarnations::read(root)?.map(|found| found.own))
    }

    fn draw() -> Result<Self, StoreError> {
        let mut bytes = [0_u8; 16];
        let drawn = SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other);
        drawn.map_err(StoreError::io("draw an incarnation for", Path::new(FILE)))?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }

    /// Its number.
    pub const fn number(self) -> u128 {
        self.0
    }

    /// The incarnation with this number.
    pub const fn from_number(number: u128) -> Self {
        Self(number)
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Self).ok_or_else(|| format!("{text:?} is no incarnation"))
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Incarnations {
    /// The fence under which the peers were met.
    pub(super) fence: u64,
    pub(super) own: Incarnation,
    /// The first incarnation met of each peer.
    pub(super) peers: BTreeMap<u64, Incarnation>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IncarnationsFile {
    format: u32,
    fence: u64,
    own: String,
    sum: u32,
    #[serde(default)]
    peers: BTreeMap<String, String>,
}

impl TomlFile for IncarnationsFile {
    const NAME: &'static str = FILE;
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }

    fn unreadable(path: PathBuf, why: String) -> StoreError {
        StoreError::IncarnationsUnreadable { path, why }
    }
}

impl Incarnations {
    /// Opens the file of the data directory `root`, which has this fence. A directory without the file,
    /// because it is new or from an earlier version, gets its incarnation now; so does one whose data was
    /// lost.
    ///
    /// # Errors
    /// [`StoreError::IncarnationsUnreadable`] when the file does not parse, [`StoreError::NewerFormat`] when
    /// a newer version wrote it, or an I/O error.
    pub(super) fn open(root: &Path, fence: u64, holds_data: bool) -> Result<Self, StoreError> {
        let found = Self::read(root)?;
        let own = match &found {
            Some(found) if holds_data => found.own,
            _ => Incarnation::draw()?,
        };
        let peers = found.as_ref().filter(|found| found.fence == fence).map(|found| found.peers.clone());
        let opened = Self { fence, own, peers: peers.unwrap_or_default() };
        if found.as_ref() != Some(&opened) {
            opened.write(root)?;
            tracing::info!(incarnation = %own, "the data directory has an incarnation that its peers remember");
        }
        Ok(opened)
    }

    /// The content of the file in `root`; `None` when there is no file.
    pub(super) fn read(root: &Path) -> Result<Option<Self>, StoreError> {
        let Some(contents) = IncarnationsFile::read(root)? else { return Ok(None) };
        let unreadable = |why| IncarnationsFile::unreadable(root.join(FILE), why);
        let read = Self::of(&contents).map_err(unreadable)?;
        if (FORMAT, read.sum()) == (contents.format, contents.sum) {
            return Ok(Some(read));
        }
        Err(unreadable("its checksum does not agree".to_owned()))
    }

    fn of(contents: &IncarnationsFile) -> Result<Self, String> {
        let mut peers = BTreeMap::new();
        for (id, incarnation) in &contents.peers {
            let id = id.parse::<u64>().map_err(|_| format!("{id:?} is no node's id"))?;
            peers.insert(id, Incarnation::parse(incarnation)?);
        }
        Ok(Self { fence: contents.fence, own: Incarnation::parse(&contents.own)?, peers })
    }

    /// Replaces the file in `root`.
    pub(super) fn write(&self, root: &Path) -> Result<(), StoreError> {
        let contents = IncarnationsFile {
            format: FORMAT,
            fence: self.fence,
            own: self.own.to_string(),
            sum: self.sum(),
            peers: self.peers.iter().map(|(id, peer)| (id.to_string(), peer.to_string())).collect(),
        };
        contents.write(root)
    }

    fn sum(&self) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&self.fence.to_be_bytes());
        sum.update(&self.own.0.to_be_bytes());
        for (id, peer) in &self.peers {
            sum.update(&id.to_be_bytes());
            sum.update(&peer.0.to_be_bytes());
        }
        sum.finalize()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_file_has_this_layout() {
        let home = tempfile::tempdir().unwrap();
        let peers = BTreeMap::from([(2, Incarnation(0xabc)), (10, Incarnation(u128::MAX))]);
        let written = Incarnations { fence: 7, own: Incarnation(1), peers };
        written.write(home.path()).unwrap();
        let text = fs::read_to_string(home.path().join(FILE)).unwrap();
        assert_eq!(
            text,
            "format = 1\nfence = 7\nown = \"00000000000000000000000000000001\"\nsum = SUM\n\n[peers]\n\
             10 = \"ffffffffffffffffffffffffffffffff\"\n2 = \"00000000000000000000000000000abc\"\n"
                .replace("SUM", &written.sum().to_string())
        );
        assert_eq!(Incarnations::read(home.path()).unwrap(), Some(written));
    }

    #[test]
    fn an_incarnation_lasts_as_long_as_the_log_and_peers_as_long_as_the_fence() {
        let home = tempfile::tempdir().unwrap();
        let mut first = Incarnations::open(home.path(), 0, false).unwrap();
        first.peers.insert(2, Incarnation(5));
        first.write(home.path()).unwrap();
        assert_eq!(Incarnations::open(home.path(), 0, true).unwrap(), first);
        let fenced = Incarnations::open(home.path(), 9, true).unwrap();
        assert_eq!(fenced, Incarnations { fence: 9, own: first.own, peers: BTreeMap::new() });
        assert_eq!(Incarnations::read(home.path()).unwrap(), Some(fenced));
        first.write(home.path()).unwrap();
        let emptied = Incarnations::open(home.path(), 0, false).unwrap();
        assert_ne!(emptied.own, first.own);
        assert_eq!(emptied.peers, first.peers);
    }

    #[test]
    fn any_damage_is_refused_with_the_file_and_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(FILE);
        let peers = BTreeMap::from([(2, Incarnation(0xabc))]);
        Incarnations { fence: 0, own: Incarnation(77), peers }.write(home.path()).unwrap();
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&file, bytes).unwrap();
            let said = Incarnations::open(home.path(), 0, true).unwrap_err().to_string();
            assert!(said.contains(FILE), "byte {at}: {said}");
        }
        for text in ["", "format = 1\n", "\u{0}"] {
            fs::write(&file, text).unwrap();
            let error = Incarnations::open(home.path(), 0, true).unwrap_err();
            assert!(matches!(error, StoreError::IncarnationsUnreadable { .. }), "{error:?}");
            assert!(error.to_string().contains("keymoot cluster remove"), "{error}");
        }
        fs::write(&file, [0xff, 0xfe]).unwrap();
        let error = Incarnations::open(home.path(), 0, true).unwrap_err();
        assert!(matches!(error, StoreError::IncarnationsUnreadable { .. }), "{error:?}");
    }
}
