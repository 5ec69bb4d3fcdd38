//! `keymoot account apply`: the accounts as a file declares them.

use super::args::{AccountApplyArgs, Prune};
use super::{change_account, details};
use crate::cli::confirm::confirm;
use crate::cli::operator::{Operator, say};
use keymoot_cluster::AccountDetails;
use keymoot_command::Failure;
use keymoot_model::{AccountChange, AccountId};
use keymoot_service::admin::Operation;
use keymoot_service::{Declaration, Difference, Differs};

pub(super) async fn run(args: AccountApplyArgs) -> Result<(), Failure> {
    let operator = Operator::new(args.config.config.as_deref())?;
    let declaration = Declaration::load(&args.file, operator.keyring()).map_err(Failure::usage)?;
    let revision = declaration.revision.ok_or_else(|| {
        Failure::misuse(format!("{} states no revision", args.file.display()))
            .hint("begin the file with a line `revision = 1`, and raise the number with every change")
    })?;
    let known = details(&operator, None).await?;
    refuse_older(&declaration, revision, &known)?;
    let (differences, changed) = declaration.compare(&known, operator.keyring());
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
    let (differences_now, changed) =
        declaration.compare(&details(&operator, None).await?, operator.keyring());
    if let Some(new) = differences_now.iter().find(|now| !differences.contains(now)) {
        return Err(Failure::because(format!(
            "the accounts have changed meanwhile, nothing was done: {new}"
        ))
        .hint("run the command again, which shows what differs now"));
    }
    for declared in changed {
        operator.perform(Operation::DeclareAccount { revision, declared: Box::new(declared) }).await?;
    }
    for id in pruned {
        match args.prune {
            Some(Prune::Remove) => operator.perform(Operation::RemoveAccount { id: id.clone() }).await?,
            _ => change_account(&operator, id, AccountChange::Suspend).await?,
        };
    }
    say(&format!("revision {revision} of the accounts is applied\n"));
    Ok(())
}

/// Tells it before anybody is asked; the cluster refuses it, too.
fn refuse_older(declaration: &Declaration, revision: u64, known: &AccountDetails) -> Result<(), Failure> {
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
