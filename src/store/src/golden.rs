//! Files that the pinned crates wrote, kept under `src/store/tests/golden`.

use std::fs;
use std::path::{Path, PathBuf};

const BLESS: &str = "KEYMOOT_BLESS";

pub(crate) fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("golden").join(name)
}

/// Compares these files with the kept ones of the same names.
pub(crate) fn compare(name: &str, files: &[PathBuf]) {
    let kept = directory(name);
    let bless = std::env::var_os(BLESS).is_some();
    if bless {
        let _ = fs::remove_dir_all(&kept);
        fs::create_dir_all(&kept).unwrap();
    }
    for file in files {
        let beside = kept.join(file.file_name().unwrap());
        if bless {
            fs::copy(file, &beside).unwrap();
        }
        let same = fs::read(&beside).ok() == fs::read(file).ok();
        assert!(
            same,
            "the pinned crate no longer writes {} as it did. Read docs/watched-issues.md before {BLESS}=1 writes it anew",
            beside.display()
        );
    }
    assert_eq!(fs::read_dir(&kept).unwrap().count(), files.len(), "{name} has other files");
}
