use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn client(answer_bytes_max: usize) -> Outgoing {
    Outgoing::new(OutgoingLimits { answer_bytes_max, ..OutgoingLimits::default() }, None).unwrap()
}

fn question() -> Question {
    Question::json(Zeroizing::new(b"{\"user_token\":\"s3cret\"}".to_vec()))
}

/// A server that takes one request, hands back what it read, and answers `answer`.
async fn server(answer: &'static str) -> (ServerUrl, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ask", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        if answer.is_empty() {
            tokio::time::sleep(30 * SECOND).await;
        }
        String::from_utf8(read).unwrap()
    });
    (ServerUrl::try_from(url).unwrap(), served)
}

#[tokio::test]
async fn a_question_is_posted_and_the_answer_read() {
    let (url, served) = server("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let reply = client(1024).post(&url, question(), SECOND).await.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (403, b"no".as_slice()));
    let sent = served.await.unwrap();
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
    let (url, _served) = server(answer.leak()).await;
    assert_eq!(client(1024).post(&url, question(), SECOND).await.unwrap().status, 307);
    assert!(tokio::time::timeout(Duration::from_millis(100), elsewhere.accept()).await.is_err());
}

#[tokio::test]
async fn an_answer_has_an_end_in_bytes_and_in_time() {
    let (url, _served) = server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789").await;
    let error = client(8).post(&url, question(), SECOND).await.err();
    assert_eq!(error, Some(OutgoingError::TooLong { bytes_max: 8 }));
    let (url, _served) = server("").await;
    let began = Instant::now();
    let within = Duration::from_millis(200);
    assert_eq!(client(8).post(&url, question(), within).await.err(), Some(OutgoingError::Timeout { within }));
    assert!(began.elapsed() < 5 * SECOND);
}

#[tokio::test]
async fn a_server_that_is_not_there_was_told_nothing() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = ServerUrl::try_from(format!("http://{closed}/")).unwrap();
    let error = client(8).post(&url, question(), SECOND).await.err().unwrap();
    assert!(matches!(&error, OutgoingError::Connect { reason } if reason.contains("refused")), "{error}");
}

#[tokio::test]
async fn a_server_that_breaks_off_is_a_failure() {
    let (url, _served) = server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234").await;
    let error = client(64).post(&url, question(), SECOND).await.err().unwrap();
    assert!(matches!(error, OutgoingError::Broken { .. }), "{error}");
}
