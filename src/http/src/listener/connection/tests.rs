//! How long a connection waits for what.

use actix_web::test::TestRequest;
use tokio::time::advance;

use super::*;

const TIMEOUTS: ClientTimeouts = ClientTimeouts {
    head: Duration::from_secs(5),
    idle: Duration::from_secs(75),
    write: Duration::from_secs(30),
    body: Duration::from_secs(180),
    body_bytes_per_s_min: 4096,
};

pub(crate) fn connection() -> Rc<Connection> {
    let counter = IntCounterVec::new(prometheus::Opts::new("slow", "slow"), &["reason"]).unwrap();
    Rc::new(Connection::new(false, ([127, 0, 0, 1], 80).into(), TIMEOUTS, counter))
}

fn after(seconds: u64, connection: &Connection) -> Option<Overdue> {
    connection.look(Instant::now() + Duration::from_secs(seconds)).err()
}

fn request(headers: &[(&str, &str)]) -> HttpRequest {
    headers.iter().fold(TestRequest::default(), |request, one| request.insert_header(*one)).to_http_request()
}

#[tokio::test(start_paused = true)]
async fn every_head_has_its_time_and_not_the_first_alone() {
    let connection = connection();
    assert_eq!((after(4, &connection), after(5, &connection)), (None, Some(Overdue::Head)));
    for _ in 0..2 {
        advance(Duration::from_secs(4)).await;
        connection.has_read();
        advance(Duration::from_secs(1)).await;
        connection.has_read();
        assert_eq!((after(3, &connection), after(4, &connection)), (None, Some(Overdue::Head)));
        let answering = connection.answer(&request(&[]));
        connection.has_read();
        assert_eq!(after(3600, &connection), None, "it is the server's turn");
        drop(answering);
        assert_eq!((after(74, &connection), after(75, &connection)), (None, Some(Overdue::Idle)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_is_not_waited_for_like_a_next_request() {
    for (headers, seconds) in [
        (&[("transfer-encoding", "chunked")], 5),
        (&[("content-length", "7")], 5),
        (&[("content-length", "0")], 75),
    ] {
        let connection = connection();
        drop(connection.answer(&request(headers)));
        assert_eq!(after(seconds - 1, &connection), None);
        assert!(after(seconds, &connection).is_some());
        let answering = connection.answer(&request(headers));
        connection.has_read_body();
        drop(answering);
        assert_eq!(after(74, &connection), None, "it was read");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_has_its_time_from_the_last_byte_taken() {
    let connection = connection();
    let _answering = connection.answer(&request(&[]));
    connection.has_written(true);
    advance(Duration::from_secs(29)).await;
    connection.has_written(true);
    assert_eq!((after(0, &connection), after(1, &connection)), (None, Some(Overdue::Write)));
    connection.has_written(false);
    assert_eq!(after(3600, &connection), None);
    connection.has_written(true);
    assert_eq!((after(29, &connection), after(30, &connection)), (None, Some(Overdue::Write)));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_waited_for_can_be_told_from_whoever_waits() {
    let connection = connection();
    let opened = Instant::now();
    assert_eq!(connection.waiting_since(), Some((Worth::Unknown, opened)));
    advance(Duration::from_secs(1)).await;
    let answering = connection.answer(&request(&[]));
    assert_eq!(connection.waiting_since(), None);
    connection.awaits_body(true);
    advance(Duration::from_secs(1)).await;
    connection.has_read();
    assert_eq!(connection.waiting_since(), Some((Worth::Unknown, opened)), "nobody knows who sends it");
    connection.has_proved();
    assert_eq!(connection.waiting_since(), Some((Worth::Proved, Instant::now())), "a body makes headway");
    connection.has_read_body();
    assert_eq!(connection.waiting_since(), None);
    drop(answering);
    assert_eq!(connection.waiting_since(), Some((Worth::Proved, Instant::now())));
    connection.cut(Overdue::Crowded);
    assert_eq!(after(0, &connection), Some(Overdue::Crowded));
}

#[test]
fn the_defaults_cut_off_silence_and_let_a_slow_upload_of_the_largest_body_pass() {
    let http = Http::default();
    let timeouts = ClientTimeouts::new(&http);
    assert_eq!(timeouts.of_body(1), Duration::from_secs(5));
    // 4 MiB by a line of 256 kbit/s, at every moment on the way.
    let bytes = http.max_bulk_body_bytes as u64;
    assert_eq!(bytes, 4 * 1024 * 1024);
    for received in (0..bytes).step_by(65_536) {
        let comes_at = Duration::from_millis((received + 65_536) * 1000 / 32_000);
        assert!(comes_at < timeouts.of_body(received).max(Duration::from_secs(5)), "{received}");
    }
    assert_eq!(timeouts.of_body(u64::MAX), Duration::from_secs(180));
    assert_eq!(timeouts.write, Duration::from_secs(30));
}
