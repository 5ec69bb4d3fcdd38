use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::*;
use keymoot_outgoing::OutgoingLimits;

const SETTINGS: UpstreamSettings = UpstreamSettings {
    timeout: Duration::from_millis(200),
    deadline: Duration::from_millis(1500),
    requests_max: 2,
    breaker: BreakerSettings { failures_max: 2, rest: Duration::from_secs(60) },
};

/// A server that sends every connection the same response, or none when `answer` is empty.
async fn server(answer: &'static str) -> ServerUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                while !read.ends_with(b"?") && stream.read_buf(&mut read).await.unwrap_or(0) > 0 {}
                if answer.is_empty() {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
                let length = answer.split_once(' ').map_or(0, |(_, body)| body.len());
                let (status, body) = answer.split_once(' ').unwrap_or((answer, ""));
                let head =
                    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
                let _gone = stream.write_all(format!("{head}{body}").as_bytes()).await;
            });
        }
    });
    ServerUrl::try_from(url).unwrap()
}

/// The address of a port without a listener.
async fn nobody() -> ServerUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    ServerUrl::try_from(format!("http://{}/", listener.local_addr().unwrap())).unwrap()
}

fn upstream(urls: &[ServerUrl]) -> (Arc<Upstream>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let outgoing = Outgoing::new(OutgoingLimits::default(), None).unwrap();
    (Arc::new(Upstream::new("test", urls, SETTINGS, outgoing, metrics.clone())), metrics)
}

/// Requests a license, which is any body that `read` accepts.
async fn ask(upstream: &Upstream) -> Result<String, UpstreamError> {
    let request = || OutgoingRequest::json(Zeroizing::new(b"may I?".to_vec()));
    let read = |response: &OutgoingResponse| match body(response)? {
        b"no" => Err(Fault::Refused("DENIED".to_owned())),
        b"yes" => Ok("yes".to_owned()),
        _ => Err(Fault::OutOfProtocol("neither yes nor no")),
    };
    upstream.ask(request, read).await
}

fn count(metrics: &Metrics, outcome: &str) -> u64 {
    metrics.license_server_requests_total.with_label_values(&["test", outcome]).get()
}

#[tokio::test]
async fn the_next_server_answers_for_those_that_do_not() {
    let servers = [nobody().await, server("").await, server("500 x").await, server("200 lie").await];
    let urls = [servers.as_slice(), &[server("302 x").await, server("200 yes").await]].concat();
    let (upstream, metrics) = upstream(&urls);
    assert_eq!(ask(&upstream).await.as_deref(), Ok("yes"));
    for (outcome, times) in [("failed", 3), ("timeout", 1), ("nonsense", 1), ("ok", 1), ("refused", 0)] {
        assert_eq!(count(&metrics, outcome), times, "{outcome}");
    }
}

#[tokio::test]
async fn a_refusal_is_an_answer_that_no_other_server_overrules() {
    for refusal in ["200 no", "403 no"] {
        let (upstream, _) = upstream(&[server(refusal).await, server("200 yes").await]);
        let refused = ask(&upstream).await.unwrap_err();
        assert!(matches!(refused, UpstreamError::Refused { .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_left_alone_and_all_of_them_fail_at_once() {
    let (upstream, metrics) = upstream(&[server("").await, server("200 yes").await]);
    for _ in 0..4 {
        assert_eq!(ask(&upstream).await.as_deref(), Ok("yes"));
    }
    assert_eq!(count(&metrics, "timeout"), 2, "then it was left alone");
    assert_eq!(metrics.license_servers_resting.with_label_values(&["test"]).get(), 1);

    let (dead, _) = self::upstream(&[nobody().await]);
    for _ in 0..2 {
        ask(&dead).await.unwrap_err();
    }
    let began = Instant::now();
    let error = ask(&dead).await.unwrap_err().to_string();
    assert!(error.contains("rest") && began.elapsed() < Duration::from_millis(100), "{error}");
}

#[tokio::test]
async fn all_tries_together_end_by_the_deadline() {
    let mut urls = Vec::new();
    for _ in 0..20 {
        urls.push(server("").await);
    }
    let (upstream, _) = upstream(&urls);
    let began = Instant::now();
    assert!(matches!(ask(&upstream).await, Err(UpstreamError::Down { .. })));
    assert!(began.elapsed() < SETTINGS.deadline + SETTINGS.timeout, "{:?}", began.elapsed());
}

#[tokio::test]
async fn no_more_than_the_limit_are_under_way() {
    let (upstream, metrics) = upstream(&[server("").await]);
    let asked = (0..5).map(|_| ask(&upstream));
    let answers = futures::future::join_all(asked).await;
    let busy = answers.iter().filter(|answer| matches!(answer, Err(UpstreamError::Busy { .. }))).count();
    assert_eq!((busy, count(&metrics, "busy")), (3, 3));
}

#[test]
fn a_status_word_is_nothing_but_a_word() {
    assert_eq!(status_word("SIGNATURE_FAILED\n<script>"), "SIGNATURE_FAILEDscript");
    assert_eq!(status_word(&"x".repeat(500)).len(), 48);
}
