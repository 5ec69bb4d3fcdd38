//! Checks of values against each other and against what is sensible.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use keymoot_cluster::settings::{PeerAddress, RaftSection};
use keymoot_http::settings::{MetricsAccess, TlsSource};
use keymoot_protocol::SignatureWindow;

use super::{Config, Keys};

/// The keys at fault, each with what is wrong and what would be right.
pub(super) fn problems(config: &Config) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    ranges(config, &mut found);
    timing(config, &mut found);
    listeners(config, &mut found);
    packager(config, &mut found);
    witness(config, &mut found);
    found.extend(config.license_servers.problems());
    let receivers = keymoot_shipping::problems(&config.audit.receiver);
    found.extend(receivers.into_iter().map(|problem| ("audit.receiver", problem)));
    if let Err(error) = config.log.targets() {
        let wanted = "must be error, warn, info, debug or trace, or a list such as `info,openraft=warn`";
        found.push(("log.level", format!("{wanted}; {error}")));
    }
    for (key, path) in config.clone().paths_mut() {
        if path.as_os_str().is_empty() {
            found.push((key, "must not be empty".to_owned()));
        }
    }
    found
}

fn ranges(config: &Config, found: &mut Vec<(&'static str, String)>) {
    const MAILBOX: RangeInclusive<u64> = 16..=1_000_000;
    const MIB: u64 = 1024 * 1024;
    let Config {
        node, cluster, http, auth, license_servers: servers, raft, store, disk, audit, limits, ..
    } = config;
    let size = |value: usize| value as u64;
    let rows: [(&'static str, u64, RangeInclusive<u64>); 45] = [
        ("node.id", node.id, 1..=u64::MAX),
        ("cluster.certificate_life_days", cluster.certificate_life_days, 1..=5 * 365),
        ("cluster.heartbeat_ms", cluster.heartbeat_ms, 10..=60_000),
        ("cluster.election_timeout_min_ms", cluster.election_timeout_min_ms, 30..=300_000),
        ("cluster.election_timeout_max_ms", cluster.election_timeout_max_ms, 31..=600_000),
        ("cluster.request_deadline_ms", cluster.request_deadline_ms, 100..=60_000),
        ("cluster.connect_timeout_ms", cluster.connect_timeout_ms, 10..=60_000),
        ("cluster.unproved_connections_max", size(cluster.unproved_connections_max), 8..=128),
        (
            "cluster.unproved_connections_per_address_max",
            size(cluster.unproved_connections_per_address_max),
            1..=128,
        ),
        ("http.workers", size(http.workers), 0..=1024),
        ("http.max_body_bytes", size(http.max_body_bytes), 1024..=16 * MIB),
        ("http.connections_per_worker_max", size(http.connections_per_worker_max), 16..=1_000_000),
        ("http.connections_per_address_max", size(http.connections_per_address_max), 1..=1_000_000),
        ("http.keep_alive_ms", http.keep_alive_ms, 1_000..=3_600_000),
        ("http.header_timeout_ms", http.header_timeout_ms, 100..=600_000),
        ("http.body_timeout_ms", http.body_timeout_ms, 100..=3_600_000),
        ("http.body_bytes_per_s_min", http.body_bytes_per_s_min, 1..=1024 * MIB),
        ("http.write_timeout_ms", http.write_timeout_ms, 100..=600_000),
        ("http.drain_timeout_ms", http.drain_timeout_ms, 0..=600_000),
        ("auth.signature_lifetime_s", auth.signature_lifetime_s, 5..=SignatureWindow::LIFETIME_S_MAX),
        ("auth.clock_skew_s", auth.clock_skew_s, 0..=SignatureWindow::CLOCK_SKEW_S_MAX),
        ("auth.wrong_credentials_max", auth.wrong_credentials_max.into(), 0..=1_000_000),
        ("auth.back_off_max_s", auth.back_off_max_s, 1..=86_400),
        ("license_servers.timeout_ms", servers.timeout_ms, 50..=60_000),
        ("license_servers.deadline_ms", servers.deadline_ms, 50..=120_000),
        ("license_servers.requests_max", size(servers.requests_max), 1..=100_000),
        ("license_servers.failures_max", servers.failures_max.into(), 1..=1000),
        ("license_servers.rest_ms", servers.rest_ms, 100..=600_000),
        (
            "raft.batch_commands_max",
            size(raft.batch_commands_max),
            1..=RaftSection::BATCH_COMMANDS_MAX as u64,
        ),
        ("raft.batches_in_flight_max", size(raft.batches_in_flight_max), 1..=1024),
        ("raft.append_entries_max", raft.append_entries_max, 1..=100_000),
        ("raft.snapshot_log_entries", raft.snapshot_log_entries, 10..=1_000_000_000),
        ("raft.snapshot_rate_bytes_per_s", raft.snapshot_rate_bytes_per_s, 64 * 1024..=u64::MAX),
        ("store.cache_bytes", store.cache_bytes, MIB..=u64::MAX),
        ("store.hot_record_bytes", store.hot_record_bytes, MIB..=u64::MAX),
        ("disk.free_bytes_min", disk.free_bytes_min, MIB..=u64::MAX),
        ("disk.ballast_bytes", disk.ballast_bytes, 0..=u64::MAX),
        ("audit.sync_interval_ms", audit.log.sync_interval_ms, 10..=60_000),
        ("audit.retention_days", audit.log.retention_days, 1..=36_500),
        ("audit.budget_bytes", audit.log.budget_bytes, MIB..=u64::MAX),
        ("audit.held_back_bytes", audit.log.held_back_bytes, 64 * 1024..=u64::MAX),
        ("limits.authenticator_mailbox", size(limits.authenticator_mailbox), MAILBOX),
        ("limits.provider_mailbox", size(limits.provider_mailbox), MAILBOX),
        ("limits.proposer_mailbox", size(limits.proposer_mailbox), MAILBOX),
        ("limits.read_mailbox", size(limits.read_mailbox), MAILBOX),
    ];
    for (key, value, range) in rows {
        if !range.contains(&value) {
            let problem = match *range.end() {
                u64::MAX => format!("must be at least {}, not {value}", range.start()),
                end => format!("must be from {} to {end}, not {value}", range.start()),
            };
            found.push((key, problem));
        }
    }
}

fn timing(config: &Config, found: &mut Vec<(&'static str, String)>) {
    let cluster = &config.cluster;
    let least = cluster.heartbeat_ms.saturating_mul(3);
    if cluster.election_timeout_min_ms < least {
        let problem = format!(
            "must be at least three times cluster.heartbeat_ms, that is {least}: one lost heartbeat must not start an election"
        );
        found.push(("cluster.election_timeout_min_ms", problem));
    }
    if cluster.election_timeout_max_ms <= cluster.election_timeout_min_ms {
        let problem = "must be larger than cluster.election_timeout_min_ms, or candidates keep colliding";
        found.push(("cluster.election_timeout_max_ms", problem.to_owned()));
    }
    let two_elections = cluster.election_timeout_max_ms.saturating_mul(2);
    if cluster.request_deadline_ms < two_elections {
        let problem = format!(
            "must be at least twice cluster.election_timeout_max_ms, that is {two_elections}: requests wait through an election"
        );
        found.push(("cluster.request_deadline_ms", problem));
    }
}

fn listeners(config: &Config, found: &mut Vec<(&'static str, String)>) {
    let (cluster, http) = (&config.cluster, &config.http);
    let dialled = PeerAddress::new(cluster.peer_listen.to_string());
    if cluster.peer_advertise.is_none() && (cluster.peer_listen.ip().is_unspecified() || dialled.is_err()) {
        let problem = format!("must be set: nobody can dial {}", cluster.peer_listen);
        found.push(("cluster.peer_advertise", problem));
    }
    if cluster.peer_listen == http.listen {
        found.push((
            "http.listen",
            "is cluster.peer_listen as well; the two need ports of their own".to_owned(),
        ));
    }
    for (key, other) in [("http.listen", http.listen), ("cluster.peer_listen", cluster.peer_listen)] {
        if config.admin.listen == Some(other) {
            found.push(("admin.listen", format!("is {key} as well; the two need ports of their own")));
        }
    }
    match (http.metrics, &http.metrics_token_file) {
        (MetricsAccess::Token, None) => found.push((
            "http.metrics_token_file",
            "must name the file of the token when http.metrics is \"token\"".to_owned(),
        )),
        (MetricsAccess::Open | MetricsAccess::Off, Some(_)) => found
            .push(("http.metrics_token_file", "must be empty unless http.metrics is \"token\"".to_owned())),
        _ => {}
    }
    let keys = ["http.tls", "http.tls_cert_file", "http.tls_key_file", "http.tls_client_ca_file"];
    tls(keys, http.tls, [&http.tls_cert_file, &http.tls_key_file, &http.tls_client_ca_file], found);
    if ![http.tls, config.packager.tls].contains(&TlsSource::Cluster) && !http.tls_names.is_empty() {
        found.push(("http.tls_names", "must be empty unless http.tls is \"cluster\"".to_owned()));
    }
}

/// The TLS of a listener: certificate and key together and only where they are used, client certificates only
/// with TLS.
fn tls(
    [source_key, cert_key, key_key, ca_key]: [&'static str; 4],
    source: TlsSource,
    [cert, key, ca]: [&Option<PathBuf>; 3],
    found: &mut Vec<(&'static str, String)>,
) {
    if source != TlsSource::Files {
        let set = [(cert_key, cert), (key_key, key)].into_iter().filter(|(_, file)| file.is_some());
        found.extend(set.map(|(key, _)| (key, format!("must be empty unless {source_key} is \"files\""))));
    }
    match (cert, key) {
        (Some(_), None) => found.push((key_key, format!("must be set too when {cert_key} is"))),
        (None, Some(_)) => found.push((cert_key, format!("must be set too when {key_key} is"))),
        _ => {}
    }
    if ca.is_some() && cert.is_none() && source != TlsSource::Cluster {
        found.push((
            ca_key,
            format!(
                "needs {cert_key}, or {source_key} = \"cluster\": clients show certificates over TLS only"
            ),
        ));
    }
}

/// A witness holds no master key, and does nothing that needs one.
fn witness(config: &Config, found: &mut Vec<(&'static str, String)>) {
    if !config.node.witness {
        if !config.node.verifiers.is_empty() {
            found.push(("node.verifiers", "must be empty unless node.witness is true".to_owned()));
        }
        return;
    }
    if config.node.verifiers.is_empty() {
        let problem = "must say what tells who holds a master key, as keymoot cluster join writes it: a witness believes \
                       nobody else";
        found.push(("node.verifiers", problem.to_owned()));
    }
    let keyless = "a witness must hold no master key";
    let rows = [
        ("keys.keyring_file", config.keys != Keys::default(), keyless),
        (
            "cluster.founding_ca_key_file",
            config.cluster.founding_ca_key_file.is_some(),
            "a witness begins no cluster",
        ),
        (
            "admin.listen",
            config.admin.listen.is_some(),
            "a witness listens to no operators: ask another node",
        ),
        ("packager.listen", config.packager.listen.is_some(), "a witness serves no client"),
        ("accounts.file", config.accounts.file.is_some(), "a witness serves no client"),
    ];
    let set = rows.into_iter().filter(|(_, is_set, _)| *is_set);
    found
        .extend(set.map(|(key, _, why)| (key, format!("must not be set where node.witness is true: {why}"))));
    if config.http.tls == TlsSource::Cluster {
        let problem = "must not be \"cluster\" where node.witness is true: a witness cannot make a certificate; name the \
                       files of one, or listen on loopback";
        found.push(("http.tls", problem.to_owned()));
    }
}

fn packager(config: &Config, found: &mut Vec<(&'static str, String)>) {
    let packager = &config.packager;
    let Some(listen) = packager.listen else { return };
    let keys =
        ["packager.tls", "packager.tls_cert_file", "packager.tls_key_file", "packager.tls_client_ca_file"];
    let files = [&packager.tls_cert_file, &packager.tls_key_file, &packager.tls_client_ca_file];
    tls(keys, packager.tls, files, found);
    let mut fault = |key, problem: &str| found.push((key, problem.to_owned()));
    if packager.allow_list.is_empty() && packager.tls_client_ca_file.is_none() {
        let problem = "must name the packagers' networks, or packager.tls_client_ca_file the authority of \
                       their certificates: their requests carry no signature";
        fault("packager.allow_list", problem);
    }
    if packager.accounts.is_empty() {
        fault("packager.accounts", "must name an account for each partner id, such as [\"437=demo\"]");
    }
    let pids: std::collections::BTreeSet<_> = packager.accounts.iter().map(|entry| &entry.pid).collect();
    if pids.len() < packager.accounts.len() {
        fault("packager.accounts", "names a partner id twice");
    }
    let taken = [config.http.listen, config.cluster.peer_listen].contains(&listen);
    if taken && listen.port() != 0 {
        fault("packager.listen", "is another listener's address as well; each needs a port of its own");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_http::settings::PackagerAccount;

    fn defaults() -> Config {
        let mut config = Config::default();
        config.cluster.apply_profile();
        config
    }

    fn keys_at_fault(change: impl FnOnce(&mut Config)) -> Vec<&'static str> {
        let mut config = defaults();
        change(&mut config);
        problems(&config).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(keys_at_fault(|_| ()), [""; 0]);
    }

    #[test]
    fn a_witness_has_no_keyring_and_nothing_that_needs_one() {
        let verifier = format!("mk1={}", "0a".repeat(32));
        let sound = |config: &mut Config| {
            config.node.witness = true;
            config.node.verifiers = vec![verifier.parse().unwrap()];
        };
        assert_eq!(keys_at_fault(sound), [""; 0]);
        assert_eq!(keys_at_fault(|config| config.node.witness = true), ["node.verifiers"]);
        assert_eq!(
            keys_at_fault(|config| config.node.verifiers = vec![verifier.parse().unwrap()]),
            ["node.verifiers"]
        );
        let faults = keys_at_fault(|config| {
            sound(config);
            config.keys.keyring_file = "keyring.toml".into();
            config.cluster.founding_ca_key_file = Some("ca-key.pem".into());
            config.admin.listen = Some("127.0.0.1:1".parse().unwrap());
            config.http.tls = TlsSource::Cluster;
        });
        assert_eq!(faults, ["keys.keyring_file", "cluster.founding_ca_key_file", "admin.listen", "http.tls"]);
    }

    #[test]
    fn the_defaults_elect_a_leader_well_within_two_seconds() {
        let cluster = defaults().cluster;
        assert!(cluster.election_timeout_max_ms + 2 * cluster.heartbeat_ms < 2000);
    }

    #[test]
    fn each_cross_check_names_the_key_at_fault() {
        assert_eq!(
            keys_at_fault(|c| c.cluster.election_timeout_min_ms = 299),
            ["cluster.election_timeout_min_ms"]
        );
        assert_eq!(
            keys_at_fault(|c| c.cluster.election_timeout_max_ms = 300),
            ["cluster.election_timeout_max_ms"]
        );
        assert_eq!(keys_at_fault(|c| c.cluster.request_deadline_ms = 1199), ["cluster.request_deadline_ms"]);
        assert_eq!(keys_at_fault(|c| c.http.tls_cert_file = Some("a".into())), ["http.tls_key_file"]);
        assert_eq!(keys_at_fault(|c| c.http.tls_key_file = Some("a".into())), ["http.tls_cert_file"]);
        assert_eq!(
            keys_at_fault(|c| c.http.tls_client_ca_file = Some("a".into())),
            ["http.tls_client_ca_file"]
        );
        let both = |c: &mut Config| {
            c.http.tls = TlsSource::Cluster;
            c.http.tls_key_file = Some("a".into());
            c.http.tls_cert_file = Some("a".into());
            c.http.tls_client_ca_file = Some("a".into());
        };
        assert_eq!(keys_at_fault(both), ["http.tls_cert_file", "http.tls_key_file"]);
        let of_nobody = |c: &mut Config| {
            c.http.tls = TlsSource::Off;
            c.http.tls_client_ca_file = Some("a".into());
        };
        assert_eq!(keys_at_fault(of_nobody), ["http.tls_client_ca_file"]);
        assert_eq!(keys_at_fault(|c| c.http.tls_names = vec!["a".parse().unwrap()]), ["http.tls_names"]);
        assert_eq!(keys_at_fault(|c| c.auth.signature_lifetime_s = 301), ["auth.signature_lifetime_s"]);
        assert_eq!(keys_at_fault(|c| c.http.listen = c.cluster.peer_listen), ["http.listen"]);
        assert_eq!(
            keys_at_fault(|c| c.cluster.peer_listen = ([0, 0, 0, 0], 1).into()),
            ["cluster.peer_advertise"]
        );
        assert_eq!(
            keys_at_fault(|c| c.packager.listen = Some(([127, 0, 0, 1], 1).into())),
            ["packager.allow_list", "packager.accounts"]
        );
        let packager = |c: &mut Config| {
            c.packager.listen = Some(([127, 0, 0, 1], 1).into());
            c.packager.accounts = vec![PackagerAccount::try_from("437=demo".to_owned()).unwrap()];
            c.packager.tls_client_ca_file = Some("a".into());
        };
        assert_eq!(keys_at_fault(packager), ["packager.tls_client_ca_file"]);
        let half = |c: &mut Config| {
            packager(c);
            c.packager.tls_cert_file = Some("a".into());
        };
        assert_eq!(keys_at_fault(half), ["packager.tls_key_file"]);
        let whole = |c: &mut Config| {
            half(c);
            c.packager.tls_key_file = Some("a".into());
        };
        assert_eq!(keys_at_fault(whole), [""; 0], "certificates stand in for the allow-list");
        assert_eq!(keys_at_fault(|c| c.node.id = 0), ["node.id"]);
        assert_eq!(keys_at_fault(|c| c.log.level = "loud=very".into()), ["log.level"]);
        assert_eq!(keys_at_fault(|c| c.keys.keyring_file = "".into()), ["keys.keyring_file"]);
        assert_eq!(keys_at_fault(|c| c.limits.read_mailbox = 0), ["limits.read_mailbox"]);
        assert_eq!(keys_at_fault(|c| c.audit.log.retention_days = 0), ["audit.retention_days"]);
    }
}
