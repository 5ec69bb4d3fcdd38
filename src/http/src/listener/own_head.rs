//! The head of a request, in memory of its own.
//!
//! The framework reads head and body into one buffer, and what it knows of the head are pieces of that. It keeps a head
//! until it has the next request, and with it would keep the body, in which a client may have supplied a key.

use actix_http::{Request, RequestHead};
use actix_web::http::Uri;
use actix_web::http::header::HeaderValue;
use actix_web::web::Bytes;

/// The same request, whose head holds nothing of what else was read.
pub(super) fn with_own_head(mut request: Request) -> Request {
    own(request.head_mut());
    request
}

fn own(head: &mut RequestHead) {
    // What can be read once can be read again. Else nothing is lost but the room.
    if let Ok(uri) = Uri::from_maybe_shared(Bytes::from(head.uri.to_string())) {
        head.uri = uri;
    }
    head.headers_mut().retain(|_, value| {
        if let Ok(own) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = own;
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    #[test]
    fn a_head_says_the_same_and_lets_its_buffer_go() {
        for target in ["/a%20b?c=d&e", "*", "http://keys.example.net:8081/cenc/encryption?x=y", "a:443"] {
            let read = Bytes::from(format!("{target}|a value \u{e9}|and a body").into_bytes());
            let mut parts = read.split(|byte| *byte == b'|').map(|part| read.slice_ref(part));
            let mut request = Request::new();
            let (uri, value) = (parts.next().unwrap(), parts.next().unwrap());
            request.head_mut().uri = Uri::from_maybe_shared(uri).unwrap();
            let name = HeaderName::from_static("x-some");
            request
                .head_mut()
                .headers_mut()
                .append(name.clone(), HeaderValue::from_maybe_shared(value).unwrap());
            drop(parts);
            assert!(!read.is_unique(), "nothing shows that the buffer is let go");
            let request = with_own_head(request);
            assert!(read.is_unique(), "{target} keeps the buffer");
            assert_eq!(request.uri().to_string(), target);
            assert_eq!(request.head().headers().get(&name).unwrap().as_bytes(), "a value \u{e9}".as_bytes());
        }
    }
}
