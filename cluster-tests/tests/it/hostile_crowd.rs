//! A crowd of hostile clients, of whatever kind and from however many addresses, neither holds up honest ones nor
//! takes a node its place in the cluster or its memory.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::crowd::{Attack, Crowd, addresses, exchange_from};
use cluster_tests::raw::{self, percent_encode};
use cluster_tests::signed::COMMON;
use cluster_tests::stats::Latencies;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, KeyAnswer, Options, Signer, audit, metrics, widevine};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use super::playready_packager;

const MIB: f64 = 1024.0 * 1024.0;

/// How much is asked of it.
struct Siege {
    clients: usize,
    lasts: Duration,
    /// What 99 of 100 honest requests take at most, in milliseconds.
    p99_ms_max: f64,
    /// Whether an election is a fault: not where the program is not optimised, and others may take its cores.
    keeps_leading: bool,
}

/// A body of which the head is announced, with an account and a signature of its form, and a part comes.
fn stalled(signer: &Signer, path: &str, length: usize, sent: usize) -> Vec<u8> {
    let head = json!({"bulk": 1, "ca_system": signer.ca_system, "account_id": signer.account_id}).to_string();
    let mut body = format!("{head}\n").into_bytes();
    body.resize(sent, b' ');
    let signature = percent_encode(&signer.signature(b"something else"));
    let head = format!(
        "POST {path}?signature={signature} HTTP/1.1\r\nHost: keymoot\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.into_bytes(), body].concat()
}

fn attacks(signer: &Signer) -> Vec<(&'static str, Attack)> {
    let wrong = signer.with_key("a key that is nobody's");
    let guess = wrong.request("POST", COMMON, &wrong.custom_data("guessed", &[]));
    vec![
        ("silent", Attack::Stalls(Vec::new())),
        ("half a head", Attack::Stalls(b"POST /cenc/encryption HTTP/1.1\r\nHost: keymo".to_vec())),
        ("bodies that do not come", Attack::Stalls(stalled(signer, COMMON, 60_000, 1))),
        ("bodies that nearly come", Attack::Stalls(stalled(signer, COMMON, 60_000, 59_999))),
        ("bulk bodies", Attack::ReadsNothing(stalled(signer, "/bulk", 4_000_000, 3_999_999))),
        (
            "answers that are not read",
            Attack::ReadsNothing(b"GET /openapi.json HTTP/1.1\r\nHost: keymoot\r\n\r\n".repeat(50)),
        ),
        ("wrong signatures", Attack::Asks(guess)),
        ("garbage", Attack::Asks(b"\x16\x03\x01 \xe2\x80\xae garbage\r\n\r\n".to_vec())),
    ]
}

/// Honest clients ask the node for so long: a key that is there, a new one now and then, on kept connections and new ones.
fn honest(node: SocketAddr, signer: &Signer, name: &str, lasts: Duration) -> Latencies {
    let (began, mut latencies) = (Instant::now(), Latencies::new());
    let mut number = 0;
    while began.elapsed() < lasts {
        number += 1;
        let content = format!("{name}-{}", number / 10);
        let request = signer.request("POST", COMMON, &signer.custom_data(&content, &[]));
        let asked = Instant::now();
        let answer = exchange_from(IpAddr::from([127, 0, 9, 1]), node, &request);
        latencies.record(asked.elapsed());
        KeyAnswer::from_answer(&answer.unwrap_or_else(|error| panic!("{name}: {error}"))).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    latencies
}

fn besieged(siege: &Siege, sources: &[u8]) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let cluster = Options::default().open_files(1024).start().unwrap();
    let signer = cluster.signer().clone();
    let leader = cluster.leader().unwrap();
    let node = cluster.node(leader).unwrap().api;
    honest(node, &signer, "before", Duration::from_millis(500));
    let term = metrics::sample(node, metrics::TERM).unwrap();
    let mut faults = Vec::new();
    for (kind, attack) in attacks(&signer) {
        for count in sources {
            let crowd = Crowd::gather(node, &attack, siege.clients, &addresses(*count));
            std::thread::sleep(siege.lasts / 4);
            let name = format!("{}-{count}", kind.replace(' ', "-"));
            let latencies = honest(node, &signer, &name, siege.lasts);
            let resident = metrics::sample(node, "process_resident_memory_bytes").unwrap() / MIB;
            let p99_ms = latencies.percentile_ms(99.0);
            println!(
                "{kind}, {} clients from {count} addresses, {} connections: {} honest requests, p99 {p99_ms:.0} ms, \
                 {resident:.0} MiB",
                siege.clients,
                crowd.opened(),
                latencies.count()
            );
            if p99_ms > siege.p99_ms_max || resident > 512.0 {
                faults.push(format!("{kind} from {count}: p99 {p99_ms:.0} ms, {resident:.0} MiB"));
            }
            let now = (metrics::sample(node, metrics::TERM).unwrap(), cluster.leader().unwrap());
            if siege.keeps_leading && now != (term, leader) {
                faults
                    .push(format!("{kind} from {count}: term {term} became {}, node {} leads", now.0, now.1));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_crowd_of_every_kind_holds_up_no_honest_client() {
    let lasts = Duration::from_millis(1500);
    // The program is not optimised here, and other tests may run on the same two cores.
    besieged(&Siege { clients: 1000, lasts, p99_ms_max: 8000.0, keeps_leading: false }, &[250]);
}

#[test]
#[ignore = "takes five minutes; scripts/hostile-crowd runs it on an optimised program"]
fn a_thousand_of_every_kind_from_one_address_and_from_250_hold_up_no_honest_client() {
    let lasts = Duration::from_secs(15);
    besieged(&Siege { clients: 1000, lasts, p99_ms_max: 250.0, keeps_leading: true }, &[1, 250]);
}

#[test]
fn a_crowd_at_the_peer_port_does_not_keep_a_node_from_its_place() {
    let mut cluster = Options::default().open_files(1024).start().unwrap();
    let signer = cluster.signer().clone();
    let leader = cluster.leader().unwrap();
    let follower = cluster.others(leader)[0];
    let peers: SocketAddr = {
        let text = std::fs::read_to_string(cluster.node(leader).unwrap().config()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("peer_listen = ")).unwrap();
        line.trim_matches('"').parse().unwrap()
    };
    let node = cluster.node(leader).unwrap().api;
    let crowd = Crowd::gather(peers, &Attack::Stalls(b"\x16".to_vec()), 600, &addresses(3));
    std::thread::sleep(Duration::from_secs(1));
    let open = metrics::sample(node, "keymoot_peer_unproved_connections").unwrap();
    assert!((16.0..=64.0).contains(&open), "{open} connections have proved nothing");
    cluster.kill(follower).unwrap();
    for number in 0..20 {
        signer.create(node, &format!("missed-{number}")).unwrap();
    }
    cluster.restart(follower).unwrap();
    cluster.await_caught_up(follower).unwrap();
    assert!(metrics::sample(node, "keymoot_peer_unproved_closed_total{reason=\"address\"}").unwrap() > 100.0);
    assert!(metrics::sample(node, "process_open_fds").unwrap() < 400.0);
    drop(crowd);
}

#[test]
fn who_guesses_is_held_up_and_nobody_else_is() {
    let cluster = Options::default().nodes(1).start().unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let [guesser, proved, other] = [[127, 0, 8, 1], [127, 0, 8, 2], [127, 0, 8, 3]].map(IpAddr::from);
    let wrong = signer.with_key("a key that is nobody's");
    let ask = |from, who: &Signer| {
        let request = who.request("POST", COMMON, &who.custom_data("guessed", &[]));
        exchange_from(from, node, &request).unwrap()
    };
    assert_eq!(ask(proved, signer).status, 200);
    for from in [guesser, proved] {
        let statuses: Vec<u16> = (0..30).map(|_| ask(from, &wrong).status).collect();
        assert_eq!(
            statuses.iter().filter(|status| **status == 401).count() == 30,
            from == proved,
            "{statuses:?}"
        );
    }
    let refused = ask(guesser, signer);
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(ask(proved, signer).status, 200, "it proved itself before");
    assert_eq!(ask(other, signer).status, 200, "another address");
    assert!(metrics::sample(node, "keymoot_auth_delays_total").unwrap() > 10.0);
}

#[test]
fn an_account_over_its_rate_waits_for_its_turn_and_then_hears_when_to_come_again() {
    let cluster = Options::default()
        .nodes(1)
        .env("KEYMOOT__CLUSTER__REQUEST_DEADLINE_MS", "2000")
        .env("KEYMOOT__LIMITS__ACCOUNT_REQUESTS_PER_S", "10")
        // One for the key by which `dev` looks whether all is well.
        .env("KEYMOOT__LIMITS__ACCOUNT_NEW_KEYS_PER_DAY", "6")
        .start()
        .unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let create =
        |content: &str| signer.send(node, "POST", COMMON, &signer.custom_data(content, &[])).unwrap();
    let began = Instant::now();
    for number in 0..5 {
        assert_eq!(create(&format!("new-{number}")).status, 200);
    }
    let refused = create("one too many");
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("no more new keys"), "{}", refused.text());
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 3600);
    for _ in 0..24 {
        assert_eq!(create("new-0").status, 200, "a key that is there is no new one");
    }
    assert!(began.elapsed() > Duration::from_millis(1500), "30 requests in {:?}", began.elapsed());
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..80).map(|_| scope.spawn(|| create("new-0").status)).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert!(count(200) >= 15 && count(429) >= 30 && count(200) + count(429) == 80, "{statuses:?}");
    // Each of them has its event, with who was refused and why.
    let told = audit::search(&cluster.nodes()[0].config(), &["--outcome", "refused"]).unwrap();
    let limited =
        told.iter().filter(|told| told.event["status"] == 429 && told.event["actor"]["kind"] == "account");
    assert_eq!(limited.count(), count(429) + 1, "{told:?}");
}

#[test]
fn over_a_limit_every_protocol_says_in_its_own_form_when_to_come_again() {
    let cluster =
        Options::default().nodes(1).env("KEYMOOT__LIMITS__ACCOUNT_NEW_KEYS_PER_DAY", "2").start().unwrap();
    widevine::add_account(&cluster).unwrap();
    let node = cluster.addresses()[0];
    let signer = Signer::new(widevine::ACCOUNT, "OVP", cluster.signer().signing_key());
    for number in 0..2 {
        signer.create(node, &format!("new-{number}")).unwrap();
    }
    let must_wait = |what: &str, answer: &raw::Answer| {
        let after = answer.header("retry-after").unwrap_or_else(|| panic!("{what}: {}", answer.text()));
        assert!(after.parse::<u64>().unwrap() > 3600, "{what}: {after}");
    };
    // A packager gives up at any status but 200, and comes again at this one.
    let inner = STANDARD.encode(widevine::request("late", &["SD"]).to_string());
    let body = json!({"request": inner}).to_string();
    let asked = raw::request("POST", &widevine::path(widevine::ACCOUNT), &[], body.as_bytes());
    let answer = raw::exchange(node, &asked, raw::ANSWER_WITHIN).unwrap();
    assert_eq!(
        (answer.status, widevine::answer_of(&answer).unwrap().status.as_str()),
        (200, "INTERNAL_ERROR")
    );
    must_wait("Widevine", &answer);

    let answer = playready_packager::ask(node, widevine::ACCOUNT, "late");
    let said = String::from_utf8_lossy(&answer.body);
    assert!(answer.status == 429 && said.contains("<reference>"), "{said}");
    must_wait("PlayReady", &answer);

    let period = [("crypto_period_seconds", "60"), ("first_crypto_period_index", "6")];
    for (method, path, more) in [("POST", "/cenc/schedule", &period[..]), ("GET", "/hls/keyinfo", &[])] {
        let answer = signer.send(node, method, path, &signer.custom_data("late", more)).unwrap();
        assert_eq!(answer.status, 429, "{path}: {}", answer.text());
        must_wait(path, &answer);
    }

    let head = json!({"bulk": 1, "method": "POST", "ca_system": "OVP", "account_id": widevine::ACCOUNT});
    let body = format!("{head}\n{}\n", json!({"content_id": "late"}));
    let target = format!("/bulk?signature={}", percent_encode(&signer.signature(body.as_bytes())));
    let asked = raw::request("POST", &target, &[("Connection", "close")], body.as_bytes());
    let answer = raw::exchange_streamed(node, &asked, raw::ANSWER_WITHIN).unwrap();
    let said = String::from_utf8_lossy(&answer.body);
    assert!(
        answer.status == 200 && said.contains("no more new keys") && said.contains("\"retry\":true"),
        "{said}"
    );
    assert!(
        metrics::sample(node, "keymoot_account_limit_refusals_total{limit=\"new_keys\"}").unwrap() >= 5.0
    );
}

#[test]
fn a_body_from_an_address_that_no_account_lists_is_not_read() {
    let cluster = Cluster::start().unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let config = cluster.node(cluster.leader().unwrap()).unwrap().config();
    let allow = ["account", "set", &signer.account_id, "--allow", "127.0.9.0/24", "--config", &config];
    cluster_tests::operator::keymoot(&allow).unwrap().succeeded().unwrap();
    for path in [COMMON, "/policy", "/export", "/bulk", "/playready/acquirepackagingdata/demo"] {
        let began = Instant::now();
        // Of the body nearly nothing comes: whoever waits for it does not answer soon.
        let answer = exchange_from([127, 0, 8, 1].into(), node, &stalled(signer, path, 60_000, 200)).unwrap();
        assert_eq!(answer.status, 401, "{path}: {}", answer.text());
        assert!(began.elapsed() < Duration::from_secs(3), "{path}: after {:?}", began.elapsed());
    }
    let listed = signer.request("POST", COMMON, &signer.custom_data("listed", &[]));
    assert_eq!(exchange_from([127, 0, 9, 1].into(), node, &listed).unwrap().status, 200);
}

#[test]
fn keys_are_kept_in_no_cache_and_a_request_without_a_sound_host_is_refused() {
    let cluster = Options::default().nodes(1).start().unwrap();
    let (signer, node) = (cluster.signer(), cluster.addresses()[0]);
    let key = signer.send(node, "POST", COMMON, &signer.custom_data("cached", &[])).unwrap();
    assert_eq!((key.status, key.header("cache-control")), (200, Some("no-store")));
    for (host, status) in [
        ("Host: a\r\n", 200),
        ("Host: [::1]:8081\r\n", 200),
        ("", 400),
        ("Host: a\r\nHost: b\r\n", 400),
        ("Host: \"><script>\r\n", 400),
        ("Host: user@a\r\n", 400),
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\n{host}\r\n");
        let answer = raw::exchange(node, request.as_bytes(), raw::ANSWER_WITHIN).unwrap();
        assert_eq!(answer.status, status, "{host:?}: {}", answer.text());
    }
    // The target's host goes before the header (RFC 9112 3.2.2), also in addresses that are answered.
    let request =
        signer.request("POST", "http://keys.example.net/cenc/encryption", &signer.custom_data("cached", &[]));
    let answer = String::from_utf8(raw::exchange(node, &request, raw::ANSWER_WITHIN).unwrap().body).unwrap();
    assert!(!answer.contains("//keymoot"), "{answer}");
}

#[test]
fn what_strangers_write_makes_few_short_lines_that_hide_nothing() {
    let cluster = Options::default().nodes(1).start().unwrap();
    let node = cluster.addresses()[0];
    let before = cluster.nodes()[0].log().unwrap().len();
    let hidden = "%E2%80%A8%E2%80%AEdetnarg%1b%0a2026 INFO audit: granted".replace(' ', "%20");
    let paths = [format!("/{hidden}"), format!("/\u{202e}{}", "x".repeat(3900)), "/a\u{2028}b".to_owned()];
    for path in &paths {
        let _ = raw::exchange(node, &raw::request("GET", path, &[], &[]), raw::ANSWER_WITHIN);
    }
    for _ in 0..2000 {
        let _ = raw::exchange(node, &raw::request("GET", "/nothing/here", &[], &[]), raw::ANSWER_WITHIN);
    }
    for _ in 0..20 {
        let _ = raw::exchange(node, b"\x00\xff garbage\r\n\r\n", Duration::from_secs(5));
    }
    let said = cluster.nodes()[0].log().unwrap();
    let new = &said[before..];
    let lines: Vec<&str> = new.lines().collect();
    assert!(lines.iter().all(|line| line.len() < 1000), "{:?}", lines.iter().max_by_key(|line| line.len()));
    assert!((10..600).contains(&lines.len()), "{} lines", lines.len());
    assert!(!new.contains(" ERROR "), "{new}");
    let is_hidden = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{2028}' | '\u{202e}');
    assert!(!new.chars().any(is_hidden), "{new}");
    assert!(!new.lines().any(|line| line.contains("audit: granted") && !line.contains("refused")), "{new}");
}

#[test]
fn strangers_do_not_read_why_others_were_refused() {
    let mut cluster = Options::default().nodes(1).start().unwrap();
    let (signer, node) = (cluster.signer().clone(), cluster.addresses()[0]);
    signer.with_key("wrong").send(node, "GET", COMMON, &signer.custom_data("a", &[])).unwrap();
    let ask = |node, headers: &[(&str, &str)]| {
        raw::exchange(node, &raw::request("GET", "/metrics", headers, &[]), raw::ANSWER_WITHIN).unwrap()
    };
    let open = String::from_utf8(ask(node, &[]).body).unwrap();
    let refusals: Vec<&str> =
        open.lines().filter(|line| line.starts_with("keymoot_auth_refusals_total")).collect();
    let [all] = refusals.as_slice() else { panic!("{refusals:?}") };
    assert!(all.starts_with("keymoot_auth_refusals_total{reason=\"any\"} "), "{all}");

    let file = metrics::token_file().unwrap();
    let env = [
        ("KEYMOOT__HTTP__METRICS", "token"),
        ("KEYMOOT__HTTP__METRICS_TOKEN_FILE", file.path().to_str().unwrap()),
    ];
    cluster.stop(1).unwrap();
    cluster.start_with_env(1, &env).unwrap();
    let is_back = || metrics::is_ready(node);
    wait_until("the node to be ready", Duration::from_secs(30), is_back).unwrap();
    signer.with_key("wrong").send(node, "GET", COMMON, &signer.custom_data("a", &[])).unwrap();
    let refused = ask(node, &[]);
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(ask(node, &[("Authorization", "Bearer the rig reads metrics by that")]).status, 401);
    assert_eq!(metrics::refusals(node, "mismatch").unwrap(), 1);

    cluster.stop(1).unwrap();
    cluster.start_with_env(1, &[("KEYMOOT__HTTP__METRICS", "off")]).unwrap();
    wait_until("the node to be ready", Duration::from_secs(30), is_back).unwrap();
    assert_eq!(ask(node, &[]).status, 404);
}
