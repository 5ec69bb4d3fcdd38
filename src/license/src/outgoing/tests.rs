use std::time::Instant;

use tokio::net::TcpListener;

use super::*;
use crate::stand_in::server;

const SECOND: Duration = Duration::from_secs(1);

fn client(answer_bytes_max: usize) -> Outgoing {
    Outgoing::new(OutgoingLimits { answer_bytes_max, ..OutgoingLimits::default() }, None).unwrap()
}

fn question() -> Question {
    Question::json(Zeroizing::new(b"{\"user_token\":\"s3cret\"}".to_vec()))
}

#[tokio::test]
async fn a_question_is_posted_and_the_answer_read() {
    let (url, served) = server(1, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let reply = client(1024).post(&url, question(), SECOND).await.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (403, b"no".as_slice()));
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
    assert_eq!(client(1024).post(&url, question(), SECOND).await.unwrap().status, 307);
    assert!(tokio::time::timeout(Duration::from_millis(100), elsewhere.accept()).await.is_err());
}

#[tokio::test]
async fn an_answer_has_an_end_in_bytes_and_in_time() {
    let (url, _served) = server(1, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789").await;
    let error = client(8).post(&url, question(), SECOND).await.err();
    assert_eq!(error, Some(OutgoingError::TooLong { bytes_max: 8 }));
    let (url, _served) = server(1, "").await;
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
    let (url, _served) = server(1, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234").await;
    let error = client(64).post(&url, question(), SECOND).await.err().unwrap();
    assert!(matches!(error, OutgoingError::Broken { .. }), "{error}");
}
