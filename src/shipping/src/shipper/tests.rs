use std::fs;
use std::path::Path;
use std::sync::Arc;

use keymoot_telemetry::Metrics;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::*;
use crate::settings::ReceiverSettings;
use crate::stage::Log;
use crate::{Receivers, Shipping};

/// Longer than anything takes that is waited for.
const WITHIN: Duration = Duration::from_secs(20);

fn receiver(table: Value) -> ReceiverSettings {
    let receiver: ReceiverSettings = serde_json::from_value(table).unwrap();
    assert_eq!(receiver.problems(), [""; 0]);
    receiver
}

struct Stage {
    dir: tempfile::TempDir,
    log: Log,
    metrics: Arc<Metrics>,
}

impl Stage {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            log: Log::new("moot/1/aa"),
            metrics: Arc::new(Metrics::new().unwrap()),
        }
    }

    fn ship(&self, receiver: &ReceiverSettings) -> Shipping {
        let cursors = self.dir.path().join("cursors");
        let receivers = Receivers::prepare(std::slice::from_ref(receiver)).unwrap();
        receivers.start(&self.log, "node-1", &cursors, &self.metrics, &Handle::current()).unwrap()
    }

    fn sample(&self, metric: &str) -> String {
        let text = self.metrics.encode().unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("keymoot_audit_receiver_{metric}{{")));
        line.unwrap().rsplit_once(' ').unwrap().1.to_owned()
    }
}

async fn acknowledged(shipping: &Shipping, number: u64) {
    let has_it = async {
        while shipping.acknowledged_by_all() != Some(number) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WITHIN, has_it).await.unwrap_or_else(|_| panic!("{:?}", shipping.progress()()));
}

/// The numbers in a file of JSON lines, with whether each is marked.
fn in_file(path: &Path) -> Vec<(u64, bool)> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["number"].as_u64().unwrap(), line["resent"] == true)).collect()
}

/// The same of what came over a connection, as far as whole messages did.
fn in_frames(mut bytes: &[u8]) -> Vec<(u64, bool)> {
    let mut all = Vec::new();
    while let Some(blank) = bytes.iter().position(|byte| *byte == b' ') {
        let length: usize = str::from_utf8(&bytes[..blank]).unwrap().parse().unwrap();
        let Some(message) = bytes.get(blank + 1..blank + 1 + length) else { break };
        let (_, line) = str::from_utf8(message).unwrap().split_once("\"] ").unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        all.push((line["number"].as_u64().unwrap(), line["resent"] == true));
        bytes = &bytes[blank + 1 + length..];
    }
    all
}

async fn read_to_end(stream: &mut TcpStream) -> Vec<(u64, bool)> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    in_frames(&bytes)
}

fn numbers(from: u64, to: u64, is_marked: bool) -> Vec<(u64, bool)> {
    (from..to).map(|number| (number, is_marked)).collect()
}

#[tokio::test]
async fn all_events_arrive_in_order_and_none_twice_also_after_a_restart() {
    let stage = Stage::new();
    let path = stage.dir.path().join("out.jsonl");
    let file = receiver(json!({"name": "file", "kind": "file", "path": path}));
    stage.log.append(1234);
    let shipping = stage.ship(&file);
    acknowledged(&shipping, 1234).await;
    stage.log.append(10);
    acknowledged(&shipping, 1244).await;
    stage.log.append(5);
    shipping.stop(WITHIN).await;
    let shipping = stage.ship(&file);
    acknowledged(&shipping, 1249).await;
    stage.log.append(1);
    acknowledged(&shipping, 1250).await;
    assert_eq!(in_file(&path), numbers(0, 1250, false));
    assert_eq!(stage.sample("resent_events_total"), "0");
    assert_eq!((shipping.complaints()(), stage.sample("missed_events_total")), (Vec::new(), "0".to_owned()));
}

#[tokio::test]
async fn what_was_deleted_before_it_was_sent_is_told() {
    let stage = Stage::new();
    let path = stage.dir.path().join("out.jsonl");
    let file = receiver(json!({"name": "file", "kind": "file", "path": path}));
    stage.log.append(10);
    stage.log.delete_before(4);
    let shipping = stage.ship(&file);
    acknowledged(&shipping, 10).await;
    assert_eq!(stage.sample("missed_events_total"), "0", "a new receiver is owed nothing from before");
    shipping.stop(WITHIN).await;
    stage.log.append(10);
    stage.log.delete_before(15);
    let shipping = stage.ship(&file);
    acknowledged(&shipping, 20).await;
    assert_eq!(stage.sample("missed_events_total"), "5");
    assert_eq!(in_file(&path), [numbers(4, 10, false), numbers(15, 20, false)].concat());
}

#[tokio::test]
async fn a_damaged_cursor_and_a_cut_log_send_again_with_a_mark_and_another_log_begins_anew() {
    let stage = Stage::new();
    let path = stage.dir.path().join("out.jsonl");
    let file = receiver(json!({"name": "file", "kind": "file", "path": path}));
    stage.log.append(5);
    let shipping = stage.ship(&file);
    acknowledged(&shipping, 5).await;
    shipping.stop(WITHIN).await;
    fs::write(stage.dir.path().join("cursors/file"), "damage").unwrap();
    let shipping = stage.ship(&file);
    acknowledged(&shipping, 5).await;
    shipping.stop(WITHIN).await;
    assert_eq!(in_file(&path), [numbers(0, 5, false), numbers(0, 5, true)].concat());

    fs::write(&path, "").unwrap();
    // The log lost its last two events, and goes on with others.
    let cut = Stage { log: Log::new("moot/1/aa"), ..stage };
    cut.log.append(3);
    let shipping = cut.ship(&file);
    acknowledged(&shipping, 3).await;
    cut.log.append(3);
    acknowledged(&shipping, 6).await;
    shipping.stop(WITHIN).await;
    assert_eq!(in_file(&path), [(3, true), (4, true), (5, false)]);

    fs::write(&path, "").unwrap();
    let other = Stage { log: Log::new("moot/1/bb"), ..cut };
    other.log.append(2);
    let shipping = other.ship(&file);
    acknowledged(&shipping, 2).await;
    assert_eq!(in_file(&path), numbers(0, 2, false));
}

#[tokio::test]
async fn a_syslog_server_that_dies_and_comes_back_lacks_nothing_and_gets_nothing_twice_unmarked() {
    let stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let siem = receiver(json!({"name": "siem", "kind": "syslog", "address": address, "tls": false}));
    stage.log.append(20);
    let shipping = stage.ship(&siem);
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, numbers(0, 20, false));
    drop(stream);
    acknowledged(&shipping, 20).await;

    // It dies with what it was sent in its buffer.
    stage.log.append(20);
    let (stream, _) = listener.accept().await.unwrap();
    stream.peek(&mut [0; 1]).await.unwrap();
    drop(stream);
    drop(listener);
    stage.log.append(5);
    let failed = async {
        while shipping.progress()()[0].error.is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WITHIN, failed).await.unwrap();
    assert_eq!(shipping.acknowledged_by_all(), Some(20));
    let listener = TcpListener::bind(address).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let got = read_to_end(&mut stream).await;
    drop(stream);
    acknowledged(&shipping, 45).await;
    let expected: Vec<u64> = (20..45).collect();
    assert_eq!(got.iter().map(|(number, _)| *number).collect::<Vec<_>>(), expected);
    assert!(got[..20].iter().all(|(_, is_marked)| *is_marked), "{got:?}");
    assert!(!got[24].1 || stage.sample("failures_total") != "1", "{got:?}");
    assert_eq!(shipping.progress()()[0].error, None);
}

#[tokio::test]
async fn a_crash_between_writing_and_confirmation_marks_what_was_written() {
    let stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let siem = receiver(json!({"name": "siem", "kind": "syslog", "address": address, "tls": false}));
    stage.log.append(7);
    let crashing = stage.ship(&siem);
    let (stream, _) = listener.accept().await.unwrap();
    stream.peek(&mut [0; 1]).await.unwrap();
    for (_, task) in &crashing.receivers {
        task.abort();
    }
    drop(stream);
    stage.log.append(2);
    let shipping = stage.ship(&siem);
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, [numbers(0, 7, true), numbers(7, 9, false)].concat());
    drop(stream);
    acknowledged(&shipping, 9).await;
    assert_eq!(stage.sample("resent_events_total"), "7");
}

#[tokio::test]
async fn who_was_never_reached_is_sent_nothing_marked_and_the_lag_is_told() {
    let stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/");
    for receiver_of in [
        receiver(json!({"name": "a", "kind": "syslog", "address": address, "tls": false})),
        receiver(json!({"name": "b", "kind": "https", "url": url})),
    ] {
        stage.log.append(1);
        let shipping = stage.ship(&receiver_of);
        let failed = async {
            while shipping.progress()()[0].error.is_none() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(WITHIN, failed).await.unwrap();
        let seen = shipping.progress()().remove(0);
        assert_eq!(seen.acknowledged, 0);
        assert!(seen.complaint().contains("no connection"), "{}", seen.complaint());
        assert_eq!(shipping.complaints()(), [""; 0], "not yet");
        let cursor = Cursor::open(&stage.dir.path().join("cursors").join(receiver_of.name.as_str())).unwrap();
        assert_eq!(cursor.position().sent, 0);
        let lag: u64 = stage.sample("lag_seconds").parse().unwrap();
        assert!(lag > 1_000_000 || receiver_of.name.as_str() == "b", "made-up events are from 1970");
    }
}
