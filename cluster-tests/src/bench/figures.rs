//! The measurements, as rows and as a table.

use serde_json::{Value, json};

use super::load::Outcome;
use super::names::Name;
use super::usage::Usage;
use crate::stats::median;

/// One round of one workload.
#[derive(Clone)]
pub struct Round {
    /// The clients' measurements.
    pub outcome: Outcome,
    /// The servers' resource usage, warm-up included.
    pub servers: Usage,
    /// CPU time that the load generator used, warm-up included, in seconds.
    pub generator_cpu_s: f64,
    /// The number of log fsyncs, warm-up included.
    pub fsyncs: f64,
    /// Warm-up and measured time together, in seconds.
    pub lasted_s: f64,
}

/// The medians of a workload's rounds with a number of clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: Name,
    /// The number of clients.
    pub clients: usize,
    /// Requests per second of an open loop; `None` for a closed one.
    pub rate_per_s: Option<f64>,
    /// Answers per second.
    pub answers_per_s: f64,
    /// The same in the slowest and in the fastest round.
    pub answers_per_s_range: [f64; 2],
    /// Latencies in milliseconds: the 50th, 99th and 99.9th percentile.
    pub latency_ms: [f64; 3],
    /// CPU time of all servers together per request, in microseconds.
    pub cpu_us: f64,
    /// CPU time of the load generator per request, in microseconds.
    pub generator_cpu_us: f64,
    /// Bytes that all servers together wrote to disks per request.
    pub written_bytes: f64,
    /// The number of log fsyncs of all servers together per request.
    pub fsyncs: f64,
}

impl Row {
    /// The medians of `rounds`.
    #[expect(clippy::cast_precision_loss, reason = "bytes of a benchmark are far below 2^53")]
    pub fn of(name: Name, clients: usize, rate_per_s: Option<f64>, rounds: &[Round]) -> Self {
        let middle = |of: &dyn Fn(&Round) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
        // The usage includes the warm-up, so its requests are counted too, at much the same rate.
        let requests = |round: &Round| (round.outcome.answers_per_second() * round.lasted_s).max(1.0);
        let speeds = || rounds.iter().map(|round| round.outcome.answers_per_second());
        let latency = |percent: f64| middle(&|round| round.outcome.latencies.percentile_ms(percent));
        Self {
            name,
            clients,
            rate_per_s,
            answers_per_s: middle(&|round| round.outcome.answers_per_second()),
            answers_per_s_range: [speeds().fold(f64::INFINITY, f64::min), speeds().fold(0.0, f64::max)],
            latency_ms: [latency(50.0), latency(99.0), latency(99.9)],
            cpu_us: middle(&|round| round.servers.cpu_s * 1e6 / requests(round)),
            generator_cpu_us: middle(&|round| round.generator_cpu_s * 1e6 / requests(round)),
            written_bytes: middle(&|round| round.servers.written_bytes as f64 / requests(round)),
            fsyncs: middle(&|round| round.fsyncs / requests(round)),
        }
    }

    /// The row as JSON.
    pub fn to_json(&self) -> Value {
        let [p50_ms, p99_ms, p999_ms] = self.latency_ms;
        let [slowest, fastest] = self.answers_per_s_range;
        json!({
            "workload": self.name.text(), "clients": self.clients, "rate_per_s": self.rate_per_s,
            "answers_per_s": self.answers_per_s, "answers_per_s_slowest": slowest,
            "answers_per_s_fastest": fastest, "p50_ms": p50_ms, "p99_ms": p99_ms, "p999_ms": p999_ms,
            "cpu_us": self.cpu_us, "generator_cpu_us": self.generator_cpu_us,
            "written_bytes": self.written_bytes, "fsyncs": self.fsyncs,
        })
    }
}

/// The rows as a text table.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:>7}  {:<25}{:>9}{:>10}{:>9}{:>9}{:>10}{:>9}{:>9}{:>9}{:>8}\n",
        "clients",
        "workload",
        "rate/s",
        "answers/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "CPU us",
        "gen. us",
        "bytes",
        "fsyncs"
    );
    for row in rows {
        let [p50, p99, p999] = row.latency_ms;
        let rate = row.rate_per_s.map_or_else(|| "closed".to_owned(), |rate| format!("{rate:.0}"));
        text.push_str(&format!(
            "{:>7}  {:<25}{rate:>9}{:>10.0}{p50:>9.2}{p99:>9.2}{p999:>10.2}{:>9.1}{:>9.1}{:>9.0}{:>8.3}\n",
            row.clients,
            row.name.text(),
            row.answers_per_s,
            row.cpu_us,
            row.generator_cpu_us,
            row.written_bytes,
            row.fsyncs,
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stats::Latencies;

    fn round(answers: usize, ms: u64) -> Round {
        let mut latencies = Latencies::new();
        (0..answers).for_each(|_| latencies.record(Duration::from_millis(ms)));
        let measured = Duration::from_secs(2);
        Round {
            outcome: Outcome { latencies, measured, ..Outcome::default() },
            servers: Usage { cpu_s: 0.3, written_bytes: 30_000 },
            generator_cpu_s: 0.15,
            fsyncs: 60.0,
            lasted_s: 3.0,
        }
    }

    #[test]
    fn a_row_holds_medians_and_what_a_request_costs() {
        let row = Row::of(Name::Create, 4, None, &[round(200, 9), round(100, 5), round(10, 1)]);
        assert!((row.answers_per_s - 50.0).abs() < 1e-9);
        assert!((row.answers_per_s_range[0] - 5.0).abs() < 1e-9 && row.answers_per_s_range[1] > 99.0);
        assert!((row.latency_ms[1] - 5.0).abs() < 0.1, "{:?}", row.latency_ms);
        assert!((row.cpu_us - 2000.0).abs() < 1e-6, "{}", row.cpu_us);
        assert!((row.generator_cpu_us - 1000.0).abs() < 1e-6);
        assert!((row.written_bytes - 200.0).abs() < 1e-6 && (row.fsyncs - 0.4).abs() < 1e-9);
        let text = table(&[row]);
        assert!(text.contains("      4  create                      closed        50     5.0"), "{text}");
    }
}
