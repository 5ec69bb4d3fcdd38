//! A live stream during an outage of the key server, with a clock that moves only when it is told
//! to.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::*;
use crate::fakes::FakeClock;
use crate::{
    Answer, ClientSettings, ContentKeys, Credentials, Failure, Reach, Request, ServicePoint, ServicePoints,
    Transport, UdrmSha1,
};
use keymoot_crypto::SecretBytes;
use keymoot_drm::EncryptionProvider;
use keymoot_model::AccountId;

/// A key server that derives keys from index and version, is down, or refuses.
#[derive(Clone)]
struct Server {
    clock: FakeClock,
    /// The status of its answers, and the version of its keys; status 0 means down.
    behaviour: Arc<Mutex<(u16, u8)>>,
    requests: Arc<Mutex<Vec<(u32, u32)>>>,
}

impl Server {
    fn new() -> Self {
        let behaviour = Arc::new(Mutex::new((200, 1)));
        Self { clock: FakeClock::default(), behaviour, requests: Arc::default() }
    }

    fn set(&self, status: u16, version: u8) {
        *self.behaviour.lock().unwrap() = (status, version);
    }

    fn supply(&self, prefetch_s: u64) -> Result<Supply, LiveKeysError> {
        let credentials = Credentials::only(UdrmSha1::new(SecretBytes::new(b"k3y".to_vec())));
        let account = AccountId::new("demo").unwrap();
        let keys = ContentKeys {
            account,
            ca_system: "OVP".into(),
            provider: EncryptionProvider::Cenc,
            scheme: None,
        };
        let points = ServicePoints::new(vec!["http://a".parse().unwrap()]).unwrap();
        let (transport, clock) = (Box::new(self.clone()), Box::new(self.clock.clone()));
        let settings = ClientSettings { patience: Duration::ZERO, ..ClientSettings::default() };
        let client = KeyClient::new(points, keys, credentials, transport, clock, settings);
        let plan = LivePlan::new(ContentId::new("live").unwrap(), TrackName::default_track(), 10);
        let supply =
            Supply::new(Arc::new(client), LivePlan { prefetch: Duration::from_secs(prefetch_s), ..plan })?;
        supply.begin().map_err(LiveKeysError::First)?;
        Ok(supply)
    }

    /// Lets time pass, with the thread's steps in between.
    fn pass(&self, supply: &Supply, seconds: u64) {
        for _ in 0..seconds {
            self.clock.pass(Duration::from_secs(1));
            supply.refresh();
        }
    }
}

fn number(body: &serde_json::Value, member: &str) -> u32 {
    body[member].as_str().unwrap().parse().unwrap()
}

impl Transport for Server {
    fn exchange(&self, _: &ServicePoint, request: &Request) -> Result<Answer, Failure> {
        let (status, version) = *self.behaviour.lock().unwrap();
        if status == 0 {
            return Err(Failure { reach: Reach::NotSent, reason: "connection refused".into() });
        }
        assert_eq!((request.path.as_str(), request.method.as_str()), ("/cenc/schedule", "POST"));
        let asked: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        let (first, count) =
            (number(&asked, "first_crypto_period_index"), number(&asked, "crypto_period_count"));
        self.requests.lock().unwrap().push((first, count));
        let time = |index: u32| {
            let time = OffsetDateTime::from_unix_timestamp(i64::from(index) * 10).unwrap();
            time.format(&Rfc3339).unwrap()
        };
        let period = |index: u32| {
            let mut key = [version; 16];
            key[..4].copy_from_slice(&index.to_be_bytes());
            let key = STANDARD.encode(key);
            serde_json::json!({"crypto_period_index": index.to_string(), "start": time(index), "end": time(index + 1),
                "key_id": key, "key": key, "version": version.to_string(), "supplied": false})
        };
        let periods: Vec<_> = (first..first + count).map(period).collect();
        let body = serde_json::json!({"content_id": "live", "track": asked["track"], "epoch": asked["epoch"],
            "crypto_period_seconds": "10", "periods": periods});
        let body = Zeroizing::new(body.to_string().into_bytes());
        Ok(Answer { status, retry_after: None, headers: Vec::new(), body })
    }

    fn probe(&self, _: &ServicePoint) -> Result<(), Failure> {
        Ok(())
    }
}

#[test]
fn an_outage_of_the_configured_time_is_ridden_out_and_then_said() {
    let server = Server::new();
    let supply = server.supply(60).unwrap();
    let first = supply.current().unwrap();
    server.set(0, 0);
    for second in 1..=60 {
        server.pass(&supply, 1);
        let key = supply.current().unwrap_or_else(|error| panic!("after {second} s: {error}"));
        assert_eq!(key.period.index - first.period.index, second / 10);
        assert_eq!(key.kid.as_bytes()[..4], key.period.index.to_be_bytes());
    }
    let status = supply.status();
    assert!(status.failing_since.is_some() && status.depth < Duration::from_secs(20), "{status:?}");
    server.pass(&supply, 30);
    let error = supply.current().unwrap_err().to_string();
    assert!(error.contains("used up") && error.contains("connection refused"), "{error}");
    assert_eq!((supply.status().held_until, supply.status().depth), (None, Duration::ZERO));
    server.set(200, 1);
    server.pass(&supply, 11);
    supply.current().unwrap();
    assert!(supply.status().depth >= Duration::from_secs(60) && supply.status().failing_since.is_none());
}

#[test]
fn requests_are_few_and_none_is_made_for_what_is_held() {
    let server = Server::new();
    let supply = server.supply(600).unwrap();
    server.requests.lock().unwrap().clear();
    server.pass(&supply, 300);
    let requests = server.requests.lock().unwrap();
    assert!(requests.len() <= 10, "{requests:?}");
    assert!(supply.status().keys <= 71);
}

#[test]
fn a_replaced_seed_is_noticed_for_coming_periods_within_the_time_of_a_check() {
    let server = Server::new();
    let supply = server.supply(600).unwrap();
    server.set(200, 2);
    server.pass(&supply, 75);
    assert_eq!(supply.current().unwrap().version, 2);
}

#[test]
fn a_refusal_ends_the_stream_with_its_current_period() {
    let server = Server::new();
    let supply = server.supply(600).unwrap();
    server.pass(&supply, 55);
    server.set(401, 1);
    server.pass(&supply, 4);
    assert!(supply.current().is_ok(), "nothing was asked yet");
    server.pass(&supply, 20);
    let error = supply.current().unwrap_err().to_string();
    assert!(error.contains("401"), "{error}");
}

#[test]
fn a_plan_that_cannot_be_held_is_refused_and_a_first_fetch_that_fails_is_an_error() {
    let server = Server::new();
    let far = server.supply(10 * 4097).err().unwrap();
    assert!(far.to_string().contains("4097"), "{far}");
    server.set(0, 0);
    assert!(matches!(server.supply(60), Err(LiveKeysError::First(ClientError::NoServicePoint { .. }))));
}
