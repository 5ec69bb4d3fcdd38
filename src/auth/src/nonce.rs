//! Nonces: what makes a signed request good only once, on whatever node it is shown.
//!
//! This crate decides what a nonce is; where spent ones are remembered is for whoever implements
//! [`NonceLedger`]. It must remember for all nodes, or a replay has only to find another node.

use aws_lc_rs::digest::{Context, SHA256};
use futures::future::BoxFuture;

use keymoot_model::AccountId;

/// A nonce as it is remembered: a digest of whose it is and what it says, and when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// Unique to account, credential and nonce.
    pub digest: [u8; 16],
    /// When the request says it was made: seconds since 1970 UTC, within the accepted window.
    pub created_s: u64,
}

impl Nonce {
    /// The nonce `text` of a credential.
    pub fn new(account: &AccountId, credential: &str, text: &str, created_s: u64) -> Self {
        let mut context = Context::new(&SHA256);
        for field in [account.as_str(), credential, text] {
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field.as_bytes());
        }
        let mut digest = [0; 16];
        digest.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self { digest, created_s }
    }
}

/// What became of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// Nobody had shown it before, and nobody can again.
    First,
    /// It was shown before, or is too old to tell.
    Before,
}

/// Why a nonce could not be spent. The request is then neither granted nor refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// No quorum could be reached in time.
    #[error("no quorum to spend a nonce: {0}")]
    NoQuorum(String),
    #[error("too busy to spend a nonce: {0}")]
    Busy(String),
    /// The ledger is broken.
    #[error("a nonce cannot be spent: {0}")]
    Internal(String),
}

/// Remembers spent nonces for the whole cluster.
pub trait NonceLedger: Send + Sync {
    /// Spends a nonce.
    fn spend(&self, nonce: Nonce) -> BoxFuture<'_, Result<Spent, LedgerError>>;
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;

    use super::*;

    /// A ledger in memory.
    #[derive(Default)]
    pub(crate) struct Remembered(Mutex<HashSet<[u8; 16]>>);

    impl NonceLedger for Remembered {
        fn spend(&self, nonce: Nonce) -> BoxFuture<'_, Result<Spent, LedgerError>> {
            let first = self.0.lock().unwrap().insert(nonce.digest);
            Box::pin(async move { Ok(if first { Spent::First } else { Spent::Before }) })
        }
    }

    #[test]
    fn nonces_of_different_credentials_never_meet() {
        let account = |id: &str| AccountId::new(id).unwrap();
        let all = [("a", "b", "cd"), ("a", "bc", "d"), ("ab", "c", "d"), ("a", "b", "c")];
        let digests: HashSet<_> =
            all.map(|(id, credential, text)| Nonce::new(&account(id), credential, text, 1).digest).into();
        assert_eq!(digests.len(), all.len());
    }
}
