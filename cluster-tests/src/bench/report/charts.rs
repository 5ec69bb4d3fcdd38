//! The charts, by the names of their files.

use super::figures::{Figures, Grown, Row, Size, closed};
use crate::curves::{Axis, Curves, Series};

/// The workloads in the charts by clients: the others are in the table.
const SHOWN: [&str; 8] =
    ["bare-1", "read-at-leader", "read-at-followers", "read", "license", "etcd-get", "create", "etcd-put"];
const LATENCIES: [&str; 4] = ["create", "etcd-put", "read", "etcd-get"];

const CLIENTS: Axis = Axis { title: "clients", logarithmic: true };
const KEYS: Axis = Axis { title: "keys", logarithmic: true };
const VOTERS: Axis = Axis { title: "voters", logarithmic: false };
const ANSWERS: Axis = Axis { title: "answers a second", logarithmic: false };
const ANSWERS_OF_ALL: Axis = Axis { title: "answers a second", logarithmic: true };
const P99: Axis = Axis { title: "ms that 99 % took no longer than", logarithmic: true };

/// Every chart that the figures suffice for.
pub(super) fn all(figures: &Figures) -> Vec<(&'static str, Curves)> {
    let mut charts = Vec::new();
    if let Some(bench) = &figures.bench {
        let by_clients = |shown: &[&str], of: fn(&Row) -> f64| {
            shown.iter().filter_map(|name| series(name, by_clients(&bench.figures, name, of))).collect()
        };
        charts.push((
            "throughput",
            curves(
                "Answers by clients",
                CLIENTS,
                ANSWERS_OF_ALL,
                by_clients(&SHOWN, |row| row.answers_per_s),
            ),
        ));
        charts.push((
            "latency",
            curves("Latency by clients, closed loop", CLIENTS, P99, by_clients(&LATENCIES, |row| row.p99_ms)),
        ));
    }
    if !figures.growth.is_empty() {
        let speeds =
            ["read", "create"].iter().filter_map(|name| series(name, speeds_by_keys(&figures.growth, name)));
        charts.push(("growth", curves("Answers by keys, 128 clients", KEYS, ANSWERS, speeds.collect())));
        charts.push(("growth-cost", growth_cost(&figures.growth)));
    }
    if !figures.sizes.is_empty() {
        let speeds =
            ["read", "create"].iter().filter_map(|name| series(name, speeds_by_voters(&figures.sizes, name)));
        charts.push(("sizes", curves("Answers by nodes, on one machine", VOTERS, ANSWERS, speeds.collect())));
    }
    charts
}

fn curves(title: &str, across: Axis, up: Axis, series: Vec<Series>) -> Curves {
    Curves { title: title.to_owned(), across, up, series }
}

fn series(name: &str, points: Vec<[f64; 2]>) -> Option<Series> {
    (!points.is_empty()).then(|| Series { name: name.to_owned(), points })
}

fn by_clients(rows: &[Row], workload: &str, of: fn(&Row) -> f64) -> Vec<[f64; 2]> {
    let rows = rows.iter().filter(|row| row.workload == workload && row.rate_per_s.is_none());
    let mut points: Vec<[f64; 2]> = rows.map(|row| [to_f64(row.clients), of(row)]).collect();
    points.sort_by(|one, other| one[0].total_cmp(&other[0]));
    points
}

fn speeds_by_keys(sizes: &[Grown], workload: &str) -> Vec<[f64; 2]> {
    let speed = |grown: &Grown| Some([to_f64(grown.keys), closed(&grown.figures, workload)?.answers_per_s]);
    sizes.iter().filter_map(speed).collect()
}

/// The costs that grow with the number of keys, and those that must not.
fn growth_cost(sizes: &[Grown]) -> Curves {
    let of = |name: &str, value: fn(&Grown) -> f64| {
        series(name, sizes.iter().map(|grown| [to_f64(grown.keys), value(grown)]).collect())
    };
    let all = [
        of("memory at rest, MiB", |grown| grown.memory_mib),
        of("disk for a key, bytes", |grown| grown.disk_bytes_per_key),
        of("restart, ms", |grown| grown.restart_s * 1000.0),
        of("restart of all, ms", |grown| grown.restart_all_s * 1000.0),
        of("catching up, ms", |grown| grown.snapshot.catch_up_s * 1000.0),
    ];
    let up = Axis { title: "each in its unit", logarithmic: true };
    curves("Cost by keys", KEYS, up, all.into_iter().flatten().collect())
}

fn speeds_by_voters(sizes: &[Size], workload: &str) -> Vec<[f64; 2]> {
    let alone = sizes.iter().filter(|size| size.learners == 0);
    let speed = |size: &Size| Some([to_f64(size.voters), closed(&size.figures, workload)?.answers_per_s]);
    alone.filter_map(speed).collect()
}

#[expect(clippy::cast_precision_loss, reason = "keys and clients are far below 2^53")]
const fn to_f64(count: u64) -> f64 {
    count as f64
}
