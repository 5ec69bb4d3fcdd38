//! The cluster's feature level in this node's state, and whether a program supports it.

use std::sync::Arc;

use keymoot_state as state;
use keymoot_state::{FEATURE_LEVEL, StateError, Tables};

type Read = dyn Fn() -> Result<u32, StateError> + Send + Sync;

/// Reads the cluster's feature level from the state. Cheap to clone.
#[derive(Clone)]
pub(crate) struct FeatureLevel(Arc<Read>);

impl FeatureLevel {
    /// The level in these tables.
    pub(crate) fn of<T: Tables + Send + Sync + 'static>(tables: T) -> Self {
        Self(Arc::new(move || {
            let identity = state::cluster_identity(&tables)?;
            Ok(identity.map_or(0, |identity| identity.feature_level))
        }))
    }

    /// The level of a tool, which has no state.
    pub(crate) fn unknown() -> Self {
        Self(Arc::new(|| Ok(0)))
    }

    /// This level.
    #[cfg(test)]
    pub(crate) fn fixed(level: u32) -> Self {
        Self(Arc::new(move || Ok(level)))
    }

    /// The level; 0 before the cluster is initialized.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) fn current(&self) -> Result<u32, StateError> {
        (self.0)()
    }

    /// The level to greet with. A node that cannot read its state greets with 0 and is accepted:
    /// its log and its vote still serve the others.
    pub(crate) fn for_greeting(&self) -> u32 {
        self.current().unwrap_or_default()
    }
}

/// Checks that a program with features up to `known` can be in a cluster of this level.
///
/// # Errors
/// The text says which version the cluster needs.
pub(crate) fn check_level(cluster: u32, known: u32) -> Result<(), String> {
    if cluster <= known {
        return Ok(());
    }
    let needed = match cluster <= FEATURE_LEVEL {
        true => format!("Keymoot {} or later", state::version_of_level(cluster)),
        false => "the version of Keymoot that the other nodes run".to_owned(),
    };
    Err(format!(
        "the cluster is at feature level {cluster} and this program knows levels up to {known}: it needs {needed}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_knows_too_little_is_told_what_it_needs() {
        assert_eq!(check_level(1, 1), Ok(()));
        assert_eq!(check_level(1, 2), Ok(()));
        let said = check_level(FEATURE_LEVEL, 0).unwrap_err();
        assert!(said.contains("needs Keymoot 0.1.0 or later"), "{said}");
        let said = check_level(FEATURE_LEVEL + 1, FEATURE_LEVEL).unwrap_err();
        assert!(said.contains("the version of Keymoot that the other nodes run"), "{said}");
    }
}
