//! A server for tests that records its requests and sends a prepared response.

use std::fmt::Debug;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Accepts `requests` requests, each on a connection of its own, and returns what it read; with an
/// empty `answer` it never responds. The first value is its URL.
pub async fn stand_in<Url: TryFrom<String, Error: Debug>>(
    requests: usize,
    answer: &'static str,
) -> (Url, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ask", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let mut all = Vec::new();
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            while !read.ends_with(b"}") {
                assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
            }
            if answer.is_empty() {
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            all.push(String::from_utf8(read).unwrap());
        }
        all
    });
    (Url::try_from(url).unwrap(), served)
}
