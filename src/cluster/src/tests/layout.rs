//! The order of the folders: each may import those below it, so that import circles are impossible.
//!
//! The test reads the sources of this crate. Tests may import any folder.

use std::path::{Path, PathBuf};

/// The folders of the crate, the lowest first. A file in the root of the crate is a folder of its own.
const ORDER: [&str; 21] = [
    "error",
    "settings",
    "wire",
    "vote_ledger",
    "checkpoints",
    "peer",
    "raft",
    "write",
    "read",
    "members",
    "divergence",
    "audit",
    "ops",
    "backup",
    "recovery",
    "salvage",
    "server",
    "node",
    "cluster",
    "start",
    "fuzzing",
];

#[test]
fn no_folder_imports_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for file in sources(&root) {
        let path = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        faults.extend(faults_in(&path, &text));
    }
    assert!(
        faults.is_empty(),
        "{}\nA folder imports only folders below it: {}. Move what is needed down to the lower folder, or have \
         the upper one pass it in when it builds the lower one.",
        faults.join("\n"),
        ORDER.join(" < ")
    );
}

#[test]
fn an_import_from_above_is_found_and_one_in_a_comment_or_a_test_is_none() {
    let found = |path: &str, text: &str| faults_in(path, text).len();
    assert_eq!(found("peer/link.rs", "use crate::wire::frame;\nuse crate::peer::proof;\n"), 0);
    assert_eq!(found("peer/link.rs", "use crate::raft::Raft;\n"), 1);
    assert_eq!(found("wire/message.rs", "fn f(at: crate::peer::link::Link) {}\n"), 1);
    assert_eq!(
        found("wire/message.rs", "//! See crate::start.\n#[cfg(test)]\nmod tests {\n use crate::start;\n}"),
        0
    );
    assert_eq!(found("peer/mod.rs", "use super::wire::frame;\n"), 1);
    assert_eq!(found("peer/link.rs", "use super::super::wire::frame;\n"), 1);
    assert_eq!(found("unheard_of/mod.rs", ""), 1);
}

/// The sources that the order applies to: all but tests and the crate root, which only names the
/// folders.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && name != "tests.rs" && name != "lib.rs" {
            found.push(path);
        }
    }
    found
}

/// Violations in the source `text` at `path` under `src`.
fn faults_in(path: &str, text: &str) -> Vec<String> {
    let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    let place = |folder: &str| ORDER.iter().position(|known| *known == folder);
    let Some(own) = place(parts[0]) else {
        return vec![format!("{path}: `{}` has no place in ORDER; give it one", parts[0])];
    };
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut faults = Vec::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let folder: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            match place(&folder) {
                Some(other) if other <= own => {}
                Some(_) => faults.push(format!("{path} imports `{folder}`, which is above `{}`", parts[0])),
                None => faults.push(format!("{path} imports `{folder}`, which has no place in ORDER")),
            }
        }
        let ups = line.matches("super::").count();
        let depth = parts.iter().filter(|part| **part != "mod").count() - 1;
        if parts.len() > 1 && ups > depth && !line.contains("crate::") {
            faults.push(format!("{path} leaves its folder by `super::`; name the path from `crate::`"));
        }
    }
    faults
}
