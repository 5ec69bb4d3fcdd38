//! Programs that are told a false time, by libfaketime.

use std::path::{Path, PathBuf};

/// The library that lies about the time, if it is installed.
pub fn library() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?;
    let mut paths = libraries.filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketime.so.1")));
    let found = paths.find(|path| path.exists());
    if found.is_none() {
        eprintln!("NOT RUN, because libfaketime is not installed (apt-get install faketime)");
    }
    found
}

/// The environment of a program whose clock is what this file says at each look, such as `+1h`; its timers run on.
pub fn environment<'a>(library: &'a Path, offset: &'a Path) -> [(&'static str, &'a str); 4] {
    let text = |path: &'a Path| path.to_str().unwrap_or_default();
    [
        ("LD_PRELOAD", text(library)),
        ("FAKETIME_TIMESTAMP_FILE", text(offset)),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
}
