//! `keymoot account`: accounts through the cluster. Signing keys are wrapped by the node that is asked, or here where
//! the keyring is proved.

mod add;
mod apply;
mod args;
mod change;
mod credential;
mod documents;
mod print;

use super::Failure;
use super::operator::{Operator, block_on, say, unexpected};
use keymoot_cluster::{AccountDetails, AdminRequest, AdminResponse};
use keymoot_model::{Account, AccountId, AccountStatus};
use keymoot_service::admin::{NewAccountChange, NewChange, OperationOutcome};
use keymoot_state::ACCOUNT_LIFE;

pub use args::AccountCommand;
pub(super) use print::credentials_of;

/// Runs the command.
///
/// # Errors
/// [`Failure`] when a key file cannot be used, or the node cannot be reached or refuses.
pub fn run(command: AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Add(args) => block_on(add::run(*args)),
        AccountCommand::List(args) => block_on(async {
            let operator = Operator::new(&args.config)?;
            say(&print::list(&details(&operator, None).await?, args.output));
            Ok(())
        }),
        AccountCommand::Show(args) => block_on(async {
            let operator = Operator::new(&args.account.config)?;
            let (account, status) = one(&operator, &args.account.id).await?;
            say(&print::one(&account, &status, args.output));
            Ok(())
        }),
        AccountCommand::Set(args) => block_on(change::set(*args)),
        AccountCommand::Suspend(args) => block_on(change::suspend(args)),
        AccountCommand::Resume(args) => block_on(change::resume(args)),
        AccountCommand::Remove(args) => block_on(change::remove(args)),
        AccountCommand::RotateSeed(args) => block_on(change::rotate_seed(args)),
        AccountCommand::OpenExport(args) => block_on(change::open_export(args)),
        AccountCommand::Apply(args) => block_on(apply::run(args)),
        AccountCommand::Confirm(args) => block_on(change::confirm_restored(args)),
        AccountCommand::Credential(command) => block_on(credential::run(command)),
    }
}

/// The accounts, or one, as the cluster has them.
async fn details(operator: &Operator, id: Option<AccountId>) -> Result<AccountDetails, Failure> {
    let AdminResponse::Status(status) = operator.ask(AdminRequest::Status).await? else {
        return Err(unexpected());
    };
    // A node of an earlier version knows accounts without a status.
    let request = match status.feature_level >= ACCOUNT_LIFE {
        true => AdminRequest::AccountDetails(id.clone()),
        false => AdminRequest::Accounts,
    };
    match operator.ask(request).await? {
        AdminResponse::AccountDetails(details) => Ok(*details),
        AdminResponse::Accounts(mut accounts) => {
            accounts.retain(|account| id.as_ref().is_none_or(|id| account.id == *id));
            let accounts = accounts.into_iter().map(|account| (account, AccountStatus::default())).collect();
            Ok(AccountDetails { accounts, declaration: None })
        }
        _ => Err(unexpected()),
    }
}

/// An account that must be there.
async fn one(operator: &Operator, id: &AccountId) -> Result<(Account, AccountStatus), Failure> {
    let found = details(operator, Some(id.clone())).await?.accounts.pop();
    found.ok_or_else(|| {
        Failure::because(format!("there is no account {id}"))
            .hint("keymoot account list shows those there are")
    })
}

/// Makes a change of an account.
async fn change_account(
    operator: &Operator,
    id: &AccountId,
    change: NewChange,
) -> Result<OperationOutcome, Failure> {
    operator.change_account(NewAccountChange { id: id.clone(), change }).await
}
