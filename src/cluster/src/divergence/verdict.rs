//! The comparison of digests. Pure: reports in, verdict out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use keymoot_model::NodeId;
use keymoot_state::Digest;
use keymoot_store::LogPosition;

use crate::wire::report::StateDigest;

/// The digests that nodes report, by node.
pub(crate) type Reported = BTreeMap<NodeId, Vec<StateDigest>>;

/// Two digests or more after one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contradiction {
    /// The entry.
    pub at: LogPosition,
    /// The nodes that report each digest.
    pub digests: BTreeMap<u128, BTreeSet<NodeId>>,
    /// The digest that a majority of the voters reports.
    pub majority: Option<u128>,
}

/// What the reports say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The nodes whose digest is not that of the majority.
    pub outvoted: BTreeSet<NodeId>,
    /// Where they differ from it.
    pub decided: Option<Contradiction>,
    /// Where the voters besides them differ, and no digest has a majority.
    pub undecided: Option<Contradiction>,
}

/// Compares the reports of members of a cluster. `voters` is one set, or two while the members
/// change: a majority of each is needed then, so that no change of the members lets a majority stop.
///
/// The last decided contradiction decides who is outvoted. It leaves a majority of the voters
/// whatever the reports are.
pub(crate) fn compare(voters: &[BTreeSet<NodeId>], reported: &Reported) -> Verdict {
    let contradictions = contradictions(voters, reported);
    let decided = contradictions.iter().rev().find(|found| found.majority.is_some()).cloned();
    let outvoted: BTreeSet<NodeId> = decided.iter().flat_map(Contradiction::minority).collect();
    let votes = |id: &NodeId| voters.iter().any(|set| set.contains(id)) && !outvoted.contains(id);
    let is_open = |found: &&Contradiction| {
        let held = found.digests.values().filter(|nodes| nodes.iter().any(votes));
        found.majority.is_none() && held.count() > 1
    };
    let undecided = contradictions.iter().rev().find(is_open).cloned();
    Verdict { outvoted, decided, undecided }
}

fn contradictions(voters: &[BTreeSet<NodeId>], reported: &Reported) -> Vec<Contradiction> {
    let mut positions: BTreeMap<LogPosition, BTreeMap<u128, BTreeSet<NodeId>>> = BTreeMap::new();
    for (node, digests) in reported {
        for StateDigest { at, digest } in digests {
            positions.entry(*at).or_default().entry(*digest).or_default().insert(*node);
        }
    }
    let differing = positions.into_iter().filter(|(_, digests)| digests.len() > 1);
    let found = differing.map(|(at, digests)| {
        let majority =
            digests.iter().find(|(_, nodes)| is_majority(voters, nodes)).map(|(digest, _)| *digest);
        Contradiction { at, digests, majority }
    });
    found.collect()
}

/// Whether the nodes are a majority of each set of voters.
pub(crate) fn is_majority(voters: &[BTreeSet<NodeId>], nodes: &BTreeSet<NodeId>) -> bool {
    !voters.is_empty() && voters.iter().all(|set| set.intersection(nodes).count() > set.len() / 2)
}

impl Contradiction {
    /// The nodes that report another digest than the majority; none without a majority.
    fn minority(&self) -> Vec<NodeId> {
        let Some(majority) = self.majority else { return Vec::new() };
        let others = self.digests.iter().filter(|(digest, _)| **digest != majority);
        others.flat_map(|(_, nodes)| nodes.iter().copied()).collect()
    }

    /// The nodes that report the digest of the majority.
    pub(crate) fn with_majority(&self) -> BTreeSet<NodeId> {
        self.majority.and_then(|digest| self.digests.get(&digest)).cloned().unwrap_or_default()
    }

    /// The digest that a node reports.
    pub(crate) fn digest_of(&self, node: NodeId) -> Option<u128> {
        self.digests.iter().find(|(_, nodes)| nodes.contains(&node)).map(|(digest, _)| *digest)
    }
}

/// After which entry, and who has which digest.
impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after log entry {} of term {} ", self.at.index, self.at.term)?;
        for (number, (digest, nodes)) in self.digests.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{} has digest {}", named(nodes), Digest::from_number(*digest))?;
        }
        Ok(())
    }
}

/// The nodes, for people.
pub(crate) fn named(nodes: &BTreeSet<NodeId>) -> String {
    let ids: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    format!("{} {}", if ids.len() == 1 { "node" } else { "each of nodes" }, ids.join(", "))
}

#[cfg(test)]
mod tests;
