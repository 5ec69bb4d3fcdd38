//! When this node last granted a request by each credential. Known since the start of the process, and asked of every
//! member for a listing: to replicate it would cost a write for each request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use keymoot_model::AccountId;

use crate::wire::admin::CredentialUses;
use crate::write::clock::now_ms;

/// The last use by account and credential.
type Cells = BTreeMap<(AccountId, String), Arc<AtomicU64>>;

/// The last uses. Cheap to clone.
#[derive(Clone)]
pub struct UseRegistry {
    since_ms: u64,
    cells: Arc<Mutex<Cells>>,
}

impl Default for UseRegistry {
    fn default() -> Self {
        Self { since_ms: now_ms(), cells: Arc::default() }
    }
}

impl UseRegistry {
    /// Where the last use of a credential is noted: milliseconds since 1970 UTC, 0 for none.
    pub fn cell(&self, account: &AccountId, credential: &str) -> Arc<AtomicU64> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.entry((account.clone(), credential.to_owned())).or_default().clone()
    }

    /// Every credential that was used.
    pub(crate) fn list(&self) -> CredentialUses {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let uses = cells.iter().filter_map(|((account, name), at)| match at.load(Ordering::Relaxed) {
            0 => None,
            at => Some((account.clone(), name.clone(), at)),
        });
        CredentialUses { since_ms: self.since_ms, uses: uses.collect() }
    }
}
