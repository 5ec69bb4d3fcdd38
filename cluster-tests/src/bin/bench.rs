//! `scripts/bench`: Keymoot beside etcd and beside a bare actix-web server, in one run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cluster_tests::bench::figures::{Row, table};
use cluster_tests::bench::names::{Name, System};
use cluster_tests::bench::node_counts::{self, Count};
use cluster_tests::bench::peers::Peers;
use cluster_tests::bench::ratios::{one_client_create, one_client_document, open_loop_ratios, ratios};
use cluster_tests::bench::rounds::{Rounds, Watched as _};
use cluster_tests::bench::workloads::{Workload, workload};
use cluster_tests::bench::{bare, machine};
use cluster_tests::{RigError, wait};
use serde_json::{Value, json};

/// Measures creates, linearizable reads, licenses and more of three nodes, beside three nodes of etcd
/// and a bare actix-web server that answers as many bytes.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Numbers of clients, each with a connection.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32, 128, 512])]
    clients: Vec<usize>,
    /// Rounds of each workload; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds that each round is measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds of warming up before each round.
    #[arg(long, default_value_t = 1.0)]
    warm_up_seconds: f64,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    workloads: Vec<Name>,
    /// Afterwards ask by the clock, at this part of what the closed loop reached (of the slower of Keymoot and
    /// etcd): latencies then count from when a request was due. 0 leaves it out.
    #[arg(long, default_value_t = 0.5, value_name = "PART")]
    open_loop: f64,
    /// Ask by the clock so many requests a second, all workloads alike.
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// What the ratios need, within ten minutes: five rounds of three seconds, 1 and 128 clients.
    #[arg(long, conflicts_with_all = ["clients", "rounds", "seconds", "workloads"])]
    quick: bool,
    /// Go without etcd and what is held against it.
    #[arg(long)]
    without_etcd: bool,
    /// Creates and reads of clusters of these sizes in place of all else: voters, or VOTERS+LEARNERS.
    #[arg(long, value_delimiter = ',', value_name = "N", conflicts_with = "quick")]
    nodes: Vec<Count>,
    /// Where the figures are written as JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Be the bare server: the answers are lines on standard input, whose end ends it.
    #[arg(long, hide = true)]
    bare_server: bool,
}

/// The number of contents that the reads choose among.
const KNOWN_CONTENTS: usize = 2000;
/// The number of clients for ratios and open loops, if it was run.
const RATIOS_OF: usize = 128;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = if arguments.bare_server { bare::serve_standard_input() } else { run(arguments) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            error.exit_code()
        }
    }
}

fn run(mut arguments: Arguments) -> Result<(), RigError> {
    if arguments.quick {
        (arguments.clients, arguments.rounds) = (vec![1, RATIOS_OF], 5);
    }
    wait::listen_for_interrupts()?;
    let figures = if arguments.nodes.is_empty() { peers(&arguments)? } else { sizes(&arguments)? };
    if let Some(path) = &arguments.output {
        std::fs::write(path, format!("{figures:#}\n")).map_err(RigError::at("write", path))?;
    }
    Ok(())
}

impl Arguments {
    fn names(&self) -> Vec<Name> {
        let all: &[Name] = match self {
            Self { quick: true, .. } => &Name::FOR_RATIOS,
            Self { workloads, .. } if !workloads.is_empty() => workloads,
            _ => &Name::ALL,
        };
        let wanted = all.iter().copied();
        wanted.filter(|name| !(self.without_etcd && name.system() == System::Etcd)).collect()
    }

    /// Whether a workload is run with this many clients, or in an open loop.
    fn wants(&self, name: Name, clients: usize, open: bool) -> bool {
        !self.quick || Name::BESIDE_ETCD.contains(&name) || (clients == RATIOS_OF && !open)
    }

    fn ratios_of(&self) -> usize {
        let most = self.clients.iter().copied().max().unwrap_or(1);
        if self.clients.contains(&RATIOS_OF) { RATIOS_OF } else { most }
    }

    /// The request rate of the open loop, from the closed loops' rows.
    fn open_rate(&self, rows: &[Row], name: Name) -> Option<f64> {
        let reached = |name: Name| {
            let mut same = rows.iter().filter(|row| row.name == name && row.clients == self.ratios_of());
            same.find(|row| row.rate_per_s.is_none()).map(|row| row.answers_per_s)
        };
        let own = reached(name)?;
        let slower = name.rival().and_then(reached).map_or(own, |rival| rival.min(own));
        Some(self.rate.unwrap_or(slower * self.open_loop).max(1.0))
    }

    fn duration(seconds: f64) -> Duration {
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(1))
    }

    /// The first members of every file of figures.
    fn head(&self, disk: &str) -> Value {
        let mut machine = machine::describe();
        if let Some(members) = machine.as_object_mut() {
            members.insert("disk".to_owned(), json!(disk));
        }
        json!({
            "machine": machine, "rounds": self.rounds, "seconds": self.seconds,
            "warm_up_seconds": self.warm_up_seconds, "optimised": !cfg!(debug_assertions),
        })
    }
}

/// Keymoot compared with other systems.
fn peers(arguments: &Arguments) -> Result<Value, RigError> {
    eprintln!("starting Keymoot, etcd and bare servers, with {KNOWN_CONTENTS} keys each …");
    let mut peers = Peers::start(KNOWN_CONTENTS, !arguments.without_etcd)?;
    let names = arguments.names();
    let (tls, plain): (Vec<Name>, Vec<Name>) =
        names.into_iter().partition(|name| name.system() == System::KeymootTls);
    let (mut rows, mut fsyncs_ms) = phase(arguments, &peers, &plain)?;
    peers.leader_is_the_same()?;
    if !tls.is_empty() {
        peers.put_behind_tls()?;
        rows.extend(phase(arguments, &peers, &tls)?.0);
    }
    if fsyncs_ms.is_empty() {
        fsyncs_ms.push(peers.fsync_ms()?);
    }
    let fsync_ms = cluster_tests::stats::median(&fsyncs_ms);
    let of = arguments.ratios_of();
    let mut figures = arguments.head(&peers.disk());
    let more = json!({
        "fsync_ms": fsync_ms, "answer_bytes": peers.answer_bytes[0],
        "license_answer_bytes": peers.answer_bytes[1], "document_answer_bytes": peers.answer_bytes[2],
        "ratios_of_clients": of, "ratios": ratios(&rows, of),
        "ratios_in_open_loop": open_loop_ratios(&rows),
        "one_client_create": one_client_create(&rows, fsync_ms),
        "one_client_document": one_client_document(&rows),
    });
    print!("{}", table(&rows));
    println!("{more:#}");
    extend(&mut figures, more);
    extend(&mut figures, json!({"figures": rows.iter().map(Row::to_json).collect::<Vec<_>>()}));
    Ok(figures)
}

/// Closed loops of these workloads with each number of clients, and then open loops.
fn phase(arguments: &Arguments, peers: &Peers, names: &[Name]) -> Result<(Vec<Row>, Vec<f64>), RigError> {
    let mut rounds = Rounds {
        watched: peers,
        count: arguments.rounds,
        warm_up: Arguments::duration(arguments.warm_up_seconds),
        measured: Arguments::duration(arguments.seconds),
        fsyncs_ms: Vec::new(),
    };
    let workloads: Vec<Workload> =
        names.iter().map(|name| workload(*name, peers)).collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    for clients in &arguments.clients {
        let wanted = |workload: &&Workload| arguments.wants(workload.name, *clients, false);
        let wanted: Vec<&Workload> = workloads.iter().filter(wanted).collect();
        rows.extend(rounds.measure(*clients, &wanted, |_| None)?);
    }
    if arguments.open_loop > 0.0 || arguments.rate.is_some() {
        let clients = arguments.ratios_of();
        let wanted = |workload: &&Workload| arguments.wants(workload.name, clients, true);
        let wanted: Vec<&Workload> = workloads.iter().filter(wanted).collect();
        let open = rounds.measure(clients, &wanted, |name| arguments.open_rate(&rows, name))?;
        rows.extend(open);
    }
    Ok((rows, rounds.fsyncs_ms))
}

/// Clusters of several sizes.
fn sizes(arguments: &Arguments) -> Result<Value, RigError> {
    let mut sizes = Vec::new();
    for count in &arguments.nodes {
        eprintln!("starting a cluster of {count} …");
        let clients = arguments.ratios_of();
        let seconds = [arguments.warm_up_seconds, arguments.seconds].map(Arguments::duration);
        let rows = node_counts::measure(*count, clients, arguments.rounds, seconds)?;
        println!("{count} nodes\n{}", table(&rows));
        sizes.push(json!({
            "voters": count.voters, "learners": count.learners,
            "figures": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        }));
    }
    let mut figures = arguments.head(&machine::disk(&std::env::temp_dir()));
    extend(&mut figures, json!({"sizes": sizes}));
    Ok(figures)
}

fn extend(figures: &mut Value, more: Value) {
    if let (Value::Object(figures), Value::Object(more)) = (figures, more) {
        figures.extend(more);
    }
}
