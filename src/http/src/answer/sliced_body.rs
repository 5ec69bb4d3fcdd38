//! Long answers, handed to the framework in parts.
//!
//! It copies what it sends, whole parts at a time: a client that does not take its answer would hold a
//! copy of all of it in memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

use crate::answer::key_answer::ANSWER_BYTES_MAX;

/// Bytes of a part.
const PART_BYTES: usize = 32 * 1024;

// What a packager reads into its buffer leaves in one part.
const _: () = assert!(ANSWER_BYTES_MAX < PART_BYTES);

/// The same answer, in parts if it is long and not made while it is sent.
pub fn sliced(response: HttpResponse) -> HttpResponse {
    response.map_body(|_, body| match body.size() {
        BodySize::Sized(bytes) if bytes > PART_BYTES as u64 => match body.try_into_bytes() {
            Ok(bytes) => BoxBody::new(SlicedBody(bytes)),
            Err(body) => body,
        },
        _ => body,
    })
}

/// What was not sent yet.
struct SlicedBody(Bytes);

impl MessageBody for SlicedBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let rest = &mut self.get_mut().0;
        if rest.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(rest.split_to(PART_BYTES.min(rest.len())))))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[actix::test]
    async fn an_answer_in_parts_is_the_same_answer() {
        for length in [0, PART_BYTES, PART_BYTES + 1, 5 * PART_BYTES] {
            let whole: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let response = sliced(HttpResponse::Ok().body(whole.clone()));
            assert_eq!(response.body().size(), BodySize::Sized(length as u64));
            assert_eq!(to_bytes(response.into_body()).await.unwrap(), whole);
        }
    }
}
