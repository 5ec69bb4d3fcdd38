//! The transport and the client at real listeners: refusing, silent, faulty, slow, over TLS.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::fakes::film;
use crate::{
    ClientError, ClientSettings, ContentKeys, Credentials, KeyClient, KeySource, PointState, Prober,
    ServicePoints, SystemClock, UdrmSha1,
};
use keymoot_crypto::SecretBytes;
use keymoot_drm::EncryptionProvider;
use keymoot_model::AccountId;

const KEY: &str =
    r#"[{"key":"AQEBAQEBAQEBAQEBAQEBAQ==","key_id":"AgICAgICAgICAgICAgICAg==","content_id":"film"}]"#;

/// A server whose next answers can be set while it runs. It ends with the test's process.
#[derive(Clone)]
struct Listener {
    address: SocketAddr,
    /// Status, body, and the delay before them; `None` means silence.
    answer: Arc<Mutex<Option<(u16, String, Duration)>>>,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Listener {
    fn start(answer: Option<(u16, &str, Duration)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(answer.map(|(status, body, wait)| (status, body.to_owned(), wait)))),
            heads: Arc::default(),
            connections: Arc::default(),
        };
        let served = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                served.connections.fetch_add(1, Ordering::Relaxed);
                let served = served.clone();
                std::thread::spawn(move || served.serve(stream.unwrap()));
            }
        });
        server
    }

    fn serve(&self, mut stream: std::net::TcpStream) {
        let (mut buffer, mut request) = (vec![0; 16 * 1024], String::new());
        while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
            request.push_str(&String::from_utf8_lossy(&buffer[..bytes]));
            if !is_whole(&request) {
                continue;
            }
            self.heads.lock().unwrap().push(std::mem::take(&mut request));
            let Some((status, body, wait)) = self.answer.lock().unwrap().clone() else { continue };
            std::thread::sleep(wait);
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: {length}");
            let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
        }
    }
}

/// Whether head and body are complete; they may come in pieces.
fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// An address without a listener.
fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn client(points: &[SocketAddr], settings: ClientSettings) -> KeyClient {
    let timeouts = Timeouts { connect: Duration::from_millis(500), answer: Duration::from_millis(500) };
    let points = points.iter().map(|address| format!("http://{address}").parse().unwrap()).collect();
    let keys = ContentKeys {
        account: AccountId::new("demo").unwrap(),
        ca_system: "OVP".into(),
        provider: EncryptionProvider::Cenc,
        scheme: None,
    };
    let credentials = Credentials::only(UdrmSha1::new(SecretBytes::new(b"k3y".to_vec())));
    let transport = Box::new(HttpTransport::new(timeouts, &TlsFiles::default()).unwrap());
    let clock = Box::new(SystemClock::default());
    KeyClient::new(ServicePoints::new(points).unwrap(), keys, credentials, transport, clock, settings)
}

fn once() -> ClientSettings {
    ClientSettings { patience: Duration::ZERO, ..ClientSettings::default() }
}

#[test]
fn a_refusing_silent_faulty_slow_or_redirecting_point_gives_way_to_the_second() {
    let slow = Duration::from_secs(3);
    let reason_of = |first: SocketAddr| {
        let good = Listener::start(Some((200, KEY, Duration::ZERO)));
        let began = Instant::now();
        let (key, _) = client(&[first, good.address], once()).fetch(&film()).unwrap();
        assert_eq!(key.key.expose(), &[1; 16]);
        assert!(began.elapsed() < slow, "{:?}", began.elapsed());
        let alone = client(&[first], once()).fetch(&film()).unwrap_err();
        let ClientError::NoServicePoint { setbacks, .. } = alone else { panic!("{alone}") };
        setbacks[0].reason.clone()
    };
    let start = |status, body, wait| Listener::start(Some((status, body, wait))).address;
    let refusal = r#"{"message":"no quorum","status_code":"503","reference":1}"#;
    assert_eq!(reason_of(dead()), "connection refused");
    assert_eq!(reason_of(Listener::start(None).address), "no answer in time");
    assert_eq!(reason_of(start(503, refusal, Duration::ZERO)), "status 503: no quorum");
    assert_eq!(reason_of(start(200, KEY, slow)), "no answer in time");
    assert_eq!(reason_of(start(200, "hello", Duration::ZERO)), "its answer is no key");
    assert!(reason_of(start(307, "", Duration::ZERO)).contains("redirects"));
}

#[test]
fn requests_look_as_the_specification_has_them() {
    let server = Listener::start(Some((200, KEY, Duration::ZERO)));
    let client = client(&[server.address], once());
    client.fetch(&film()).unwrap();
    client.create(&film(), KeySource::Own).unwrap();
    let heads = server.heads.lock().unwrap().join("");
    assert!(heads.starts_with("GET /cenc/encryption?custom_data=eyJjYV9"), "{heads}");
    assert!(heads.contains("POST /cenc/encryption?signature="), "{heads}");
    assert!(heads.to_lowercase().contains("content-type: application/json\r\n"), "{heads}");
    assert!(heads.ends_with("\"}"), "{heads}");
    assert_eq!(server.connections.load(Ordering::Relaxed), 1, "the connection is kept");
}

#[test]
fn a_delete_has_no_body_and_an_error_shows_no_signature() {
    let server = Listener::start(Some((200, r#"{"content_id":"film","deleted":2}"#, Duration::ZERO)));
    assert_eq!(client(&[server.address], once()).delete(&film()).unwrap(), 2);
    let head = server.heads.lock().unwrap().join("");
    assert!(head.starts_with("DELETE /cenc/encryption?custom_data=") && head.ends_with("\r\n\r\n"), "{head}");
    let error = client(&[dead(), Listener::start(None).address], once()).fetch(&film()).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("signature") && !text.contains("custom_data"), "{text}");
}

#[test]
fn a_prober_brings_the_client_back_to_a_primary_that_recovered() {
    let primary = Listener::start(Some((503, "{}", Duration::ZERO)));
    let second = Listener::start(Some((200, KEY, Duration::ZERO)));
    let settings = ClientSettings {
        probe_first: Duration::from_millis(50),
        settle: Duration::from_millis(300),
        ..once()
    };
    let client = Arc::new(client(&[primary.address, second.address], settings));
    let _prober = Prober::start(client.clone()).unwrap();
    client.fetch(&film()).unwrap();
    assert!(client.status()[1].current);
    *primary.answer.lock().unwrap() = Some((200, KEY.to_owned(), Duration::ZERO));
    let began = Instant::now();
    while !client.status()[0].current {
        assert!(began.elapsed() < Duration::from_secs(20), "the client never went back");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(client.status()[0].state, PointState::Healthy);
}

#[test]
fn tls_files_that_cannot_serve_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, empty) = (dir.path().join("missing.pem"), dir.path().join("empty.pem"));
    std::fs::write(&empty, "no pem").unwrap();
    let timeouts = Timeouts::default();
    for path in [missing, empty.clone()] {
        let files = TlsFiles { ca: Some(path.clone()), client: None };
        let error = HttpTransport::new(timeouts, &files).err().unwrap().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    // A private key that others can read is refused before it is parsed.
    let files = TlsFiles { ca: None, client: Some((empty.clone(), empty)) };
    assert!(matches!(HttpTransport::new(timeouts, &files), Err(TlsFilesError::KeyFile(_))));
}
