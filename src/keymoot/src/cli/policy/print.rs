//! How policies are printed.

use serde_json::{Value, json};

use keymoot_service::ListedPolicy;

/// Aligned columns.
pub(super) fn table(listed: &[ListedPolicy]) -> String {
    let mut text =
        format!("{:<24}  {:>7}  {:>8}  {:<7}  DESCRIPTION\n", "POLICY", "VERSION", "CONTENTS", "DEFAULT");
    for ListedPolicy { record, contents, is_default } in listed {
        text.push_str(&format!(
            "{:<24}  {:>7}  {:>8}  {:<7}  {}\n",
            record.policy.name.as_str(),
            record.version,
            contents,
            if *is_default { "yes" } else { "no" },
            record.policy.description,
        ));
    }
    text
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
