//! Spent nonces, remembered by the replicated state, so that a request that was shown to one node
//! is refused by all.

use futures::future::BoxFuture;

use keymoot_auth::{LedgerError, Nonce, NonceLedger, Spent};
use keymoot_cluster::{Cluster, ClusterError};
use keymoot_state::{Command, Response};

use super::replicated_state::ReplicatedState;

/// The cluster as a ledger of nonces. Spending one is a command like any other: it is batched with
/// what else is proposed, and fsynced on a quorum before the request is granted.
pub struct Nonces<R = Cluster> {
    cluster: R,
}

impl<R: ReplicatedState> Nonces<R> {
    /// Over this cluster.
    pub fn new(cluster: R) -> Self {
        Self { cluster }
    }
}

impl<R: ReplicatedState> NonceLedger for Nonces<R> {
    fn spend(&self, nonce: Nonce) -> BoxFuture<'_, Result<Spent, LedgerError>> {
        let command = Command::SpendNonce { digest: nonce.digest, created_s: nonce.created_s };
        Box::pin(async move {
            match self.cluster.propose_one(command).await {
                Ok(Response::Done) => Ok(Spent::First),
                // What was applied and forgotten was spent, by this request or by another.
                Ok(_) => Ok(Spent::Before),
                Err(error @ ClusterError::NoQuorum { .. }) => Err(LedgerError::NoQuorum(error.to_string())),
                Err(error @ (ClusterError::Busy { .. } | ClusterError::Stopped)) => {
                    Err(LedgerError::Busy(error.to_string()))
                }
                Err(error) => Err(LedgerError::Internal(error.to_string())),
            }
        })
    }
}
