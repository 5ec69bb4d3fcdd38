//! What the machine allows the node.

use super::super::descriptors;
use super::finding::Finding;
use crate::config::Config;

/// Connections of clients and peers, and the files of log and tables.
const FILES_MIN: u64 = 4096;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    vec![files(descriptors::attainable(), config)]
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
    fn few_files_are_worth_a_warning() {
        let level = |limit| files(limit, &Config::default()).level;
        assert_eq!(level(Some(1024)), Level::Warn);
        assert_eq!(level(Some(4096)), Level::Ok);
        assert_eq!(level(None), Level::Ok);
    }
}
