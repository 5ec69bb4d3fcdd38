//! The benchmarks run to their end and say all that they promise; how fast, is not looked at here.

use std::path::Path;
use std::process::Command;

use cluster_tests::bench::names::{Name, System};
use cluster_tests::bench::report;
use cluster_tests::binary;
use serde_json::Value;

fn run(program: &str, args: &[&str], output: &Path) -> Value {
    let mut command = Command::new(program);
    command.args(args).arg("--output").arg(output).env("KEYMOOT_BIN", binary::keymoot().unwrap());
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&std::fs::read(output).unwrap()).unwrap()
}

#[test]
fn every_workload_is_measured_and_its_figures_fill_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bench.json");
    let has_etcd = Command::new("etcd").arg("--version").output().is_ok();
    let mut args = vec![
        "--clients",
        "1",
        "--rounds",
        "1",
        "--seconds",
        "0.1",
        "--warm-up-seconds",
        "0.02",
        "--rate",
        "30",
    ];
    if !has_etcd {
        args.push("--without-etcd");
    }
    let figures = run(env!("CARGO_BIN_EXE_bench"), &args, &file);
    let rows = figures["figures"].as_array().unwrap();
    for name in Name::ALL.into_iter().filter(|name| has_etcd || name.system() != System::Etcd) {
        let of_name: Vec<&Value> = rows.iter().filter(|row| row["workload"] == name.text()).collect();
        assert_eq!(of_name.len(), 2, "{name}: a closed loop and an open one");
        // So short a closed loop may end before an answer; what is asked by the clock counts however late.
        let answered = |row: &&Value| row["answers_per_s"].as_f64().is_some_and(|answers| answers > 0.0);
        assert!(of_name.iter().any(answered), "{name}: {of_name:?}");
    }
    let ratios = figures["ratios"].as_object().unwrap();
    assert_eq!(ratios.len(), if has_etcd { 7 } else { 4 }, "{ratios:?}");
    assert!(figures["one_client_create"]["fsync_ms"].as_f64().unwrap() > 0.0);
    assert!(figures["one_client_document"]["p99_ms"].as_f64().unwrap() > 0.0);

    let page = dir.path().join("performance.md");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md"), &page).unwrap();
    report::write(&[&file], &page).unwrap();
    assert!(std::fs::read_to_string(&page).unwrap().contains("| `tls-read` | "));
    assert!(dir.path().join("performance/throughput.svg").is_file());
}

#[test]
fn growth_is_measured_with_reads_memory_and_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--keys", "2000", "--clients", "4", "--rounds", "1", "--seconds", "0.2"];
    let figures = run(env!("CARGO_BIN_EXE_growth"), &args, &dir.path().join("growth.json"));
    let size = &figures["growth"][0];
    for figure in ["restart_s", "restart_all_s", "memory_mib", "disk_bytes_per_key", "loaded_per_s"] {
        assert!(size[figure].as_f64().unwrap() > 0.0, "{figure}: {size}");
    }
    assert!(size["snapshot"]["bytes"].as_f64().unwrap() > 0.0, "{size}");
    assert_eq!(
        (&size["snapshot"]["elections"], &size["snapshot"]["failed"]),
        (&0.0.into(), &0.into()),
        "{size}"
    );
    assert_eq!(size["figures"].as_array().unwrap().len(), 2, "reads and creates");
}
