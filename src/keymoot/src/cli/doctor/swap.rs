//! Whether what a node holds in memory may reach a disk by way of swap.

use std::fs;
use std::path::{Path, PathBuf};

use super::finding::Finding;

const CHECK: &str = "swap";
const FIX: &str =
    "MemorySwapMax=0 in the service, as keymoot.service has it; or swapoff -a, or encrypted swap";
/// Where the service that comes with the program has its limit.
const SERVICE: &str = "system.slice/keymoot.service";

pub(super) fn check() -> Finding {
    found(Path::new("/"))
}

/// `root` is where `proc` and `sys` are.
fn found(root: &Path) -> Finding {
    let open: Vec<String> = devices(root).into_iter().filter(|device| !is_safe(root, device)).collect();
    if open.is_empty() {
        return Finding::ok(CHECK, "this machine has no swap that holds memory in the clear");
    }
    if limited(root) {
        return Finding::ok(
            CHECK,
            format!("there is {}, and a limit that keeps the node out of it", open.join(", ")),
        );
    }
    let saw = format!(
        "accounts' keys and the node's own TLS key may be written to {} in the clear: only master keys are locked",
        open.join(", ")
    );
    Finding::warn(CHECK, saw, FIX)
}

/// The devices and files that are swapped to.
fn devices(root: &Path) -> Vec<String> {
    let table = fs::read_to_string(root.join("proc/swaps")).unwrap_or_default();
    table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Whether a device is memory itself, or encrypted.
fn is_safe(root: &Path, device: &str) -> bool {
    let Ok(path) = Path::new(device).strip_prefix("/") else { return false };
    let path = fs::canonicalize(root.join(path)).unwrap_or_else(|_| root.join(path));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let block = root.join("sys/block").join(name);
    let says = |file: &str| fs::read_to_string(block.join(file)).unwrap_or_default();
    match name.strip_prefix("zram") {
        Some(_) => matches!(says("backing_dev").trim(), "" | "none"),
        None => says("dm/uuid").starts_with("CRYPT-"),
    }
}

/// Whether the service, or the group of processes that this command runs in, may use no swap.
fn limited(root: &Path) -> bool {
    let groups = root.join("sys/fs/cgroup");
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).map(PathBuf::from);
    let forbids = |group: &Path| {
        fs::read_to_string(groups.join(group).join("memory.swap.max")).is_ok_and(|max| max.trim() == "0")
    };
    // A limit holds for all groups below.
    own.iter().flat_map(|own| own.ancestors()).any(forbids) || forbids(Path::new(SERVICE))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn machine(files: &[(&str, &str)]) -> Finding {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        found(root.path())
    }

    const HEAD: &str = "Filename Type Size Used Priority\n";

    #[test]
    fn a_machine_that_never_swaps_in_the_clear_is_well() {
        let zram = format!("{HEAD}/dev/zram0 partition 1 0 100\n");
        let crypt = format!("{HEAD}/dev/dm-1 partition 1 0 -2\n");
        for files in [
            vec![("proc/swaps", HEAD)],
            vec![("proc/swaps", zram.as_str()), ("sys/block/zram0/backing_dev", "none\n")],
            vec![("proc/swaps", crypt.as_str()), ("sys/block/dm-1/dm/uuid", "CRYPT-PLAIN-swap\n")],
        ] {
            let found = machine(&files);
            assert_eq!(found.level, Level::Ok, "{found:?}");
        }
    }

    #[test]
    fn swap_in_the_clear_is_named_with_what_keeps_a_node_out_of_it() {
        let swaps = format!("{HEAD}/dev/sda2 partition 1 0 -2\n");
        for safe in [("sys/block/dm-1/dm/uuid", "LVM-x"), ("proc/self/cgroup", "0::/a/b\n")] {
            let found = machine(&[("proc/swaps", &swaps), safe]);
            assert!(found.level == Level::Warn && found.saw.contains("/dev/sda2"), "{found:?}");
            assert!(found.fix.as_deref().is_some_and(|fix| fix.contains("MemorySwapMax=0")), "{found:?}");
        }
        for limit in
            ["sys/fs/cgroup/a/memory.swap.max", "sys/fs/cgroup/system.slice/keymoot.service/memory.swap.max"]
        {
            let found = machine(&[("proc/swaps", &swaps), ("proc/self/cgroup", "0::/a/b\n"), (limit, "0\n")]);
            assert_eq!(found.level, Level::Ok, "{found:?}");
        }
        let backed = format!("{HEAD}/dev/zram0 partition 1 0 100\n");
        let found = machine(&[("proc/swaps", &backed), ("sys/block/zram0/backing_dev", "/dev/sda3\n")]);
        assert_eq!(found.level, Level::Warn, "{found:?}");
    }
}
