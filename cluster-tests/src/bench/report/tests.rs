//! Text outside the marks is kept, and the page shows every chart.

use serde_json::json;

use super::*;

#[test]
fn only_what_is_between_its_marks_changes() {
    let page = "a\n<!-- figures: x -->\nold\n<!-- end of figures -->\nb <!-- figures: y -->";
    let expected = "a\n<!-- figures: x -->\n| new |\n<!-- end of figures -->\nb <!-- figures: y -->";
    assert_eq!(between_marks(page, "x", "| new |\n").unwrap(), expected);
    assert!(between_marks(page, "y", "").is_err(), "it has no end");
    assert!(between_marks(page, "z", "").is_err());
}

/// The shipped page has a place for all figures.
#[test]
fn the_page_has_every_mark_and_shows_every_chart() {
    let dir = tempfile::tempdir().unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
    let page = dir.path().join("performance.md");
    std::fs::copy(shipped, &page).unwrap();
    let row = |name: &str, rate: Value| {
        json!({"workload": name, "clients": 128, "rate_per_s": rate, "answers_per_s": 1234.6, "p50_ms": 1.0,
            "p99_ms": 2.0, "p999_ms": 3.0, "cpu_us": 4.0, "generator_cpu_us": 5.0, "written_bytes": 6.0,
            "fsyncs": 0.5})
    };
    let bench = json!({
        "machine": {"processor": "A processor", "cores": 2, "memory": "8 kB", "kernel": "6", "disk": "ext4"},
        "optimised": true, "rounds": 5, "seconds": 3.0, "fsync_ms": 1.0, "ratios_of_clients": 128,
        "answer_bytes": 700, "license_answer_bytes": 120,
        "ratios": {"creates_vs_etcd_puts": 4.5}, "ratios_in_open_loop": {"create_p99_vs_etcd_put_p99": 0.5},
        "one_client_create": {"p50_ms": 2.0, "fsync_ms": 1.0, "p50_ms_max": 3.0, "holds": true},
        "document_answer_bytes": 9000, "one_client_document": {"p99_ms": 2.5, "p99_ms_max": 5.0, "holds": true},
        "figures": [row("create", Value::Null), row("create", json!(600.0))],
    });
    let growth = json!({"optimised": true, "growth": [{
        "keys": 10000, "loaded_per_s": 9.0, "restart_s": 1.0, "restart_all_s": 2.0, "memory_mib": 70.0,
        "memory_loaded_mib": 90.0, "disk_bytes_per_key": 300.0,
        "snapshot": {"catch_up_s": 3.0, "build_and_send_s": 1.0, "install_s": 0.5, "bytes": 1000.0,
            "elections": 0.0, "slowest_answer_ms": 12.0},
        "figures": [row("read", Value::Null), row("create", Value::Null)],
    }]});
    let sizes = json!({"optimised": true, "sizes": [
        {"voters": 3, "learners": 2, "figures": [row("read", Value::Null), row("create", Value::Null)]},
    ]});
    let files: Vec<_> = [bench, growth, sizes]
        .into_iter()
        .enumerate()
        .map(|(number, value)| {
            let path = dir.path().join(format!("{number}.json"));
            std::fs::write(&path, value.to_string()).unwrap();
            path
        })
        .collect();
    write(&files, &page).unwrap();
    let text = std::fs::read_to_string(&page).unwrap();
    for words in ["| `create` | 128 | 1,235 |", "A processor", "4.50", "3+2", "| 10,000 keys |"] {
        assert!(text.contains(words), "{words} is missing in {text}");
    }
    for chart in std::fs::read_dir(dir.path().join("performance")).unwrap() {
        let name = chart.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("](performance/{name})")), "the page does not show {name}");
    }
    std::fs::write(&files[0], "{}").unwrap();
    assert!(write(&files[..1], &page).is_err(), "these are no figures");
}
