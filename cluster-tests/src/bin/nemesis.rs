//! `scripts/nemesis`: attacks a cluster for a given time, and reports the result.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cluster_tests::nemesis::directed::{DIRECTED, Directed};
use cluster_tests::nemesis::faults::{KINDS, Kind, standard};
use cluster_tests::nemesis::run::{Run, Settings};
use cluster_tests::nemesis::schedule::Schedule;
use cluster_tests::nemesis::site::Blueprint;
use cluster_tests::nemesis::workload::Load;
use cluster_tests::nemesis::{Report, requirement};
use cluster_tests::{RigError, wait};

/// Attacks a cluster of real nodes, each in a network namespace and on a disk of its own, with faults
/// drawn from a seed, and checks every promise. Needs root. Exit code 1: a promise was broken.
#[derive(Parser)]
#[command(name = "nemesis")]
struct Arguments {
    /// How long to attack.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// What everything is drawn from; by default the time, and always printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Only these kinds of faults; all but those that --list shows as `on request`, if left out.
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME")]
    faults: Vec<String>,
    /// How many nodes.
    #[arg(long, default_value_t = 5)]
    nodes: usize,
    /// Lists the kinds of faults, and ends.
    #[arg(long)]
    list: bool,
    /// Carries out the directed schedules on the real program instead.
    #[arg(long)]
    directed: bool,
    /// Carries out the directed schedules on this program, which was built with the feature `mutants`:
    /// each mutant must be caught by its own.
    #[arg(long, value_name = "PROGRAM")]
    mutants: Option<PathBuf>,
    /// Only these mutants or directed schedules.
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME")]
    only: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("nemesis: {error}");
            error.exit_code()
        }
    }
}

/// Returns whether every promise was kept, or every mutant caught.
fn run(arguments: &Arguments) -> Result<bool, RigError> {
    if arguments.list {
        for kind in KINDS {
            println!("{}{}", kind.name, if kind.on_request { "  (on request)" } else { "" });
        }
        return Ok(true);
    }
    if let Some(why) = requirement::missing() {
        return Err(RigError::Program(format!("cannot attack here: {why}")));
    }
    wait::listen_for_interrupts()?;
    match (&arguments.mutants, arguments.directed) {
        (Some(program), _) => mutants(arguments, program),
        (None, true) => directed(arguments),
        (None, false) => random(arguments),
    }
}

fn random(arguments: &Arguments) -> Result<bool, RigError> {
    let seed = arguments.seed.unwrap_or_else(clock_seed);
    let kinds = match arguments.faults.as_slice() {
        [] => standard(),
        names => names.iter().map(|name| Kind::named(name)).collect::<Result<Vec<_>, _>>()?,
    };
    eprintln!("seed {seed}");
    let blueprint = Blueprint { nodes: arguments.nodes, ..Blueprint::standard()? };
    let settings = Settings { blueprint, seed, load: Load::default(), name: seed.to_string() };
    let mut run = Run::begin(settings)?;
    let length = Duration::from_secs_f64(arguments.minutes.max(0.0) * 60.0);
    run.attack(Schedule::new(seed, &kinds, arguments.nodes), length)?;
    let report = run.finish()?;
    print!("{}", report.text());
    Ok(report.is_clean())
}

fn directed(arguments: &Arguments) -> Result<bool, RigError> {
    let mut clean = true;
    for schedule in chosen(arguments) {
        let report = carry_out(schedule, Blueprint::standard()?, "real")?;
        print!("{}", report.text());
        clean &= report.is_clean();
    }
    Ok(clean)
}

fn mutants(arguments: &Arguments, program: &std::path::Path) -> Result<bool, RigError> {
    let program = std::path::absolute(program).map_err(RigError::at("resolve", program))?;
    let mut table = String::from("mutant      weakness                                          caught by\n");
    let mut all = true;
    for schedule in chosen(arguments) {
        let mut blueprint = Blueprint { program: program.clone(), ..Blueprint::standard()? };
        blueprint.env.push(("KEYMOOT_MUTANT".to_owned(), schedule.mutant.to_owned()));
        let report = carry_out(schedule, blueprint, "mutant")?;
        let caught = match report.caught_by().as_slice() {
            [] => "NOT CAUGHT".to_owned(),
            checkers => checkers.join(", "),
        };
        all &= !report.is_clean();
        table.push_str(&format!("{:<10}  {:<48}  {caught}\n", schedule.mutant, schedule.weakness));
        if let Some(first) = report.violations.first() {
            eprintln!("{}: {}", first.checker, first.text.lines().next().unwrap_or_default());
        }
    }
    print!("{table}");
    Ok(all)
}

fn chosen(arguments: &Arguments) -> impl Iterator<Item = &'static Directed> {
    let only = arguments.only.clone();
    DIRECTED.iter().filter(move |directed| only.is_empty() || only.iter().any(|name| name == directed.mutant))
}

fn carry_out(directed: &Directed, blueprint: Blueprint, what: &str) -> Result<Report, RigError> {
    eprintln!("{}: {}", directed.mutant, directed.weakness);
    let name = format!("{what}-{}", directed.mutant);
    let mut run = Run::begin(Settings { blueprint, seed: 1, load: directed.load(), name })?;
    directed.act(&mut run)?;
    run.finish()
}

fn clock_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_secs()
}
