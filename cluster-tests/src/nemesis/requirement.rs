//! The requirements on the machine, checked before a run makes anything.

use std::path::Path;

use crate::tool;

/// Programs that the rig needs, and the Debian package of each.
const PROGRAMS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("ss", "iproute2"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("iptables-restore", "iptables"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
    ("cc", "gcc"),
];

/// Why the rig cannot work on this machine; `None` when it can.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("network namespaces and loop mounts need root".to_owned());
    }
    if let Some((program, package)) = PROGRAMS.iter().find(|(program, _)| !is_there(program)) {
        return Some(format!("the program {program} is missing (Debian package {package})"));
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("there is no /dev/loop-control to mount disk images by".to_owned());
    }
    namespaces().err().map(|error| format!("network namespaces do not work here: {error}"))
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Tries the first operations of every run.
fn namespaces() -> Result<(), crate::RigError> {
    let name = format!("km{}t", std::process::id());
    tool::run("ip", &["netns", "add", &name])?;
    let rules = tool::run_inside(&name, "iptables", &["-w", "-A", "INPUT", "-j", "DROP"]);
    tool::run("ip", &["netns", "delete", &name])?;
    rules.map(|_| ())
}
