use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use keymoot_testing::stand_in as server;

const SECOND: Duration = Duration::from_secs(1);

fn client(answer_bytes_max: usize) -> Outgoing {
    Outgoing::new(OutgoingLimits { answer_bytes_max, ..OutgoingLimits::default() }, None).unwrap()
}

fn request() -> OutgoingRequest {
    OutgoingRequest::json(Zeroizing::new(b"{\"user_token\":\"s3cret\"}".to_vec()))
}

#[tokio::test]
async fn a_question_is_posted_and_the_answer_read() {
    let (url, served) = server(1, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let response = client(1024).post(&url, request(), SECOND).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (403, b"no".as_slice()));
    let sent = served.await.unwrap().remove(0);
    assert!(sent.starts_with("POST /ask HTTP/1.1\r\n"), "{sent}");
    assert!(sent.to_ascii_lowercase().contains("content-type: application/json\r\n"), "{sent}");
    assert!(sent.ends_with("{\"user_token\":\"s3cret\"}"), "{sent}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = elsewhere.local_addr().unwrap();
    let answer =
        format!("HTTP/1.1 307 See there\r\nLocation: http://{location}/\r\nContent-Length: 0\r\n\r\n");
    let (url, _served) = server(1, answer.leak()).await;
    assert_eq!(client(1024).post(&url, request(), SECOND).await.unwrap().status, 307);
    assert!(tokio::time::timeout(Duration::from_millis(100), elsewhere.accept()).await.is_err());
}

#[tokio::test]
async fn an_answer_has_an_end_in_bytes_and_in_time() {
    let (url, _served) = server(1, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789").await;
    let error = client(8).post(&url, request(), SECOND).await.err();
    assert_eq!(error, Some(OutgoingError::TooLong { bytes_max: 8 }));
    let (url, _served) = server(1, "").await;
    let began = Instant::now();
    let within = Duration::from_millis(200);
    assert_eq!(client(8).post(&url, request(), within).await.err(), Some(OutgoingError::Timeout { within }));
    assert!(began.elapsed() < 5 * SECOND);
}

#[tokio::test]
async fn a_server_that_is_not_there_was_told_nothing() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = ServerUrl::try_from(format!("http://{closed}/")).unwrap();
    let error = client(8).post(&url, request(), SECOND).await.err().unwrap();
    assert!(matches!(&error, OutgoingError::Connect { reason } if reason.contains("refused")), "{error}");
}

#[tokio::test]
async fn a_server_that_breaks_off_is_a_failure() {
    let (url, _served) = server(1, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234").await;
    let error = client(64).post(&url, request(), SECOND).await.err().unwrap();
    assert!(matches!(error, OutgoingError::Broken { .. }), "{error}");
}

/// A server that answers every request on every connection after `pause`, and counts its
/// connections.
async fn patient_server(pause: Duration) -> (ServerUrl, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = ServerUrl::try_from(format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut read = Vec::new();
                while stream.read_buf(&mut read).await.is_ok_and(|bytes| bytes > 0) {
                    if read.ends_with(b"}") {
                        read.clear();
                        tokio::time::sleep(pause).await;
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                    }
                }
            });
        }
    });
    (url, connections)
}

#[tokio::test]
async fn a_connection_serves_one_question_after_the_other() {
    let (url, connections) = patient_server(Duration::ZERO).await;
    let client = client(8);
    for _ in 0..20 {
        assert_eq!(client.post(&url, request(), SECOND).await.unwrap().body.as_slice(), b"ok");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn questions_do_not_wait_for_each_other() {
    let pause = Duration::from_millis(300);
    let (url, connections) = patient_server(pause).await;
    let client = client(8);
    let began = Instant::now();
    let asked = (0..100).map(|_| client.post(&url, request(), 10 * SECOND));
    let replies = futures::future::join_all(asked).await;
    assert!(replies.iter().all(Result::is_ok));
    assert!(began.elapsed() < 20 * pause, "{:?}", began.elapsed());
    assert_eq!(connections.load(Ordering::Relaxed), 100);
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_ends_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = ServerUrl::try_from(format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let client = client(8);
    let asking = tokio::spawn(async move { client.post(&url, request(), 60 * SECOND).await.is_ok() });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"}") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
    asking.abort();
    let end = tokio::time::timeout(5 * SECOND, stream.read(&mut [0])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "the connection is closed: {end:?}");
}

/// A server with a certificate for `localhost` alone, and the file of its authority.
async fn tls_server() -> (u16, tempfile::NamedTempFile) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), own.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust the server closes the connection.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut read = Vec::new();
            while !read.ends_with(b"}") {
                assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    (port, ca)
}

#[tokio::test]
async fn a_server_must_show_a_certificate_for_its_name_of_an_authority_that_is_trusted() {
    let (port, ca) = tls_server().await;
    let trusting = Outgoing::new(OutgoingLimits::default(), Some(ca.path())).unwrap();
    let url = |host: &str| ServerUrl::try_from(format!("https://{host}:{port}/")).unwrap();
    let response = trusting.post(&url("localhost"), request(), 5 * SECOND).await.unwrap();
    assert_eq!(response.body.as_slice(), b"ok");
    for (client, host) in [(trusting, "127.0.0.1"), (client(8), "localhost")] {
        let error = client.post(&url(host), request(), 5 * SECOND).await.err().unwrap();
        assert!(
            matches!(&error, OutgoingError::Connect { reason } if reason.contains("certificate")),
            "{error}"
        );
    }
}
