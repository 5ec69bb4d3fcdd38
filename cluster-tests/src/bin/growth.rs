//! `scripts/growth`: speed, restart, memory, disk and snapshots of a cluster with many keys.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cluster_tests::bench::{growth, machine};
use cluster_tests::{RigError, wait};
use serde_json::json;

/// Loads a cluster of three nodes with many keys, and measures reads, creates, restart, memory, disk and a
/// node that needs a snapshot while the others serve.
#[derive(Parser)]
#[command(name = "growth")]
struct Arguments {
    /// Numbers of keys; each gets a cluster of its own.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 1_000_000])]
    keys: Vec<u64>,
    /// Clients that read and create.
    #[arg(long, default_value_t = 128)]
    clients: usize,
    /// Rounds of reads and of creates; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds that each round is measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Where the figures are written as JSON, after each number of keys.
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
    let measured = Duration::try_from_secs_f64(arguments.seconds);
    let measured = measured.map_err(|_| RigError::Program("--seconds is no length of time".to_owned()))?;
    let plan = growth::Plan { clients: arguments.clients, rounds: arguments.rounds, measured };
    let mut figures = Vec::new();
    for keys in &arguments.keys {
        eprintln!("loading {keys} keys …");
        let found = growth::measure(*keys, plan)?.to_json();
        println!("{found:#}");
        figures.push(found);
        if let Some(path) = &arguments.output {
            let (machine, optimised) = (machine::describe(), !cfg!(debug_assertions));
            let whole = json!({"machine": machine, "optimised": optimised, "growth": figures});
            std::fs::write(path, format!("{whole:#}\n")).map_err(RigError::at("write", path))?;
        }
    }
    Ok(())
}
