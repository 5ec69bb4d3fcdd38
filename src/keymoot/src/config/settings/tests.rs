//! Sources and their order, errors that name the culprit, and the file that ships.

use super::*;

const SHIPPED: &str = include_str!("../../../../../config/keymoot.toml");

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keymoot.toml");
    std::fs::write(&path, text).unwrap();
    let environment = environment.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
    Loaded::from_sources(Some(&path), environment)
}

fn refusal(text: &str, environment: &[(&str, &str)]) -> String {
    load(text, environment).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn the_shipped_file_holds_every_key_and_every_value_is_the_default() {
    let shipped: Table = toml::from_str(SHIPPED).unwrap();
    let defaults = table_of(&Config::default());
    let names = |table: &Table| keys_of(table).map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(names(&shipped), names(&defaults), "keys or their order differ");
    assert_eq!(shipped, defaults);
}

#[test]
fn every_key_of_the_shipped_file_is_explained_above_it() {
    let lines: Vec<&str> = SHIPPED.lines().collect();
    for pair in lines.windows(2) {
        let is_key = pair[1].contains(" = ") && !pair[1].starts_with('#');
        assert!(!is_key || pair[0].starts_with("# "), "no explanation above `{}`", pair[1]);
    }
}

/// Keys with a number that limit nobody: how the node itself works. All others do.
const NO_LIMITS: [&str; 24] = [
    "node.id",
    "audit.held_back_bytes",
    "audit.retention_days",
    "audit.sync_interval_ms",
    "cluster.certificate_life_days",
    "cluster.connect_timeout_ms",
    "cluster.election_timeout_max_ms",
    "cluster.election_timeout_min_ms",
    "cluster.heartbeat_ms",
    "disk.ballast_bytes",
    "http.drain_timeout_ms",
    // Whoever is silent between two requests is refused nothing.
    "http.keep_alive_ms",
    "http.workers",
    "raft.append_entries_max",
    "raft.batch_commands_max",
    "raft.batches_in_flight_max",
    "raft.log_keep_entries",
    "raft.snapshot_log_entries",
    "raft.snapshot_rate_bytes_per_s",
    "store.cache_bytes",
    "store.hot_record_bytes",
    "store.log_cache_bytes",
    "store.scrub_interval_s",
    "store.scrub_rate_bytes_per_s",
];

#[test]
fn each_limit_has_a_metric() {
    let operations = include_str!("../../../../../docs/operations.md");
    let published = include_str!("../../../../telemetry/src/metrics/tests/published.txt");
    let table = operations.split_once("| limit of the configuration | counted by |").unwrap().1;
    let rows: Vec<(&str, &str)> =
        table.lines().skip(2).map_while(|line| line.strip_prefix("| ")?.split_once(" | ")).collect();
    let mut named: Vec<&str> = Vec::new();
    for (limits, metrics) in &rows {
        let metrics: Vec<&str> = metrics.split('`').filter(|part| part.starts_with("keymoot_")).collect();
        assert!(!metrics.is_empty(), "{limits} has no metric");
        for metric in metrics {
            let name = metric.split('{').next().unwrap();
            assert!(published.contains(&format!("# TYPE {name} ")), "{metric} of {limits} is not published");
        }
        named.extend(limits.split('`').filter(|part| part.contains('.') && !part.contains(' ')));
    }
    let shipped: toml::Table = SHIPPED.parse().unwrap();
    let keys = shipped.iter().flat_map(|(section, keys)| {
        let numbers = keys.as_table().unwrap().iter().filter(|(_, value)| value.is_integer());
        numbers.map(move |(key, _)| format!("{section}.{key}"))
    });
    for key in keys {
        let is_limit = !NO_LIMITS.contains(&key.as_str());
        assert_eq!(named.contains(&key.as_str()), is_limit, "{key} in the table of docs/operations.md");
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let loaded = load(
        "[http]\nworkers = 3\nmax_body_bytes = 2048\n",
        &[
            ("KEYMOOT__HTTP__WORKERS", "5"),
            ("KEYMOOT__HTTP__TRUSTED_PROXIES", "10.0.0.0/8, ::1/128"),
            ("KEYMOOT__HTTP__LOOPBACK_PASSWORDS", "true"),
            ("KEYMOOT__AUTH__AUTHORITIES", "keys.example.net, [fd00::1]:8081"),
            ("OTHER", "1"),
        ],
    )
    .unwrap();
    assert_eq!(loaded.config.http.workers, 5);
    assert_eq!(loaded.config.http.max_body_bytes, 2048);
    assert_eq!(loaded.config.http.trusted_proxies.len(), 2);
    assert!(loaded.config.http.loopback_passwords);
    assert_eq!(loaded.config.auth.authorities[1].to_string(), "[fd00::1]:8081");
    assert!(refusal("", &[("KEYMOOT__HTTP__LOOPBACK_PASSWORDS", "yes")]).contains("expected a boolean"));
    assert_eq!(loaded.config.log, Config::default().log);
    let origin = |key: &str| loaded.origin_of(key);
    assert_eq!(origin("http.workers"), Origin::Environment("KEYMOOT__HTTP__WORKERS".to_owned()));
    assert!(matches!(origin("http.max_body_bytes"), Origin::File { line: 3, .. }));
    assert_eq!(origin("log.level"), Origin::Default);
}

#[test]
fn a_list_in_the_environment_is_written_with_commas_or_as_in_the_file() {
    let authorities = |text: &str| {
        let loaded = load("", &[("KEYMOOT__AUTH__AUTHORITIES", text)]).unwrap();
        loaded.config.auth.authorities.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let both = ["keys.example.net", "[fd00::1]:8081"];
    for text in [
        "keys.example.net,[fd00::1]:8081",
        "[\"keys.example.net\", \"[fd00::1]:8081\"]",
        " ['keys.example.net', '[fd00::1]:8081',] ",
        "[\n  \"keys.example.net\",\n  \"[fd00::1]:8081\",\n]",
    ] {
        assert_eq!(authorities(text), both, "{text}");
    }
    assert_eq!(authorities("[fd00::1],[fd00::2]:1"), ["[fd00::1]", "[fd00::2]:1"]);
    assert_eq!(authorities("[]"), [""; 0]);
    assert_eq!(authorities(""), [""; 0]);
}

#[test]
fn a_refused_entry_is_named_with_its_character() {
    for (key, text, named) in [
        (
            "HTTP__TRUSTED_PROXIES",
            "10.0.0.0/8, 192.0.2.0/2x",
            "\"192.0.2.0/2x\" is no network: 'x' at character 12",
        ),
        ("PACKAGER__ALLOW_LIST", "[\"10.0.0.0/40\"]", "\"10.0.0.0/40\" is no network: behind the slash"),
        ("LICENSE__URL", "https://keys/?a", "'?' as its character 14"),
    ] {
        let said = refusal("", &[(&format!("KEYMOOT__{key}"), text)]);
        assert!(said.contains(named), "{said}");
    }
    let one = load("[http]\ntrusted_proxies = [\"192.0.2.7\"]\n", &[]).unwrap().config.http.trusted_proxies;
    assert_eq!(one[0].to_string(), "192.0.2.7/32");
}

#[test]
fn a_configuration_from_before_takes_any_authority_and_is_told_so_where_strangers_reach_it() {
    let noticed = |text: &str| {
        let config = load(text, &[]).unwrap().config;
        config.cluster_settings().notices.iter().any(|notice| notice.contains("auth.authorities"))
    };
    let far = "[http]\nlisten = \"0.0.0.0:8081\"\ntls = \"off\"\n";
    assert!(noticed(far));
    assert!(!noticed(&format!("{far}[auth]\nauthorities = [\"keys.example.net\"]\n")));
    assert!(!noticed("[http]\nlisten = \"127.0.0.1:8081\"\n"));
    assert!(refusal("[auth]\nauthorities = [\"https://keys\"]\n", &[]).contains("HOST:PORT"));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_key_that_was_meant() {
    let said = refusal("[http]\n# comment\nlissen = \"127.0.0.1:1\"\n", &[]);
    assert!(
        said.contains("keymoot.toml:3: unknown key `http.lissen`; did you mean `http.listen`?"),
        "{said}"
    );
    let said = refusal("[htpp]\nlisten = \"127.0.0.1:1\"\n", &[]);
    assert!(said.contains("keymoot.toml:1: unknown key `htpp`; did you mean `http`?"), "{said}");
    let said = refusal("[node]\nkeyring_file = \"x\"\n", &[]);
    assert!(said.contains("unknown key `node.keyring_file`; did you mean `keys.keyring_file`?"), "{said}");
    assert!(refusal("http = 1\n", &[]).contains("unknown key `http`"));
    assert!(refusal("[http.extra]\na = 1\n", &[]).contains("unknown key `http.extra`"));
}

#[test]
fn an_unknown_variable_is_named() {
    let said = refusal("", &[("KEYMOOT__HTTP__LISTENN", "x")]);
    let expected =
        "environment KEYMOOT__HTTP__LISTENN: unknown key `http.listenn`; did you mean `http.listen`?";
    assert_eq!(said, expected);
    let said = refusal("", &[("KEYMOOT__HTP__X", "x")]);
    assert!(said.ends_with("unknown key `htp.x`; did you mean `http`?"), "{said}");
    assert!(refusal("", &[("KEYMOOT__HTTP", "x")]).contains("unknown key `http`"));
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_its_source() {
    let said = refusal("[http]\nworkers = \"many\"\nlisten = \"nowhere\"\n", &[("KEYMOOT__NODE__ID", "-1")]);
    for part in
        ["keymoot.toml:2: http.workers:", "keymoot.toml:3: http.listen:", "KEYMOOT__NODE__ID: node.id:"]
    {
        assert!(said.contains(part), "{part} not in {said}");
    }
}

#[test]
fn a_failed_cross_check_names_the_source_of_the_value() {
    let said = refusal("", &[("KEYMOOT__CLUSTER__HEARTBEAT_MS", "400")]);
    assert!(
        said.contains("cluster.profile lan: cluster.election_timeout_min_ms: must be at least three times"),
        "{said}"
    );
    let said = refusal("[cluster]\nelection_timeout_min_ms = 200\n", &[]);
    assert!(said.contains("keymoot.toml:2: cluster.election_timeout_min_ms:"), "{said}");
}

#[test]
fn broken_toml_is_refused_with_its_line() {
    let said = refusal("[http]\nlisten = \n", &[]);
    assert!(said.contains("keymoot.toml:2:"), "{said}");
    assert!(refusal("[http]\nworkers = 1\nworkers = 2\n", &[]).contains("keymoot.toml:3:"));
}

#[test]
fn a_path_in_the_file_is_relative_to_the_file_and_one_in_the_environment_is_not() {
    let loaded = load(
        "[node]\ndata_dir = \"data\"\n[keys]\nkeyring_file = \"/abs/ring\"\n[http]\ntls_cert_file = \"../c\"\n",
        &[("KEYMOOT__CLUSTER__CA_FILE", "ca.pem"), ("KEYMOOT__HTTP__TLS_KEY_FILE", "k")],
    )
    .unwrap();
    let config = &loaded.config;
    assert!(config.node.data_dir.is_absolute() && config.node.data_dir.ends_with("data"));
    assert_eq!(config.keys.keyring_file, Path::new("/abs/ring"));
    assert_eq!(config.cluster.ca_file, Path::new("ca.pem"));
    assert!(config.http.tls_cert_file.as_ref().unwrap().is_absolute());
}

#[test]
fn a_profile_chooses_what_nobody_did_and_says_so() {
    let loaded = load("[cluster]\nprofile = \"wan\"\nheartbeat_ms = 600\n", &[]).unwrap();
    let cluster = &loaded.config.cluster;
    assert_eq!((cluster.heartbeat_ms, cluster.election_timeout_max_ms), (600, 4000));
    let origin = |key| loaded.origin_of(key).to_string();
    assert!(origin("cluster.heartbeat_ms").ends_with("keymoot.toml:3"));
    assert_eq!(origin("cluster.election_timeout_max_ms"), "cluster.profile wan");
    let lan = load("", &[]).unwrap();
    assert_eq!((lan.config.cluster.heartbeat_ms, lan.config.cluster.connect_timeout_ms), (100, 500));
    assert!(refusal("[cluster]\nprofile = \"moon\"\n", &[]).contains("cluster.profile"));
}

#[test]
fn every_key_that_ends_like_a_path_is_treated_as_one() {
    let mut config = Config::default();
    config.cluster.founding_ca_key_file = Some("f".into());
    config.http.tls_cert_file = Some("c".into());
    config.http.tls_key_file = Some("k".into());
    config.http.tls_client_ca_file = Some("r".into());
    config.http.metrics_token_file = Some("t".into());
    config.packager.tls_cert_file = Some("c".into());
    config.packager.tls_key_file = Some("k".into());
    config.packager.tls_client_ca_file = Some("r".into());
    config.admin.credential_file = Some("o".into());
    config.accounts.file = Some("a".into());
    config.license.entitlements_file = Some("e".into());
    config.license.ca_file = Some("l".into());
    config.license_servers.widevine_signing_key_file = Some("w".into());
    config.license_servers.playready_signing_key_file = Some("p".into());
    config.license_servers.fairplay_signing_key_file = Some("f".into());
    let mut by_name: Vec<String> = keys_of(&table_of(&config))
        .map(|(key, _)| key)
        .filter(|key| key.ends_with("_file") || key.ends_with(".file") || key.ends_with("_dir"))
        .collect();
    let mut listed: Vec<String> = config.paths_mut().map(|(key, _)| key.to_owned()).collect();
    by_name.sort();
    listed.sort();
    assert_eq!(by_name, listed);
}

#[test]
fn the_receivers_of_the_page_about_the_audit_are_sound_and_others_are_refused_in_words() {
    let page = include_str!("../../../../../docs/audit.md");
    let blocks = page.split("```toml\n").skip(1).filter_map(|block| block.split("```").next());
    let example = blocks.into_iter().find(|block| block.starts_with("[[audit.receiver]]")).unwrap();
    let loaded = load(example, &[]).unwrap();
    let receivers = &loaded.config.audit.receiver;
    assert_eq!(
        receivers.iter().map(|receiver| receiver.name.as_str()).collect::<Vec<_>>(),
        ["siem", "lake", "disk"]
    );
    let ca = receivers[0].ca_file.as_deref().unwrap();
    assert!(ca.is_absolute() && ca.ends_with("siem-ca.pem"), "{}", ca.display());
    assert!(
        loaded
            .config
            .cluster_settings()
            .notices
            .iter()
            .all(|notice| !notice.contains("in the clear; set tls"))
    );

    let table = |more: &str| format!("[[audit.receiver]]\nname = \"siem\"\nkind = \"syslog\"\n{more}");
    let said = refusal(&table(""), &[]);
    assert!(
        said.contains("keymoot.toml:1: audit.receiver: receiver \"siem\": address must be set"),
        "{said}"
    );
    let said = refusal(&table("adress = \"h:1\"\n"), &[]);
    assert!(said.contains("audit.receiver: unknown field `adress`"), "{said}");
    let clear = load(&table("address = \"siem.example.net:514\"\ntls = false\n"), &[]).unwrap();
    let notices = clear.config.cluster_settings().notices;
    assert!(
        notices.iter().any(|notice| notice.contains("\"siem\"") && notice.contains("in the clear")),
        "{notices:?}"
    );
}
