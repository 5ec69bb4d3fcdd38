//! `scripts/bench`: how many keys a second three nodes create and read, and how many Clear Key
//! licenses they give, beside a bare actix-web server that answers the same bytes to the same load generator in the same run.
//!
//! Rounds of all workloads are interleaved, so that a machine that grows slower does so for all,
//! and the median round counts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use cluster_tests::bare::{self, BareServer};
use cluster_tests::load::{self, Outcome, Plan, Traffic};
use cluster_tests::signed::WIDEVINE;
use cluster_tests::stats::median;
use cluster_tests::{Cluster, RigError, Signer, license, wait};
use serde_json::{Value, json};

/// Measures creates, linearizable reads and Clear Key licenses over HTTP at all three nodes of a
/// cluster, beside a bare actix-web server answering the same bytes.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Numbers of kept-alive connections, dealt to the three nodes.
    #[arg(long, value_delimiter = ',', default_values_t = [3, 48, 192])]
    connections: Vec<usize>,
    /// Rounds of each workload; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds that each round is measured, after one of warming up.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Where the figures are written as JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Be the bare server: the answer is a line on standard input, whose end ends it.
    #[arg(long, hide = true)]
    bare_server: bool,
}

/// How many contents the reads choose among.
const KNOWN_CONTENTS: usize = 2000;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = if arguments.bare_server { bare::serve_standard_input() } else { run(&arguments) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            error.exit_code()
        }
    }
}

/// What is asked, and of whom.
struct Workload {
    name: &'static str,
    servers: Vec<SocketAddr>,
    traffic: Arc<dyn Traffic>,
}

/// POSTs for contents that do not exist yet.
struct Creates {
    signer: Signer,
    next: AtomicU64,
}

impl Traffic for Creates {
    fn write_request(&self, _connection: usize, _serial: u64, out: &mut Vec<u8>) {
        let content_id = format!("bench-{}.mp4", self.next.fetch_add(1, Ordering::Relaxed));
        out.extend_from_slice(&self.signer.request(
            "POST",
            WIDEVINE,
            &self.signer.custom_data(&content_id, &[]),
        ));
    }
}

/// Requests made beforehand, in an order of each connection's own.
struct Prepared(Vec<Vec<u8>>);

impl Traffic for Prepared {
    fn write_request(&self, connection: usize, serial: u64, out: &mut Vec<u8>) {
        let count = self.0.len().max(1);
        let index = usize::try_from(serial).unwrap_or(0).wrapping_add(connection.wrapping_mul(7919)) % count;
        out.extend_from_slice(self.0.get(index).map_or(&[], Vec::as_slice));
    }
}

fn run(arguments: &Arguments) -> Result<(), RigError> {
    wait::listen_for_interrupts()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RigError::io("cannot start the load generator"))?;
    eprintln!("starting three nodes and {KNOWN_CONTENTS} contents …");
    let cluster = Cluster::start()?;
    let contents = known_contents(&cluster)?;
    let body = sample_answer(&cluster, &contents)?;
    let bare_server = BareServer::start(&body)?;
    let workloads = workloads(&cluster, &contents, bare_server.address);
    let mut figures = Vec::new();
    for connections in &arguments.connections {
        let measured = measure(arguments, *connections, &workloads, &runtime)?;
        figures.extend(summarise(*connections, &workloads, &measured));
    }
    print!("{}", table(&figures));
    if let Some(path) = &arguments.output {
        let whole = json!({
            "rounds": arguments.rounds, "seconds": arguments.seconds, "answer_bytes": body.len(),
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "optimised": !cfg!(debug_assertions), "figures": figures,
        });
        std::fs::write(path, format!("{whole:#}\n")).map_err(RigError::at("write", path))?;
    }
    Ok(())
}

/// A content that has a key.
struct Content {
    name: String,
    kid: [u8; 16],
}

/// Creates the contents that the reads ask for.
fn known_contents(cluster: &Cluster) -> Result<Vec<Content>, RigError> {
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let names: Vec<String> = (0..KNOWN_CONTENTS).map(|serial| format!("known-{serial}.mp4")).collect();
    let mut contents = Vec::with_capacity(names.len());
    for part in names.chunks(KNOWN_CONTENTS.div_ceil(32)) {
        wait::not_interrupted()?;
        std::thread::scope(|scope| {
            let creators: Vec<_> = part
                .iter()
                .zip(nodes.iter().cycle())
                .map(|(content, node)| scope.spawn(move || signer.create(*node, content)))
                .collect();
            creators.into_iter().try_for_each(|creator| {
                let key =
                    creator.join().map_err(|_| RigError::Program("a creator panicked".to_owned()))??;
                contents.push(Content { name: key.content_id.clone(), kid: key.bytes()?.1 });
                Ok::<(), RigError>(())
            })
        })?;
    }
    Ok(contents)
}

/// The body of a node's answer, for the bare server to repeat.
fn sample_answer(cluster: &Cluster, contents: &[Content]) -> Result<String, RigError> {
    let content = contents.first().map_or("", |content| content.name.as_str());
    let custom_data = cluster.signer().custom_data(content, &[]);
    let node = cluster.node(cluster.leader()?)?.api;
    let answer = cluster.signer().send(node, "POST", WIDEVINE, &custom_data)?;
    String::from_utf8(answer.body).map_err(|_| RigError::Answer("the answer is no text".to_owned()))
}

fn workloads(cluster: &Cluster, contents: &[Content], bare: SocketAddr) -> Vec<Workload> {
    let signer = cluster.signer();
    let prepared = |method: &str| {
        let request =
            |content: &Content| signer.request(method, WIDEVINE, &signer.custom_data(&content.name, &[]));
        Arc::new(Prepared(contents.iter().map(request).collect()))
    };
    let player = cluster.license_signer();
    let license = |content: &Content| {
        let challenge = license::clear_key_challenge([&content.kid]);
        license::request(&player, license::CLEAR_KEY, &player.custom_data(&content.name, &[]), &challenge)
    };
    let licenses = Arc::new(Prepared(contents.iter().map(license).collect()));
    let nodes = cluster.addresses();
    let workload = |name, servers: &[SocketAddr], traffic: Arc<dyn Traffic>| Workload {
        name,
        servers: servers.to_vec(),
        traffic,
    };
    vec![
        workload("bare actix-web", &[bare], prepared("POST")),
        workload(
            "create (POST)",
            &nodes,
            Arc::new(Creates { signer: signer.clone(), next: AtomicU64::new(0) }),
        ),
        workload("read (POST)", &nodes, prepared("POST")),
        workload("read (GET)", &nodes, prepared("GET")),
        workload("Clear Key", &nodes, licenses),
    ]
}

/// Every round of every workload, interleaved: by workload, then by round.
fn measure(
    arguments: &Arguments,
    connections: usize,
    workloads: &[Workload],
    runtime: &tokio::runtime::Runtime,
) -> Result<Vec<Vec<Outcome>>, RigError> {
    let mut measured: Vec<Vec<Outcome>> = workloads.iter().map(|_| Vec::new()).collect();
    for round in 1..=arguments.rounds {
        for (workload, outcomes) in workloads.iter().zip(&mut measured) {
            eprintln!("{connections} connections, round {round} of {}: {}", arguments.rounds, workload.name);
            let plan = Plan {
                servers: workload.servers.clone(),
                connections,
                warm_up: Duration::from_secs(1),
                measured: Duration::from_secs(arguments.seconds),
            };
            let outcome = runtime.block_on(load::run(&plan, Arc::clone(&workload.traffic)))?;
            if let Some(refusal) = &outcome.first_refusal {
                let times = outcome.refused;
                return Err(RigError::Answer(format!(
                    "{}: {times} refusals, first {refusal}",
                    workload.name
                )));
            }
            outcomes.push(outcome);
        }
    }
    Ok(measured)
}

/// The medians of each workload, and its share of the first workload's rate.
fn summarise(connections: usize, workloads: &[Workload], measured: &[Vec<Outcome>]) -> Vec<Value> {
    let middle =
        |rounds: &[Outcome], of: fn(&Outcome) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    let bare = measured.first().map_or(0.0, |rounds| middle(rounds, Outcome::answers_per_second));
    let rows = workloads.iter().zip(measured).map(|(workload, rounds)| {
        let per_second = middle(rounds, Outcome::answers_per_second);
        json!({
            "connections": connections,
            "workload": workload.name,
            "answers_per_s": per_second,
            "p50_ms": middle(rounds, |outcome| outcome.latencies.percentile_ms(50.0)),
            "p99_ms": middle(rounds, |outcome| outcome.latencies.percentile_ms(99.0)),
            "of_bare": per_second / bare.max(f64::EPSILON),
        })
    });
    rows.collect()
}

fn table(figures: &[Value]) -> String {
    let mut text = format!(
        "{:>11}  {:<16}{:>10}{:>10}{:>10}{:>10}\n",
        "connections", "workload", "answers/s", "p50 ms", "p99 ms", "of bare"
    );
    for row in figures {
        let number = |name: &str| row.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        text.push_str(&format!(
            "{:>11}  {:<16}{:>10.0}{:>10.2}{:>10.2}{:>9.1}%\n",
            number("connections"),
            row.get("workload").and_then(Value::as_str).unwrap_or_default(),
            number("answers_per_s"),
            number("p50_ms"),
            number("p99_ms"),
            number("of_bare") * 100.0
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_creates_are_of_the_same_content() {
        let creates = Creates { signer: Signer::new("a", "OVP", "k"), next: AtomicU64::new(0) };
        let mut seen = std::collections::HashSet::new();
        for _round in 0..2 {
            for (connection, serial) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let mut out = Vec::new();
                creates.write_request(connection, serial, &mut out);
                assert!(seen.insert(out));
            }
        }
    }

    #[test]
    fn the_table_shows_each_share_of_the_bare_rate() {
        let row = json!({
            "connections": 48, "workload": "read (GET)", "answers_per_s": 1500.0,
            "p50_ms": 1.25, "p99_ms": 9.5, "of_bare": 0.5,
        });
        let text = table(&[row]);
        assert!(text.contains("48  read (GET)            1500      1.25      9.50     50.0%"), "{text}");
    }
}
