//! Keymoot compared with other systems: quotients of medians within one run.
//!
//! A ratio whose workloads were not run is left out.

use serde_json::{Map, Value, json};

use super::figures::Row;
use super::names::Name;

/// How much longer than `FSYNCS_MAX` times an fsync a create of one client may take, in
/// milliseconds.
const BESIDE_FSYNCS_MS: f64 = 0.5;
const FSYNCS_MAX: f64 = 2.5;

/// The ratios with their goals on a machine of two cores.
pub const GOALS: [(&str, &str); 7] = [
    ("creates_vs_etcd_puts", "at least 4"),
    ("create_p99_vs_etcd_put_p99", "at most 1"),
    ("reads_vs_etcd_gets", "at least 5"),
    ("leader_reads_vs_bare", "at least 0.6"),
    ("follower_reads_vs_bare", "at least 0.5"),
    ("licenses_vs_bare", "at least 0.5"),
    ("documents_vs_bare", ""),
];

/// The ratios from the closed loops with this many clients. As many bare servers are compared with
/// as nodes of Keymoot answer.
pub fn ratios(rows: &[Row], clients: usize) -> Value {
    let find = |name: Name| closed(rows, name, clients);
    let speed = |one: Name, other: Name| Some(find(one)?.answers_per_s / find(other)?.answers_per_s);
    let p99 = |one: Name, other: Name| Some(find(one)?.latency_ms[1] / find(other)?.latency_ms[1]);
    known([
        ("creates_vs_etcd_puts", speed(Name::Create, Name::EtcdPut)),
        ("create_p99_vs_etcd_put_p99", p99(Name::Create, Name::EtcdPut)),
        ("reads_vs_etcd_gets", speed(Name::Read, Name::EtcdGet)),
        ("leader_reads_vs_bare", speed(Name::ReadAtLeader, Name::BareOne)),
        ("follower_reads_vs_bare", speed(Name::ReadAtFollowers, Name::BareTwo)),
        ("licenses_vs_bare", speed(Name::License, Name::BareLicense)),
        ("documents_vs_bare", speed(Name::Document, Name::BareDocument)),
    ])
}

/// Ratios of latencies in the open loops, where both systems got requests at the same rate.
pub fn open_loop_ratios(rows: &[Row]) -> Value {
    let find = |name: Name| rows.iter().find(|row| row.name == name && row.rate_per_s.is_some());
    let ratio = |percentile: usize, one: Name, other: Name| {
        let of = |name: Name| find(name)?.latency_ms.get(percentile).copied();
        Some(of(one)? / of(other)?)
    };
    known([
        ("create_p50_vs_etcd_put_p50", ratio(0, Name::Create, Name::EtcdPut)),
        ("create_p99_vs_etcd_put_p99", ratio(1, Name::Create, Name::EtcdPut)),
        ("read_p50_vs_etcd_get_p50", ratio(0, Name::Read, Name::EtcdGet)),
        ("read_p99_vs_etcd_get_p99", ratio(1, Name::Read, Name::EtcdGet)),
    ])
}

/// A create of a single client compared with an fsync of the same disk, measured between the same
/// rounds.
pub fn one_client_create(rows: &[Row], fsync_ms: f64) -> Value {
    let Some(row) = closed(rows, Name::Create, 1) else { return Value::Null };
    let [p50_ms, p99_ms, _] = row.latency_ms;
    let p50_ms_max = FSYNCS_MAX * fsync_ms + BESIDE_FSYNCS_MS;
    json!({
        "p50_ms": p50_ms, "p99_ms": p99_ms, "fsync_ms": fsync_ms, "p50_ms_max": p50_ms_max,
        "holds": p50_ms <= p50_ms_max,
    })
}

/// How long a document may take that is asked for alone, in milliseconds, 99 times of a hundred.
const DOCUMENT_P99_MS_MAX: f64 = 5.0;

/// A document of eight keys for three systems, asked for by a single client.
pub fn one_client_document(rows: &[Row]) -> Value {
    let Some(row) = closed(rows, Name::Document, 1) else { return Value::Null };
    let [p50_ms, p99_ms, _] = row.latency_ms;
    json!({
        "p50_ms": p50_ms, "p99_ms": p99_ms, "p99_ms_max": DOCUMENT_P99_MS_MAX,
        "holds": p99_ms <= DOCUMENT_P99_MS_MAX,
    })
}

fn closed(rows: &[Row], name: Name, clients: usize) -> Option<&Row> {
    rows.iter().find(|row| row.name == name && row.clients == clients && row.rate_per_s.is_none())
}

fn known<const N: usize>(ratios: [(&str, Option<f64>); N]) -> Value {
    let known = ratios.into_iter().filter_map(|(name, ratio)| Some((name.to_owned(), json!(ratio?))));
    Value::Object(known.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests;
