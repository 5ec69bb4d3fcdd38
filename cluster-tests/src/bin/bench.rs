//! `scripts/bench`: Keymoot beside etcd and beside a bare actix-web server, in one run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use cluster_tests::bench::bare::{self, BareServer};
use cluster_tests::bench::etcd::{EtcdCluster, EtcdLoad};
use cluster_tests::bench::figures::{Round, Row, ratios, table};
use cluster_tests::bench::load::Plan;
use cluster_tests::bench::machine;
use cluster_tests::bench::usage::Usage;
use cluster_tests::bench::workloads::{Name, System, Workload, known_contents, workloads};
use cluster_tests::signed::WIDEVINE;
use cluster_tests::{Cluster, RigError, metrics, wait};
use serde_json::json;

/// Measures creates, linearizable reads and Clear Key licenses of three nodes, beside three nodes of etcd
/// and a bare actix-web server that answers as many bytes.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Numbers of clients, each with a connection.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32, 128, 512])]
    clients: Vec<usize>,
    /// Rounds of each workload; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that each round is measured, after one of warming up.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Also ask by the clock, so many requests a second: latencies then count from when a request was due.
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// What the ratios need, within ten minutes: 1 and 128 clients, three rounds of three seconds.
    #[arg(long, conflicts_with_all = ["clients", "rounds", "seconds"])]
    quick: bool,
    /// Where the figures are written as JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Be the bare server: the answer is a line on standard input, whose end ends it.
    #[arg(long, hide = true)]
    bare_server: bool,
}

/// How many contents the reads choose among.
const KNOWN_CONTENTS: usize = 2000;
/// The number of clients that the ratios are of, where it was run.
const RATIOS_OF: usize = 128;
const WARM_UP: Duration = Duration::from_secs(1);

const ALL: [Name; 10] = [
    Name::Bare,
    Name::Create,
    Name::EtcdPut,
    Name::Read,
    Name::EtcdGet,
    Name::ReadByPost,
    Name::LeaderRead,
    Name::FollowerRead,
    Name::License,
    Name::MixedDay,
];
const QUICK: [Name; 8] = [
    Name::Bare,
    Name::Create,
    Name::EtcdPut,
    Name::Read,
    Name::EtcdGet,
    Name::LeaderRead,
    Name::FollowerRead,
    Name::License,
];

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

/// Everybody who is measured.
struct Peers {
    keymoot: Cluster,
    etcd: EtcdCluster,
    bare: BareServer,
}

fn run(mut arguments: Arguments) -> Result<(), RigError> {
    if arguments.quick {
        (arguments.clients, arguments.rounds, arguments.seconds) = (vec![1, RATIOS_OF], 3, 3);
    }
    wait::listen_for_interrupts()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RigError::io("cannot start the load generator"))?;
    eprintln!("starting three nodes of Keymoot and three of etcd, with {KNOWN_CONTENTS} keys each …");
    let dir =
        tempfile::TempDir::with_prefix("keymoot-bench-").map_err(RigError::io("cannot make a directory"))?;
    let fsync_ms = machine::fsync_ms(dir.path())?;
    let keymoot = Cluster::start()?;
    let contents = known_contents(&keymoot, KNOWN_CONTENTS)?;
    let first = contents.first().map_or("", |content| content.name.as_str());
    let (signer, node) = (keymoot.signer(), keymoot.node(keymoot.leader()?)?.api);
    let answer = signer.send(node, "POST", WIDEVINE, &signer.custom_data(first, &[]))?.body;
    let answer =
        String::from_utf8(answer).map_err(|_| RigError::Answer("the answer is no text".to_owned()))?;
    let peers = Peers { etcd: EtcdCluster::start(dir.path())?, bare: BareServer::start(&answer)?, keymoot };
    let endpoint = *peers.etcd.endpoints.first().ok_or_else(|| RigError::Program("no etcd".to_owned()))?;
    runtime.block_on(EtcdLoad::fill(endpoint, KNOWN_CONTENTS as u64))?;
    let names: &[Name] = if arguments.quick { &QUICK } else { &ALL };
    let workloads = workloads(names, &peers.keymoot, &contents, &peers.etcd, peers.bare.address)?;
    let leader = peers.keymoot.leader()?;
    let mut rows = Vec::new();
    for clients in &arguments.clients {
        rows.extend(measure(&arguments, *clients, None, &workloads, &peers, &runtime)?);
    }
    if let Some(rate) = arguments.rate {
        let clients = arguments.clients.iter().copied().max().unwrap_or(RATIOS_OF);
        rows.extend(measure(&arguments, clients, Some(rate), &workloads, &peers, &runtime)?);
    }
    if peers.keymoot.leader()? != leader {
        return Err(RigError::Answer(
            "the leader changed meanwhile, so reads at the leader were none".to_owned(),
        ));
    }
    print!("{}", table(&rows));
    let of = if arguments.clients.contains(&RATIOS_OF) {
        RATIOS_OF
    } else {
        arguments.clients.first().copied().unwrap_or(1)
    };
    let ratios = ratios(&rows, of);
    println!("ratios of {of} clients: {ratios:#}\nfsync of 4 KiB here: {fsync_ms:.2} ms at the median");
    if let Some(path) = &arguments.output {
        let whole = json!({
            "machine": machine::describe(), "fsync_ms": fsync_ms, "rounds": arguments.rounds,
            "seconds": arguments.seconds, "answer_bytes": answer.len(), "optimised": !cfg!(debug_assertions),
            "ratios_of_clients": of, "ratios": ratios,
            "figures": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        });
        std::fs::write(path, format!("{whole:#}\n")).map_err(RigError::at("write", path))?;
    }
    Ok(())
}

/// Every round of every workload, interleaved.
fn measure(
    arguments: &Arguments,
    clients: usize,
    rate_per_s: Option<f64>,
    workloads: &[Workload],
    peers: &Peers,
    runtime: &tokio::runtime::Runtime,
) -> Result<Vec<Row>, RigError> {
    let measured = Duration::from_secs(arguments.seconds);
    let plan = Plan { clients, rate_per_s, warm_up: WARM_UP, measured };
    let mut rounds: Vec<Vec<Round>> = workloads.iter().map(|_| Vec::new()).collect();
    for number in 1..=arguments.rounds {
        for (workload, rounds) in workloads.iter().zip(&mut rounds) {
            eprintln!("{clients} clients, round {number} of {}: {}", arguments.rounds, workload.name.text());
            rounds.push(round(workload, &plan, peers, runtime)?);
        }
    }
    let rows = workloads.iter().zip(&rounds);
    Ok(rows.map(|(workload, rounds)| Row::of(workload.name, clients, rate_per_s, rounds)).collect())
}

fn round(
    workload: &Workload,
    plan: &Plan,
    peers: &Peers,
    runtime: &tokio::runtime::Runtime,
) -> Result<Round, RigError> {
    let pids = peers.pids(workload.name.system());
    let own = [std::process::id()];
    let (servers, generator) = (Usage::of(&pids)?, Usage::of(&own)?);
    let fsyncs = peers.fsyncs(workload.name.system())?;
    let began = Instant::now();
    let outcome = runtime.block_on(workload.run(plan))?;
    let lasted_s = began.elapsed().as_secs_f64();
    Ok(Round {
        outcome,
        servers: Usage::of(&pids)?.since(servers),
        generator_cpu_s: Usage::of(&own)?.since(generator).cpu_s,
        fsyncs: peers.fsyncs(workload.name.system())? - fsyncs,
        lasted_s,
    })
}

impl Peers {
    fn pids(&self, system: System) -> Vec<u32> {
        match system {
            System::Keymoot => self.keymoot.nodes().iter().map(|node| node.pid).collect(),
            System::Etcd => self.etcd.pids(),
            System::Bare => vec![self.bare.pid()],
        }
    }

    fn fsyncs(&self, system: System) -> Result<f64, RigError> {
        match system {
            System::Keymoot => {
                let of = |node| metrics::sample(node, "keymoot_log_fsync_seconds_count");
                self.keymoot.addresses().into_iter().map(of).sum()
            }
            System::Etcd => self.etcd.fsyncs(),
            System::Bare => Ok(0.0),
        }
    }
}
