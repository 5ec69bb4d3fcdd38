//! Spent nonces, remembered by the replicated state, so that a request that was shown to one node
//! is refused by all.

use futures::future::BoxFuture;

use keymoot_auth::{LedgerError, Nonce, NonceLedger, Spent};
use keymoot_cluster::{Cluster, ClusterError};
use keymoot_protocol::SignatureWindow;
use keymoot_state::{Command, NONCES_REMEMBERED_S, Response};

use super::replicated_state::ReplicatedState;

// A nonce is forgotten by a proposer's clock, which may be ahead as a client's may: by then no node accepts
// its request, or a digest made with it, any more.
const _: () =
    assert!(NONCES_REMEMBERED_S > SignatureWindow::LIFETIME_S_MAX + 2 * SignatureWindow::CLOCK_SKEW_S_MAX);

/// The cluster as a ledger of nonces. Spending one is a command like any other: it is batched with
/// what else is proposed, and fsynced on a quorum before the request is granted.
pub struct Nonces<R = Cluster> {
    cluster: R,
}

impl<R: ReplicatedState> Nonces<R> {
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
                Err(
                    error @ (ClusterError::NoQuorum { .. }
                    | ClusterError::Behind { .. }
                    | ClusterError::Diverged(_)),
                ) => Err(LedgerError::NoQuorum(error.to_string())),
                Err(error @ (ClusterError::Busy { .. } | ClusterError::Stopped)) => {
                    Err(LedgerError::Busy(error.to_string()))
                }
                Err(error) => Err(LedgerError::Internal(error.to_string())),
            }
        })
    }
}
