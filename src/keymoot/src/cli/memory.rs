//! Keeps what a node holds in memory off every disk: no core dump, and no master key in swap.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

use keymoot_crypto::Keyring;

/// What to do where core dumps cannot be refused.
pub(super) const NO_DUMPS: &str = "start the node with ulimit -c 0, or LimitCORE=0 in the service";
/// What to do where memory cannot be locked.
pub(super) const MORE_LOCKED: &str =
    "allow 8 MiB of locked memory: ulimit -l 8192, or LimitMEMLOCK=8M in the service; or do without swap";

/// Nobody gets a dump of this process, and nobody but root looks into it.
pub(super) fn refuse_dumps() {
    if let Err(error) = try_to_refuse_dumps() {
        tracing::warn!(error, fix = NO_DUMPS, "this process may leave core dumps, which would hold keys");
    }
}

/// The same, and says what the system refuses.
pub(super) fn try_to_refuse_dumps() -> Result<(), String> {
    // Alone it keeps dumps from pipes and debuggers too, where the limit is not asked.
    let dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    dumpable.map_err(|error| format!("the system keeps the process dumpable: {error}"))?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if getrlimit(Resource::Core) == none {
        return Ok(());
    }
    setrlimit(Resource::Core, none).map_err(|error| format!("the limit on core dumps stays: {error}"))
}

/// Says it if master keys may be swapped out.
pub(super) fn report_lock(keyring: &Keyring) {
    if let Err(error) = keyring.is_locked() {
        tracing::warn!(
            error,
            fix = MORE_LOCKED,
            "master keys are not locked in memory: they may be swapped out"
        );
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn a_process_that_refuses_dumps_has_none() {
        try_to_refuse_dumps().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        try_to_refuse_dumps().unwrap();
    }
}
