//! Changes of an account: settings, suspension, removal, and the confirmation of what a restore brought back.

use std::collections::BTreeSet;
use std::time::Duration;

use super::args::{AccountConfirmArgs, AccountRemoveArgs, AccountSetArgs, OneAccountArgs, OpenExportArgs};
use super::{change_account, details, one, print};
use crate::cli::approval;
use crate::cli::confirm::{confirm, confirm_by_name};
use crate::cli::operator::{Operator, say, unexpected};
use keymoot_cluster::{AdminRequest, AdminResponse, ContentsQuery};
use keymoot_command::Failure;
use keymoot_model::{AccountId, AccountSettings};
use keymoot_service::admin::{ApprovalCall, NewChange, Operation, OperationOutcome};

/// The most pages of an account's contents that are counted before it is removed, a thousand keys each.
const COUNTED_PAGES_MAX: usize = 100;

pub(super) async fn set(args: AccountSetArgs) -> Result<(), Failure> {
    let OneAccountArgs { id, config } = args.account.clone();
    let settings = settings(args);
    if settings == AccountSettings::default() {
        return Err(Failure::misuse("no setting was given; keymoot account set --help has them"));
    }
    let operator = Operator::new(&config)?;
    let changed = change_account(&operator, &id, NewChange::Settings(settings)).await?;
    say(&match changed {
        OperationOutcome::Unchanged => format!("account {id} was so already\n"),
        _ => format!("account {id} is changed\n"),
    });
    Ok(())
}

fn settings(args: AccountSetArgs) -> AccountSettings {
    let or_none = |text: String| Some(text).filter(|text| !text.is_empty());
    let systems = |given: Vec<String>| {
        given.iter().filter(|one| !one.is_empty()).map(|one| one.to_lowercase()).collect()
    };
    AccountSettings {
        ca_systems: args.ca_systems.map(systems),
        allow_list: if args.allow_nobody { Some(Vec::new()) } else { args.allow_list },
        consistency: args.consistency,
        response_shape: args.response_shape,
        license_url: args.license_url.map(or_none),
        playready_la_url: args.playready_la_url.map(or_none),
        minimum_scheme: args.minimum_scheme.map(|minimum| minimum.0),
        allow_unsigned_packagers: args.allow_unsigned_packagers,
        sha1: args.sha1,
        documents: args.documents.change(),
    }
}

pub(super) async fn suspend(args: OneAccountArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let id = &args.id;
    change_account(&operator, id, NewChange::Suspend).await?;
    say(&format!("account {id} is suspended; keymoot account resume {id} ends that\n"));
    Ok(())
}

pub(super) async fn resume(args: OneAccountArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let id = &args.id;
    change_account(&operator, id, NewChange::Resume).await?;
    let (_, status) = one(&operator, id).await?;
    say(&match status.restored_from_ms {
        None => format!("account {id} is served\n"),
        Some(_) => format!(
            "account {id} is not suspended, but a restored backup brought it back: keymoot account confirm {id} serves it\n"
        ),
    });
    Ok(())
}

pub(super) async fn rotate_seed(args: OneAccountArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let id = &args.id;
    change_account(&operator, id, NewChange::RotateDocumentSeed).await?;
    say(&format!(
        "account {id} has another seed: keys of documents for contents that are made from now on derive from it.\n\
         Contents that are there keep their keys; keymoot content rotate gives new documents of one of them other keys\n"
    ));
    Ok(())
}

pub(super) async fn remove(args: AccountRemoveArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.account.config)?;
    let id = &args.account.id;
    let (account, _) = one(&operator, id).await?;
    let (contents, keys, more) = counted(&operator, id).await?;
    let policies = match operator.ask(AdminRequest::Policies(id.clone())).await? {
        AdminResponse::Policies(policies) => policies.len(),
        _ => return Err(unexpected()),
    };
    let than = if more { "more than " } else { "" };
    say(&format!(
        "account {id}: {} credentials, {than}{contents} contents with {keys} keys and schedules, {policies} policies\n\
         its credentials are revoked and forgotten. Contents, keys and policies stay in the cluster and in its backups;\n\
         nobody is served them, until an account of the same name is added, which then has them all\n",
        account.credentials.len(),
    ));
    confirm_by_name(args.yes, "remove the account?", id.as_str())?;
    operator.perform(Operation::RemoveAccount { id: id.clone() }).await?;
    say(&format!("account {id} is removed\n"));
    Ok(())
}

pub(super) async fn open_export(args: OpenExportArgs) -> Result<(), Failure> {
    let OneAccountArgs { id, config } = args.account;
    let for_s = u32::try_from(args.span.0.as_secs()).unwrap_or(u32::MAX);
    approval::ask(&config, ApprovalCall::OpenExport { account: id.clone(), for_s }).await?;
    let span = humantime::format_duration(Duration::from_secs(for_s.into()));
    say(&format!("the keys of account {id} can be exported for {span}\n"));
    Ok(())
}

/// The contents and the keys of an account, and whether there are more.
async fn counted(operator: &Operator, id: &AccountId) -> Result<(usize, usize, bool), Failure> {
    let (mut contents, mut keys, mut after) = (BTreeSet::new(), 0, None);
    for _ in 0..COUNTED_PAGES_MAX {
        let query = ContentsQuery { account: id.clone(), content: None, after, versions_max: 1000 };
        let AdminResponse::Contents(page) = operator.ask(AdminRequest::Contents(query)).await? else {
            return Err(unexpected());
        };
        keys += page.versions.len();
        contents.extend(page.versions.into_iter().map(|version| version.content));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok((contents.len(), keys, after.is_some()))
}

pub(super) async fn confirm_restored(args: AccountConfirmArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let mut waiting = details(&operator, None).await?.accounts;
    waiting.retain(|(account, status)| {
        status.restored_from_ms.is_some() && (args.all || args.ids.contains(&account.id))
    });
    if let Some(id) = args.ids.iter().find(|id| !waiting.iter().any(|(account, _)| account.id == **id)) {
        return Err(Failure::because(format!("account {id} is not there, or does not wait to be confirmed")));
    }
    if waiting.is_empty() {
        say("no account waits to be confirmed\n");
        return Ok(());
    }
    say(&print::credentials_of(waiting.iter().map(|(account, _)| account)));
    confirm(args.yes, "let these accounts and credentials be used again?")?;
    for (account, _) in &waiting {
        change_account(&operator, &account.id, NewChange::ConfirmRestored).await?;
    }
    say(&format!("{} accounts are confirmed\n", waiting.len()));
    Ok(())
}
