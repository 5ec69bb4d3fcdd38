//! The documents name files of this repository; the test fails when such a file has been moved.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The documents that name files of the sources.
fn documents(root: &Path) -> Vec<PathBuf> {
    let in_docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = in_docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.chain(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name))).collect()
}

/// The paths in backquotes that begin with one of the repository's folders. `NAME` in capitals is a
/// placeholder for the reader.
fn named_paths(text: &str) -> BTreeSet<&str> {
    let folders = ["src/", "cluster-tests/", "config/", "scripts/", "docs/"];
    let quoted = text.split('`').skip(1).step_by(2).map(|quoted| quoted.trim_end_matches('/'));
    quoted
        .filter(|path| folders.iter().any(|folder| path.starts_with(folder)))
        .filter(|path| !path.contains(char::is_whitespace) && !path.contains("NAME") && !path.contains('*'))
        .collect()
}

#[test]
fn every_promise_is_in_the_list_of_the_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/testing.md")).unwrap();
    for entry in std::fs::read_dir(root.join("cluster-tests/tests/it")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("main.rs") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(page.contains(&format!("| `{name}` |")), "docs/testing.md does not list {name}");
        }
    }
}

#[test]
fn files_that_documents_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut missing = Vec::new();
    for document in documents(&root) {
        let text = std::fs::read_to_string(&document).unwrap();
        for path in named_paths(&text) {
            if !root.join(path).exists() {
                missing.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "name these as they are called now:\n{}", missing.join("\n"));
}
