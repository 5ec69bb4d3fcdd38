//! `keymoot policy`: what licenses allow. Through the cluster, with an operator's certificate.

mod args;
mod print;

use std::path::Path;

use super::Failure;
use super::args::{ConfigArg, OutputFormat};
use super::operator::{Operator, block_on, say, unexpected};
use keymoot_cluster::{AdminRequest, AdminResponse};
use keymoot_license::terms;
use keymoot_model::{AccountId, Policy, PolicyName};
use keymoot_service::admin::{Operation, OperationOutcome, Viewer};
use keymoot_service::{ListedPolicy, PolicyCondition};

pub use args::PolicyCommand;
use args::{CheckArgs, DefaultArgs, NamedArgs, PolicyDeleteArgs, PutArgs, UsesArgs, ViewerArgs};

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
        PolicyCommand::Uses(args) => block_on(uses(args)),
        PolicyCommand::Put(args) => block_on(put(args)),
        PolicyCommand::Delete(args) => block_on(delete(args)),
        PolicyCommand::Attach(args) => {
            let NamedArgs { account, name, config } = args.named;
            let done = format!("policy {name} is attached to {}\n", args.content);
            let content = args.content;
            let operation = Operation::AttachPolicy { account, content, name, if_absent: false };
            block_on(change(&config, operation, &done))
        }
        PolicyCommand::Detach(args) => {
            let done = format!("{} has no policy of its own\n", args.content);
            let (account, content) = (args.account, args.content);
            block_on(change(&args.config, Operation::DetachPolicy { account, content }, &done))
        }
        PolicyCommand::Default(args) => block_on(default(args)),
        PolicyCommand::EndRental(args) => block_on(end_rental(args)),
        PolicyCommand::FreeSlot(args) => block_on(free_slot(args)),
        PolicyCommand::Check(args) => check(&args),
    }
}

async fn listed(config: &ConfigArg, account: &AccountId) -> Result<Vec<ListedPolicy>, Failure> {
    let operator = Operator::new(config)?;
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

async fn uses(args: UsesArgs) -> Result<(), Failure> {
    let NamedArgs { account, name: policy, config } = args.named;
    let operator = Operator::new(&config)?;
    let request = AdminRequest::PolicyUses { account, policy, after: args.after, contents_max: args.limit };
    match operator.ask(request).await? {
        AdminResponse::PolicyUses(page) => {
            say(&match args.output {
                OutputFormat::Table => print::uses(&page),
                OutputFormat::Json => print::uses_json(&page),
            });
            Ok(())
        }
        _ => Err(unexpected()),
    }
}

async fn put(args: PutArgs) -> Result<(), Failure> {
    let policy = read(&args.file)?;
    let name = policy.name.clone();
    let condition = match (args.if_version, args.if_absent) {
        (Some(version), _) => PolicyCondition::IfVersion(version),
        (None, true) => PolicyCondition::IfAbsent,
        (None, false) => PolicyCondition::Always,
    };
    let operation = Operation::PutPolicy { account: args.account, policy: Box::new(policy), condition };
    match perform(&args.config, operation).await? {
        OperationOutcome::PolicyStored { version } => {
            say(&format!("policy {name} is stored, as version {version}\n"));
            Ok(())
        }
        _ => Err(unexpected()),
    }
}

async fn delete(args: PolicyDeleteArgs) -> Result<(), Failure> {
    let NamedArgs { account, name, config } = args.named;
    let condition = args.if_version.map_or(PolicyCondition::Always, PolicyCondition::IfVersion);
    let done = format!("policy {name} is deleted\n");
    change(&config, Operation::DeletePolicy { account, name, condition }, &done).await
}

async fn default(args: DefaultArgs) -> Result<(), Failure> {
    let done = match &args.name {
        Some(name) => format!("policy {name} holds for contents that have none of their own\n"),
        None => "contents that have no policy of their own have none\n".to_owned(),
    };
    change(&args.config, Operation::SetDefaultPolicy { account: args.account, name: args.name }, &done).await
}

/// Has something changed; that it is so already is as good.
async fn change(config: &ConfigArg, operation: Operation, done: &str) -> Result<(), Failure> {
    perform(config, operation).await?;
    say(done);
    Ok(())
}

async fn end_rental(args: ViewerArgs) -> Result<(), Failure> {
    let viewer = match (args.user, args.udid) {
        (Some(user), _) => Viewer::User(user),
        (None, Some(udid)) => Viewer::Device(udid),
        (None, None) => return Err(Failure::because("name the viewer with --user or --udid")),
    };
    let operation = Operation::EndRental { account: args.account, content: args.content, viewer };
    say(match perform(&args.config, operation).await? {
        OperationOutcome::Unchanged => "there is no such rental\n",
        _ => "the rental is ended; the next license begins a new one\n",
    });
    Ok(())
}

async fn free_slot(args: ViewerArgs) -> Result<(), Failure> {
    let (Some(user), Some(udid)) = (args.user, args.udid) else {
        return Err(Failure::because("name the viewer with --user, and the device with --udid"));
    };
    let operation = Operation::FreeSlot { account: args.account, content: args.content, user, udid };
    say(match perform(&args.config, operation).await? {
        OperationOutcome::Unchanged => "the device holds no slot\n",
        _ => "the slot is free; the device keeps the license it has until that ends\n",
    });
    Ok(())
}

fn check(args: &CheckArgs) -> Result<(), Failure> {
    let policy = read(&args.file)?;
    say(&format!("{:#}\n", terms::forms(&policy, &args.tracks)));
    Ok(())
}

async fn perform(config: &ConfigArg, operation: Operation) -> Result<OperationOutcome, Failure> {
    Operator::new(config)?.perform(operation).await
}

/// Reads a policy from a file.
fn read(file: &Path) -> Result<Policy, Failure> {
    let text = std::fs::read(file)
        .map_err(|error| Failure::because(format!("cannot read {}: {error}", file.display())))?;
    Policy::from_json(&text, None)
        .map_err(|error| Failure::usage(error).hint("docs/policies.md has every member and its values"))
}

fn unknown(name: &PolicyName) -> Failure {
    Failure::because(format!("there is no policy {name}")).hint("keymoot policy list shows those there are")
}
