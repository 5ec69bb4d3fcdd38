//! Negotiation and proof of the server, against service points that lie.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::fakes::{FakeClock, film};
use crate::{
    Answer, ClientError, ClientSettings, ContentKeys, Credentials, Failure, KeyClient, MessageSignature,
    Reach, Request, ServerProof, ServicePoint, ServicePoints, Signer, Transport, UdrmSha1,
};
use keymoot_crypto::SecretBytes;
use keymoot_drm::EncryptionProvider;
use keymoot_model::{AccountId, Scheme};
use keymoot_protocol::{Envelope, HttpSignature, MessageKey, ServerKeys, SignatureWindow};

const SECRET: &[u8] = b"a shared secret of some length";
const KEY: &str =
    r#"{"key":"AQEBAQEBAQEBAQEBAQEBAQ==","key_id":"AgICAgICAgICAgICAgICAg==","content_id":"film"}"#;

/// How a service point tampers with its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tampering {
    None,
    Unsigned,
    Body,
    Status,
    OldNonce,
    OtherKey,
}

/// The index of a service point, and the scheme that proved a request to it.
type Seen = (usize, Option<Scheme>);

/// Service points `http://127.0.0.1:1` and so on: the announcement of each, and how it tampers.
#[derive(Clone)]
struct Points {
    announced: Arc<Mutex<Vec<(&'static str, Tampering)>>>,
    /// For each request for a key: the point, and the scheme that proved it.
    seen: Arc<Mutex<Vec<Seen>>>,
    asked_capabilities: Arc<Mutex<usize>>,
}

impl Points {
    fn new(points: &[(&'static str, Tampering)]) -> Self {
        let announced = Arc::new(Mutex::new(points.to_vec()));
        Self { announced, seen: Arc::default(), asked_capabilities: Arc::default() }
    }

    fn client(&self, minimum: Option<Scheme>, proof: ServerProof) -> KeyClient {
        let count = self.announced.lock().unwrap().len();
        let points = (1..=count).map(|port| format!("http://127.0.0.1:{port}").parse().unwrap()).collect();
        self.client_of(points, minimum, proof)
    }

    fn client_of(&self, points: Vec<ServicePoint>, minimum: Option<Scheme>, proof: ServerProof) -> KeyClient {
        let patience = Duration::from_secs(5);
        let settings = ClientSettings { patience, server_proof: proof, ..ClientSettings::default() };
        self.client_with(points, minimum, settings)
    }

    fn client_with(
        &self,
        points: Vec<ServicePoint>,
        minimum: Option<Scheme>,
        settings: ClientSettings,
    ) -> KeyClient {
        let account = AccountId::new("demo").unwrap();
        let key = MessageKey::read(&SecretBytes::new(SECRET.to_vec())).unwrap();
        let signers: Vec<Box<dyn Signer>> = vec![
            Box::new(UdrmSha1::new(SecretBytes::new(b"k3y".to_vec()))),
            Box::new(MessageSignature::new(key, &account, None)),
        ];
        let credentials = Credentials::new(signers, minimum).unwrap();
        let keys = ContentKeys {
            account,
            ca_system: "OVP".into(),
            provider: EncryptionProvider::Cenc,
            scheme: None,
        };
        let clock = Box::new(FakeClock::default());
        let points = ServicePoints::new(points).unwrap();
        KeyClient::new(points, keys, credentials, Box::new(self.clone()), clock, settings)
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// The scheme that proves the request.
fn proved(request: &Request, envelope: &Envelope) -> Option<Scheme> {
    let with_body = Envelope {
        body: bytes::Bytes::copy_from_slice(request.body()),
        received_at_s: 1_800_000_000,
        ..envelope.clone()
    };
    match HttpSignature::read(&with_body, SignatureWindow::default()).unwrap() {
        Some(read) => read.verify(Scheme::HttpHmacSha256, SECRET).then_some(Scheme::HttpHmacSha256),
        None => request.query.iter().any(|(name, _)| *name == "signature").then_some(Scheme::UdrmSha1),
    }
}

impl Transport for Points {
    fn exchange(&self, point: &ServicePoint, request: &Request) -> Result<Answer, Failure> {
        let at: usize = point.authority().rsplit(':').next().unwrap().parse::<usize>().unwrap() - 1;
        let (announced, tampering) = self.announced.lock().unwrap()[at];
        if announced == "dead" {
            return Err(Failure { reach: Reach::NotSent, reason: "connection refused".into() });
        }
        let mut envelope = request.envelope(point);
        let keys = ServerKeys::derive(&[if tampering == Tampering::OtherKey { 9 } else { 7 }; 32]).unwrap();
        let (status, mut headers, mut body) = if request.path == "/capabilities" {
            *self.asked_capabilities.lock().unwrap() += 1;
            let schemes = announced.split(' ').map(|scheme| format!(r#"{{"scheme":"{scheme}"}}"#));
            let schemes = schemes.collect::<Vec<_>>().join(",");
            let signed = format!(r#"{{"algorithm":"ed25519","public_key":"{}"}}"#, keys.public_key());
            (200, Vec::new(), format!(r#"{{"authentication":[{schemes}],"signed_answers":{signed}}}"#))
        } else {
            let scheme = proved(request, &envelope);
            self.seen.lock().unwrap().push((at, scheme));
            let accepts = scheme.is_some_and(|scheme| announced.split(' ').any(|name| name == scheme.name()));
            let challenge = |name| ("www-authenticate".to_owned(), format!("{name} realm=\"keymoot\""));
            match accepts {
                true => (200, Vec::new(), KEY.to_owned()),
                false => {
                    (401, announced.split(' ').map(challenge).collect(), r#"{"message":"no"}"#.to_owned())
                }
            }
        };
        if tampering == Tampering::OldNonce {
            envelope.headers.retain(|(name, _)| name != "accept-signature");
            envelope
                .headers
                .push(("accept-signature".into(), "keymoot=();nonce=\"of an older request\"".into()));
        }
        if tampering != Tampering::Unsigned
            && let Some(signed) = keys.sign_answer(&envelope, status, body.as_bytes())
        {
            headers.push(("content-digest".into(), signed.content_digest));
            headers.push(("signature-input".into(), signed.signature_input));
            headers.push(("signature".into(), signed.signature));
        }
        if tampering == Tampering::Body {
            body = body.replace("AQEB", "AAEB");
        }
        let status = if tampering == Tampering::Status { 404 } else { status };
        Ok(Answer { status, retry_after: None, headers, body: Zeroizing::new(body.into_bytes()) })
    }

    fn probe(&self, _: &ServicePoint) -> Result<(), Failure> {
        Ok(())
    }
}

fn server_key() -> ServerProof {
    let key = ServerKeys::derive(&[7; 32]).unwrap().public_key();
    assert_eq!(STANDARD.decode(&key).unwrap().len(), 32);
    ServerProof::SignedBy(key.parse().unwrap())
}

const BOTH: &str = "http-hmac-sha256 udrm-sha1";
const WEAK: &str = "udrm-sha1";

use Tampering::{Body, None as Honest, OldNonce, OtherKey, Status, Unsigned};

#[test]
fn the_strongest_scheme_in_common_is_used_and_asked_for_once_per_service_point() {
    let points = Points::new(&[(BOTH, Honest), (WEAK, Honest)]);
    let client = points.client(None, ServerProof::Connection);
    client.fetch(&film()).unwrap();
    client.fetch(&film()).unwrap();
    assert_eq!(points.seen(), [(0, Some(Scheme::HttpHmacSha256)); 2]);
    assert_eq!(*points.asked_capabilities.lock().unwrap(), 1);
    assert_eq!(client.status()[0].scheme, Some(Scheme::HttpHmacSha256));
    points.announced.lock().unwrap()[0].0 = "dead";
    client.fetch(&film()).unwrap();
    assert_eq!(points.seen(), [(1, Some(Scheme::UdrmSha1))]);
}

#[test]
fn a_liar_who_announces_weak_schemes_only_never_sees_a_weak_proof_below_the_minimum() {
    let points = Points::new(&[(WEAK, Honest), (WEAK, Honest)]);
    let client = points.client(Some(Scheme::HttpHmacSha256), ServerProof::Connection);
    let error = client.fetch(&film()).unwrap_err();
    assert!(
        matches!(error, ClientError::Untrusted { .. }) && error.to_string().contains("downgrade"),
        "{error}"
    );
    assert_eq!(points.seen(), []);
    // The client finds an honest point beside it.
    points.announced.lock().unwrap()[1].0 = BOTH;
    client.fetch(&film()).unwrap();
    assert_eq!(points.seen(), [(1, Some(Scheme::HttpHmacSha256))]);
    assert!(client.metrics().untrusted >= 3);
}

#[test]
fn a_liar_who_refuses_the_strong_proof_and_challenges_for_a_weak_one_does_not_get_it() {
    let points = Points::new(&[(BOTH, Honest)]);
    let strict = points.client(Some(Scheme::HttpHmacSha256), ServerProof::Connection);
    let lax = points.client(None, ServerProof::Connection);
    strict.fetch(&film()).unwrap();
    lax.fetch(&film()).unwrap();
    points.seen();
    points.announced.lock().unwrap()[0].0 = WEAK;
    assert!(strict.fetch(&film()).unwrap_err().to_string().contains("downgrade"));
    assert_eq!(points.seen(), [(0, Some(Scheme::HttpHmacSha256))]);
    // Without a minimum the client follows the challenge, as negotiation has it.
    lax.fetch(&film()).unwrap();
    assert_eq!(points.seen(), [(0, Some(Scheme::HttpHmacSha256)), (0, Some(Scheme::UdrmSha1))]);
}

#[test]
fn an_answer_that_is_not_the_servers_own_is_never_used_and_the_next_point_is_asked() {
    for proof in [server_key(), ServerProof::Signed] {
        for tampering in [Unsigned, Body, Status, OldNonce] {
            let points = Points::new(&[(BOTH, tampering), (BOTH, Honest)]);
            let client = points.client(None, proof);
            let key = client.fetch(&film()).unwrap().0;
            assert_eq!(key.key.expose(), &[1; 16], "{tampering:?}");
            let status = client.status();
            assert!(status[1].current, "{tampering:?}");
            assert_eq!(client.metrics().untrusted + client.metrics().setbacks, 2, "{tampering:?}");
            let alone = Points::new(&[(BOTH, tampering)]).client(None, proof);
            let error = alone.fetch(&film()).unwrap_err();
            assert!(!matches!(error, ClientError::Refused { .. }), "{tampering:?}: {error}");
        }
    }
}

#[test]
fn the_key_of_another_server_proves_nothing_to_who_knows_the_right_one() {
    let points = Points::new(&[(BOTH, OtherKey)]);
    let error = points.client(None, server_key()).fetch(&film()).unwrap_err();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error}");
    assert_eq!(points.seen(), [], "its capabilities were not believed either");
}

#[test]
fn a_key_announced_over_http_is_believed_on_this_machine_only() {
    let points = Points::new(&[(BOTH, Honest)]);
    let afar = vec!["http://192.0.2.1:1".parse().unwrap()];
    let error = points.client_of(afar.clone(), None, ServerProof::Signed).fetch(&film()).unwrap_err();
    assert!(error.to_string().contains("over http cannot be believed"), "{error}");
    assert_eq!(points.seen(), []);
    points.client_of(afar, None, server_key()).fetch(&film()).unwrap();
    points.client(None, ServerProof::Signed).fetch(&film()).unwrap();
}

#[test]
fn an_unproved_refusal_takes_no_remembered_key_away() {
    let points = Points::new(&[(BOTH, Honest)]);
    let tolerant = ClientSettings {
        outage_tolerance: Duration::from_secs(600),
        patience: Duration::ZERO,
        server_proof: server_key(),
        ..ClientSettings::default()
    };
    let client = points.client_with(vec!["http://127.0.0.1:1".parse().unwrap()], None, tolerant);
    client.fetch(&film()).unwrap();
    points.announced.lock().unwrap()[0].1 = Status;
    let (key, _) = client.fetch(&film()).unwrap();
    assert_eq!((key.key.expose(), client.metrics().remembered), (&[1; 16], 1));
}
