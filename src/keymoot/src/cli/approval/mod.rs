//! `keymoot approval`: what takes two persons, and the approvals of the second one.

pub mod args;

use std::time::Duration;

use humantime::format_duration;
use serde_json::Value;

use super::Failure;
use super::args::{ConfigArg, OutputFormat};
use super::clock::instant;
use super::operator::{block_on, say};
use args::{ApprovalArgs, ApprovalCommand, ListArgs, RequireArgs};
use keymoot_command::{Column, Table};
use keymoot_service::admin::{ApprovalCall, Call};
use keymoot_state::TwoPersonRule;

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached or refuses.
pub fn run(command: ApprovalCommand) -> Result<(), Failure> {
    match command {
        ApprovalCommand::List(args) => block_on(list(args)),
        ApprovalCommand::Show(args) => block_on(show(args)),
        ApprovalCommand::Approve(args) => block_on(approve(args)),
        ApprovalCommand::Withdraw(args) => block_on(withdraw(args)),
        ApprovalCommand::Rule(who) => block_on(rule(who)),
        ApprovalCommand::Require(args) => block_on(require(args)),
    }
}

/// Asks the admin API, for which there must be an operator's credential: a keyring is nobody's name.
pub(super) async fn ask(who: &ConfigArg, call: ApprovalCall) -> Result<Value, Failure> {
    let (api, _) = who.api()?;
    api.call(&Call::Approval(call)).await
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let all = ask(&args.who, ApprovalCall::Approvals {}).await?;
    let shown = all.as_array().into_iter().flatten();
    let shown: Vec<&Value> =
        shown.filter(|one| args.all || one.get("is_open").is_some_and(|open| open == true)).collect();
    say(&match args.output {
        OutputFormat::Json => format!("{:#}\n", serde_json::json!(shown)),
        OutputFormat::Table if shown.is_empty() => {
            "no approval waits; --all lists those that ended\n".to_owned()
        }
        OutputFormat::Table => table(&shown),
    });
    Ok(())
}

async fn show(args: ApprovalArgs) -> Result<(), Failure> {
    let all = ask(&args.who, ApprovalCall::Approvals {}).await?;
    let mut all = all.as_array().into_iter().flatten();
    let found = all.find(|one| one.get("id").and_then(Value::as_u64) == Some(args.id));
    let found = found.ok_or_else(|| {
        Failure::because(format!("there is no approval {}", args.id))
            .hint("keymoot approval list --all shows those there are")
    })?;
    say(&table(&[found]));
    Ok(())
}

async fn approve(args: ApprovalArgs) -> Result<(), Failure> {
    let record = ask(&args.who, ApprovalCall::Approve { id: args.id }).await?;
    say(&format!(
        "approved: {}; operator {} goes on by the same command as before, until {}\n",
        text(&record, "words"),
        text(&record, "asked_by"),
        instant(number(&record, "expires_at_ms")),
    ));
    Ok(())
}

async fn withdraw(args: ApprovalArgs) -> Result<(), Failure> {
    let record = ask(&args.who, ApprovalCall::Withdraw { id: args.id }).await?;
    say(&format!("withdrawn: {}\n", text(&record, "words")));
    Ok(())
}

async fn rule(who: ConfigArg) -> Result<(), Failure> {
    let rule = ask(&who, ApprovalCall::TwoPersonRule {}).await?;
    let rule: TwoPersonRule = serde_json::from_value(rule).map_err(Failure::runtime)?;
    say(&told(&rule));
    Ok(())
}

async fn require(args: RequireArgs) -> Result<(), Failure> {
    let RequireArgs { acts, within, who, .. } = args;
    let rule = TwoPersonRule { acts, within_s: within.0.as_secs() }.sorted();
    let call = ApprovalCall::SetTwoPersonRule { acts: rule.acts.clone(), within_s: rule.within_s };
    let answer = ask(&who, call).await?;
    if answer.get("outcome").is_some_and(|outcome| outcome == "unchanged") {
        say("it was so already\n");
    }
    say(&told(&rule));
    Ok(())
}

fn told(rule: &TwoPersonRule) -> String {
    if rule.acts.is_empty() {
        return "nothing takes two persons; keymoot approval require says what does\n".to_owned();
    }
    let acts: Vec<&str> = rule.acts.iter().map(|act| act.name()).collect();
    format!(
        "two persons, within {}: {}, and what could make one person two\n",
        format_duration(Duration::from_secs(rule.within_s)),
        acts.join(", ")
    )
}

fn table(shown: &[&Value]) -> String {
    let columns = ["APPROVAL", "OF", "ASKED BY", "APPROVED BY", "STATE", "UNTIL"].map(Column::Left);
    let mut table = Table::new(columns);
    for one in shown {
        table.row([
            number(one, "id").to_string(),
            text(one, "words"),
            text(one, "asked_by"),
            text(one, "approved_by"),
            state(one),
            instant(number(one, "expires_at_ms")),
        ]);
    }
    table.to_string()
}

fn state(one: &Value) -> String {
    let is_open = one.get("is_open").is_some_and(|open| open == true);
    let end = one.get("end").filter(|end| !end.is_null());
    match end {
        Some(end) if end.get("used").is_some() => "used".to_owned(),
        Some(end) => {
            format!("withdrawn by {}", end.pointer("/withdrawn/by").and_then(Value::as_str).unwrap_or("-"))
        }
        None if !is_open => "expired".to_owned(),
        None if text(one, "approved_by") == "-" => {
            let roles = one.get("approvers").and_then(Value::as_array).into_iter().flatten();
            let roles: Vec<&str> = roles.filter_map(Value::as_str).collect();
            format!("waits for {}", roles.join(" or "))
        }
        None => "approved".to_owned(),
    }
}

fn text(of: &Value, member: &str) -> String {
    of.get(member).and_then(Value::as_str).unwrap_or("-").to_owned()
}

fn number(of: &Value, member: &str) -> u64 {
    of.get(member).and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_list_says_what_an_approval_waits_for_and_what_became_of_it() {
        let one = |id: u64, approved_by: Value, end: Value, is_open: bool| {
            json!({
                "id": id, "words": "remove account acme", "asked_by": "alice", "approved_by": approved_by, "end": end,
                "is_open": is_open, "approvers": ["key-admin", "security"], "expires_at_ms": 0,
            })
        };
        let all = [
            one(1, Value::Null, Value::Null, true),
            one(2, json!("bob"), Value::Null, true),
            one(3, json!("bob"), json!({ "used": { "at_ms": 7 } }), false),
            one(4, Value::Null, json!({ "withdrawn": { "by": "carol" } }), false),
            one(5, Value::Null, Value::Null, false),
        ];
        let text = table(&all.iter().collect::<Vec<_>>());
        let states = ["waits for key-admin or security", "approved", "used", "withdrawn by carol", "expired"];
        for (line, state) in text.lines().skip(1).zip(states) {
            assert!(line.contains("remove account acme") && line.contains(state), "{line}");
        }
    }
}
