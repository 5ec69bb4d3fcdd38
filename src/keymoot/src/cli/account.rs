//! `keymoot account`: accounts through the cluster. Signing keys are wrapped here, before they travel.

use serde_json::json;

use super::Failure;
use super::args::{AccountAddArgs, AccountCommand, AccountListArgs, OutputFormat};
use super::operator::{Operator, block_on, say, unexpected};
use keymoot_cluster::{AdminRequest, AdminResponse};
use keymoot_command::{Column, Table};
use keymoot_model::{Account, Scheme, Scope};
use keymoot_service::admin::{Operation, OperationOutcome};
use keymoot_service::make_account;
use keymoot_service::{AccountEntry, CredentialEntry};

/// Runs the command.
///
/// # Errors
/// [`Failure`] when a key file cannot be used, or the node cannot be reached or refuses.
pub fn run(command: AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Add(args) => block_on(add(*args)),
        AccountCommand::List(args) => block_on(list(args)),
    }
}

async fn add(args: AccountAddArgs) -> Result<(), Failure> {
    let operator = Operator::new(args.config.config.as_deref())?;
    let if_absent = args.if_absent;
    let account = make_account(&entry(args), operator.keyring()).map_err(Failure::usage)?;
    let id = account.id.clone();
    let account = Box::new(account);
    say(&match operator.perform(Operation::AddAccount { account, if_absent }).await? {
        OperationOutcome::Unchanged => format!("account {id} exists; nothing was changed\n"),
        _ => format!("account {id} is added\n"),
    });
    Ok(())
}

fn entry(args: AccountAddArgs) -> AccountEntry {
    let own = [
        ("encryption", Scope::Encryption, args.encryption_key_file),
        ("license", Scope::License, args.license_key_file),
        ("policy", Scope::Policy, args.policy_key_file),
    ];
    let own = own.into_iter().filter_map(|(name, scope, file)| {
        Some(CredentialEntry { name: name.to_owned(), scope, scheme: Scheme::UdrmSha1, key_file: file? })
    });
    let further = args.credentials.into_iter().map(|given| CredentialEntry {
        name: given.name,
        scope: given.scope,
        scheme: given.scheme,
        key_file: given.file,
    });
    AccountEntry {
        id: args.id,
        ca_systems: args.ca_systems.iter().map(|system| system.to_lowercase()).collect(),
        allow_list: args.allow_list,
        consistency: args.consistency,
        response_shape: args.response_shape,
        license_url: args.license_url,
        playready_la_url: args.playready_la_url,
        minimum_scheme: args.minimum_scheme,
        allow_unsigned_packagers: args.allow_unsigned_packagers,
        credentials: own.chain(further).collect(),
    }
}

async fn list(args: AccountListArgs) -> Result<(), Failure> {
    let operator = Operator::new(args.config.config.as_deref())?;
    let AdminResponse::Accounts(accounts) = operator.ask(AdminRequest::Accounts).await? else {
        return Err(unexpected());
    };
    say(&match args.output {
        OutputFormat::Table => table(&accounts),
        OutputFormat::Json => {
            let rows: Vec<serde_json::Value> = accounts.iter().map(as_json).collect();
            format!("{:#}\n", json!(rows))
        }
    });
    Ok(())
}

fn table(accounts: &[Account]) -> String {
    let mut table = Table::new(["ACCOUNT", "CA SYSTEMS", "CREDENTIALS", "ALLOWED"].map(Column::Left));
    for account in accounts {
        let credentials: Vec<&str> = account.credentials.iter().map(|key| key.name.as_str()).collect();
        let allowed: Vec<String> = account.allow_list.iter().map(ToString::to_string).collect();
        table.row([
            account.id.to_string(),
            if account.ca_systems.is_empty() { "any".to_owned() } else { account.ca_systems.join(",") },
            if credentials.is_empty() { "none".to_owned() } else { credentials.join(",") },
            if allowed.is_empty() { "nobody".to_owned() } else { allowed.join(",") },
        ]);
    }
    table.to_string()
}

/// An account without its secrets, not even wrapped.
fn as_json(account: &Account) -> serde_json::Value {
    let credentials = account.credentials.iter().map(|credential| {
        json!({
            "name": credential.name,
            "scope": credential.scope,
            "scheme": credential.scheme,
            "created_at_ms": credential.created_at_ms,
        })
    });
    json!({
        "id": account.id,
        "ca_systems": account.ca_systems,
        "credentials": credentials.collect::<Vec<_>>(),
        "allow_list": account.allow_list,
        "consistency": account.consistency,
        "response_shape": account.response_shape,
        "license_url": account.license_url,
        "playready_la_url": account.playready_la_url,
        "minimum_scheme": account.minimum_scheme,
        "created_at_ms": account.created_at_ms,
        "allow_unsigned_packagers": account.allow_unsigned_packagers,
    })
}
