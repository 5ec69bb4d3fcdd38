//! `keymoot config`: what is in effect, and why.

use std::io::Write as _;

use clap::{Args, Subcommand};
use serde_json::json;

use super::Failure;
use super::args::{NodeConfigArg, OutputFormat};
use crate::config::{Loaded, Setting};
use keymoot_command::{Column, Table};

/// `keymoot config`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every value and where it came from. The configuration holds no secret.
    Show(ShowArgs),
}

/// `keymoot config show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: NodeConfigArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the configuration is refused.
pub fn run(command: ConfigCommand) -> Result<(), Failure> {
    let ConfigCommand::Show(args) = command;
    let settings = Loaded::load(args.config.config.as_deref()).map_err(Failure::usage)?.settings();
    let text = match args.output {
        OutputFormat::Table => table(&settings),
        OutputFormat::Json => json_text(&settings),
    };
    // A reader that went away, such as `head`, is no failure of this command.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn table(settings: &[Setting]) -> String {
    let mut table = Table::new([Column::Left(""); 3]);
    for setting in settings {
        table.row([setting.key.clone(), setting.value.to_string(), setting.origin.to_string()]);
    }
    table.to_string()
}

fn json_text(settings: &[Setting]) -> String {
    let rows: Vec<serde_json::Value> = settings
        .iter()
        .map(|setting| json!({ "key": setting.key, "value": setting.value, "origin": setting.origin.to_string() }))
        .collect();
    format!("{:#}\n", serde_json::Value::Array(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Vec<Setting> {
        let workers = ("KEYMOOT__HTTP__WORKERS".into(), "4".into());
        Loaded::from_sources(None, [workers]).unwrap().settings()
    }

    #[test]
    fn the_table_shows_key_value_and_origin_in_columns() {
        let text = table(&settings());
        let line = text.lines().find(|line| line.starts_with("http.workers ")).unwrap();
        let columns: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(columns, ["http.workers", "4", "environment", "KEYMOOT__HTTP__WORKERS"]);
        let default = text.lines().find(|line| line.starts_with("log.format ")).unwrap();
        assert_eq!(default.find("default"), line.find("environment"), "columns are not aligned");
    }

    #[test]
    fn the_json_holds_the_same() {
        let rows: Vec<serde_json::Value> = serde_json::from_str(&json_text(&settings())).unwrap();
        let row = rows.iter().find(|row| row["key"] == "http.workers").unwrap();
        assert_eq!(row["value"], 4);
        assert_eq!(row["origin"], "environment KEYMOOT__HTTP__WORKERS");
    }
}
