//! `keymoot cluster`: begin a cluster, and see how it is.

use futures::future::join_all;
use serde_json::json;

use super::args::{ClusterCommand, ClusterInitArgs, ClusterStatusArgs, OutputFormat};
use super::operator::{Operator, block_on, say, unexpected};
use super::{Failure, recover};
use crate::cluster::{AdminRequest, AdminResponse, ClusterStatus, NodeStatus, PeerStatus, fenced_off};

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached or refuses.
pub fn run(command: ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Init(args) => block_on(init(args)),
        ClusterCommand::Status(args) => block_on(status(args)),
        ClusterCommand::Recover(args) => recover::run(&args),
    }
}

async fn init(args: ClusterInitArgs) -> Result<(), Failure> {
    let operator = Operator::new(args.config.config.as_deref())?;
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

/// A member, and what it said of itself or why it said nothing.
struct Row {
    member: PeerStatus,
    answer: Result<NodeStatus, String>,
}

async fn status(args: ClusterStatusArgs) -> Result<(), Failure> {
    let operator = Operator::new(args.config.config.as_deref())?;
    let AdminResponse::Status(seen) = operator.ask(AdminRequest::Status).await? else {
        return Err(unexpected());
    };
    let asking = seen.members.iter().map(|member| ask_member(&operator, member));
    let rows = join_all(asking).await;
    say(&match args.output {
        OutputFormat::Table => table(&seen, &rows),
        OutputFormat::Json => format!("{:#}\n", as_json(&seen, &rows)),
    });
    Ok(())
}

async fn ask_member(operator: &Operator, member: &PeerStatus) -> Row {
    let answer = operator.ask_node(member.id, &member.peer_address, AdminRequest::Status).await;
    let answer = match answer {
        Ok(AdminResponse::Status(status)) => Ok(status.node),
        Ok(_) => Err(unexpected().message().to_owned()),
        Err(failure) => Err(failure.message().to_owned()),
    };
    Row { member: member.clone(), answer }
}

fn table(seen: &ClusterStatus, rows: &[Row]) -> String {
    if rows.is_empty() {
        return format!(
            "node {} runs, but belongs to no cluster yet: see keymoot cluster init\n",
            seen.node.id
        );
    }
    let mut text = format!("cluster {}, as node {} sees it\n", seen.cluster, seen.node.id);
    text.push_str("NODE  ROLE      VOTES  TERM  APPLIED     LAST LOG    SNAPSHOT    VERSION   ADDRESS\n");
    for Row { member, answer } in rows {
        let votes = if member.voter { "yes" } else { "no" };
        let line = match answer {
            Ok(node) => format!(
                "{:<4}  {:<8}  {votes:<5}  {:<4}  {:<10}  {:<10}  {:<10}  {:<8}  {}\n",
                node.id,
                node.role,
                node.term,
                node.applied_index,
                node.last_log_index,
                node.snapshot_index,
                node.version,
                member.peer_address
            ),
            Err(reason) => format!("{:<4}  {:<8}  {votes:<5}  {reason}\n", member.id, "silent"),
        };
        text.push_str(&line);
    }
    for Row { member, answer } in rows {
        for (peer, reason) in answer.iter().flat_map(|node| &node.refusals) {
            text.push_str(&format!("node {} refuses node {peer}: {reason}\n", member.id));
        }
        if let Some(reason) = answer.as_ref().ok().and_then(|node| fenced_off(seen.node.fence, node.fence)) {
            text.push_str(&format!("node {}, as node {} sees it: {reason}\n", member.id, seen.node.id));
        }
    }
    text
}

fn as_json(seen: &ClusterStatus, rows: &[Row]) -> serde_json::Value {
    let members = rows.iter().map(|Row { member, answer }| {
        json!({
            "id": member.id,
            "peer_address": member.peer_address,
            "voter": member.voter,
            "status": answer.as_ref().ok(),
            "error": answer.as_ref().err(),
        })
    });
    json!({
        "cluster": seen.cluster,
        "asked": seen.node.id,
        "leader": seen.node.leader,
        "members": members.collect::<Vec<_>>(),
    })
}
