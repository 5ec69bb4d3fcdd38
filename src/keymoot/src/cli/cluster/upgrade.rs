//! `keymoot cluster upgrade`: raises the feature level once every member's program knows it.

use clap::Args;

use super::change::How;
use super::look::look;
use crate::cli::confirm::confirm;
use crate::cli::operator::{Operator, say};
use keymoot_command::{Column, Failure, Table};
use keymoot_service::admin::Operation;

/// `keymoot cluster upgrade`.
#[derive(Clone, Debug, Args)]
pub struct UpgradeArgs {
    /// How.
    #[command(flatten)]
    pub how: How,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when a member is silent or too old, or nobody answers.
pub async fn run(args: UpgradeArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.how.config)?;
    let seen = look(&operator).await?;
    let mut levels = Vec::new();
    for row in &seen.rows {
        match &row.answer {
            Ok(node) => levels.push((node.id, node.feature_level, node.version.clone())),
            Err(reason) => {
                let text = format!("node {} does not say what it knows: {reason}", row.member.id);
                return Err(Failure::because(text).hint("start it, or remove it, then try again"));
            }
        }
    }
    let now = seen.status.feature_level;
    let to = levels.iter().map(|(_, level, _)| *level).min().unwrap_or(now);
    let mut table = Table::new([Column::Left(""); 2]).indented(2);
    for (id, level, version) in &levels {
        let knows = format!("Keymoot {version}, knows feature levels up to {level}");
        table.row([format!("node {id}"), knows]);
    }
    say(&table.text());
    if to <= now {
        say(&format!("nothing to change: the cluster is at feature level {now}\n"));
        return Ok(());
    }
    say(&format!(
        "feature level {now} -> {to}; programs that do not know it cannot be in the cluster any more\n"
    ));
    confirm(args.how.yes, "Raise it?")?;
    operator.perform(Operation::RaiseFeatureLevel { to }).await?;
    say("done\n");
    Ok(())
}
