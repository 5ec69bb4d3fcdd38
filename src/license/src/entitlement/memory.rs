//! A cache of recent positive decisions, by a digest of the whole request.

use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::{Entitled, Viewer};

/// The most viewers that are cached; beyond it, some are requested again.
const VIEWERS_MAX: usize = 20_000;

/// A digest of a viewer and the request. It does not hold the token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct ViewerDigest([u8; 32]);

impl ViewerDigest {
    /// The digest covers every value that a back end may decide by, and the entry.
    pub(super) fn of(entry: usize, viewer: &Viewer<'_>) -> Self {
        let mut digest = Sha256::new();
        digest.update((entry as u64).to_be_bytes());
        let client = viewer.client.to_string();
        let parts = [
            Some(viewer.account.id.as_str()),
            Some(viewer.content.as_str()),
            Some(viewer.ca_system.as_str()),
            viewer.user_token,
            viewer.udid,
            viewer.additional_cas_system,
            Some(client.as_str()),
        ];
        let files = viewer.files.iter().map(|file| Some(file.as_str()));
        for part in parts.into_iter().chain(files) {
            // The length precedes each part, so that no two lists of parts have the same bytes.
            digest.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            digest.update(part.unwrap_or("").as_bytes());
        }
        Self(digest.finalize().into())
    }
}

/// The memory.
pub(super) struct Memory {
    entitled: Cache<ViewerDigest, (Instant, Entitled)>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { entitled: Cache::new(VIEWERS_MAX) }
    }

    /// The decision about this viewer, if it is no older than `within`.
    pub(super) fn recall(&self, viewer: &ViewerDigest, within: Duration) -> Option<Entitled> {
        let (asked_at, entitled) = self.entitled.get(viewer)?;
        (asked_at.elapsed() < within).then_some(entitled)
    }

    pub(super) fn remember(
        &self,
        viewer: ViewerDigest,
        asked_at: Instant,
        within: Duration,
        entitled: &Entitled,
    ) {
        if asked_at.elapsed() < within {
            self.entitled.insert(viewer, (asked_at, entitled.clone()));
        }
    }
}
