//! Checks that the same log gives the same state: nodes with the same applied index agree.

use std::collections::BTreeMap;

use super::{DIGESTS, Violation};

/// Compares the nodes' reports: id → applied index and digest.
pub fn check(nodes: &BTreeMap<u64, (u64, String)>) -> Vec<Violation> {
    let mut first: BTreeMap<u64, (u64, &str)> = BTreeMap::new();
    let mut found = Vec::new();
    for (node, (index, digest)) in nodes {
        let (other, expected) = *first.entry(*index).or_insert((*node, digest));
        if expected != digest {
            let text = format!("at index {index}, node {other} has {expected} and node {node} has {digest}");
            found.push(Violation { checker: DIGESTS, text });
        }
    }
    found
}

/// Whether all nodes have the same applied index.
pub fn are_level(nodes: &BTreeMap<u64, (u64, String)>) -> bool {
    let mut indexes = nodes.values().map(|(index, _)| index);
    indexes.next().is_some_and(|first| indexes.all(|index| index == first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(said: &[(u64, u64, &str)]) -> BTreeMap<u64, (u64, String)> {
        said.iter().map(|(node, index, digest)| (*node, (*index, (*digest).to_owned()))).collect()
    }

    #[test]
    fn only_nodes_at_the_same_index_must_agree() {
        assert_eq!(check(&nodes(&[(1, 7, "a"), (2, 7, "a"), (3, 6, "b")])), []);
        assert_eq!(check(&nodes(&[(1, 7, "a"), (2, 7, "b"), (3, 6, "b")])).len(), 1);
        assert!(
            !are_level(&nodes(&[(1, 7, "a"), (2, 6, "b")])) && are_level(&nodes(&[(1, 7, "a"), (2, 7, "a")]))
        );
        assert!(!are_level(&nodes(&[])));
    }
}
