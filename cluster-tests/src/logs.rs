//! The ends of the nodes' logs, printed when a test fails, because their directory is deleted.

use std::path::{Path, PathBuf};

/// Enough lines to show a node's last actions.
const TAIL_LINES: usize = 40;

/// The last lines of each file under its name.
pub fn tails(files: &[PathBuf]) -> String {
    files.iter().map(|path| tail(path)).collect::<Vec<_>>().join("\n")
}

fn tail(path: &Path) -> String {
    let text = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
    format!("--- the end of {}\n{}", path.display(), shown.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_shown_and_a_missing_file_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let text: String = (1..=TAIL_LINES + 1).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let shown = tails(&[path, dir.path().join("b.log")]);
        assert!(!shown.contains("line 1\n") && shown.contains("line 2\n"), "{shown}");
        assert!(shown.ends_with("b.log\n"), "{shown}");
    }
}
