//! `scripts/failover`: kills the leader of a loaded cluster again and again, and shows what the
//! clients saw of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use cluster_tests::{Cluster, RigError, drill, report, wait};

/// Kills the leader of a loaded three-node cluster again and again. Prints a table, writes a
/// timeline, and fails if any acknowledged key is lost or changed or any request got an error.
#[derive(Parser)]
#[command(name = "failover")]
struct Arguments {
    /// How many leaders to kill.
    #[arg(long, default_value_t = 5)]
    kills: usize,
    /// Where timeline.svg and failover.json are written.
    #[arg(long, value_name = "DIR", default_value = "target/failover")]
    output: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("failover: {error}");
            error.exit_code()
        }
    }
}

/// Whether every promise was kept.
fn run(arguments: &Arguments) -> Result<bool, RigError> {
    wait::listen_for_interrupts()?;
    eprintln!("starting three nodes …");
    let mut cluster = Cluster::start()?;
    eprintln!("killing {} leaders under load, about 8 s each …", arguments.kills);
    let plan = drill::Plan { kills: arguments.kills, ..drill::Plan::default() };
    let nodes = cluster.nodes().len();
    let report = drill::run(&mut cluster, plan)?;
    write(&arguments.output, "timeline.svg", &report::picture(&report, nodes))?;
    write(&arguments.output, "failover.json", &format!("{:#}\n", report::figures(&report)))?;

    print!("{}", report::table(&report));
    println!("timeline: {}", arguments.output.join("timeline.svg").display());
    for refusal in report.record.refusals.iter().take(10) {
        println!("error after {:.1} s: {}", refusal.at.as_secs_f64(), refusal.text);
    }
    for finding in &report.findings {
        println!("broken: {finding}");
    }
    if report.findings.is_empty() {
        println!("every acknowledged key was read back, unchanged, from every node");
    }
    Ok(report.findings.is_empty() && report.record.refusals.is_empty())
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), RigError> {
    std::fs::create_dir_all(dir).map_err(RigError::at("make", dir))?;
    let path = dir.join(name);
    std::fs::write(&path, text).map_err(RigError::at("write", &path))
}
