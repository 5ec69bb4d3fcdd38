use tokio::io::duplex;

use super::*;

const BYTES_MAX: usize = 20_000;

fn request() -> Request<()> {
    let request = Request::post("https://server.example:8443/ask?x=1");
    request.header("content-length", 4).header("authorization", "Bearer s3cret").body(()).unwrap()
}

/// One exchange with a server that writes `answer` in pieces of `piece` bytes and closes the
/// connection.
async fn answered(answer: &[u8], piece: usize) -> (Result<Exchanged, ExchangeError>, String) {
    let (ours, mut theirs) = duplex(1024);
    let mut ours: Box<dyn Connection> = Box::new(ours);
    let server = async move {
        let mut read = Vec::new();
        while !read.ends_with(b"body") {
            theirs.read_buf(&mut read).await.unwrap();
        }
        for piece in answer.chunks(piece) {
            // The client stops reading when it has read enough.
            let _ = theirs.write_all(piece).await;
            tokio::task::yield_now().await;
        }
        String::from_utf8(read).unwrap()
    };
    let client = async move { exchange(&mut ours, request(), b"body", BYTES_MAX).await };
    tokio::join!(client, server)
}

async fn good(answer: &[u8]) -> (u16, Vec<u8>, bool) {
    let mut all = Vec::new();
    for piece in [1, 7, answer.len()] {
        let exchanged = answered(answer, piece).await.0.unwrap();
        all.push((exchanged.response.status, exchanged.response.body.to_vec(), exchanged.is_reusable));
    }
    assert!(all.windows(2).all(|two| two[0] == two[1]), "it depends on how the answer was cut");
    all.remove(0)
}

async fn bad(answer: &[u8]) -> String {
    answered(answer, answer.len().max(1)).await.0.err().unwrap().to_string()
}

#[tokio::test]
async fn a_request_has_this_form() {
    let sent = answered(b"HTTP/1.1 204 Done\r\n\r\n", 64).await.1;
    let head = "POST /ask?x=1 HTTP/1.1\r\nhost: server.example:8443\r\ncontent-length: 4\r\n";
    assert_eq!(sent, format!("{head}authorization: Bearer s3cret\r\n\r\nbody"));
}

#[tokio::test]
async fn an_answer_ends_where_its_head_says() {
    let of = |text: &str, is_reusable| (200, text.as_bytes().to_vec(), is_reusable);
    let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nkeys!";
    assert_eq!(good(sized).await, of("keys!", true));
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nkey\r\n2;a=b\r\ns!\r\n0\r\nT: 1\r\n\r\n";
    assert_eq!(good(chunked).await, of("keys!", true));
    assert_eq!(good(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await, of("", true));
    // The response ends with the connection.
    assert_eq!(good(b"HTTP/1.1 200 OK\r\n\r\nkeys!").await, of("keys!", false));
}

#[tokio::test]
async fn a_connection_is_used_again_only_where_both_sides_agree() {
    for (answer, is_reusable) in [
        ("HTTP/1.1 204 Done\r\n\r\n", true),
        ("HTTP/1.1 204 Done\r\nConnection: close\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false),
        ("HTTP/1.1 307 There\r\nLocation: /b\r\nContent-Length: 1\r\n\r\nx", true),
        ("HTTP/1.1 307 There\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 101 Else\r\n\r\n", false),
    ] {
        assert_eq!(good(answer.as_bytes()).await.2, is_reusable, "{answer}");
    }
    // The second response answers no request. If it comes later, the idle connections detect it.
    let twice = b"HTTP/1.1 204 Done\r\n\r\nHTTP/1.1 204 Done\r\n\r\n";
    assert!(!answered(twice, twice.len()).await.0.unwrap().is_reusable);
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno";
    assert_eq!(good(answer).await, (403, b"no".to_vec(), true));
}

#[tokio::test]
async fn an_answer_has_a_longest_body() {
    for length in [BYTES_MAX - 1, BYTES_MAX, BYTES_MAX + 1] {
        let body = "x".repeat(length);
        let chunks: String = body
            .as_bytes()
            .chunks(900)
            .map(|part| format!("{:x}\r\n{}\r\n", part.len(), &body[..part.len()]))
            .collect();
        for answer in [
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n\r\n{body}"),
        ] {
            match answered(answer.as_bytes(), 1000).await.0 {
                Ok(exchanged) => {
                    assert_eq!((exchanged.response.body.len(), length <= BYTES_MAX), (length, true))
                }
                Err(error) => {
                    assert!(matches!(error, ExchangeError::LongBody) && length > BYTES_MAX, "{error}")
                }
            }
        }
    }
    let huge = b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n";
    assert_eq!(bad(huge).await, "the answer is too long");
}

#[tokio::test]
async fn an_answer_without_end_or_form_is_an_error() {
    let closed = "the connection was closed before the answer's end";
    for answer in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nkey",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nkey\r\n",
    ] {
        assert_eq!(bad(answer.as_bytes()).await, closed, "{answer}");
    }
    for answer in [
        "SSH-2.0-s3cret\r\n",
        "HTTP/1.1 99999 s3cret\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: s3cret\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ns3cret\r\n",
    ] {
        let said = bad(answer.as_bytes()).await;
        assert!(said != closed && !said.contains("s3cret"), "{said}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
    assert_eq!(bad(endless.as_bytes()).await, "the answer's head is longer than 65536 bytes");
}
