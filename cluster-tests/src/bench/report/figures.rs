//! The figures that the benchmarks write, read back from their files.

use serde::Deserialize;
use serde_json::Value;

/// All figures.
#[derive(Default)]
pub(super) struct Figures {
    /// The comparison with other systems.
    pub bench: Option<Bench>,
    /// The figures with many keys.
    pub growth: Vec<Grown>,
    /// The figures with more and fewer nodes.
    pub sizes: Vec<Size>,
}

/// The output of `bench`.
#[derive(Deserialize)]
pub(super) struct Bench {
    pub machine: Machine,
    pub optimised: bool,
    pub rounds: u64,
    pub seconds: f64,
    pub fsync_ms: f64,
    pub answer_bytes: u64,
    pub license_answer_bytes: u64,
    pub document_answer_bytes: Option<u64>,
    pub ratios_of_clients: u64,
    pub ratios: serde_json::Map<String, Value>,
    pub ratios_in_open_loop: serde_json::Map<String, Value>,
    pub one_client_create: Option<OneClient>,
    pub one_client_document: Option<OneDocument>,
    pub figures: Vec<Row>,
}

#[derive(Deserialize)]
pub(super) struct Machine {
    pub processor: Option<String>,
    pub cores: u64,
    pub memory: Option<String>,
    pub kernel: String,
    pub disk: String,
}

#[derive(Deserialize)]
pub(super) struct OneClient {
    pub p50_ms: f64,
    pub fsync_ms: f64,
    pub p50_ms_max: f64,
}

#[derive(Deserialize)]
pub(super) struct OneDocument {
    pub p99_ms: f64,
    pub p99_ms_max: f64,
}

/// A workload with a number of clients.
#[derive(Deserialize)]
pub(super) struct Row {
    pub workload: String,
    pub clients: u64,
    pub rate_per_s: Option<f64>,
    pub answers_per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub cpu_us: f64,
    pub generator_cpu_us: f64,
    pub written_bytes: f64,
    pub fsyncs: f64,
}

/// The output of `growth` for a number of keys.
#[derive(Deserialize)]
pub(super) struct Grown {
    pub keys: u64,
    pub loaded_per_s: f64,
    pub restart_s: f64,
    pub restart_all_s: f64,
    pub memory_mib: f64,
    pub memory_loaded_mib: f64,
    pub disk_bytes_per_key: f64,
    pub snapshot: Snapshot,
    pub figures: Vec<Row>,
}

#[derive(Deserialize)]
pub(super) struct Snapshot {
    pub catch_up_s: f64,
    pub build_and_send_s: f64,
    pub install_s: f64,
    pub bytes: f64,
    pub elections: f64,
    pub slowest_answer_ms: f64,
}

/// The output of `bench --nodes` for a size.
#[derive(Deserialize)]
pub(super) struct Size {
    pub voters: u64,
    pub learners: u64,
    pub figures: Vec<Row>,
}

impl Figures {
    /// Adds the figures of a file; returns `None` when it holds none.
    pub(super) fn add(&mut self, file: &Value) -> Option<()> {
        if file.get("ratios").is_some() {
            self.bench = Some(Bench::deserialize(file).ok()?);
        } else if file.get("growth").is_some() {
            self.growth.extend(Vec::<Grown>::deserialize(file.get("growth")?).ok()?);
        } else {
            self.sizes.extend(Vec::<Size>::deserialize(file.get("sizes")?).ok()?);
        }
        Some(())
    }
}

/// The closed-loop row of a workload among these rows.
pub(super) fn closed<'r>(rows: &'r [Row], workload: &str) -> Option<&'r Row> {
    rows.iter().find(|row| row.workload == workload && row.rate_per_s.is_none())
}
