//! The node's ports, the other nodes, and what they say of clock and keyring.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::audit;
use super::finding::Finding;
use crate::cli::operator::{Operator, TIMEOUT, block_on};
use crate::config::{ANY_AUTHORITY, Config, LIST_AUTHORITIES};
use keymoot_cluster::settings::MemberAddress;
use keymoot_cluster::{AdminError, AdminRequest, AdminResponse, ClusterStatus};
use keymoot_command::Failure;
use keymoot_crypto::Keyring;
use keymoot_http::settings::{PlainHttp, open_metrics, plain_http};
use keymoot_model::NodeId;

/// Signatures with a time in them are refused by clocks that differ by more than a few of these.
const CLOCK_MS_MAX: f64 = 500.0;
/// What mends it when a node refuses to be asked, or its keys do not open.
const SAME_KEYRING: &str = "copy the keyring of the other nodes to keys.keyring_file";

pub(super) fn check(config: &Config, named: &[MemberAddress]) -> Result<Vec<Finding>, Failure> {
    // Without a certificate and a keyring nobody can be asked, which other checks say.
    let Ok(operator) = Operator::of(config.clone()) else {
        // A witness has no keyring, and cannot ask: if its own port is taken, it is most likely by itself.
        let runs = config.node.witness && TcpListener::bind(config.cluster.peer_listen).is_err();
        return Ok(ports(config, runs));
    };
    let own_address = config.cluster.peer_address().to_string();
    block_on(async {
        let own = ask(&operator, (config.node.id, false), &own_address).await;
        let witnesses = match own {
            Ok(_) => operator.witnesses().await,
            Err(_) => BTreeSet::new(),
        };
        let runs = matches!(own, Ok(_) | Err(AdminError::Unproven(_)));
        let mut findings = ports(config, runs);
        findings.push(match &own {
            Ok(answer) => Finding::ok(
                "this node",
                format!("runs as {}, version {}", answer.status.node.role, answer.status.node.version),
            ),
            Err(AdminError::Unproven(reason)) => Finding::fail("this node", reason.as_str(), SAME_KEYRING),
            Err(_) => Finding::ok("this node", "does not run"),
        });
        if own.is_ok() {
            findings.extend(audit::check(&operator, &own_address).await);
        }
        let mut others: Vec<(NodeId, String)> =
            named.iter().map(|peer| (peer.id, peer.address.to_string())).collect();
        for member in own.iter().flat_map(|answer| &answer.status.members) {
            if !others.iter().any(|(id, _)| *id == member.id) {
                others.push((member.id, member.peer_address.clone()));
            }
        }
        others.retain(|(id, _)| *id != config.node.id);
        let mut check_value = own.ok().and_then(|answer| answer.status.keyring_check);
        for (id, address) in others {
            let answer = ask(&operator, (id, witnesses.contains(&id)), &address).await;
            if let Ok(answer) = &answer {
                check_value = check_value.or_else(|| answer.status.keyring_check.clone());
            }
            findings.extend(peer(id, &address, answer));
        }
        findings.extend(keyring(config, check_value.as_ref()));
        Ok(findings)
    })
}

/// The listeners that serve clients beyond this machine in the clear, unasked.
pub(super) fn plain(config: &Config) -> Vec<Finding> {
    let unasked = plain_http(&config.http_settings());
    let told =
        |plain: &PlainHttp| Finding::warn(format!("{}.tls", plain.section), plain.problem(), plain.remedy());
    let any_authority = config
        .takes_any_authority()
        .then(|| Finding::warn("auth.authorities", ANY_AUTHORITY.to_owned(), LIST_AUTHORITIES));
    unasked.iter().map(told).chain(any_authority).collect()
}

/// Metrics that anybody beyond this machine may read.
pub(super) fn metrics(config: &Config) -> Option<Finding> {
    let open = open_metrics(&config.http_settings())?;
    Some(Finding::warn("http.metrics", open.problem(), open.remedy()))
}

/// A node's answer, and when it came.
struct Answer {
    status: Box<ClusterStatus>,
    round_trip_ms: f64,
    clock_ahead_ms: f64,
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
async fn ask(operator: &Operator, member: (NodeId, bool), address: &str) -> Result<Answer, AdminError> {
    let client = operator
        .client_of(member, address)
        .map_err(|failure| AdminError::Refused(failure.message().to_owned()))?;
    // The first answer pays for connecting.
    client.ask(AdminRequest::Status, TIMEOUT).await?;
    let (began, asked_at) = (Instant::now(), SystemTime::now());
    let answer = client.ask(AdminRequest::Status, TIMEOUT).await?;
    let round_trip_ms = began.elapsed().as_secs_f64() * 1e3;
    let AdminResponse::Status(status) = answer else {
        return Err(AdminError::Refused(crate::cli::operator::unexpected().message().to_owned()));
    };
    // Half-way through the question and its answer, by this machine's clock.
    let asked_ms = asked_at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e3);
    let clock_ahead_ms = status.clock_ms as f64 - (asked_ms + round_trip_ms / 2.0);
    Ok(Answer { status, round_trip_ms, clock_ahead_ms })
}

fn peer(id: NodeId, address: &str, answer: Result<Answer, AdminError>) -> Vec<Finding> {
    let check = format!("node {id}");
    let answer = match answer {
        Ok(answer) => answer,
        Err(AdminError::Unproven(reason)) => return vec![Finding::fail(check, reason, SAME_KEYRING)],
        Err(error) => {
            let fix = format!("see that node {id} runs and that {address} is reachable from here");
            return vec![Finding::fail(check, error.to_string(), fix)];
        }
    };
    let (round_trip, ahead) = (answer.round_trip_ms, answer.clock_ahead_ms);
    let mut findings = vec![Finding::ok(
        check,
        format!("answers at {address} in {round_trip:.1} ms, version {}", answer.status.node.version),
    )];
    // What the round trip hides cannot be held against a clock.
    let off = (ahead.abs() - round_trip / 2.0).max(0.0);
    let way = if ahead < 0.0 { "behind" } else { "ahead of" };
    let saw = format!("{:.0} ms {way} this machine's", ahead.abs());
    let fix = "synchronise both machines' clocks (chrony, ntpd, systemd-timesyncd)";
    findings.push(Finding::at_most(&format!("clock of node {id}"), off, CLOCK_MS_MAX, saw, fix));
    findings
}

/// The keyring opens what the cluster's keys are wrapped under.
fn keyring(config: &Config, check_value: Option<&keymoot_model::Wrapped>) -> Option<Finding> {
    const CHECK: &str = "keyring of the cluster";
    let keyring = Keyring::load(&config.keys.keyring_file).ok()?;
    let Some(check_value) = check_value else {
        let fix = "start a node, or name a running one by --peer";
        return Some(Finding::warn(CHECK, "no node of a cluster answers to compare it with", fix));
    };
    Some(match keyring.verify_check(config.cluster.name.as_str(), check_value) {
        Ok(()) => Finding::ok(CHECK, "opens the cluster's keys"),
        Err(error) => Finding::fail(CHECK, Failure::runtime(error).message(), SAME_KEYRING),
    })
}

/// Every port that the node listens on is free, or the node's own.
fn ports(config: &Config, runs: bool) -> Vec<Finding> {
    let listeners = [
        ("cluster.peer_listen", Some(config.cluster.peer_listen)),
        ("http.listen", Some(config.http.listen)),
        ("packager.listen", config.packager.listen),
        ("admin.listen", config.admin.listen),
    ];
    listeners.into_iter().filter_map(|(key, address)| Some(port(key, address?, runs))).collect()
}

fn port(key: &str, address: SocketAddr, runs: bool) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) if runs => {
            let saw = format!("nobody listens on {address}, though the node runs");
            Finding::warn(key, saw, "does the node run with this configuration? restart it")
        }
        Ok(_) => Finding::ok(key, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && runs => {
            Finding::ok(key, format!("this node listens on {address}"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let saw = format!("{address} is taken{}", holder(address.port()));
            Finding::fail(key, saw, format!("stop what listens there, or set {key} to another port"))
        }
        Err(error) => {
            let saw = format!("cannot listen on {address}: {error}");
            Finding::fail(key, saw, format!("set {key} to an address of this machine"))
        }
    }
}

/// What `ss -lnp` would say of the port's owner cannot be told without privileges; this points there.
fn holder(port: u16) -> String {
    if Path::new("/usr/bin/ss").exists() || Path::new("/bin/ss").exists() {
        format!(" (ss -lptn 'sport = :{port}' says by whom)")
    } else {
        String::new()
    }
}
