//! One HTTP/1.1 exchange over a connection: a request with its body, and the whole response.
//!
//! The protocol is that of ureq, which works without sockets. The buffers are our own, because they
//! hold keys and tokens: each has a bound and is wiped.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use ureq_proto::client::state::{Cleanup, RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};
use ureq_proto::http::Request;
use ureq_proto::{BodyMode, Error as ProtocolError};
use zeroize::Zeroizing;

use super::client::OutgoingResponse;
use super::dial::Connection;
use super::wiped_buffer::WipedBuffer;

/// The longest head of a response, and the longest line of a chunked one.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The initial size of the read buffer.
const ROOM_BYTES: usize = 8 * 1024;

/// Why an exchange failed. The text is for the log: it holds nothing of the request or the
/// response.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The connection ended before the response did.
    #[error("the connection was closed before the answer's end")]
    Closed,
    /// One side does not speak HTTP/1.1.
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    /// The head is longer than allowed.
    #[error("the answer's head is longer than {HEAD_BYTES_MAX} bytes")]
    LongHead,
    /// The body is longer than allowed.
    #[error("the answer is too long")]
    LongBody,
}

/// A response, and whether its connection can be used again.
pub(super) struct Exchanged {
    pub(super) response: OutgoingResponse,
    /// Whether the connection is ready for the next exchange.
    pub(super) is_reusable: bool,
}

/// Sends the request with this body, and reads a response whose body is not longer than
/// `bytes_max`.
pub(super) async fn exchange(
    connection: &mut Box<dyn Connection>,
    request: Request<()>,
    body: &[u8],
    bytes_max: usize,
) -> Result<Exchanged, ExchangeError> {
    let (text, call) = written(request, body)?;
    connection.write_all(&text).await?;
    connection.flush().await?;
    drop(text);
    let mut input = Input { connection, buffer: WipedBuffer::new(ROOM_BYTES) };
    let (status, call) = input.head(call).await?;
    let (body, is_open) = match call {
        RecvResponseResult::RecvBody(call) => {
            let (body, call) = input.body(call, bytes_max).await?;
            let is_open = match call {
                RecvBodyResult::Cleanup(call) => may_stay_open(&call),
                RecvBodyResult::Redirect(call) => may_stay_open(&call.proceed()),
            };
            (body, is_open)
        }
        RecvResponseResult::Cleanup(call) => (Zeroizing::default(), may_stay_open(&call)),
        RecvResponseResult::Redirect(call) => (Zeroizing::default(), may_stay_open(&call.proceed())),
    };
    // Further bytes answer no request, so the connection is not used again.
    let is_reusable = is_open && input.buffer.is_empty();
    Ok(Exchanged { response: OutgoingResponse { status, body }, is_reusable })
}

fn may_stay_open(call: &Call<Cleanup>) -> bool {
    !call.must_close_connection()
}

/// The bytes of a request whose `Content-Length` is that of the body.
fn written(
    request: Request<()>,
    body: &[u8],
) -> Result<(Zeroizing<Vec<u8>>, Call<RecvResponse>), ProtocolError> {
    let mut text = Zeroizing::new(vec![0; head_bytes_max(&request) + body.len()]);
    let mut call = Call::new(request)?.proceed();
    let mut written = call.write(&mut text)?;
    let call = match call.proceed()? {
        Some(SendRequestResult::SendBody(mut call)) => {
            written += call.write(body, text.get_mut(written..).unwrap_or_default())?.1;
            call.proceed()
        }
        Some(SendRequestResult::RecvResponse(call)) => Some(call),
        Some(SendRequestResult::Await100(_)) | None => None,
    };
    text.truncate(written);
    Ok((text, call.ok_or(ProtocolError::OutputOverflow)?))
}

/// An upper bound for the first line and the headers, with the `Host` that the protocol adds.
fn head_bytes_max(request: &Request<()>) -> usize {
    const MORE: usize = 64;
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + MORE).sum();
    headers + 2 * request.uri().to_string().len() + MORE
}

/// The bytes from the server.
struct Input<'c> {
    connection: &'c mut Box<dyn Connection>,
    buffer: WipedBuffer,
}

impl Input<'_> {
    /// Reads more bytes; returns whether there were any.
    async fn read(&mut self) -> Result<bool, ExchangeError> {
        if self.buffer.is_full() && !self.buffer.grow(HEAD_BYTES_MAX) {
            return Err(ExchangeError::LongHead);
        }
        let read = self.connection.read(self.buffer.free()).await?;
        self.buffer.add(read);
        Ok(read > 0)
    }

    /// Reads the head of the response; returns the status and the next state of the protocol.
    async fn head(
        &mut self,
        mut call: Call<RecvResponse>,
    ) -> Result<(u16, RecvResponseResult), ExchangeError> {
        loop {
            let (used, response) = call.try_response(self.buffer.filled(), false)?;
            self.buffer.remove(used);
            if let Some(response) = response {
                let call = call.proceed().ok_or(ExchangeError::Closed)?;
                return Ok((response.status().as_u16(), call));
            }
            // An interim response (1xx) uses up bytes without ending the head.
            if used == 0 && !self.read().await? {
                return Err(ExchangeError::Closed);
            }
        }
    }

    /// Reads the body of the response.
    async fn body(
        &mut self,
        mut call: Call<RecvBody>,
        bytes_max: usize,
    ) -> Result<(Zeroizing<Vec<u8>>, RecvBodyResult), ExchangeError> {
        let mode = call.body_mode();
        let ends_with_connection = mode == BodyMode::CloseDelimited;
        let mut body = match mode {
            BodyMode::LengthDelimited(length) => match usize::try_from(length) {
                Ok(length) if length <= bytes_max => WipedBuffer::new(length),
                _ => return Err(ExchangeError::LongBody),
            },
            _ => WipedBuffer::new(ROOM_BYTES.min(bytes_max + 1)),
        };
        loop {
            let (used, made) = call.read(self.buffer.filled(), body.free())?;
            self.buffer.remove(used);
            body.add(made);
            if body.filled().len() > bytes_max {
                return Err(ExchangeError::LongBody);
            }
            let is_complete = !ends_with_connection && call.can_proceed();
            if is_complete {
                break;
            }
            if body.is_full() {
                // One more byte shows that a body is too long.
                body.grow(bytes_max + 1);
            } else if used == 0 && !self.read().await? {
                if ends_with_connection {
                    break;
                }
                return Err(ExchangeError::Closed);
            }
        }
        let call = call.proceed().ok_or(ExchangeError::Closed)?;
        Ok((body.into_filled(), call))
    }
}

#[cfg(test)]
mod tests;
