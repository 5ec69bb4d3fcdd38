//! The body of a request, as it comes: bounded in bytes, in time, and at the slow end in its rate.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Payload};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::answer::error::{ApiError, ErrorKind};
use crate::api::Api;
use crate::listener::connection::{Connection, GRACE};

/// Reads a body whole, chunked or not.
pub(crate) async fn read_body(request: &HttpRequest, payload: Payload, api: &Api) -> Result<Bytes, ApiError> {
    let mut body = IncomingBody::new(request, payload, api.body_bytes_max, api);
    while body.read_on().await? {}
    Ok(body.into_bytes())
}

/// A body that is being read.
pub(crate) struct IncomingBody<'a> {
    payload: Payload,
    received: BytesMut,
    bytes_max: usize,
    /// How long it is, where the framework does not keep to that.
    length: Option<usize>,
    began: Instant,
    api: &'a Api,
    connection: Option<&'a Rc<Connection>>,
}

impl<'a> IncomingBody<'a> {
    /// Nothing of it is read yet.
    pub(crate) fn new(request: &'a HttpRequest, payload: Payload, bytes_max: usize, api: &'a Api) -> Self {
        let connection = Connection::of(request);
        if let Some(connection) = connection {
            connection.awaits_body(true);
        }
        let received = BytesMut::new();
        Self { payload, received, bytes_max, length: length(request), began: Instant::now(), api, connection }
    }

    /// What has come so far.
    pub(crate) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Everything, once it is whole.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        std::mem::take(&mut self.received).freeze()
    }

    /// Waits for more. `false` when it has come to its end.
    pub(crate) async fn read_on(&mut self) -> Result<bool, ApiError> {
        let chunk = match self.is_whole() {
            true => None,
            false => self.chunk().await?,
        };
        let Some(chunk) = chunk else {
            if let Some(connection) = self.connection {
                connection.has_read_body();
            }
            return Ok(false);
        };
        if self.received.len() + chunk.len() > self.bytes_max {
            let message = format!("the body is longer than {} bytes", self.bytes_max);
            return Err(ApiError::new(ErrorKind::TooLarge, message));
        }
        self.received.extend_from_slice(&chunk);
        Ok(true)
    }

    /// Reads the rest, which may be large, while `room` has as many bytes left, and keeps those until the
    /// permit is dropped.
    pub(crate) async fn read_rest(
        &mut self,
        room: &Arc<Semaphore>,
    ) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        // Until now it was the server's turn.
        self.began = Instant::now();
        let mut taken: Option<OwnedSemaphorePermit> = None;
        loop {
            let before = self.received.len();
            if !self.read_on().await? {
                return Ok(taken);
            }
            let bytes = u32::try_from(self.received.len() - before).unwrap_or(u32::MAX);
            let more = room.clone().try_acquire_many_owned(bytes).map_err(|_| {
                let message = "the server holds too many bulk requests at the moment; try again";
                ApiError::with_reason(ErrorKind::Busy, message, "http.unproved_bulk_bytes_max is reached")
            })?;
            match &mut taken {
                Some(taken) => taken.merge(more),
                None => taken = Some(more),
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.length.is_some_and(|length| self.received.len() >= length)
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let deadline = self.began + self.api.timeouts.of_body(self.received.len() as u64);
            if let Ok(chunk) = timeout_at(deadline, self.payload.next()).await {
                return chunk.transpose().map_err(|error| {
                    let message = "the body ended before it was complete";
                    ApiError::with_reason(ErrorKind::Invalid, message, error)
                });
            }
            let late = deadline.elapsed();
            if late < GRACE {
                return Err(self.too_slow());
            }
            // This process was stopped meanwhile, which is not the client's time.
            self.began += late + GRACE;
        }
    }

    fn too_slow(&self) -> ApiError {
        self.api.metrics.http_slow_clients_total.with_label_values(&["body"]).inc();
        let timeouts = &self.api.timeouts;
        let message = format!(
            "the body came too slowly: all of it must come within {} ms, and {} bytes a second",
            timeouts.body.as_millis(),
            timeouts.body_bytes_per_s_min
        );
        ApiError::new(ErrorKind::Invalid, message)
    }
}

impl Drop for IncomingBody<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection {
            connection.awaits_body(false);
        }
    }
}

/// How long the body of a request is that offers to speak another protocol. The framework would take all
/// that comes for its body, until the connection ends; but such an offer may be ignored (RFC 9110 7.8).
fn length(request: &HttpRequest) -> Option<usize> {
    let headers = request.headers();
    if !headers.contains_key(header::UPGRADE) || headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    Some(length.and_then(|length| length.trim().parse().ok()).unwrap_or(0))
}
