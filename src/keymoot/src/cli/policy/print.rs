//! How policies are printed.

use serde_json::{Value, json};

use keymoot_command::Column::{Left, Right};
use keymoot_command::Table;
use keymoot_service::ListedPolicy;

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
