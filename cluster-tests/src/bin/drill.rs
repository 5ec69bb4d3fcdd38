//! `scripts/failover` and `scripts/rolling-restart`: nodes of a loaded cluster go away and come
//! back, and the effect on clients is shown.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cluster_tests::drill::{Manner, Plan};
use cluster_tests::{Cluster, RigError, drill, report, wait};

/// Disturbs a loaded three-node cluster. Prints a table, writes a timeline, and fails if any
/// acknowledged key is lost or changed or any request got an error.
#[derive(Parser)]
#[command(name = "drill")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Kills the leader with kill -9, again and again.
    Failover {
        /// How many leaders to kill.
        #[arg(long, default_value_t = 5)]
        kills: usize,
        /// Where timeline.svg and failover.json are written.
        #[arg(long, value_name = "DIR", default_value = "target/failover")]
        output: PathBuf,
    },
    /// Stops and starts each node in turn, as an upgrade does.
    RollingRestart {
        /// How many times the whole cluster is restarted.
        #[arg(long, default_value_t = 2)]
        rounds: usize,
        /// Where timeline.svg and rolling-restart.json are written.
        #[arg(long, value_name = "DIR", default_value = "target/rolling-restart")]
        output: PathBuf,
        /// Fail when nobody was served for longer, in milliseconds.
        #[arg(long, value_name = "MS", default_value_t = 250)]
        gap_max: u32,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().what) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("drill: {error}");
            error.exit_code()
        }
    }
}

/// Whether every promise was kept.
fn run(what: &What) -> Result<bool, RigError> {
    let (manner, output, file, gap_max_ms) = match what {
        What::Failover { kills, output } => {
            (Manner::LeaderKilled(*kills), output, "failover.json", f64::INFINITY)
        }
        What::RollingRestart { rounds, output, gap_max } => {
            (Manner::RollingRestart(*rounds), output, "rolling-restart.json", f64::from(*gap_max))
        }
    };
    wait::listen_for_interrupts()?;
    eprintln!("starting three nodes …");
    let mut cluster = Cluster::start()?;
    let nodes = cluster.nodes().len();
    match manner {
        Manner::LeaderKilled(times) => eprintln!("killing {times} leaders under load, about 8 s each …"),
        Manner::RollingRestart(times) => {
            eprintln!("restarting {nodes} nodes {times} times under load, about 8 s each …");
        }
    }
    let report = drill::run(&mut cluster, Plan { manner, ..Plan::default() })?;
    write(output, "timeline.svg", &report::picture(&report, nodes))?;
    write(output, file, &format!("{:#}\n", report::figures(&report)))?;

    print!("{}", report::table(&report));
    println!("timeline: {}", output.join("timeline.svg").display());
    for refusal in report.record.refusals.iter().take(10) {
        println!("error after {:.1} s: {}", refusal.at.as_secs_f64(), refusal.text);
    }
    for finding in &report.findings {
        println!("broken: {finding}");
    }
    if report.findings.is_empty() {
        println!("every acknowledged key was read back, unchanged, from every node");
    }
    let slow = report::rows(&report).into_iter().filter(|row| row.gap_ms > gap_max_ms).count();
    if slow > 0 {
        println!("{slow} gaps were longer than {gap_max_ms} ms");
    }
    Ok(report.findings.is_empty() && report.record.refusals.is_empty() && slow == 0)
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), RigError> {
    std::fs::create_dir_all(dir).map_err(RigError::at("make", dir))?;
    let path = dir.join(name);
    std::fs::write(&path, text).map_err(RigError::at("write", &path))
}
