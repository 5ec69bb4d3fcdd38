//! `keymoot policy`: what licenses allow. Through the cluster, with an operator's certificate.

mod args;
mod print;

use std::path::Path;

use super::Failure;
use super::args::{ConfigArg, OutputFormat};
use super::operator::{Operator, block_on, say, unexpected};
use keymoot_cluster::{AdminRequest, AdminResponse};
use keymoot_model::{AccountId, Policy, PolicyName};
use keymoot_service::{
    ListedPolicy, PolicyCondition, device_digest, device_place, policy_refusal, user_place,
};
use keymoot_state::{Command, Response};

pub use args::PolicyCommand;
use args::{CheckArgs, DefaultArgs, DeleteArgs, NamedArgs, PutArgs, ViewerArgs};

/// Runs the command.
///
/// # Errors
/// [`Failure`] when a policy is not one, or the node cannot be reached or refuses.
pub fn run(command: PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::List(args) => block_on(async {
            let listed = listed(&args.config, &args.account).await?;
            say(&match args.output {
                OutputFormat::Table => print::table(&listed),
                OutputFormat::Json => print::json(&listed),
            });
            Ok(())
        }),
        PolicyCommand::Show(args) => block_on(show(args)),
        PolicyCommand::Put(args) => block_on(put(args)),
        PolicyCommand::Delete(args) => block_on(delete(args)),
        PolicyCommand::Attach(args) => {
            let (name, content) = (args.named.name, args.content);
            let done = format!("policy {name} is attached to {content}\n");
            let NamedArgs { account, config, .. } = args.named;
            let command =
                Command::AttachPolicy { account, content, policy: Some(name.clone()), if_absent: false };
            block_on(change_use(&config, command, Some(&name), &done))
        }
        PolicyCommand::Detach(args) => {
            let done = format!("{} has no policy of its own\n", args.content);
            let (account, content) = (args.account, args.content);
            let command = Command::AttachPolicy { account, content, policy: None, if_absent: false };
            block_on(change_use(&args.config, command, None, &done))
        }
        PolicyCommand::Default(args) => block_on(default(args)),
        PolicyCommand::EndRental(args) => block_on(end_rental(args)),
        PolicyCommand::FreeSlot(args) => block_on(free_slot(args)),
        PolicyCommand::Check(args) => check(&args),
    }
}

async fn listed(config: &ConfigArg, account: &AccountId) -> Result<Vec<ListedPolicy>, Failure> {
    let operator = Operator::new(config.config.as_deref())?;
    match operator.ask(AdminRequest::Policies(account.clone())).await? {
        AdminResponse::Policies(listed) => Ok(listed),
        _ => Err(unexpected()),
    }
}

async fn show(args: NamedArgs) -> Result<(), Failure> {
    let listed = listed(&args.config, &args.account).await?;
    let found = listed.iter().find(|listed| listed.record.policy.name == args.name);
    let found = found.ok_or_else(|| unknown(&args.name))?;
    say(&format!("{:#}\n", found.record.policy.to_json()));
    Ok(())
}

async fn put(args: PutArgs) -> Result<(), Failure> {
    let policy = read(&args.file)?;
    let name = policy.name.clone();
    let condition = match (args.if_version, args.if_absent) {
        (Some(version), _) => PolicyCondition::IfVersion(version),
        (None, true) => PolicyCondition::IfAbsent,
        (None, false) => PolicyCondition::Always,
    };
    let command = Command::PutPolicy { account: args.account, policy: Box::new(policy), condition };
    match propose(&args.config, command).await? {
        Response::Policy(record) => {
            say(&format!("policy {name} is stored, as version {}\n", record.version));
            Ok(())
        }
        refusal => Err(refused(&name, &refusal, condition)),
    }
}

async fn delete(args: DeleteArgs) -> Result<(), Failure> {
    let NamedArgs { account, name, config } = args.named;
    let condition = args.if_version.map_or(PolicyCondition::Always, PolicyCondition::IfVersion);
    let command = Command::DeletePolicy { account, name: name.clone(), condition };
    match propose(&config, command).await? {
        Response::Done => {
            say(&format!("policy {name} is deleted\n"));
            Ok(())
        }
        refusal @ Response::PolicyInUse { .. } => Err(refused(&name, &refusal, condition)
            .hint("keymoot policy detach and keymoot policy default end its uses")),
        refusal => Err(refused(&name, &refusal, condition)),
    }
}

async fn default(args: DefaultArgs) -> Result<(), Failure> {
    let done = match &args.name {
        Some(name) => format!("policy {name} holds for contents that have none of their own\n"),
        None => "contents that have no policy of their own have none\n".to_owned(),
    };
    let command = Command::SetDefaultPolicy { account: args.account, policy: args.name.clone() };
    change_use(&args.config, command, args.name.as_ref(), &done).await
}

async fn change_use(
    config: &ConfigArg,
    command: Command,
    policy: Option<&PolicyName>,
    done: &str,
) -> Result<(), Failure> {
    match (propose(config, command).await?, policy) {
        (Response::Done | Response::Unchanged, _) => {
            say(done);
            Ok(())
        }
        (Response::NoPolicy, Some(name)) => Err(unknown(name)),
        _ => Err(unexpected()),
    }
}

async fn end_rental(args: ViewerArgs) -> Result<(), Failure> {
    let place = match (&args.user, &args.udid) {
        (Some(user), _) => user_place(&args.account, &args.content, user),
        (None, Some(udid)) => device_place(&args.account, &args.content, udid),
        (None, None) => return Err(Failure::because("name the viewer with --user or --udid")),
    };
    match propose(&args.config, Command::EndRental { place }).await? {
        Response::Done => say("the rental is ended; the next license begins a new one\n"),
        Response::Unchanged => say("there is no such rental\n"),
        _ => return Err(unexpected()),
    }
    Ok(())
}

async fn free_slot(args: ViewerArgs) -> Result<(), Failure> {
    let (Some(user), Some(udid)) = (&args.user, &args.udid) else {
        return Err(Failure::because("name the viewer with --user, and the device with --udid"));
    };
    let place = user_place(&args.account, &args.content, user);
    match propose(&args.config, Command::ReleaseLease { place, device: device_digest(udid) }).await? {
        Response::Done => say("the slot is free; the device keeps the license it has until that ends\n"),
        Response::Unchanged => say("the device holds no slot\n"),
        _ => return Err(unexpected()),
    }
    Ok(())
}

fn check(args: &CheckArgs) -> Result<(), Failure> {
    let policy = read(&args.file)?;
    say(&format!("{:#}\n", print::forms(&policy, &args.tracks)));
    Ok(())
}

async fn propose(config: &ConfigArg, command: Command) -> Result<Response, Failure> {
    let operator = Operator::new(config.config.as_deref())?;
    match operator.ask(AdminRequest::Propose(Box::new(command))).await? {
        AdminResponse::Applied(response) => Ok(*response),
        _ => Err(unexpected()),
    }
}

/// Reads a policy from a file.
fn read(file: &Path) -> Result<Policy, Failure> {
    let text = std::fs::read(file)
        .map_err(|error| Failure::because(format!("cannot read {}: {error}", file.display())))?;
    Policy::from_json(&text, None)
        .map_err(|error| Failure::usage(error).hint("docs/policies.md has every member and its values"))
}

fn refused(name: &PolicyName, refusal: &Response, condition: PolicyCondition) -> Failure {
    Failure::runtime(policy_refusal(name, refusal, condition))
}

fn unknown(name: &PolicyName) -> Failure {
    Failure::because(format!("there is no policy {name}")).hint("keymoot policy list shows those there are")
}
