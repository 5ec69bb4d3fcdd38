//! How full the disk of the data directory is.

use std::path::Path;

use super::admin::DiskStatus;

/// Looks at the disk and at the data; none when the directory cannot be looked at.
pub fn look_at(data_dir: &Path) -> Option<DiskStatus> {
    let disk = rustix::fs::statvfs(data_dir).ok()?;
    Some(DiskStatus {
        total_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
        free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        data_bytes: bytes_under(data_dir),
    })
}

/// Files may come and go meanwhile: what cannot be looked at does not count.
fn bytes_under(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_under(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_below_count_and_a_missing_directory_is_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/x"), [0; 30]).unwrap();
        std::fs::write(dir.path().join("y"), [0; 12]).unwrap();
        let seen = look_at(dir.path()).unwrap();
        assert_eq!(seen.data_bytes, 42);
        assert!(seen.free_bytes <= seen.total_bytes && seen.total_bytes > 0);
        assert_eq!(look_at(&dir.path().join("nowhere")), None);
    }
}
