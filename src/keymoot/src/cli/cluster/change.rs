//! `keymoot cluster promote|demote|remove|transfer-leader|address`: what will change is shown, then asked.

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};

use crate::cli::args::ConfigArg;
use crate::cli::confirm::confirm;
use crate::cli::operator::{Operator, say, unexpected};
use crate::cli::time_span::TimeSpan;
use keymoot_cluster::settings::PeerAddress;
use keymoot_cluster::{AdminRequest, AdminResponse, Change, ChangePlan, ChangeRequest, MemberState, Verdict};
use keymoot_command::{Column, Failure, Table};
use keymoot_model::NodeId;

/// How often `--wait` looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long the configured node may take to hear who leads.
const LEADER_KNOWN_WITHIN: Duration = Duration::from_secs(3);

/// How a change is made.
#[derive(Clone, Debug, Args)]
pub struct How {
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

/// A change of one member.
#[derive(Clone, Debug, Args)]
pub struct MemberChangeArgs {
    /// The node's number.
    pub id: NodeId,
    /// How.
    #[command(flatten)]
    pub how: How,
    /// Even if the voters that are left and up are no majority: nothing is written then until they are.
    #[arg(long)]
    pub force: bool,
}

/// `keymoot cluster promote`.
#[derive(Clone, Debug, Args)]
pub struct PromoteArgs {
    /// The node's number.
    pub id: NodeId,
    /// How.
    #[command(flatten)]
    pub how: How,
    /// Wait for so long until it has caught up.
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "10m")]
    pub wait: Option<TimeSpan>,
}

/// `keymoot cluster transfer-leader`.
#[derive(Clone, Debug, Args)]
pub struct TransferArgs {
    /// The node that shall lead; without one, the voter that is best placed.
    pub id: Option<NodeId>,
    /// How.
    #[command(flatten)]
    pub how: How,
}

/// `keymoot cluster address`.
#[derive(Clone, Debug, Args)]
pub struct AddressArgs {
    /// The node's number.
    pub id: NodeId,
    /// Where its peers reach it from now on.
    #[arg(value_name = "HOST:PORT")]
    pub address: PeerAddress,
    /// How.
    #[command(flatten)]
    pub how: How,
}

/// Makes a learner a voter.
pub async fn promote(args: PromoteArgs) -> Result<(), Failure> {
    let wait = args.wait.map(|span| span.0);
    make(&args.how, Change::Promote(args.id), false, wait).await
}

/// Makes a voter a learner.
pub async fn demote(args: MemberChangeArgs) -> Result<(), Failure> {
    make(&args.how, Change::Demote(args.id), args.force, None).await
}

/// Removes a node.
pub async fn remove(args: MemberChangeArgs) -> Result<(), Failure> {
    make(&args.how, Change::Remove(args.id), args.force, None).await
}

/// Lets another voter lead.
pub async fn transfer_leader(args: TransferArgs) -> Result<(), Failure> {
    make(&args.how, Change::TransferLeader(args.id), false, None).await
}

/// Who leads after a transfer, as the configured node knows it; it may hear of it a moment later.
async fn leader_after(operator: &Operator, to: Option<NodeId>, before: NodeId) -> Result<NodeId, Failure> {
    let until = Instant::now() + LEADER_KNOWN_WITHIN;
    loop {
        let AdminResponse::Status(status) = operator.ask(AdminRequest::Status).await? else {
            return Err(unexpected());
        };
        let leader = status.node.leader;
        match leader.filter(|leader| to.map_or(*leader != before, |to| *leader == to)) {
            Some(leader) => return Ok(leader),
            None if Instant::now() < until => sleep(LOOK_AGAIN).await,
            None => {
                let leads = leader.map_or_else(|| "nobody leads".to_owned(), |id| format!("node {id} leads"));
                let wanted = to.map_or_else(String::new, |to| format!(", and not node {to}"));
                return Err(Failure::because(format!("{leads}{wanted}")).hint("see keymoot cluster status"));
            }
        }
    }
}

/// Changes a node's address.
pub async fn address(args: AddressArgs) -> Result<(), Failure> {
    make(&args.how, Change::Address(args.id, args.address.to_string()), false, None).await
}

async fn make(how: &How, change: Change, force: bool, wait: Option<Duration>) -> Result<(), Failure> {
    let operator = Operator::new(&how.config)?;
    let until = Instant::now() + wait.unwrap_or_default();
    let shown = loop {
        let request = ChangeRequest { change: change.clone(), force, dry_run: true };
        let plan = ask(&operator, request).await?;
        match &plan.verdict {
            Verdict::NotYet(_) if Instant::now() < until => sleep(LOOK_AGAIN).await,
            _ => break plan,
        }
    };
    if let Some(nothing) = outcome(&shown)? {
        say(&format!("nothing to change: {nothing}\n"));
        return Ok(());
    }
    say(&describe(&change, &shown));
    confirm(how.yes, "Change it?")?;
    let made = ask(&operator, ChangeRequest { change: change.clone(), force, dry_run: false }).await?;
    // What has become so meanwhile is as good as done.
    outcome(&made)?;
    match change {
        Change::TransferLeader(to) => {
            let leader = leader_after(&operator, to, shown.leader).await?;
            say(&format!("done: node {leader} leads\n"));
        }
        _ => say("done\n"),
    }
    Ok(())
}

async fn ask(operator: &Operator, request: ChangeRequest) -> Result<ChangePlan, Failure> {
    match operator.ask(AdminRequest::Change(request)).await? {
        AdminResponse::Planned(plan) => Ok(*plan),
        _ => Err(unexpected()),
    }
}

/// Why there is nothing to do, if there is not.
fn outcome(plan: &ChangePlan) -> Result<Option<&str>, Failure> {
    match &plan.verdict {
        Verdict::Ready => Ok(None),
        Verdict::Nothing(reason) => Ok(Some(reason)),
        Verdict::Refused(reason) => Err(Failure::because(reason)),
        Verdict::NotYet(reason) => Err(Failure::because(reason).hint("pass --wait to wait for it")),
        Verdict::Dangerous(reason) => Err(Failure::because(reason)
            .hint("pass --force if those nodes are gone for good and you know how the others come back")),
    }
}

pub(super) fn describe(change: &Change, plan: &ChangePlan) -> String {
    let mut text = match change {
        Change::Promote(id) => format!("node {id} becomes a voter\n"),
        Change::Demote(id) => format!("node {id} becomes a learner, and stays one\n"),
        Change::Remove(id) => format!("node {id} is removed for ever; its id is not given again\n"),
        Change::TransferLeader(Some(id)) => format!("node {id} leads in place of node {}\n", plan.leader),
        Change::TransferLeader(None) => format!("another voter leads in place of node {}\n", plan.leader),
        Change::Address(id, address) => format!("node {id} is reached at {address}\n"),
        Change::AddLearner(id, address) => format!("node {id} at {address} becomes a learner\n"),
    };
    let mut table = Table::new([Column::Left(""); 4]).indented(2);
    for member in &plan.before {
        let then = plan.after.iter().find(|then| then.id == member.id);
        table.row(cells(member, then, plan.leader));
    }
    text.push_str(&table.text());
    let voters = |members: &[MemberState]| members.iter().filter(|member| member.voter).count();
    text.push_str(&format!(
        "voters {} -> {}, failures survived {} -> {}\n",
        voters(&plan.before),
        voters(&plan.after),
        plan.survives_before,
        plan.survives_after
    ));
    for advice in &plan.advice {
        text.push_str(&format!("advice: {advice}\n"));
    }
    if matches!(change, Change::Demote(id) | Change::Remove(id) if *id == plan.leader) {
        text.push_str("it leads now; it transfers the leadership first\n");
    }
    text
}

fn cells(now: &MemberState, then: Option<&MemberState>, leader: NodeId) -> [String; 4] {
    let role = |member: &MemberState| if member.voter { "voter" } else { "learner" };
    let becomes = match then {
        None => " -> removed".to_owned(),
        Some(then) if then.voter != now.voter => format!(" -> {}", role(then)),
        Some(then) if then.peer_address != now.peer_address => format!(" -> {}", then.peer_address),
        Some(_) => String::new(),
    };
    let marks = [(now.id == leader, ", leads"), (!now.up, ", silent")];
    let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
    let zone = if now.zone.is_empty() { "-" } else { &now.zone };
    let at = format!("{}{marks}{becomes}", now.peer_address);
    [format!("node {}", now.id), role(now).to_owned(), zone.to_owned(), at]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: NodeId, voter: bool, up: bool) -> MemberState {
        MemberState { id, voter, zone: "west".into(), peer_address: format!("h:{id}"), up, lag: 0 }
    }

    fn plan(verdict: Verdict) -> ChangePlan {
        ChangePlan {
            leader: 1,
            before: vec![member(1, true, true), member(2, true, false), member(3, false, true)],
            after: vec![member(2, true, false), member(3, true, true)],
            survives_before: 0,
            survives_after: 0,
            advice: vec!["be careful".into()],
            verdict,
        }
    }

    #[test]
    fn what_changes_is_told_line_by_line() {
        let text = describe(&Change::Remove(1), &plan(Verdict::Ready));
        assert!(text.contains("  node 1  voter    west  h:1, leads -> removed\n"), "{text}");
        assert!(text.contains("  node 2  voter    west  h:2, silent\n"), "{text}");
        assert!(text.contains("  node 3  learner  west  h:3 -> voter\n"), "{text}");
        assert!(text.contains("advice: be careful") && text.contains("transfers the leadership"), "{text}");
    }

    #[test]
    fn a_refusal_says_what_helps() {
        let said = |verdict| outcome(&plan(verdict)).unwrap_err().to_string();
        assert!(said(Verdict::NotYet("lags".into())).contains("--wait"));
        assert!(said(Verdict::Dangerous("few".into())).contains("--force"));
        assert_eq!(outcome(&plan(Verdict::Nothing("so".into()))).unwrap(), Some("so"));
    }
}
