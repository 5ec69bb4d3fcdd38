//! TLS at a real listener: trust in the server, and the client's certificate.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Mutex;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::request::Wanted;
use crate::{
    ClientCertificateIdentity, ClientSettings, ContentKeys, Credentials, KeyClient, Method, ServicePoints,
    Signer, SystemClock, UdrmSha1,
};
use keymoot_crypto::SecretBytes;
use keymoot_drm::EncryptionProvider;
use keymoot_model::ClusterName;
use keymoot_model::{AccountId, ContentId, Scheme};
use keymoot_tls::ClusterCa;

/// An authority, and a server with its certificate that answers 200 to clients that have one too.
struct Served {
    dir: tempfile::TempDir,
    point: ServicePoint,
    requests: Arc<Mutex<Vec<String>>>,
}

const CAPABILITIES: &str = r#"{"authentication":[{"scheme":"mutual-tls"},{"scheme":"udrm-sha1"}]}"#;
const KEY: &str =
    r#"{"key":"AQEBAQEBAQEBAQEBAQEBAQ==","key_id":"AgICAgICAgICAgICAgICAg==","content_id":"film"}"#;

impl Served {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = ClusterCa::generate(&ClusterName::new("moot").unwrap()).unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.certificate_pem()).unwrap();
        let operator = ca.issue_operator().unwrap();
        operator.save_new(&dir.path().join("client.pem"), &dir.path().join("client.key")).unwrap();
        let config = server_config(&ca, dir.path().join("ca.pem"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let point = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let heard = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let mut tls = StreamOwned::new(connection, stream.unwrap());
                // A client that is refused, or refuses, ends its connection; the next one may be
                // accepted.
                let mut request = vec![0; 8192];
                while let Ok(bytes @ 1..) = tls.read(&mut request) {
                    let said = String::from_utf8_lossy(&request[..bytes]).into_owned();
                    let body = if said.starts_with("GET /capabilities ") { CAPABILITIES } else { KEY };
                    heard.lock().unwrap().push(said);
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                    let _ = tls.write_all(format!("{head}{body}").as_bytes());
                }
            }
        });
        Self { dir, point, requests }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn ask(&self, tls: &TlsFiles) -> Result<Answer, Failure> {
        let (account, content) = (AccountId::new("demo").unwrap(), ContentId::new("film").unwrap());
        let whose = ("OVP", &account);
        let provider = EncryptionProvider::Cenc;
        let request =
            Request::new(Method::Get, (provider, None), whose, &content, Wanted::Key(None), None).unwrap();
        HttpTransport::new(Timeouts::default(), tls).unwrap().exchange(&self.point, &request)
    }
}

fn server_config(ca: &ClusterCa, ca_file: PathBuf) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&ca_file).unwrap().iter().map(|c| c.der().to_vec().into()));
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let own = ca.issue_loopback_api().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![own.certificate()], own.private_key())
        .unwrap();
    Arc::new(config)
}

#[test]
fn a_server_of_the_named_authority_is_asked_with_the_own_certificate() {
    let served = Served::start();
    let client = Some((served.path("client.pem"), served.path("client.key")));
    let tls = TlsFiles { ca: Some(served.path("ca.pem")), client };
    let answer = served.ask(&tls).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, KEY.as_bytes()));
}

#[test]
fn without_a_certificate_of_its_own_the_client_is_not_served() {
    let served = Served::start();
    served.ask(&TlsFiles { ca: Some(served.path("ca.pem")), client: None }).unwrap_err();
}

#[test]
fn a_server_that_only_a_stranger_vouches_for_is_told_nothing() {
    let (served, other) = (Served::start(), Served::start());
    for ca in [None, Some(other.path("ca.pem"))] {
        let failure = served.ask(&TlsFiles { ca, client: None }).unwrap_err();
        assert_eq!(failure.reach, Reach::NotSent, "{failure:?}");
    }
}

#[test]
fn a_certificate_is_proof_enough_and_nothing_weaker_goes_beside_it_when_that_is_the_minimum() {
    let served = Served::start();
    let client = Some((served.path("client.pem"), served.path("client.key")));
    let tls = TlsFiles { ca: Some(served.path("ca.pem")), client };
    let weak = UdrmSha1::new(SecretBytes::new(b"k3y".to_vec()));
    let signers: Vec<Box<dyn Signer>> = vec![Box::new(weak), Box::new(ClientCertificateIdentity)];
    let credentials = Credentials::new(signers, Some(Scheme::MutualTls)).unwrap();
    let account = AccountId::new("demo").unwrap();
    let keys =
        ContentKeys { account, ca_system: "OVP".into(), provider: EncryptionProvider::Cenc, scheme: None };
    let transport = Box::new(HttpTransport::new(Timeouts::default(), &tls).unwrap());
    let (clock, settings) = (Box::new(SystemClock::default()), ClientSettings::default());
    let points = ServicePoints::new(vec![served.point.clone()]).unwrap();
    let client = KeyClient::new(points, keys, credentials, transport, clock, settings);
    let (key, _) = client.fetch(&ContentId::new("film").unwrap()).unwrap();
    assert_eq!(key.key.expose(), &[1; 16]);
    assert_eq!(client.status()[0].scheme, Some(Scheme::MutualTls));
    let requests = served.requests.lock().unwrap();
    assert!(requests.len() == 2 && !requests[1].contains("signature"), "{requests:?}");
}
