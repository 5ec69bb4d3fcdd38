//! Receivers of the audit get every event, in order, and nothing twice without a mark, whoever dies in between: a
//! real rsyslog and syslog-ng over TCP and TLS, a real HTTPS server, and a file.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cluster_tests::authority::Authority;
use cluster_tests::syslog_server::SyslogServer;
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError, metrics, ports, process, secret_file};
use rustix::process::Signal;
use serde_json::Value;

/// A receiver that was away is asked again within half a minute.
const SHIPPED_WITHIN: Duration = Duration::from_secs(90);

/// A cluster of one node that has these receivers.
fn cluster_with(receivers: &str) -> Grown {
    let mut cluster = Grown::begin("").unwrap();
    configure(&mut cluster, receivers);
    cluster
}

/// Starts the node with these receivers instead of those before.
fn configure(cluster: &mut Grown, receivers: &str) {
    cluster.stop("a").unwrap();
    let config = cluster.dir("a").join("keymoot.toml");
    let text = fs::read_to_string(&config).unwrap();
    let before = text.split("\n[[audit.receiver]]").next().unwrap();
    fs::write(&config, format!("{before}\n{receivers}")).unwrap();
    cluster.serve("a").unwrap();
    cluster.await_status("the node to lead", |status| status.contains("leader")).unwrap();
}

fn create(cluster: &Grown, contents: std::ops::Range<u32>) {
    for content in contents {
        cluster.signer().create(cluster.node("a").api, &format!("film-{content}")).unwrap();
    }
}

fn sample(cluster: &Grown, metric: &str, receiver: &str) -> Result<f64, RigError> {
    metrics::sample(
        cluster.node("a").api,
        &format!("keymoot_audit_receiver_{metric}{{receiver=\"{receiver}\"}}"),
    )
}

/// Waits until a receiver has all events up to that of a content that is made now.
fn await_shipped(cluster: &Grown, receiver: &str, last: &str, written: impl Fn() -> Vec<String>) {
    cluster.signer().create(cluster.node("a").api, last).unwrap();
    wait_until(&format!("{receiver} to have {last}"), SHIPPED_WITHIN, || {
        let lines = written();
        match lines.iter().any(|line| line.contains(&format!("\"{last}\"")) && line.contains("\"done\"")) {
            true => Ok(()),
            false => Err(RigError::Answer(format!(
                "{} lines; {:?}",
                lines.len(),
                sample(cluster, "lag_events", receiver)
            ))),
        }
    })
    .unwrap();
}

/// An event as it arrived.
struct Arrived {
    number: u64,
    is_marked: bool,
    content: Option<String>,
}

fn arrived(line: &str) -> Arrived {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    match line.get("metadata") {
        None => Arrived {
            number: line["number"].as_u64().unwrap(),
            is_marked: line["resent"] == true,
            content: line["event"]["content"].as_str().map(str::to_owned),
        },
        Some(metadata) => Arrived {
            number: metadata["sequence"].as_u64().unwrap(),
            is_marked: metadata["labels"] == serde_json::json!(["resent"]),
            content: line["unmapped"]["event"]["content"].as_str().map(str::to_owned),
        },
    }
}

/// Nothing is missing, first arrivals are in order, and what came before has a mark.
fn is_whole(lines: &[String]) -> usize {
    let mut seen = BTreeSet::new();
    let mut marked = 0;
    for each in lines.iter().map(|line| arrived(line)) {
        let is_first = seen.insert(each.number);
        assert!(is_first || each.is_marked, "{} came twice and has no mark", each.number);
        assert!(!is_first || seen.last() == Some(&each.number), "{} came after a later one", each.number);
        marked += usize::from(each.is_marked);
    }
    let all: BTreeSet<u64> = (0..seen.len() as u64).collect();
    assert_eq!(seen, all, "events are missing");
    marked
}

fn of_contents(lines: &[String], contents: std::ops::Range<u32>) {
    let named: BTreeSet<_> = lines.iter().filter_map(|line| arrived(line).content).collect();
    for content in contents {
        assert!(named.contains(&format!("film-{content}")), "film-{content} is missing");
    }
}

#[test]
fn a_syslog_server_and_a_node_that_are_killed_lose_nothing_and_repeat_nothing_unmarked() {
    let [address] = ports::free().unwrap();
    let mut cluster = cluster_with(&format!(
        "[[audit.receiver]]\nname = \"siem\"\nkind = \"syslog\"\naddress = \"{address}\"\ntls = false\n"
    ));
    let mut before = SyslogServer::rsyslog(&cluster.path("rsyslog-1"), address, None).unwrap();
    create(&cluster, 0..20);
    await_shipped(&cluster, "siem", "first", || before.lines().unwrap());
    // It reads no more, and dies with what it was sent in its buffers.
    before.signal(Signal::STOP).unwrap();
    create(&cluster, 20..60);
    wait_until("something to be written to the server that hangs", SHIPPED_WITHIN, || {
        match sample(&cluster, "lag_events", "siem")? {
            lag if lag > 30.0 => Ok(()),
            lag => Err(RigError::Answer(lag.to_string())),
        }
    })
    .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    before.kill();
    wait_until("the receiver to be told as away", SHIPPED_WITHIN, || {
        let said = cluster.run(&["audit", "receivers", "--config", &cluster.config("a")])?;
        let is_told = said.out.contains("siem") && said.out.contains(&address.to_string());
        match is_told
            && said.out.contains("away for")
            && said.err.contains("siem of node 1")
            && said.code == Some(2)
        {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{said:?}"))),
        }
    })
    .unwrap();
    create(&cluster, 60..80);
    wait_until("the failure to be counted", SHIPPED_WITHIN, || {
        match sample(&cluster, "failures_total", "siem")? {
            failures if failures >= 1.0 => Ok(()),
            _ => Err(RigError::Answer("none".to_owned())),
        }
    })
    .unwrap();
    let after = SyslogServer::rsyslog(&cluster.path("rsyslog-2"), address, None).unwrap();
    let all = || [before.lines().unwrap(), after.lines().unwrap()].concat();
    await_shipped(&cluster, "siem", "second", all);
    assert!(is_whole(&all()) > 0, "what hung was sent again, and marked");
    assert!(sample(&cluster, "resent_events_total", "siem").unwrap() > 0.0);

    // The node dies between writing and the confirmation.
    create(&cluster, 80..100);
    cluster.kill("a").unwrap();
    cluster.serve("a").unwrap();
    cluster.await_status("the node to lead again", |status| status.contains("leader")).unwrap();
    await_shipped(&cluster, "siem", "third", all);
    let lines = all();
    is_whole(&lines);
    of_contents(&lines, 0..100);
    assert_eq!(sample(&cluster, "missed_events_total", "siem").unwrap(), 0.0);
    wait_until("all to be acknowledged", SHIPPED_WITHIN, || match receivers(&cluster)?.as_slice() {
        [siem] if siem["lag_events"] == 0 && siem["acknowledged_at_ms"].is_number() => Ok(()),
        other => Err(RigError::Answer(format!("{other:?}"))),
    })
    .unwrap();
    cluster.await_log("a", "the receiver does not take the audit").unwrap();
}

#[test]
fn a_syslog_server_without_a_sound_certificate_gets_nothing_and_that_is_said() {
    let (authority, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    for name in ["127.0.0.1", "node"] {
        authority.issue(name).unwrap();
    }
    let [address] = ports::free().unwrap();
    let receiver = |ca: &Authority| {
        format!(
            "[[audit.receiver]]\nname = \"siem\"\nkind = \"syslog\"\naddress = \"{address}\"\nca_file = \"{}\"\ncert_file = \
             \"{}\"\nkey_file = \"{}\"\n",
            ca.text("ca.pem"),
            authority.text("node.pem"),
            authority.text("node.key"),
        )
    };
    let mut cluster = cluster_with(&receiver(&other));
    let server = SyslogServer::rsyslog(&cluster.path("rsyslog"), address, Some(&authority)).unwrap();
    create(&cluster, 0..5);
    wait_until("the certificate to be refused", SHIPPED_WITHIN, || match cluster.log("a") {
        log if log.contains("receiver=siem") && log.contains("invalid peer certificate") => Ok(()),
        _ => Err(RigError::Answer(format!("{:?}", sample(&cluster, "failures_total", "siem")))),
    })
    .unwrap();
    assert_eq!(server.lines().unwrap(), [""; 0]);
    let config = cluster.config("a");
    let doctor = cluster.run(&["doctor", "--config", &config]).unwrap();
    assert!(
        doctor.out.contains("audit receiver siem") && doctor.out.contains("invalid peer certificate"),
        "{doctor:?}"
    );

    configure(&mut cluster, &receiver(&authority));
    create(&cluster, 5..10);
    await_shipped(&cluster, "siem", "last", || server.lines().unwrap());
    let lines = server.lines().unwrap();
    assert_eq!(is_whole(&lines), 0, "nothing was sent before, so nothing is marked");
    of_contents(&lines, 0..10);
    let doctor = cluster.run(&["doctor", "--config", &config]).unwrap();
    assert!(doctor.out.contains(&format!("{address} can be reached")), "{doctor:?}");
}

#[test]
fn if_syslog_ng_is_unpacked_it_gets_every_event_over_tls_and_over_tcp() {
    let authority = Authority::new().unwrap();
    for name in ["127.0.0.1", "node"] {
        authority.issue(name).unwrap();
    }
    let [over_tls, over_tcp] = ports::free().unwrap();
    let home = tempfile::tempdir().unwrap();
    let start =
        |name: &str, address, tls| SyslogServer::syslog_ng(&home.path().join(name), address, tls).unwrap();
    let (Some(mut tls), Some(tcp)) = (start("tls", over_tls, Some(&authority)), start("tcp", over_tcp, None))
    else {
        return eprintln!("NOT RUN, because syslog-ng is not there: run scripts/real-clients");
    };
    let cluster = cluster_with(&format!(
        "[[audit.receiver]]\nname = \"tls\"\nkind = \"syslog\"\naddress = \"{over_tls}\"\nca_file = \"{}\"\ncert_file = \
         \"{}\"\nkey_file = \"{}\"\n\n[[audit.receiver]]\nname = \"tcp\"\nkind = \"syslog\"\naddress = \"{over_tcp}\"\ntls = \
         false\nformat = \"ocsf\"\n",
        authority.text("ca.pem"),
        authority.text("node.pem"),
        authority.text("node.key"),
    ));
    create(&cluster, 0..10);
    await_shipped(&cluster, "tls", "first", || tls.lines().unwrap());
    await_shipped(&cluster, "tcp", "second", || tcp.lines().unwrap());
    let acknowledged =
        || receivers(&cluster).unwrap().into_iter().all(|it| it["lag_events"] == 0 && it["error"].is_null());
    wait_until("both to acknowledge", SHIPPED_WITHIN, || match acknowledged() {
        true => Ok(()),
        false => Err(RigError::Answer(format!("{:?}", receivers(&cluster)))),
    })
    .unwrap();
    // One dies and comes back.
    tls.kill();
    create(&cluster, 10..20);
    let after = start("tls-again", over_tls, Some(&authority)).unwrap();
    let all = || [tls.lines().unwrap(), after.lines().unwrap()].concat();
    await_shipped(&cluster, "tls", "third", all);
    is_whole(&all());
    of_contents(&all(), 0..20);
    assert_eq!(is_whole(&tcp.lines().unwrap()), 0, "it never went away, so nothing was sent again");
}

/// The receivers of the node, as `keymoot audit receivers` has them.
fn receivers(cluster: &Grown) -> Result<Vec<Value>, RigError> {
    let said = cluster.run(&["audit", "receivers", "--output", "json", "--config", &cluster.config("a")])?;
    let all: Value = serde_json::from_str(&said.out).map_err(|error| RigError::Answer(error.to_string()))?;
    Ok(all["nodes"][0]["receivers"].as_array().cloned().unwrap_or_default())
}

/// A real HTTPS server: Python's. It appends each batch to a file, and answers the second one 503 all the same.
struct HttpsServer(Child);

const SERVER: &str = r#"
import http.server, ssl, sys
port, cert, key, out, token = sys.argv[1:]
posts = 0
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        global posts
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != "Bearer " + token:
            status = 401
        else:
            with open(out, "ab") as file:
                file.write(body)
            posts += 1
            status = 503 if posts == 2 else 204
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

impl HttpsServer {
    fn start(address: SocketAddr, authority: &Authority, out: &Path, token: &str) -> Self {
        let port = address.port().to_string();
        let (cert, key) = (authority.text("127.0.0.1.pem"), authority.text("127.0.0.1.key"));
        let child = Command::new("python3")
            .args(["-c", SERVER, &port, &cert, &key, &out.display().to_string(), token])
            .stdin(Stdio::null())
            .spawn()
            .expect("python3; scripts/test installs it");
        Self(child)
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        process::end(&mut self.0, Duration::ZERO);
    }
}

fn lines_of(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn an_https_server_gets_batches_and_a_file_gets_lines_that_others_may_rotate() {
    let authority = Authority::new().unwrap();
    authority.issue("127.0.0.1").unwrap();
    let [address] = ports::free().unwrap();
    let (token, file) = (authority.path("token"), authority.path("audit.jsonl"));
    secret_file::write(&token, "not-this-one").unwrap();
    let cluster = cluster_with(&format!(
        "[[audit.receiver]]\nname = \"lake\"\nkind = \"https\"\nformat = \"ocsf\"\nurl = \
         \"https://{address}/events\"\nca_file = \"{}\"\ntoken_file = \"{}\"\n\n[[audit.receiver]]\nname = \
         \"file\"\nkind = \"file\"\npath = \"{}\"\n",
        authority.text("ca.pem"),
        token.display(),
        file.display(),
    ));
    let out = authority.path("posted");
    let _server = HttpsServer::start(address, &authority, &out, "s3cret-token");
    create(&cluster, 0..10);
    wait_until("the wrong token to be refused", SHIPPED_WITHIN, || match cluster.log("a") {
        log if log.contains("the server answered 401") => Ok(()),
        _ => Err(RigError::Answer("not yet".to_owned())),
    })
    .unwrap();
    assert_eq!(lines_of(&out), [""; 0]);
    secret_file::write(&token, "s3cret-token").unwrap();
    await_shipped(&cluster, "lake", "first", || lines_of(&out));
    create(&cluster, 10..20);
    await_shipped(&cluster, "lake", "second", || lines_of(&out));
    create(&cluster, 20..30);
    await_shipped(&cluster, "lake", "third", || lines_of(&out));
    let posted = lines_of(&out);
    assert!(is_whole(&posted) > 0, "what was answered 503 was sent again, and marked");
    of_contents(&posted, 0..30);

    // The file, rotated by its name.
    await_shipped(&cluster, "file", "fourth", || lines_of(&file));
    let rotated = authority.path("audit.jsonl.1");
    fs::rename(&file, &rotated).unwrap();
    await_shipped(&cluster, "file", "fifth", || lines_of(&file));
    let lines = [lines_of(&rotated), lines_of(&file)].concat();
    assert_eq!(is_whole(&lines), 0);
    of_contents(&lines, 0..30);
    assert!(!cluster.log("a").contains("s3cret-token"));
}
