//! Pages that the system must not write to a swap device.

use std::io;

/// Locks the pages in which this value lies, for as long as the process lives.
///
/// Locks do not nest: another secret may share the page, so nothing is ever unlocked. A process reads few
/// keyrings in its life.
///
/// # Errors
/// When the system refuses: the process may lock no more memory.
pub(super) fn lock<T>(value: &T) -> io::Result<()> {
    let guard = region::lock(std::ptr::from_ref(value), size_of::<T>())?;
    std::mem::forget(guard);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_counts_what_is_locked() {
        let locked = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        let secret = Box::new([7_u8; 64]);
        match lock(&*secret) {
            Ok(()) => assert!(locked() > 0),
            Err(error) => assert!(error.raw_os_error().is_some(), "{error}"),
        }
    }
}
