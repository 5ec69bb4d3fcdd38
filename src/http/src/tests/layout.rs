//! Who may use whom, read from the crate's own sources: what requests and answers share knows no front end,
//! and no front end knows another.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers above those that requests and answers may use.
const ABOVE: [&str; 3] = ["front", "dispatch", "openapi"];

/// Every source file below a folder of `src`, with the path from there.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
    let mut open = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// The modules that a text names by their path from the crate's root: `front::udrm` of
/// `use crate::front::udrm::encryption;` or `crate::{front::udrm, api}`.
fn named(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code: String = code.split_whitespace().collect();
    code.match_indices("crate::").flat_map(|(at, root)| paths(&code[at + root.len()..])).collect()
}

/// The paths that stand at the beginning of a text without spaces, groups in braces taken apart; none where
/// nothing stands, as behind a group's last comma.
fn paths(text: &str) -> Vec<String> {
    if let Some(group) = text.strip_prefix('{') {
        return members(group).iter().flat_map(|member| paths(member)).collect();
    }
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    match text[name.len()..].strip_prefix("::") {
        Some(rest) => paths(rest).into_iter().map(|rest| format!("{name}::{rest}")).collect(),
        None if name.is_empty() => Vec::new(),
        None => vec![name],
    }
}

/// What stands between the commas of a group, whose opening brace is gone.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut members) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&group[begin..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    members
}

#[test]
fn requests_and_answers_know_no_front_end() {
    for folder in ["request", "answer"] {
        for (file, text) in sources(folder) {
            for path in named(&text) {
                let layer = path.split("::").next().unwrap();
                assert!(!ABOVE.contains(&layer), "{folder}/{} uses {path}", file.display());
            }
        }
    }
}

#[test]
fn no_front_end_knows_another() {
    for (file, text) in sources("front") {
        let own = file.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        for path in named(&text) {
            let mut parts = path.split("::");
            let is_foreign = match parts.next() {
                Some("front") => parts.next() != Some(own),
                Some(layer) => ABOVE.contains(&layer),
                None => false,
            };
            assert!(!is_foreign, "front/{} uses {path}", file.display());
        }
        // A file's `super` is the folder of the front ends; that of a file in a folder is its own front end.
        let is_file = file.components().count() == 1 || file.ends_with("mod.rs");
        assert!(!is_file || !has_sibling(&text), "front/{} uses a sibling by super::", file.display());
    }
}

/// Whether code outside the file's own test module reaches upwards.
fn has_sibling(text: &str) -> bool {
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().any(|line| line.starts_with("use super::"))
}

#[test]
fn imports_are_read_in_every_form() {
    let text =
        "use crate::front::udrm::a;\nuse crate::{\n  api, front::{hls, license::cors},\n};\n// crate::x\n";
    assert_eq!(named(text), ["front::udrm::a", "api", "front::hls", "front::license::cors"]);
    assert_eq!(named("let x = crate::dispatch::endpoint::A();"), ["dispatch::endpoint::A"]);
}
