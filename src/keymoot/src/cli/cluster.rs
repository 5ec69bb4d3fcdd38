//! `keymoot cluster`: the life of a cluster, from its beginning on.

mod admission;
pub mod authority;
pub mod certificate;
pub mod change;
mod health;
pub mod join;
mod look;
pub mod replace;
pub mod salvage;
mod status;
pub mod token;
pub mod upgrade;

use super::args::{ClusterCommand, ClusterInitArgs};
use super::operator::{Operator, block_on, say, unexpected};
use super::{Failure, recover};
use keymoot_cluster::{AdminRequest, AdminResponse};

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached or refuses.
pub fn run(command: ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Init(args) => block_on(init(args)),
        ClusterCommand::Recover(args) => recover::run(&args),
        ClusterCommand::Salvage(args) => salvage::run(&args),
        ClusterCommand::Status(args) => block_on(status::run(args)),
        ClusterCommand::Token(command) => block_on(token::run(command)),
        ClusterCommand::Authority(command) => block_on(authority::run(command)),
        ClusterCommand::Certificate(command) => block_on(certificate::run(command)),
        ClusterCommand::Join(args) => block_on(join::run(*args)),
        ClusterCommand::ReplaceDisk(args) => block_on(replace::run(*args)),
        ClusterCommand::Promote(args) => block_on(change::promote(args)),
        ClusterCommand::Demote(args) => block_on(change::demote(args)),
        ClusterCommand::Remove(args) => block_on(change::remove(args)),
        ClusterCommand::TransferLeader(args) => block_on(change::transfer_leader(args)),
        ClusterCommand::Address(args) => block_on(change::address(args)),
        ClusterCommand::Upgrade(args) => block_on(upgrade::run(args)),
    }
}

async fn init(args: ClusterInitArgs) -> Result<(), Failure> {
    let operator = Operator::by_keyring(args.config.config.as_deref())?;
    let members = args.members.iter().map(|member| (member.id, member.address.to_string())).collect();
    match operator.ask(AdminRequest::Initialize(members)).await? {
        AdminResponse::Initialized(true) => {
            let ids: Vec<String> = args.members.iter().map(|member| member.id.to_string()).collect();
            say(&format!(
                "the cluster {} begins with nodes {}\n",
                operator.config.cluster.name,
                ids.join(", ")
            ));
        }
        AdminResponse::Initialized(false) => {
            say("the node belongs to a cluster already; nothing was changed\n")
        }
        _ => return Err(unexpected()),
    }
    Ok(())
}
