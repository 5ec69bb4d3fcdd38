//! What the machine allows the node.

use super::super::{descriptors, memory};
use super::finding::Finding;
use crate::config::Config;
use keymoot_crypto::Keyring;

/// Connections of clients and peers, and the files of log and tables.
const FILES_MIN: u64 = 4096;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut findings = vec![files(descriptors::attainable(), config), dumps(memory::try_to_refuse_dumps())];
    // Without a keyring, its own check says so.
    if let Ok(keyring) = Keyring::load(&config.keys.keyring_file) {
        findings.push(lock(keyring.is_locked()));
    }
    findings
}

/// Tried on this process, which has just as little use for a dump.
fn dumps(refused: Result<(), String>) -> Finding {
    const CHECK: &str = "core dumps";
    match refused {
        Ok(()) => Finding::ok(CHECK, "a node that runs as whoever runs this command leaves none"),
        Err(error) => Finding::warn(CHECK, error, memory::NO_DUMPS),
    }
}

fn lock(locked: Result<(), String>) -> Finding {
    const CHECK: &str = "locked memory";
    match locked {
        Ok(()) => Finding::ok(CHECK, "master keys are never swapped out, for whoever runs this command"),
        Err(error) => {
            let saw = format!("master keys may be swapped out: {error}");
            Finding::warn(CHECK, saw, memory::MORE_LOCKED)
        }
    }
}

/// A node raises the limit as far as it may, so that is what counts.
fn files(limit: Option<u64>, config: &Config) -> Finding {
    const CHECK: &str = "open files";
    let Some(most) = limit else { return Finding::ok(CHECK, "as many as needed") };
    let shares = descriptors::connections(most, config);
    let clients = shares.api + shares.packagers;
    let saw = format!(
        "at most {most}, for whoever runs this command; {clients} of them for connections of clients"
    );
    if most < FILES_MIN {
        let fix = format!("allow {FILES_MIN} or more: ulimit -Hn, or LimitNOFILE= of the service");
        return Finding::warn(CHECK, saw, fix);
    }
    Finding::ok(CHECK, saw)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn memory_that_may_reach_a_disk_is_worth_a_warning_that_says_what_to_set() {
        assert_eq!((dumps(Ok(())).level, lock(Ok(())).level), (Level::Ok, Level::Ok));
        let found = [dumps(Err("refused".to_owned())), lock(Err("refused".to_owned()))];
        for (found, setting) in found.iter().zip(["LimitCORE=0", "LimitMEMLOCK=8M"]) {
            assert!(found.level == Level::Warn && found.saw.contains("refused"), "{found:?}");
            assert!(found.fix.as_deref().is_some_and(|fix| fix.contains(setting)), "{found:?}");
        }
    }

    #[test]
    fn few_files_are_worth_a_warning() {
        let level = |limit| files(limit, &Config::default()).level;
        assert_eq!(level(Some(1024)), Level::Warn);
        assert_eq!(level(Some(4096)), Level::Ok);
        assert_eq!(level(None), Level::Ok);
    }
}
