//! The proposer: collects commands into batches and waits for the answer to each batch.
//!
//! A batch is sent as soon as fewer than the allowed number are in flight, with all commands that
//! wait then; so the busier the node, the larger the batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use keymoot_state::Command;

use crate::error::ClusterError;
use crate::write::batcher::{BatchLimits, Batcher};
use crate::write::committed::Committed;
use crate::write::forwarder::ProposalForwarder;

/// Batches the commands of this node. Commands that are submitted together stay in one proposal.
pub(crate) type Proposer = Batcher<Vec<Command>, Result<Committed, ClusterError>>;

/// The proposer over `forwarder`; a batch fails after `patience`.
pub(crate) fn proposer(
    forwarder: Arc<ProposalForwarder>,
    runtime: Handle,
    limits: BatchLimits,
    patience: Duration,
) -> Proposer {
    let commands_max = limits.batch_max;
    Batcher::new(runtime, limits, move |groups| {
        let forwarder = forwarder.clone();
        Box::pin(async move {
            let mut answers = Vec::with_capacity(groups.len());
            for batch in split(groups, commands_max) {
                answers.extend(forwarder.forward(batch, Instant::now() + patience).await);
            }
            answers
        })
    })
}

/// Splits groups of commands into batches of at most `commands_max` commands; no group is divided.
fn split(groups: Vec<Vec<Command>>, commands_max: usize) -> Vec<Vec<Vec<Command>>> {
    let mut batches: Vec<Vec<Vec<Command>>> = Vec::with_capacity(1);
    let mut room = 0;
    for group in groups {
        match batches.last_mut().filter(|_| group.len() <= room) {
            Some(batch) => {
                room -= group.len();
                batch.push(group);
            }
            None => {
                room = commands_max.saturating_sub(group.len());
                batches.push(vec![group]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_are_submitted_together_stay_together_within_the_bound() {
        let group = |size: usize| vec![Command::RaiseFeatureLevel { to: 1 }; size];
        let sizes = |groups: &[usize], commands_max| -> Vec<Vec<usize>> {
            let batches = split(groups.iter().map(|size| group(*size)).collect(), commands_max);
            batches.iter().map(|batch| batch.iter().map(Vec::len).collect()).collect()
        };
        assert_eq!(sizes(&[1, 1, 1], 3), [[1, 1, 1]]);
        assert_eq!(sizes(&[1, 2, 1, 3], 3), [vec![1, 2], vec![1], vec![3]]);
        assert_eq!(sizes(&[5, 1], 3), [[5], [1]], "larger than the bound, and yet one proposal");
        assert!(sizes(&[], 3).is_empty());
    }
}
