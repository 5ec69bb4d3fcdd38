//! `keymoot account credential`: the credentials of an account, and their life.

use std::time::{SystemTime, UNIX_EPOCH};

use super::args::{
    CredentialAddArgs, CredentialArgs, CredentialCommand, CredentialExpireArgs, ExpiryArgs, NamedAccountArgs,
};
use super::{change_account, one, print};
use crate::cli::clock::instant;
use crate::cli::operator::{Operator, say, unexpected};
use keymoot_cluster::{AdminRequest, AdminResponse, CredentialUses};
use keymoot_command::Failure;
use keymoot_model::NodeId;
use keymoot_service::admin::{NewChange, NewCredential, OperationOutcome};

pub(super) async fn run(command: CredentialCommand) -> Result<(), Failure> {
    match command {
        CredentialCommand::Add(args) => add(args).await,
        CredentialCommand::List(args) => list(args).await,
        CredentialCommand::Expire(args) => expire(args).await,
        CredentialCommand::Revoke(args) => revoke(args).await,
    }
}

async fn add(args: CredentialAddArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let expires_at_ms = end_ms(args.expiry)?;
    let credential = NewCredential::read(&args.id, &args.credential.entry()).map_err(Failure::usage)?;
    let (id, name) = (&args.id, credential.name.clone());
    change_account(&operator, id, NewChange::AddCredential { credential, expires_at_ms }).await?;
    say(&format!("account {id} has credential {name}\n"));
    Ok(())
}

async fn expire(args: CredentialExpireArgs) -> Result<(), Failure> {
    let CredentialArgs { id, name, config } = args.credential;
    let expires_at_ms = end_ms(args.expiry)?;
    if expires_at_ms.is_none() && !args.never {
        return Err(Failure::misuse("say when it ends, with --expires-in, --expires-at or --never"));
    }
    let operator = Operator::new(&config)?;
    let change = NewChange::ExpireCredential { name: name.clone(), expires_at_ms };
    change_account(&operator, &id, change).await?;
    say(&match expires_at_ms {
        Some(end) => format!("credential {name} of account {id} ends at {}\n", instant(end)),
        None => format!("credential {name} of account {id} does not end\n"),
    });
    Ok(())
}

async fn revoke(args: CredentialArgs) -> Result<(), Failure> {
    let CredentialArgs { id, name, config } = args;
    let operator = Operator::new(&config)?;
    let change = NewChange::RevokeCredential { name: name.clone() };
    say(&match change_account(&operator, &id, change).await? {
        OperationOutcome::Unchanged => format!("credential {name} of account {id} was revoked before\n"),
        _ => format!("credential {name} of account {id} is revoked\n"),
    });
    Ok(())
}

async fn list(args: NamedAccountArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.account.config)?;
    let (account, status) = one(&operator, &args.account.id).await?;
    let uses = uses(&operator).await?;
    say(&print::credentials(&account, &status, &uses, args.output));
    Ok(())
}

/// What each member knows of the last uses; `None` for one that does not answer.
async fn uses(operator: &Operator) -> Result<Vec<(NodeId, Option<CredentialUses>)>, Failure> {
    let AdminResponse::Status(status) = operator.ask(AdminRequest::Status).await? else {
        return Err(unexpected());
    };
    // A witness grants nothing.
    let witnesses = operator.witnesses().await;
    let granting = status.members.iter().filter(|member| !witnesses.contains(&member.id));
    let asked = granting.map(|member| async move {
        let answer = operator.ask_node(member.id, &member.peer_address, AdminRequest::CredentialUses).await;
        match answer {
            Ok(AdminResponse::CredentialUses(uses)) => (member.id, Some(*uses)),
            _ => (member.id, None),
        }
    });
    Ok(futures::future::join_all(asked).await)
}

/// The end that was asked for: milliseconds since 1970 UTC.
fn end_ms(expiry: ExpiryArgs) -> Result<Option<u64>, Failure> {
    let past = || Failure::misuse("a credential cannot end before 1970");
    match (expiry.expires_in, expiry.expires_at) {
        (Some(span), _) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Ok(u64::try_from(now.saturating_add(span.0).as_millis()).ok())
        }
        (None, Some(at)) => {
            u64::try_from(at.unix_s()).map(|at_s| Some(at_s.saturating_mul(1000))).map_err(|_| past())
        }
        (None, None) => Ok(None),
    }
}
