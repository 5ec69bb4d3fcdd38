//! What is needed of a tree to append to it, and to know its root.

use super::hash::{Hash, empty_root, node_hash};

/// The roots of the complete subtrees that a tree is made of, the largest first: one for each bit of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a tree of `size` leaves, whose subtrees have these roots, the largest first. `None` when there
    /// are not as many as `size` has bits.
    pub fn of(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its subtrees, the largest first.
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_, _| ());
    }

    /// Appends a leaf, and tells of each subtree that became complete by it: its height and root.
    pub(crate) fn push_with(&mut self, leaf: Hash, mut completed: impl FnMut(u32, Hash)) {
        let mut hash = leaf;
        completed(0, hash);
        for height in 1..=self.size.trailing_ones() {
            // There is a root for each bit that is set.
            let Some(left) = self.roots.pop() else { break };
            hash = node_hash(&left, &hash);
            completed(height, hash);
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let from_right = self.roots.iter().rev().copied();
        from_right.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }
}
