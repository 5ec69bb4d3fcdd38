//! The tables, one for each mark.

use std::fmt::Write as _;

use super::figures::{Bench, Figures, Grown, Row, Size, closed};
use crate::bench::names::Name;
use crate::bench::ratios::GOALS;

/// Every table that there are figures for.
pub(super) fn all(figures: &Figures) -> Vec<(&'static str, String)> {
    let mut tables = Vec::new();
    if let Some(bench) = &figures.bench {
        tables.extend([
            ("machine", machine(bench)),
            ("ratios", ratios(bench)),
            ("workloads", workloads(bench)),
            ("clients", clients(bench)),
            ("open loop", open_loop(bench)),
        ]);
    }
    if !figures.growth.is_empty() {
        tables.push(("growth", growth(&figures.growth)));
    }
    if !figures.sizes.is_empty() {
        tables.push(("sizes", sizes(&figures.sizes)));
    }
    tables
}

fn machine(bench: &Bench) -> String {
    let machine = &bench.machine;
    let unknown = || "unknown".to_owned();
    format!(
        "{}, {} cores, {} of memory, Linux {}, {}. An fsync of 4 KiB took {:.2} ms at the median. \
         {} rounds of {} s each, {} build. An answer to a read has {} bytes, a license {}{}.\n",
        machine.processor.clone().unwrap_or_else(unknown),
        machine.cores,
        machine.memory.clone().unwrap_or_else(unknown),
        machine.kernel,
        machine.disk,
        bench.fsync_ms,
        bench.rounds,
        bench.seconds,
        if bench.optimised { "optimised" } else { "**unoptimised**" },
        bench.answer_bytes,
        bench.license_answer_bytes,
        bench.document_answer_bytes.map_or_else(String::new, |bytes| format!(", a document {bytes}")),
    )
}

fn ratios(bench: &Bench) -> String {
    let mut text = "| ratio | measured | goal |\n|---|---:|---:|\n".to_owned();
    for (name, goal) in GOALS {
        if let Some(ratio) = bench.ratios.get(name).and_then(serde_json::Value::as_f64) {
            let _ = writeln!(text, "| `{name}` | {ratio:.2} | {goal} |");
        }
    }
    for (name, ratio) in &bench.ratios_in_open_loop {
        if let Some(ratio) = ratio.as_f64() {
            let _ = writeln!(text, "| `{name}`, both at one rate | {ratio:.2} | |");
        }
    }
    if let Some(one) = &bench.one_client_create {
        let _ = writeln!(
            text,
            "| a create of one client, at the median | {:.2} ms | at most {:.2} ms: 2.5 fsyncs of {:.2} ms and 0.5 ms |",
            one.p50_ms, one.p50_ms_max, one.fsync_ms
        );
    }
    if let Some(one) = &bench.one_client_document {
        let _ = writeln!(
            text,
            "| a document of one client, at the 99th percentile | {:.2} ms | at most {:.0} ms |",
            one.p99_ms, one.p99_ms_max
        );
    }
    text
}

const ROW_HEAD: &str = "| workload | clients | answers/s | p50 ms | p99 ms | p99.9 ms | CPU µs | generator µs | bytes | fsyncs |\n\
                        |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";

fn workloads(bench: &Bench) -> String {
    let mut text =
        "| workload | asks | answers/s | p50 ms | p99 ms | CPU µs | generator µs | bytes | fsyncs |\n\
                    |---|---|---:|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
    let rows = bench.figures.iter().filter(|row| row.rate_per_s.is_none());
    for row in rows.filter(|row| row.clients == bench.ratios_of_clients) {
        let asks = row.workload.parse().map_or("", Name::asks);
        let _ = writeln!(
            text,
            "| `{}` | {asks} | {} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.3} |",
            row.workload,
            grouped(row.answers_per_s),
            row.p50_ms,
            row.p99_ms,
            row.cpu_us,
            row.generator_cpu_us,
            row.written_bytes,
            row.fsyncs
        );
    }
    text
}

fn clients(bench: &Bench) -> String {
    let mut rows: Vec<&Row> = bench.figures.iter().filter(|row| row.rate_per_s.is_none()).collect();
    // Grouped by workload, in the order of their first appearance.
    let place = |row: &Row| bench.figures.iter().position(|first| first.workload == row.workload);
    rows.sort_by_key(|row| (place(row), row.clients));
    let lines: String = rows.into_iter().map(line).collect();
    format!("{ROW_HEAD}{lines}")
}

fn line(row: &Row) -> String {
    format!(
        "| `{}` | {} | {} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.3} |\n",
        row.workload,
        row.clients,
        grouped(row.answers_per_s),
        row.p50_ms,
        row.p99_ms,
        row.p999_ms,
        row.cpu_us,
        row.generator_cpu_us,
        row.written_bytes,
        row.fsyncs
    )
}

fn open_loop(bench: &Bench) -> String {
    let mut text = "| workload | clients | asked/s | answers/s | p50 ms | p99 ms | p99.9 ms |\n\
                    |---|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for row in &bench.figures {
        let Some(rate) = row.rate_per_s else { continue };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {:.2} | {:.2} | {:.2} |",
            row.workload,
            row.clients,
            grouped(rate),
            grouped(row.answers_per_s),
            row.p50_ms,
            row.p99_ms,
            row.p999_ms
        );
    }
    text
}

fn growth(sizes: &[Grown]) -> String {
    let mut text = "| |".to_owned();
    for size in sizes {
        let _ = write!(text, " {} keys |", grouped(to_f64(size.keys)));
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(sizes.len()));
    text.push('\n');
    type Of<'f> = &'f dyn Fn(&Grown) -> String;
    let speed = |grown: &Grown, workload: &str| {
        closed(&grown.figures, workload).map_or_else(String::new, |row| grouped(row.answers_per_s))
    };
    let p99 = |grown: &Grown, workload: &str| {
        closed(&grown.figures, workload).map_or_else(String::new, |row| format!("{:.2}", row.p99_ms))
    };
    let lines: [(&str, Of<'_>); 15] = [
        ("loaded by bulk requests, keys/s", &|grown| grouped(grown.loaded_per_s)),
        ("reads/s of random keys", &|grown| speed(grown, "read")),
        ("p99 of reads, ms", &|grown| p99(grown, "read")),
        ("creates/s", &|grown| speed(grown, "create")),
        ("p99 of creates, ms", &|grown| p99(grown, "create")),
        ("resident memory at rest, restarted, MiB", &|grown| format!("{:.0}", grown.memory_mib)),
        ("the same after the load", &|grown| format!("{:.0}", grown.memory_loaded_mib)),
        ("disk of one node for a key, bytes", &|grown| format!("{:.0}", grown.disk_bytes_per_key)),
        ("a killed node is ready again after, s", &|grown| format!("{:.2}", grown.restart_s)),
        ("a cluster killed whole, s", &|grown| format!("{:.2}", grown.restart_all_s)),
        ("snapshot, MiB", &|grown| format!("{:.1}", grown.snapshot.bytes / 1_048_576.0)),
        ("built and sent in, s", &|grown| format!("{:.2}", grown.snapshot.build_and_send_s)),
        ("installed in, s", &|grown| format!("{:.2}", grown.snapshot.install_s)),
        ("the node was away no more after, s", &|grown| format!("{:.2}", grown.snapshot.catch_up_s)),
        ("elections and slowest answer meanwhile", &|grown| {
            format!("{:.0}, {:.0} ms", grown.snapshot.elections, grown.snapshot.slowest_answer_ms)
        }),
    ];
    for (name, of) in lines {
        let values: String = sizes.iter().map(|grown| format!(" {} |", of(grown))).collect();
        let _ = writeln!(text, "| {name} |{values}");
    }
    text
}

fn sizes(sizes: &[Size]) -> String {
    let mut text =
        "| nodes | creates/s | p99 ms | reads/s | p99 ms |\n|---|---:|---:|---:|---:|\n".to_owned();
    for size in sizes {
        let learners = if size.learners == 0 { String::new() } else { format!("+{}", size.learners) };
        let of = |workload: &str| {
            closed(&size.figures, workload).map_or_else(
                || " | |".to_owned(),
                |row| format!(" {} | {:.2} |", grouped(row.answers_per_s), row.p99_ms),
            )
        };
        let _ = writeln!(text, "| {}{learners} |{}{}", size.voters, of("create"), of("read"));
    }
    text
}

/// A whole number with separated thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "keys are far below 2^53")]
const fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!([0.4, 999.6, 10_000_000.0].map(grouped), ["0", "1,000", "10,000,000"]);
    }
}
