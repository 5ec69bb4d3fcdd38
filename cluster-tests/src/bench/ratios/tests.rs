//! Made-up figures and the ratios between them.

use super::*;

fn row(name: Name, clients: usize, answers_per_s: f64, ms: f64) -> Row {
    Row {
        name,
        clients,
        rate_per_s: None,
        answers_per_s,
        answers_per_s_range: [answers_per_s; 2],
        latency_ms: [ms / 2.0, ms, ms * 2.0],
        cpu_us: 1.0,
        generator_cpu_us: 1.0,
        written_bytes: 1.0,
        fsyncs: 1.0,
    }
}

#[test]
fn ratios_are_of_the_clients_that_are_named_and_only_of_what_was_run() {
    let rows = [
        row(Name::Create, 128, 800.0, 8.0),
        row(Name::EtcdPut, 128, 200.0, 10.0),
        row(Name::Create, 1, 100.0, 1.0),
        row(Name::EtcdPut, 1, 100.0, 1.0),
        Row { rate_per_s: Some(9.0), ..row(Name::EtcdGet, 128, 5.0, 1.0) },
        row(Name::Read, 128, 5.0, 1.0),
    ];
    let found = ratios(&rows, 128);
    assert_eq!(found["creates_vs_etcd_puts"], 4.0);
    assert_eq!(found["create_p99_vs_etcd_put_p99"], 0.8);
    assert_eq!(found.as_object().unwrap().len(), 2, "{found}");
    assert_eq!(open_loop_ratios(&rows), json!({}));
}

#[test]
fn nodes_are_held_against_as_many_bare_servers() {
    let pairs = [
        (Name::ReadAtLeader, Name::BareOne),
        (Name::ReadAtFollowers, Name::BareTwo),
        (Name::License, Name::BareLicense),
        (Name::Document, Name::BareDocument),
    ];
    let rows: Vec<Row> = pairs
        .into_iter()
        .zip([4.0, 8.0, 16.0, 32.0])
        .flat_map(|((one, bare), speed)| [row(one, 9, 2.0, 1.0), row(bare, 9, speed, 1.0)])
        .collect();
    let expected = json!({
        "leader_reads_vs_bare": 0.5, "follower_reads_vs_bare": 0.25, "licenses_vs_bare": 0.125,
        "documents_vs_bare": 0.0625,
    });
    assert_eq!(ratios(&rows, 9), expected);
}

#[test]
fn latencies_are_compared_at_one_rate() {
    let open = |name, ms| Row { rate_per_s: Some(50.0), ..row(name, 128, 50.0, ms) };
    let rows = [row(Name::Create, 128, 9.0, 99.0), open(Name::Create, 3.0), open(Name::EtcdPut, 6.0)];
    let expected = json!({"create_p50_vs_etcd_put_p50": 0.5, "create_p99_vs_etcd_put_p99": 0.5});
    assert_eq!(open_loop_ratios(&rows), expected);
}

#[test]
fn one_clients_create_is_held_against_the_disk() {
    let rows = [row(Name::Create, 1, 100.0, 6.0), row(Name::Create, 128, 100.0, 60.0)];
    let found = one_client_create(&rows, 1.0);
    assert_eq!(
        (&found["p50_ms"], &found["p50_ms_max"], &found["holds"]),
        (&json!(3.0), &json!(3.0), &json!(true))
    );
    assert_eq!(one_client_create(&rows, 0.9)["holds"], json!(false));
    assert_eq!(one_client_create(&rows[1..], 1.0), Value::Null);
}

#[test]
fn one_clients_document_is_held_against_its_limit() {
    let found =
        one_client_document(&[row(Name::Document, 1, 200.0, 4.0), row(Name::Document, 128, 200.0, 40.0)]);
    assert_eq!((&found["p99_ms"], &found["holds"]), (&json!(4.0), &json!(true)));
    assert_eq!(one_client_document(&[row(Name::Document, 1, 200.0, 5.5)])["holds"], json!(false));
    assert_eq!(one_client_document(&[]), Value::Null);
}
