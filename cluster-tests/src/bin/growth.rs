//! `scripts/growth`: restart, memory, disk and snapshots of a cluster with many keys.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use cluster_tests::bench::{growth, machine};
use cluster_tests::{RigError, wait};
use serde_json::json;

/// Loads a cluster of three nodes with many keys, and measures restart, memory, disk and a node that
/// needs a snapshot while the others serve.
#[derive(Parser)]
#[command(name = "growth")]
struct Arguments {
    /// Numbers of keys; each gets a cluster of its own.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 1_000_000])]
    keys: Vec<u64>,
    /// Where the figures are written as JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("growth: {error}");
            error.exit_code()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), RigError> {
    wait::listen_for_interrupts()?;
    let mut figures = Vec::new();
    for keys in &arguments.keys {
        eprintln!("loading {keys} keys …");
        let found = growth::measure(*keys)?.to_json();
        println!("{found:#}");
        figures.push(found);
    }
    if let Some(path) = &arguments.output {
        let whole = json!({"machine": machine::describe(), "figures": figures});
        std::fs::write(path, format!("{whole:#}\n")).map_err(RigError::at("write", path))?;
    }
    Ok(())
}
