use std::path::{Path, PathBuf};

use super::*;

/// Set to write the golden files anew.
const BLESS: &str = "KEYMOOT_BLESS";
/// What stands around the table of roles.
const MARKS: [&str; 2] = ["<!-- roles: begin -->\n", "<!-- roles: end -->\n"];

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file)
}

#[test]
fn the_document_is_the_golden_one() {
    let golden = docs("admin-openapi.json");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&golden, text()).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        expected == text(),
        "the admin API's document changed; if that is meant, run this test with {BLESS}=1, which writes \
         docs/admin-openapi.json, and look at the difference"
    );
}

/// The table of what each role may do, as the documents have it.
fn table() -> String {
    let names: Vec<String> = Role::ALL.iter().map(ToString::to_string).collect();
    let mut table = format!("| request | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(Role::ALL.len()));
    for case in UseCase::ALL.iter().copied() {
        let method = if case.method() == Method::Get { "GET" } else { "POST" };
        let may = Role::ALL.map(|role| if case.is_open_to(&[role]) { "yes" } else { "" });
        table.push_str(&format!("| `{method} {}` | {} |\n", case.path(), may.join(" | ")));
    }
    table
}

#[test]
fn the_documents_table_of_roles_is_the_codes() {
    let file = docs("admin-api.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).expect("where the table begins");
    let (found, after) = rest.split_once(MARKS[1]).expect("where the table ends");
    if std::env::var_os(BLESS).is_some() {
        let new = [before, MARKS[0], &table(), MARKS[1], after].concat();
        std::fs::write(&file, new).unwrap();
        return;
    }
    assert!(
        found == table(),
        "run this test with {BLESS}=1, which writes the table in docs/admin-api.md anew"
    );
}
