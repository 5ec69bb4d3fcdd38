//! A live scrambler goes on through period changes while the whole key server is away, with the right
//! keys and for as long as it was configured to, and says so when they are used up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster_tests::scrambler::Scrambler;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, RigError};
use keymoot_client::{
    ClientSettings, ContentKeys, Credentials, HttpTransport, KeyClient, LiveKeys, LivePlan, PeriodStart,
    PeriodsWanted, ServicePoints, SystemClock, Timeouts, TlsFiles, UdrmSha1,
};
use keymoot_crypto::SecretBytes;
use keymoot_drm::EncryptionProvider;
use keymoot_model::{AccountId, ContentId, TrackName};
use serde_json::Value;

const PERIOD_S: u32 = 2;
const PREFETCH: Duration = Duration::from_secs(12);

fn client(cluster: &Cluster) -> Arc<KeyClient> {
    let points = cluster.addresses().into_iter().map(|address| format!("http://{address}").parse().unwrap());
    let signer = cluster.signer();
    let keys = ContentKeys {
        account: AccountId::new(&signer.account_id).unwrap(),
        ca_system: signer.ca_system.clone(),
        provider: EncryptionProvider::Cenc,
        scheme: None,
    };
    let secret = SecretBytes::new(signer.signing_key().as_bytes().to_vec());
    let credentials = Credentials::only(UdrmSha1::new(secret));
    let timeouts = Timeouts { connect: Duration::from_secs(1), answer: Duration::from_secs(12) };
    let transport = Box::new(HttpTransport::new(timeouts, &TlsFiles::default()).unwrap());
    let (points, pace) = (ServicePoints::new(points.collect()).unwrap(), Box::new(SystemClock::default()));
    Arc::new(KeyClient::new(points, keys, credentials, transport, pace, ClientSettings::default()))
}

#[test]
fn a_live_stream_goes_on_for_the_configured_time_while_all_nodes_are_dead() {
    let mut cluster = Cluster::start().unwrap();
    let client = client(&cluster);
    let (content, track) = (ContentId::new("live").unwrap(), TrackName::default_track());
    let recheck = Duration::from_secs(3);
    let plan =
        LivePlan { prefetch: PREFETCH, recheck, ..LivePlan::new(content.clone(), track.clone(), PERIOD_S) };
    let live = LiveKeys::start(client.clone(), plan).unwrap();
    let mut used = BTreeMap::new();
    let use_current = |used: &mut BTreeMap<u32, ([u8; 16], [u8; 16])>| {
        let key = live.current().map_err(|error| error.to_string())?;
        let both = (*key.kid.as_bytes(), *key.key.expose());
        assert_eq!(*used.entry(key.period.index).or_insert(both), both, "a key changed within its period");
        Ok::<_, String>(key.ends_at)
    };
    // A while with the cluster there must pass: the thread keeps ahead all the time.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        use_current(&mut used).unwrap();
        assert!(live.status().depth >= PREFETCH - Duration::from_secs(2), "{:?}", live.status());
        std::thread::sleep(Duration::from_millis(100));
    }

    cluster.kill_all().unwrap();
    let died = Instant::now();
    // How long the keys last is what is measured.
    let said = loop {
        match use_current(&mut used) {
            Ok(_) => assert!(died.elapsed() < Duration::from_secs(60), "the keys never ended"),
            Err(said) => break said,
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let lasted = died.elapsed();
    assert!(lasted >= PREFETCH - Duration::from_secs(1), "the keys lasted for {lasted:?} only");
    assert!(said.contains("used up") && said.contains("no service point answered"), "{said}");
    let status = live.status();
    assert!(status.failing_since.is_some() && status.held_until.is_none(), "{status:?}");
    assert!(used.len() >= 7, "{} periods only", used.len());

    cluster.restart_all().unwrap();
    wait_until("the live stream to have keys again", Duration::from_secs(60), || {
        live.current().map_err(|error| RigError::Answer(error.to_string()))
    })
    .unwrap();
    use_current(&mut used).unwrap();
    // What the cluster says now is what was used all the while.
    let (first, last) = (*used.keys().next().unwrap(), *used.keys().last().unwrap());
    let start = PeriodStart::Index(first);
    let wanted = PeriodsWanted { track, length_s: PERIOD_S, start, count: last - first + 1, epoch: None };
    let schedule = client.periods(&content, &wanted, false).unwrap();
    let told: BTreeMap<u32, ([u8; 16], [u8; 16])> = schedule
        .periods
        .iter()
        .map(|key| (key.period.index, (*key.kid.as_bytes(), *key.key.expose())))
        .collect();
    for (index, both) in &used {
        assert_eq!(told.get(index), Some(both), "period {index}");
    }
}

fn must(scrambler: &Scrambler, arguments: &[&str]) -> Value {
    let said = scrambler.run(&[&["key"], arguments, &["--output", "json"]].concat()).unwrap();
    serde_json::from_str(&said.succeeded().unwrap()).unwrap()
}

#[test]
fn periods_are_shown_listed_supplied_and_replaced_by_command() {
    let cluster = Cluster::start().unwrap();
    let scrambler = Scrambler::of(&cluster).unwrap();
    let three = ["schedule", "show", "--period", "10s", "--first", "170", "--count", "3"];
    let run = |arguments: &[&str]| scrambler.run(&[&["key"], arguments].concat()).unwrap();
    let none = run(&three).failed_with(1).unwrap();
    assert!(none.err.contains("--create makes the schedule"), "{none:?}");
    let made = must(&scrambler, &[&three[..], &["--create"]].concat());
    assert_eq!(must(&scrambler, &three), made);
    assert_eq!(made["periods"][1]["start"], "1970-01-01T00:28:30Z");
    let at = ["schedule", "show", "--period", "10s", "--from", "1970-01-01T00:28:35Z"];
    assert_eq!(must(&scrambler, &at)["periods"][0], made["periods"][1]);
    let hd = must(&scrambler, &[&three[..], &["--create", "--track", "HD"]].concat());
    assert_ne!(hd["periods"][0]["key"], made["periods"][0]["key"]);

    let own = must(&scrambler, &["rotate", "show", "--period", "10s", "--index", "171"]);
    let after = must(&scrambler, &three);
    assert_eq!((&after["periods"][0], &after["periods"][1]), (&made["periods"][0], &own["periods"][0]));
    assert_eq!((own["periods"][0]["supplied"].as_bool(), &own["track"]), (Some(true), &made["track"]));
    assert_ne!(own["periods"][0]["key"], made["periods"][1]["key"]);
    let listed = must(&scrambler, &["schedule", "show", "--list"]);
    assert_eq!(listed["schedules"][0]["supplied_crypto_period_indexes"], serde_json::json!(["171"]));

    let replaced = must(&scrambler, &["rotate", "show", "--period", "10s"]);
    let after = must(&scrambler, &three);
    assert_eq!(after["periods"][0]["version"], replaced["version"]);
    assert_ne!(after["periods"][0]["kid"], made["periods"][0]["kid"]);
    assert_eq!(after["periods"][1], own["periods"][0], "a supplied key wins");

    let shown = run(&three).succeeded().unwrap();
    let key = after["periods"][0]["key"].as_str().unwrap();
    assert!(shown.contains("170") && shown.contains("--show-key") && !shown.contains(key), "{shown}");
}
