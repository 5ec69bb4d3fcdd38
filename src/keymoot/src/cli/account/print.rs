//! How accounts and credentials are printed: never a secret, not even a wrapped one.

use serde_json::{Value, json};

use super::documents;
use crate::cli::args::OutputFormat;
use crate::cli::clock::{instant, now_ms};
use keymoot_cluster::{AccountDetails, CredentialUses};
use keymoot_command::{Column, Table};
use keymoot_model::{Account, AccountStatus, Credential, NodeId};

/// All accounts.
pub(super) fn list(details: &AccountDetails, output: OutputFormat) -> String {
    match output {
        OutputFormat::Table => table(&details.accounts),
        OutputFormat::Json => {
            let rows: Vec<Value> =
                details.accounts.iter().map(|(account, status)| as_json(account, status)).collect();
            format!("{:#}\n", json!(rows))
        }
    }
}

/// One account.
pub(super) fn one(account: &Account, status: &AccountStatus, output: OutputFormat) -> String {
    match output {
        OutputFormat::Table => {
            let mut table = Table::new([Column::Left(""); 2]);
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
            let minimum = account.minimum_scheme.map_or("any", keymoot_model::Scheme::name);
            let consistency = json!(account.consistency);
            let shape = json!(account.response_shape);
            for (name, value) in [
                ("account", account.id.to_string()),
                ("state", state(status)),
                ("created", instant(account.created_at_ms)),
                ("ca_systems", joined(&account.ca_systems, "any")),
                ("allowed", joined(&account.allow_list, "nobody")),
                ("consistency", consistency.as_str().unwrap_or_default().to_owned()),
                ("response_shape", shape.as_str().unwrap_or_default().to_owned()),
                ("license_url", text(&account.license_url)),
                ("playready_la_url", text(&account.playready_la_url)),
                ("minimum_scheme", minimum.to_owned()),
                (
                    "unsigned packagers",
                    if account.allow_unsigned_packagers { "yes" } else { "no" }.to_owned(),
                ),
                ("sha1", status.sha1.to_string()),
            ]
            .into_iter()
            .chain(documents::rows(status))
            {
                table.row([name.to_owned(), value]);
            }
            format!("{table}\n{}", credentials(account, status, &[], output))
        }
        OutputFormat::Json => format!("{:#}\n", as_json(account, status)),
    }
}

fn table(accounts: &[(Account, AccountStatus)]) -> String {
    let mut table =
        Table::new(["ACCOUNT", "STATE", "CA SYSTEMS", "CREDENTIALS", "ALLOWED"].map(Column::Left));
    for (account, status) in accounts {
        let credentials: Vec<&str> = account.credentials.iter().map(|key| key.name.as_str()).collect();
        table.row([
            account.id.to_string(),
            state(status),
            joined(&account.ca_systems, "any"),
            joined(&credentials, "none"),
            joined(&account.allow_list, "nobody"),
        ]);
    }
    table.to_string()
}

pub(super) fn joined<T: ToString>(parts: &[T], none: &str) -> String {
    if parts.is_empty() {
        return none.to_owned();
    }
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn state(status: &AccountStatus) -> String {
    match (status.suspended_at_ms, status.restored_from_ms) {
        (Some(_), _) => "suspended",
        (None, Some(_)) => "restored, not confirmed",
        (None, None) => "served",
    }
    .to_owned()
}

/// The credentials of accounts, for those who must judge them.
pub(in crate::cli) fn credentials_of<'a>(accounts: impl IntoIterator<Item = &'a Account>) -> String {
    let mut table = Table::new(["ACCOUNT", "CREDENTIAL", "SCOPE", "SCHEME", "CREATED"].map(Column::Left));
    for account in accounts {
        if account.credentials.is_empty() {
            table.row([account.id.as_str(), "none", "", "", ""].map(str::to_owned));
        }
        for credential in &account.credentials {
            let created = instant(credential.created_at_ms);
            let (scope, scheme) = (scope(credential), credential.scheme.name().to_owned());
            table.row([account.id.to_string(), credential.name.clone(), scope, scheme, created]);
        }
    }
    table.to_string()
}

/// The credentials of an account, with their last uses where nodes were asked.
pub(super) fn credentials(
    account: &Account,
    status: &AccountStatus,
    uses: &[(NodeId, Option<CredentialUses>)],
    output: OutputFormat,
) -> String {
    let last_used = |name: &str| {
        let uses = uses.iter().filter_map(|(_, uses)| uses.as_ref()).flat_map(|uses| &uses.uses);
        uses.filter(|(id, used, _)| *id == account.id && used == name).map(|(.., at)| *at).max()
    };
    if output == OutputFormat::Json {
        let mut rows = credentials_json(account, status);
        for row in &mut rows {
            let used = row.get("name").and_then(Value::as_str).and_then(last_used);
            if let Some(row) = row.as_object_mut() {
                row.insert("last_used_at_ms".to_owned(), json!(used));
            }
        }
        return format!("{:#}\n", json!(rows));
    }
    let mut table = Table::new(
        ["CREDENTIAL", "SCOPE", "SCHEME", "STATE", "CREATED", "EXPIRES", "LAST USED"].map(Column::Left),
    );
    let used = |name: &str| match (uses.is_empty(), last_used(name)) {
        (true, _) => "not asked".to_owned(),
        (false, Some(at)) => instant(at),
        (false, None) => "not seen".to_owned(),
    };
    for credential in &account.credentials {
        let name = &credential.name;
        let end = status.expires_at_ms.get(name).map_or_else(|| "never".to_owned(), |end| instant(*end));
        let state = if status.is_expired(name, now_ms()) { "expired" } else { "valid" };
        table.row([
            name.clone(),
            scope(credential),
            credential.scheme.name().to_owned(),
            state.to_owned(),
            instant(credential.created_at_ms),
            end,
            used(name),
        ]);
    }
    for revoked in &status.revoked {
        table.row([
            revoked.name.clone(),
            json!(revoked.scope).as_str().unwrap_or_default().to_owned(),
            revoked.scheme.name().to_owned(),
            format!("revoked {}", instant(revoked.revoked_at_ms)),
            instant(revoked.created_at_ms),
            String::new(),
            used(&revoked.name),
        ]);
    }
    format!("{table}{}", said_of_uses(uses))
}

/// From when on nodes know of uses, and which did not answer.
fn said_of_uses(uses: &[(NodeId, Option<CredentialUses>)]) -> String {
    let line = |(node, uses): &(NodeId, Option<CredentialUses>)| match uses {
        Some(uses) => format!("node {node} has noted uses since {}\n", instant(uses.since_ms)),
        None => format!("node {node} did not answer: uses at it are not shown\n"),
    };
    uses.iter().map(line).collect()
}

fn scope(credential: &Credential) -> String {
    json!(credential.scope).as_str().unwrap_or_default().to_owned()
}

fn credentials_json(account: &Account, status: &AccountStatus) -> Vec<Value> {
    let valid = account.credentials.iter().map(|credential| {
        json!({
            "name": credential.name,
            "scope": credential.scope,
            "scheme": credential.scheme,
            "created_at_ms": credential.created_at_ms,
            "expires_at_ms": status.expires_at_ms.get(&credential.name),
        })
    });
    let revoked = status.revoked.iter().map(|revoked| {
        json!({
            "name": revoked.name,
            "scope": revoked.scope,
            "scheme": revoked.scheme,
            "created_at_ms": revoked.created_at_ms,
            "revoked_at_ms": revoked.revoked_at_ms,
        })
    });
    valid.chain(revoked).collect()
}

/// An account without its secrets.
fn as_json(account: &Account, status: &AccountStatus) -> Value {
    json!({
        "id": account.id,
        "ca_systems": account.ca_systems,
        "credentials": credentials_json(account, status),
        "allow_list": account.allow_list,
        "consistency": account.consistency,
        "response_shape": account.response_shape,
        "license_url": account.license_url,
        "playready_la_url": account.playready_la_url,
        "minimum_scheme": account.minimum_scheme,
        "created_at_ms": account.created_at_ms,
        "allow_unsigned_packagers": account.allow_unsigned_packagers,
        "sha1": status.sha1,
        "documents": status.documents,
        "suspended_at_ms": status.suspended_at_ms,
        "restored_from_ms": status.restored_from_ms,
    })
}
