//! The proposer: collects commands into batches and follows each batch to its answer.
//!
//! A batch leaves as soon as fewer than the allowed number are in flight, with all that waits
//! then; so the busier the node, the larger the batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use keymoot_state::{Command, Response};

use crate::error::ClusterError;
use crate::write::batcher::{BatchLimits, Batcher};
use crate::write::forwarder::ProposalForwarder;

/// Batches the commands of this node.
pub type Proposer = Batcher<Command, Result<Response, ClusterError>>;

/// The proposer over `forwarder`; a batch gives up after `patience`.
pub fn proposer(
    forwarder: Arc<ProposalForwarder>,
    runtime: Handle,
    limits: BatchLimits,
    patience: Duration,
) -> Proposer {
    Batcher::new(runtime, limits, move |commands| {
        let forwarder = forwarder.clone();
        Box::pin(async move { forwarder.forward(commands, Instant::now() + patience).await })
    })
}
