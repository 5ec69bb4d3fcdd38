//! Proofs that an event is in a log, and that a log only grew: made and verified.

use super::frontier::Frontier;
use super::hash::{Hash, node_hash};

/// Why a proof cannot be made, or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The log is shorter.
    #[error("there is no event {number} in a log of {size}")]
    OutOfRange { number: u64, size: u64 },
    /// A tree does not grow to a smaller one.
    #[error("a log of {from} events cannot have grown to {to}")]
    Shrinks { from: u64, to: u64 },
    /// The proof does not lead to the root.
    #[error("the proof does not lead to the root")]
    Wrong,
    /// A hash cannot be read.
    #[error("a hash of the log cannot be read")]
    Read(#[from] std::io::Error),
}

/// Where the roots of complete subtrees come from.
pub(crate) trait SubtreeHashes {
    /// The root of the complete subtree of height `height` that begins at leaf `index << height`.
    fn subtree(&self, height: u32, index: u64) -> Result<Hash, std::io::Error>;
}

/// The root over the first `size` leaves.
pub(crate) fn root(hashes: &impl SubtreeHashes, size: u64) -> Result<Hash, std::io::Error> {
    Ok(frontier(hashes, size)?.root())
}

/// The frontier of the first `size` leaves.
pub(crate) fn frontier(hashes: &impl SubtreeHashes, size: u64) -> Result<Frontier, std::io::Error> {
    let roots = complete(0, size).map(|(height, index)| hashes.subtree(height, index));
    let roots = roots.collect::<Result<Vec<_>, _>>()?;
    // One for each bit, because that is how the range was taken apart.
    Ok(Frontier::of(size, roots).unwrap_or_default())
}

/// The proof that leaf `number` is in the tree over the first `size` leaves.
pub(crate) fn inclusion_proof(
    hashes: &impl SubtreeHashes,
    number: u64,
    size: u64,
) -> Result<Vec<Hash>, ProofError> {
    if number >= size {
        return Err(ProofError::OutOfRange { number, size });
    }
    let (mut proof, mut start, mut end) = (Vec::new(), 0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if number < middle {
            proof.push(range_root(hashes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(hashes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree over the first `from` leaves is the beginning of that over the first `to`.
pub(crate) fn consistency_proof(
    hashes: &impl SubtreeHashes,
    from: u64,
    to: u64,
) -> Result<Vec<Hash>, ProofError> {
    if from > to {
        return Err(ProofError::Shrinks { from, to });
    }
    if from == 0 || from == to {
        return Ok(Vec::new());
    }
    let (mut proof, mut start, mut end) = (Vec::new(), 0, to);
    while end != from {
        let middle = start + split(end - start);
        if from <= middle {
            proof.push(range_root(hashes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(hashes, start, middle)?);
            start = middle;
        }
    }
    if start > 0 {
        proof.push(range_root(hashes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that the leaf `leaf` is number `number` in the tree of `size` leaves with this root.
///
/// # Errors
/// [`ProofError`] when that is not proved.
pub fn verify_inclusion(
    leaf: Hash,
    number: u64,
    size: u64,
    root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if number >= size {
        return Err(ProofError::OutOfRange { number, size });
    }
    let (mut node, mut last, mut hash) = (number, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Wrong);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // The right edge has no siblings on the levels where it is alone.
            let alone = if node & 1 == 1 { 0 } else { node.trailing_zeros() };
            node = node.checked_shr(alone).unwrap_or(0);
            last = last.checked_shr(alone).unwrap_or(0);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    match last == 0 && hash == root {
        true => Ok(()),
        false => Err(ProofError::Wrong),
    }
}

/// Checks that the tree of `to` leaves and root `to_root` begins with that of `from` leaves and root `from_root`.
///
/// # Errors
/// [`ProofError`] when that is not proved.
pub fn verify_consistency(
    from: u64,
    from_root: Hash,
    to: u64,
    to_root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let holds = |holds: bool| if holds { Ok(()) } else { Err(ProofError::Wrong) };
    if from > to {
        return Err(ProofError::Shrinks { from, to });
    }
    if from == to {
        return holds(proof.is_empty() && from_root == to_root);
    }
    if from == 0 {
        return holds(proof.is_empty() && from_root == super::hash::empty_root());
    }
    // A complete subtree is a node of the larger tree itself, so the proof need not begin with its root.
    let (first, rest) = match (from.is_power_of_two(), proof.split_first()) {
        (true, _) => (from_root, proof),
        (false, Some((first, rest))) => (*first, rest),
        (false, None) => return Err(ProofError::Wrong),
    };
    let shift = (from - 1).trailing_ones();
    let (mut node, mut last) = ((from - 1) >> shift, (to - 1) >> shift);
    let (mut old, mut new) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Wrong);
        }
        if node & 1 == 1 || node == last {
            (old, new) = (node_hash(sibling, &old), node_hash(sibling, &new));
            let alone = if node & 1 == 1 { 0 } else { node.trailing_zeros() };
            node = node.checked_shr(alone).unwrap_or(0);
            last = last.checked_shr(alone).unwrap_or(0);
        } else {
            new = node_hash(&new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    holds(last == 0 && old == from_root && new == to_root)
}

/// The largest power of two below `leaves`, where RFC 6962 splits a tree.
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The root over the leaves from `start` to `end`, which begin at a multiple of a power of two that is not smaller.
fn range_root(hashes: &impl SubtreeHashes, start: u64, end: u64) -> Result<Hash, std::io::Error> {
    let parts = complete(start, end).map(|(height, index)| hashes.subtree(height, index));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let folded = parts.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
    Ok(folded.unwrap_or_else(super::hash::empty_root))
}

/// The complete subtrees that such a range is made of, by height and index, the largest first.
fn complete(start: u64, end: u64) -> impl Iterator<Item = (u32, u64)> {
    let mut at = start;
    std::iter::from_fn(move || {
        let left = end.checked_sub(at).filter(|left| *left > 0)?;
        let height = left.ilog2();
        let subtree = (height, at >> height);
        at += 1 << height;
        Some(subtree)
    })
}
