//! `keymoot account add`.

use super::args::AccountAddArgs;
use super::change_account;
use crate::cli::operator::{Operator, say};
use keymoot_command::Failure;
use keymoot_model::{AccountSettings, DocumentChange, Scheme, Scope};
use keymoot_service::admin::{NewAccount, NewChange, OperationOutcome};
use keymoot_service::{AccountEntry, CredentialEntry};

pub(super) async fn run(args: AccountAddArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let if_absent = args.if_absent;
    let documents = args.documents.clone().change();
    let account = NewAccount::read(&entry(args)).map_err(Failure::usage)?;
    let id = account.id.clone();
    if operator.add_account(account, if_absent).await? == OperationOutcome::Unchanged {
        say(&format!("account {id} exists; nothing was changed\n"));
        return Ok(());
    }
    say(&format!("account {id} is added\n"));
    if documents == DocumentChange::default() {
        return Ok(());
    }
    let settings = AccountSettings { documents, ..AccountSettings::default() };
    let changed = change_account(&operator, &id, NewChange::Settings(settings)).await;
    changed.map(|_| ()).map_err(|failure| {
        failure.hint(format!(
            "the account is there; keymoot account set {id} gives it its settings of documents"
        ))
    })
}

fn entry(args: AccountAddArgs) -> AccountEntry {
    let own = [
        ("encryption", Scope::Encryption, args.encryption_key_file),
        ("license", Scope::License, args.license_key_file),
        ("policy", Scope::Policy, args.policy_key_file),
    ];
    let own = own.into_iter().filter_map(|(name, scope, file)| {
        let (name, scheme) = (name.to_owned(), Scheme::UdrmSha1);
        Some(CredentialEntry { name, scope, scheme, key_file: file?, expires_at: None })
    });
    let further = args.credentials.into_iter().map(|given| given.entry());
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
        sha1: None,
        documents: None,
        credentials: own.chain(further).collect(),
    }
}
