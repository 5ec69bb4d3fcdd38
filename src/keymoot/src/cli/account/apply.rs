//! `keymoot account apply`: the accounts as a file declares them.

use super::args::{AccountApplyArgs, Prune};
use super::{change_account, details};
use crate::cli::confirm::confirm;
use crate::cli::operator::{Operator, say};
use keymoot_cluster::AccountDetails;
use keymoot_command::Failure;
use keymoot_model::AccountId;
use keymoot_service::admin::{NewChange, NewDeclaration, NewDeclaredAccount, Operation};
use keymoot_service::{Difference, Differs, left_out, refuse_changed_secrets};

pub(super) async fn run(args: AccountApplyArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let declaration = NewDeclaration::load(&args.file).map_err(Failure::usage)?;
    let revision = declaration.revision.ok_or_else(|| {
        Failure::misuse(format!("{} states no revision", args.file.display()))
            .hint("begin the file with a line `revision = 1`, and raise the number with every change")
    })?;
    let known = details(&operator, None).await?;
    refuse_older(&declaration, revision, &known)?;
    let (differences, changed) = compared(&operator, &declaration, &known).await?;
    let left_out: Vec<AccountId> =
        differences.iter().filter(|it| it.what == Differs::LeftOut).map(|it| it.account.clone()).collect();
    let pruned = if args.prune.is_some() { left_out.as_slice() } else { &[] };
    say(&shown(&differences, args.prune));
    if args.dry_run {
        return Ok(());
    }
    if !changed.is_empty() || !pruned.is_empty() {
        confirm(args.yes, &format!("change the accounts to revision {revision}?"))?;
    }
    operator.perform(Operation::DeclareAccounts { revision, digest: declaration.digest }).await?;
    // Others may have changed accounts while the question stood: what was not shown is not done.
    let known = details(&operator, None).await?;
    let (differences_now, changed) = compared(&operator, &declaration, &known).await?;
    if let Some(new) = differences_now.iter().find(|now| !differences.contains(now)) {
        return Err(Failure::because(format!(
            "the accounts have changed meanwhile, nothing was done: {new}"
        ))
        .hint("run the command again, which shows what differs now"));
    }
    for declared in changed {
        operator.declare_account(revision, declared).await?;
    }
    for id in pruned {
        match args.prune {
            Some(Prune::Remove) => operator.perform(Operation::RemoveAccount { id: id.clone() }).await?,
            _ => change_account(&operator, id, NewChange::Suspend).await?,
        };
    }
    say(&format!("revision {revision} of the accounts is applied\n"));
    Ok(())
}

/// How the cluster differs, and the accounts to be stored so that it does not.
async fn compared(
    operator: &Operator,
    declaration: &NewDeclaration,
    known: &AccountDetails,
) -> Result<(Vec<Difference>, Vec<NewDeclaredAccount>), Failure> {
    let (mut differences, mut changed) = (Vec::new(), Vec::new());
    for declared in &declaration.accounts {
        let found = operator.compare_account(declared.clone()).await?;
        let status = known.accounts.iter().find(|(account, _)| account.id == *declared.id());
        let revision = declaration.revision.unwrap_or_default();
        refuse_changed_secrets(revision, declared.id(), status.map(|(_, status)| status), &found)
            .map_err(Failure::because)?;
        if found.iter().any(Differs::is_change) {
            changed.push(declared.clone());
        }
        let account = declared.id();
        differences.extend(found.into_iter().map(|what| Difference { account: account.clone(), what }));
    }
    let ids: Vec<&AccountId> = declaration.accounts.iter().map(NewDeclaredAccount::id).collect();
    differences.extend(left_out(&ids, known));
    Ok((differences, changed))
}

/// Tells it before anybody is asked; the cluster refuses it, too.
fn refuse_older(declaration: &NewDeclaration, revision: u64, known: &AccountDetails) -> Result<(), Failure> {
    let Some(applied) = known.declaration else { return Ok(()) };
    let hint = format!("if this file is the newer one, give it a revision above {}", applied.revision);
    if applied.revision > revision {
        let applied = applied.revision;
        return Err(Failure::because(format!(
            "the cluster has applied revision {applied} of its accounts, and this file is revision {revision}: it is older"
        ))
        .hint(hint));
    }
    if applied.revision == revision && applied.digest != declaration.digest {
        return Err(Failure::because(format!(
            "the cluster has applied revision {revision} of its accounts from a file that was not the same"
        ))
        .hint(hint));
    }
    Ok(())
}

fn shown(differences: &[Difference], prune: Option<Prune>) -> String {
    if differences.is_empty() {
        return "the cluster has the accounts of the file; nothing differs\n".to_owned();
    }
    let line = |difference: &Difference| match (&difference.what, prune) {
        (Differs::LeftOut, Some(Prune::Suspend)) => {
            format!("- account {}: is suspended, for it is not in the file\n", difference.account)
        }
        (Differs::LeftOut, Some(Prune::Remove)) => {
            format!("- account {}: is removed, for it is not in the file\n", difference.account)
        }
        _ => format!("{difference}\n"),
    };
    differences.iter().map(line).collect()
}
