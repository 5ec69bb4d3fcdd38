//! `scripts/performance-report`: the benchmarks' figures, as tables and charts of
//! `docs/performance.md`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use cluster_tests::bench::report;

/// Writes figures into a page's tables, and charts beside it.
#[derive(Parser)]
#[command(name = "performance-report")]
struct Arguments {
    /// What `scripts/bench`, `scripts/bench --nodes` and `scripts/growth` wrote.
    #[arg(required = true, value_name = "FILE")]
    figures: Vec<PathBuf>,
    /// The page.
    #[arg(long, default_value = "docs/performance.md", value_name = "FILE")]
    page: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match report::write(&arguments.figures, &arguments.page) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("performance-report: {error}");
            error.exit_code()
        }
    }
}
