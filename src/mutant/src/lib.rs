//! Weaknesses on purpose, only in builds with the feature `mutants`: `KEYMOOT_MUTANT` names the one
//! that this process has. They prove that the nemesis would notice such a mistake.
//!
//! Each is one line at the place that it weakens. The default build holds none of them.

use std::sync::LazyLock;

static CHOSEN: LazyLock<String> = LazyLock::new(|| {
    let chosen = std::env::var("KEYMOOT_MUTANT").unwrap_or_default();
    tracing::warn!(mutant = %chosen, "this build lacks safeguards: it is for tests only");
    chosen
});

/// Whether this process has the weakness of this name: `no-fsync`, `local-read`, `no-vote`, `no-dedup` or
/// `no-incarnation`.
pub fn is(name: &str) -> bool {
    *CHOSEN == name
}
