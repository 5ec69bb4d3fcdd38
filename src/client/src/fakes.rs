//! A clock that moves only when it is waited on, and a key server with scripted behaviour.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use zeroize::Zeroizing;

use super::{
    Answer, ClientSettings, Clock, ContentKeys, Credentials, Failure, KeyClient, Reach, Request,
    ServicePoint, ServicePoints, Transport, UdrmSha1,
};
use keymoot_crypto::SecretBytes;
use keymoot_drm::EncryptionProvider;
use keymoot_model::{AccountId, ContentId};

/// Time that passes only by sleeping, and a constant in place of randomness.
#[derive(Clone, Default)]
pub(super) struct FakeClock(pub(super) Arc<Mutex<Duration>>);

impl FakeClock {
    pub(super) fn pass(&self, length: Duration) {
        *self.0.lock().unwrap() += length;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn calendar(&self) -> Duration {
        Duration::from_secs(1_800_000_000) + self.now()
    }

    fn sleep(&self, length: Duration) {
        self.pass(length);
    }

    fn chance(&self) -> f64 {
        1.0
    }
}

/// The behaviour of a service point.
#[derive(Clone, Debug)]
pub(super) enum Behaviour {
    /// Returns this key.
    Key(u8),
    /// Refuses connections.
    Dead,
    /// Accepts the request, and stays silent for this long.
    Silent(Duration),
    /// Is silent until this time, and returns this key from then on.
    Back(Duration, u8),
    /// Answers with this status and message.
    Status(u16, &'static str),
    /// Answers with this body.
    Says(&'static str),
    /// Returns the key that the request supplies.
    Obeys,
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) at_ms: u128,
    pub(super) point: String,
    pub(super) body: Vec<u8>,
}

/// The service points `http://a`, `http://b` and so on.
#[derive(Clone)]
pub(super) struct FakeServer {
    pub(super) clock: FakeClock,
    pub(super) points: Arc<Mutex<Vec<Behaviour>>>,
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeServer {
    pub(super) fn new(points: &[Behaviour]) -> Self {
        let points = Arc::new(Mutex::new(points.to_vec()));
        Self { clock: FakeClock::default(), points, asked: Arc::default() }
    }

    pub(super) fn client(&self, settings: ClientSettings) -> KeyClient {
        let names = "abcdefgh".chars().take(self.points.lock().unwrap().len());
        let points = names.map(|name| format!("http://{name}").parse().unwrap()).collect();
        let keys = ContentKeys {
            account: AccountId::new("demo").unwrap(),
            ca_system: "OVP".into(),
            provider: EncryptionProvider::Cenc,
            scheme: None,
        };
        let credentials = Credentials::only(UdrmSha1::new(SecretBytes::new(b"k3y".to_vec())));
        let points = ServicePoints::new(points).unwrap();
        let clock = Box::new(self.clock.clone());
        KeyClient::new(points, keys, credentials, Box::new(self.clone()), clock, settings)
    }

    pub(super) fn set(&self, at: usize, behaviour: Behaviour) {
        self.points.lock().unwrap()[at] = behaviour;
    }

    /// The points that got requests since the last call, in order: `"ab"` for the first, then the
    /// second.
    pub(super) fn order(&self) -> String {
        self.asked.lock().unwrap().drain(..).map(|asked| asked.point.replace("http://", "")).collect()
    }

    fn behaviour(&self, point: &ServicePoint) -> Behaviour {
        let at = usize::from(point.authority().as_bytes()[0] - b'a');
        self.points.lock().unwrap()[at].clone()
    }
}

impl Transport for FakeServer {
    fn exchange(&self, point: &ServicePoint, request: &Request) -> Result<Answer, Failure> {
        assert_eq!(request.query.iter().filter(|(name, _)| *name == "signature").count(), 1);
        self.asked.lock().unwrap().push(Asked {
            at_ms: self.clock.now().as_millis(),
            point: point.to_string(),
            body: request.body().to_vec(),
        });
        let refused = || Failure { reach: Reach::NotSent, reason: "connection refused".into() };
        let late = || Failure { reach: Reach::MaybeDone, reason: "no answer in time".into() };
        match self.behaviour(point) {
            Behaviour::Key(byte) => Ok(answer(200, &key_body(byte))),
            Behaviour::Dead => Err(refused()),
            Behaviour::Silent(length) => {
                self.clock.pass(length);
                Err(late())
            }
            Behaviour::Back(at, byte) if self.clock.now() >= at => Ok(answer(200, &key_body(byte))),
            Behaviour::Back(..) => {
                self.clock.pass(Duration::from_secs(12));
                Err(late())
            }
            Behaviour::Status(status, message) => Ok(answer(
                status,
                &format!(r#"{{"message":"{message}","status_code":"{status}","reference":7}}"#),
            )),
            Behaviour::Says(body) => Ok(answer(200, body)),
            Behaviour::Obeys => Ok(answer(200, std::str::from_utf8(request.body()).unwrap())),
        }
    }

    fn probe(&self, point: &ServicePoint) -> Result<(), Failure> {
        match self.behaviour(point) {
            Behaviour::Key(_) | Behaviour::Obeys => Ok(()),
            _ => Err(Failure { reach: Reach::MaybeDone, reason: "not ready".into() }),
        }
    }
}

pub(super) fn film() -> ContentId {
    ContentId::new("film").unwrap()
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, retry_after: None, headers: Vec::new(), body: Zeroizing::new(body.as_bytes().to_vec()) }
}

fn key_body(byte: u8) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode([byte; 16]);
    format!(r#"{{"key":"{text}","key_id":"{text}","content_id":"film"}}"#)
}
