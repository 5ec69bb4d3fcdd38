//! What the machine allows the node.

use rustix::process::{Resource, getrlimit};

use super::finding::Finding;

/// Connections of clients and peers, and the files of log and tables.
const FILES_MIN: u64 = 4096;

pub(super) fn check() -> Vec<Finding> {
    vec![files(getrlimit(Resource::Nofile).current)]
}

fn files(limit: Option<u64>) -> Finding {
    const CHECK: &str = "open files";
    match limit {
        Some(most) if most < FILES_MIN => {
            let fix = format!("allow {FILES_MIN} or more: ulimit -n, or LimitNOFILE= of the service");
            Finding::warn(CHECK, format!("at most {most}, for whoever runs this command"), fix)
        }
        Some(most) => Finding::ok(CHECK, format!("at most {most}")),
        None => Finding::ok(CHECK, "as many as needed"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn few_files_are_worth_a_warning() {
        assert_eq!(files(Some(1024)).level, Level::Warn);
        assert_eq!(files(Some(4096)).level, Level::Ok);
        assert_eq!(files(None).level, Level::Ok);
    }
}
