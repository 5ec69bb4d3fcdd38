//! The page about the audit names every action: those of the audit, and those of the admin API.

use std::path::Path;

use keymoot_audit::Action;

use crate::admin::UseCase;

/// Around what is written by this test.
const MARKS: [&str; 2] =
    ["<!-- every action, written by the test that names them -->\n", "<!-- end of actions -->"];

#[test]
fn every_action_stands_in_the_page_about_the_audit() {
    let own = Action::ALL.iter().map(|(action, summary)| format!("| `{action}` | {summary} |\n"));
    let of_operators = UseCase::ALL
        .iter()
        .map(|case| format!("| `{}` | {} |\n", Action::of_use_case(case.name()), case.summary()));
    let table: String = own.chain(of_operators).collect();
    let table = format!("| action | what it says |\n|---|---|\n{table}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/audit.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(MARKS[0]).unwrap();
    let (written, after) = rest.split_once(MARKS[1]).unwrap();
    if std::env::var_os("KEYMOOT_BLESS").is_some() {
        std::fs::write(&path, [before, MARKS[0], &table, MARKS[1], after].concat()).unwrap();
        return;
    }
    assert_eq!(written, table, "run this test with KEYMOOT_BLESS=1 if that is meant");
}
