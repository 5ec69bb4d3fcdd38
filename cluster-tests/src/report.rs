//! A drill as a table, as JSON and as a chart.

use std::time::Duration;

use serde_json::{Value, json};

use crate::chart::{Mark, Panel, Timeline};
use crate::drill::{Manner, Outage, Report, Success};
use crate::stats::{Latencies, median};

/// Wide enough for a bar to hold a few answers, narrow enough to show the gap.
const BUCKET: Duration = Duration::from_millis(50);

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The number of the outage, from 1.
    pub outage: usize,
    /// The node that went away.
    pub node: u64,
    /// Whether it led.
    pub led: bool,
    /// How long no request was answered, see [`Report::gap`].
    pub gap_ms: f64,
    /// Answers without a key, until the next outage.
    pub errors: usize,
    /// The longest time that a client waited, until the next outage.
    pub slowest_ms: f64,
}

/// One row for each outage.
pub fn rows(report: &Report) -> Vec<Row> {
    let row = |(index, outage): (usize, &Outage)| {
        let window = report.window(index);
        let answered = report.record.successes.iter().filter(|s| window.contains(&s.answered_at));
        let slowest = answered.map(|success| success.waited).max().unwrap_or_default();
        Row {
            outage: index + 1,
            node: outage.node,
            led: outage.led,
            gap_ms: report.gap(*outage).map_or(f64::INFINITY, ms),
            errors: report.record.refusals.iter().filter(|refusal| window.contains(&refusal.at)).count(),
            slowest_ms: ms(slowest),
        }
    };
    report.outages.iter().enumerate().map(row).collect()
}

/// The table as text.
pub fn table(report: &Report) -> String {
    let rows = rows(report);
    let mut text = String::from("outage  node  led  gap ms  errors  slowest answer ms\n");
    for row in &rows {
        text.push_str(&format!(
            "{:>6}  {:>4}  {:>3}  {:>6.0}  {:>6}  {:>17.0}\n",
            row.outage,
            row.node,
            if row.led { "yes" } else { "no" },
            row.gap_ms,
            row.errors,
            row.slowest_ms
        ));
    }
    let gaps: Vec<f64> = rows.iter().map(|row| row.gap_ms).collect();
    text.push_str(&format!(
        "median gap {:.0} ms, longest {:.0} ms; {} answers in {:.0} s, {} of them errors; {} keys acknowledged\n",
        median(&gaps),
        gaps.iter().copied().fold(0.0, f64::max),
        report.record.successes.len() + report.record.refusals.len(),
        report.lasted.as_secs_f64(),
        report.record.refusals.len(),
        report.record.ledger.len()
    ));
    text
}

/// The same figures as JSON.
pub fn figures(report: &Report) -> Value {
    let outages: Vec<Value> = rows(report)
        .iter()
        .map(|row| {
            json!({
                "outage": row.outage, "node": row.node, "led": row.led, "gap_ms": row.gap_ms,
                "errors": row.errors, "slowest_answer_ms": row.slowest_ms,
            })
        })
        .collect();
    let mut latencies = Latencies::new();
    report.record.successes.iter().for_each(|success| latencies.record(success.waited));
    json!({
        "outages": outages,
        "lasted_s": report.lasted.as_secs_f64(),
        "answers": report.record.successes.len(),
        "errors": report.record.refusals.len(),
        "keys_acknowledged": report.record.ledger.len(),
        "findings": report.findings,
        "p50_ms": latencies.percentile_ms(50.0),
        "p99_ms": latencies.percentile_ms(99.0),
    })
}

/// Each node's answers, the errors and the slowest answer over time, with a mark for each outage.
pub fn picture(report: &Report, nodes: usize) -> String {
    let mut panels: Vec<Panel> = (0..nodes)
        .map(|node| {
            let here = report.record.successes.iter().filter(move |success| success.node == node);
            let title = format!("node {}: answers per {} ms", node + 1, BUCKET.as_millis());
            Panel { title, values: buckets(report, here.map(|s| (s.answered_at, 1.0)), |a, b| a + b) }
        })
        .collect();
    let waits = report.record.successes.iter().map(|s: &Success| (s.answered_at, ms(s.waited)));
    panels.push(Panel { title: "slowest answer, ms".to_owned(), values: buckets(report, waits, f64::max) });
    let refusals = report.record.refusals.iter().map(|refusal| (refusal.at, 1.0));
    panels.push(Panel { title: "errors".to_owned(), values: buckets(report, refusals, |a, b| a + b) });
    let (signal, title) = match report.manner {
        Manner::LeaderKilled(_) => ("kill -9", "leaders killed under load"),
        Manner::RollingRestart(_) => ("SIGTERM to", "nodes restarted under load"),
    };
    let marks = rows(report).into_iter().zip(&report.outages).map(|(row, outage)| Mark {
        at_s: outage.at.as_secs_f64(),
        label: format!("{signal} node {}: {:.0} ms", row.node, row.gap_ms),
    });
    Timeline {
        title: format!("{} {title}", report.outages.len()),
        bucket_ms: ms(BUCKET),
        panels,
        marks: marks.collect(),
    }
    .to_svg()
}

/// Sums values per bucket of time over the whole drill.
fn buckets(
    report: &Report,
    values: impl Iterator<Item = (Duration, f64)>,
    fold: impl Fn(f64, f64) -> f64,
) -> Vec<f64> {
    let bucket_of = |at: Duration| usize::try_from(at.as_millis() / BUCKET.as_millis()).unwrap_or(usize::MAX);
    let mut folded = vec![0.0; bucket_of(report.lasted) + 1];
    for (at, value) in values {
        if let Some(bucket) = folded.get_mut(bucket_of(at)) {
            *bucket = fold(*bucket, value);
        }
    }
    folded
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests;
