//! The starts of this data directory, and what this node has seen its peers do. They detect a directory that
//! was set back to an older state, and a copy of one.
//!
//! Each start of a node writes a random number into its directory before any peer hears of it. A peer
//! remembers the last start that it met. A directory whose history does not hold that start, at its place, is
//! older, or is a copy that went another way. A machine can also be set back within one start, so peers
//! remember how far a node has voted and acknowledged, too, as of a few seconds ago.
//!
//! ```text
//! format = 1
//! fence = 0
//! incarnation = "<32 hexadecimal digits>"
//! announced = true      # a peer may have met the last start
//! dropped = 0           # how many starts were before the first of these
//! own = ["<16 hexadecimal digits>", …]
//! sum = <CRC-32 of all that is above, and of the peers>
//!
//! [peers.2]
//! number = 5
//! id = "<16 hexadecimal digits>"
//! vote = [<term>, <node>]
//! held = [<term>, <node>, <index>]
//! address = "<host:port>"
//! ```
//!
//! The file is apart from the incarnations, so that an earlier version of the program, which knows only those,
//! still opens the directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};

use super::toml_file::TomlFile;
use super::{Incarnation, LogPosition, StoreError, StoredVote};

/// The name of the file.
pub(super) const FILE: &str = "starts.toml";

/// The layout of the file that this build reads and writes.
const FORMAT: u32 = 1;

/// The most starts that are kept. A peer that has missed more cannot be answered for.
const KEPT_MAX: usize = 10_000;

/// A start of a node on its data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// How many starts there were with it, among those that a peer may have met.
    pub number: u64,
    /// A random number that distinguishes it from a start of a copy.
    pub id: u64,
}

impl Start {
    /// The last start of the node on the data directory `root`; `None` when there was none yet.
    ///
    /// # Errors
    /// As for opening the directory.
    pub fn read(root: &Path) -> Result<Option<Self>, StoreError> {
        Ok(Starts::read(root)?.map(|starts| starts.current()))
    }
}

/// What a node remembers of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerMemory {
    /// The last start that was met.
    pub start: Start,
    /// The last vote that the peer reported to be on its disk.
    pub vote: Option<StoredVote>,
    /// The last committed entry that the peer reported to be on its disk.
    pub held: Option<LogPosition>,
    /// The address at which the peer said that it is reached.
    pub address: Option<String>,
}

impl PeerMemory {
    /// Takes over a later vote and entry. Returns whether anything changed.
    fn advance(&mut self, vote: Option<StoredVote>, held: Option<LogPosition>) -> bool {
        let rank = |vote: &StoredVote| (vote.term, vote.node);
        let votes_later = vote.as_ref().map(rank) > self.vote.as_ref().map(rank);
        if votes_later {
            self.vote = vote;
        }
        let holds_more = held > self.held;
        if holds_more {
            self.held = held;
        }
        votes_later || holds_more
    }
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Starts {
    /// The fence under which the peers were met.
    fence: u64,
    /// The directory whose starts these are.
    incarnation: Incarnation,
    announced: bool,
    dropped: u64,
    own: Vec<u64>,
    pub(super) peers: BTreeMap<u64, PeerMemory>,
    /// Whether a peer's progress is not in the file yet.
    is_dirty: bool,
}

impl Starts {
    /// Opens the file of the data directory `root` and writes a new start into it. The last one is replaced
    /// if no peer can have met it.
    ///
    /// # Errors
    /// [`StoreError::StartsUnreadable`] when the file does not parse, [`StoreError::NewerFormat`] when a newer
    /// version wrote it, or an I/O error.
    pub(super) fn begin(root: &Path, fence: u64, incarnation: Incarnation) -> Result<Self, StoreError> {
        let found = Self::read(root)?.filter(|found| found.incarnation == incarnation);
        let mut starts = found.unwrap_or_else(|| Self::empty(fence, incarnation));
        starts.enter_fence(fence);
        if !starts.announced {
            starts.own.pop();
        }
        starts.announced = false;
        starts.own.push(draw()?);
        if starts.own.len() > KEPT_MAX {
            starts.own.remove(0);
            starts.dropped = starts.dropped.saturating_add(1);
        }
        starts.write(root)?;
        Ok(starts)
    }

    const fn empty(fence: u64, incarnation: Incarnation) -> Self {
        Self {
            fence,
            incarnation,
            // There is no start to be replaced.
            announced: true,
            dropped: 0,
            own: Vec::new(),
            peers: BTreeMap::new(),
            is_dirty: false,
        }
    }

    /// Forgets the peers of another fence.
    pub(super) fn enter_fence(&mut self, fence: u64) {
        if self.fence != fence {
            self.fence = fence;
            self.peers = BTreeMap::new();
            self.is_dirty = true;
        }
    }

    /// The present start.
    pub(super) fn current(&self) -> Start {
        let number = self.dropped.saturating_add(self.own.len() as u64);
        Start { number, id: self.own.last().copied().unwrap_or(0) }
    }

    /// Whether this directory had that start. One that is dropped from the history is believed.
    pub(super) fn holds(&self, start: Start) -> bool {
        let Some(back) = self.current().number.checked_sub(start.number) else { return false };
        let place = (self.own.len() as u64).checked_sub(back.saturating_add(1));
        let kept = place.and_then(|place| self.own.get(usize::try_from(place).ok()?));
        kept.is_none_or(|id| *id == start.id)
    }

    /// Notes, durably, that a peer may meet the present start from now on.
    pub(super) fn announce(&mut self, root: &Path) -> Result<(), StoreError> {
        if self.announced {
            return Ok(());
        }
        let announced = Self { announced: true, ..self.clone() };
        announced.write(root)?;
        *self = announced;
        Ok(())
    }

    /// Remembers, durably, the start of a peer and its address. What else is known of the peer stays.
    pub(super) fn meet(
        &mut self,
        root: &Path,
        fence: u64,
        peer: u64,
        met: PeerMemory,
    ) -> Result<(), StoreError> {
        if self.fence != fence {
            return Err(StoreError::OtherFence);
        }
        let mut more = self.clone();
        let known = more.peers.entry(peer).or_insert_with(|| met.clone());
        (known.start, known.address) = (met.start, met.address);
        known.advance(met.vote, met.held);
        if more.peers != self.peers {
            more.write(root)?;
            more.is_dirty = false;
        }
        *self = more;
        Ok(())
    }

    /// Notes how far a peer that was met is; [`Self::write_out`] writes it.
    pub(super) fn note(&mut self, peer: u64, vote: Option<StoredVote>, held: Option<LogPosition>) {
        if let Some(known) = self.peers.get_mut(&peer) {
            self.is_dirty |= known.advance(vote, held);
        }
    }

    /// Writes what was noted since the last time.
    pub(super) fn write_out(&mut self, root: &Path) -> Result<(), StoreError> {
        if self.is_dirty {
            self.write(root)?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// The content of the file in `root`; `None` when there is no file.
    fn read(root: &Path) -> Result<Option<Self>, StoreError> {
        let Some(file) = StartsFile::read(root)? else { return Ok(None) };
        let unreadable = |why| StartsFile::unreadable(root.join(FILE), why);
        if (file.format, file.sum) != (FORMAT, file.checksum()) {
            return Err(unreadable("its checksum does not agree".to_owned()));
        }
        file.content().map(Some).map_err(unreadable)
    }

    /// Replaces the file in `root`.
    fn write(&self, root: &Path) -> Result<(), StoreError> {
        StartsFile::of(self).write(root)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartsFile {
    format: u32,
    fence: u64,
    incarnation: String,
    announced: bool,
    dropped: u64,
    own: Vec<String>,
    sum: u32,
    #[serde(default)]
    peers: BTreeMap<String, PeerEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerEntry {
    number: u64,
    id: String,
    /// Term and node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vote: Option<[u64; 2]>,
    /// Term, node and index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<[u64; 3]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

impl TomlFile for StartsFile {
    const NAME: &'static str = FILE;
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }

    fn unreadable(path: PathBuf, why: String) -> StoreError {
        StoreError::StartsUnreadable { path, why }
    }
}

impl StartsFile {
    fn of(starts: &Starts) -> Self {
        let entry = |peer: &PeerMemory| PeerEntry {
            number: peer.start.number,
            id: text_of(peer.start.id),
            vote: peer.vote.map(|vote| [vote.term, vote.node]),
            held: peer.held.map(|at| [at.term, at.node, at.index]),
            address: peer.address.clone(),
        };
        let mut file = Self {
            format: FORMAT,
            fence: starts.fence,
            incarnation: starts.incarnation.to_string(),
            announced: starts.announced,
            dropped: starts.dropped,
            own: starts.own.iter().map(|id| text_of(*id)).collect(),
            sum: 0,
            peers: starts.peers.iter().map(|(id, peer)| (id.to_string(), entry(peer))).collect(),
        };
        file.sum = file.checksum();
        file
    }

    fn content(&self) -> Result<Starts, String> {
        let mut peers = BTreeMap::new();
        for (id, peer) in &self.peers {
            let id = id.parse::<u64>().map_err(|_| format!("{id:?} is no node's id"))?;
            let memory = PeerMemory {
                start: Start { number: peer.number, id: number_of(&peer.id)? },
                vote: peer.vote.map(|[term, node]| StoredVote { term, node, committed: false }),
                held: peer.held.map(|[term, node, index]| LogPosition { term, node, index }),
                address: peer.address.clone(),
            };
            peers.insert(id, memory);
        }
        Ok(Starts {
            fence: self.fence,
            incarnation: Incarnation::parse(&self.incarnation)?,
            announced: self.announced,
            dropped: self.dropped,
            own: self.own.iter().map(|id| number_of(id)).collect::<Result<_, _>>()?,
            peers,
            is_dirty: false,
        })
    }

    /// The checksum over the values, each with its length, in their order.
    fn checksum(&self) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        let mut add = |part: &str| {
            sum.update(&(part.len() as u64).to_be_bytes());
            sum.update(part.as_bytes());
        };
        let head = [self.fence.to_string(), self.announced.to_string(), self.dropped.to_string()];
        head.iter().chain([&self.incarnation]).chain(&self.own).for_each(|part| add(part));
        for (id, peer) in &self.peers {
            add(id);
            add(&format!("{} {} {:?} {:?} {:?}", peer.number, peer.id, peer.vote, peer.held, peer.address));
        }
        sum.finalize()
    }
}

fn draw() -> Result<u64, StoreError> {
    let mut bytes = [0_u8; 8];
    let drawn = SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other);
    drawn.map_err(StoreError::io("draw a start for", Path::new(FILE)))?;
    Ok(u64::from_be_bytes(bytes))
}

fn text_of(id: u64) -> String {
    format!("{id:016x}")
}

fn number_of(text: &str) -> Result<u64, String> {
    let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
    number.ok_or_else(|| format!("{text:?} is no start"))
}

#[cfg(test)]
mod tests;
