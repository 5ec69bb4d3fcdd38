//! How policies are printed.

use serde_json::{Value, json};

use keymoot_command::Column::{Left, Right};
use keymoot_command::Table;
use keymoot_service::ListedPolicy;
use keymoot_state::PolicyUsesPage;

/// Aligned columns.
pub(super) fn table(listed: &[ListedPolicy]) -> String {
    let mut table = Table::new([
        Left("POLICY"),
        Right("VERSION"),
        Right("CONTENTS"),
        Left("DEFAULT"),
        Left("DESCRIPTION"),
    ]);
    for ListedPolicy { record, contents, is_default } in listed {
        table.row([
            record.policy.name.to_string(),
            record.version.to_string(),
            contents.to_string(),
            if *is_default { "yes" } else { "no" }.to_owned(),
            record.policy.description.clone(),
        ]);
    }
    table.to_string()
}

/// A list of objects.
pub(super) fn json(listed: &[ListedPolicy]) -> String {
    let rows = listed.iter().map(|ListedPolicy { record, contents, is_default }| {
        json!({
            "policy": record.policy.to_json(),
            "version": record.version,
            "changed_at_ms": record.changed_at_ms,
            "contents": contents,
            "is_default": is_default,
        })
    });
    format!("{:#}\n", Value::Array(rows.collect()))
}

/// The contents of a policy, one a line.
pub(super) fn uses(page: &PolicyUsesPage) -> String {
    let mut text: String = page.contents.iter().map(|content| format!("{content}\n")).collect();
    if page.is_default {
        text.push_str("it is the default: it holds for every content that has no policy of its own, too\n");
    }
    match &page.next {
        Some(next) => text.push_str(&format!("there may be more: --after {next}\n")),
        None if text.is_empty() => text.push_str("nothing uses it\n"),
        None => {}
    }
    text
}

/// The same for scripts.
pub(super) fn uses_json(page: &PolicyUsesPage) -> String {
    let PolicyUsesPage { contents, is_default, next } = page;
    format!("{:#}\n", json!({"contents": contents, "is_default": is_default, "next": next}))
}
