//! Leftovers of runs that were killed: found by the process id in every name, and removed by the
//! next run. Only things of the rig's runs are ever touched.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::tool;

/// The tag in the names of this run: short, because a network device's name has at most 15 letters.
pub fn tag() -> String {
    format!("km{}", std::process::id())
}

/// The process id of the run that a name belongs to, if it is the rig's.
fn owner(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("km")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, kind) = rest.split_at_checked(digits)?;
    let ours = kind.strip_prefix(['b', 'n', 'v', 't'])?.bytes().all(|b| b.is_ascii_digit());
    if ours { number.parse().ok() } else { None }
}

fn is_gone(run: u32) -> bool {
    !Path::new("/proc").join(run.to_string()).exists()
}

/// Removes namespaces (with their processes), bridges, and mounts and files under `root` of runs
/// that have ended. A thing that cannot be removed is reported and left.
pub fn sweep(root: &Path) {
    for namespace in namespaces().iter().filter(|name| owner(name).is_some_and(is_gone)) {
        remove_namespace(namespace);
    }
    for device in devices().iter().filter(|name| owner(name).is_some_and(is_gone)) {
        tell(tool::run("ip", &["link", "delete", device]));
    }
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let run = name.strip_prefix("nemesis-").and_then(|run| run.parse().ok());
        if run.is_some_and(is_gone) {
            remove_tree(&entry.path());
        }
    }
}

/// Kills the processes in a namespace, and removes it.
pub fn remove_namespace(name: &str) {
    let pids = tool::run("ip", &["netns", "pids", name]).unwrap_or_default();
    for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw) {
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, Signal::KILL);
    }
    tell(tool::run("ip", &["netns", "delete", name]));
}

/// Unmounts everything below `dir`, and removes it.
pub fn remove_tree(dir: &Path) {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let below: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter(|at| Path::new(at).starts_with(dir))
        .collect();
    for at in below.iter().rev() {
        tell(tool::run("umount", &["--lazy", at]));
    }
    if let Err(error) = std::fs::remove_dir_all(dir) {
        eprintln!("nemesis: {} could not be removed: {error}", dir.display());
    }
}

fn tell(outcome: Result<String, crate::RigError>) {
    if let Err(error) = outcome {
        eprintln!("nemesis: {error}");
    }
}

fn namespaces() -> Vec<String> {
    let listed = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    listed.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn devices() -> Vec<String> {
    let listed = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let names = listed.map(|entry| entry.file_name().to_string_lossy().into_owned());
    // Only the bridge's end of a pair is listed: the node's end goes with its namespace, and this
    // end with it.
    names.filter(|name| name.ends_with('b')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_rig_have_an_owner() {
        assert_eq!(owner("km4194304b"), Some(4_194_304));
        assert_eq!(owner("km12n5"), Some(12));
        assert_eq!(owner("km12v5"), Some(12));
        for foreign in ["eth0", "kmb", "km12", "km12x", "km12n5x", "docker0", "km-1b"] {
            assert_eq!(owner(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn this_run_is_not_gone() {
        assert!(!is_gone(std::process::id()));
    }
}
