//! A minimal HTTP server for a page on loopback: GET of three paths.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::Demo;

/// The longest request head read.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a browser may take to send a request head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Status, media type, body.
type Answer = (&'static str, &'static str, Vec<u8>);

/// Answers until it is dropped.
pub(super) async fn serve(listener: TcpListener, demo: Arc<Demo>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let demo = demo.clone();
                // A browser that closes the connection is no failure.
                tokio::spawn(async move { drop(converse(stream, &demo).await) });
            }
            // Perhaps out of file descriptors; some may be free soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn converse(mut stream: TcpStream, demo: &Demo) -> std::io::Result<()> {
    let Ok(head) = timeout(HEAD_WITHIN, read_head(&mut stream)).await else { return Ok(()) };
    let (status, media_type, body) = answer(&head?, demo).await;
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 || head.len() > HEAD_BYTES_MAX {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn answer(head: &str, demo: &Demo) -> Answer {
    const TEXT: &str = "text/plain; charset=utf-8";
    let mut words = head.split_ascii_whitespace();
    if words.next() != Some("GET") {
        return ("405 Method Not Allowed", TEXT, b"only GET is answered here".to_vec());
    }
    let path = words.next().unwrap_or_default();
    match path {
        "/" => ("200 OK", "text/html; charset=utf-8", demo.page.clone().into_bytes()),
        "/video.mp4" | "/audio.mp4" => match demo.film().await {
            Ok(film) if path == "/video.mp4" => ("200 OK", "video/mp4", film.video.clone()),
            Ok(film) => ("200 OK", "audio/mp4", film.audio.clone()),
            Err(error) => ("503 Service Unavailable", TEXT, error.to_string().into_bytes()),
        },
        _ => ("404 Not Found", TEXT, b"there is only / here".to_vec()),
    }
}
