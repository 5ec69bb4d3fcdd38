//! The body of a request, as it comes: bounded in bytes, in time, and at the slow end in its rate. All bodies that
//! nobody has proved yet share one bound.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures::StreamExt as _;
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::answer::error::{ApiError, ErrorKind};
use crate::api::Api;
use crate::listener::connection::{Connection, GRACE};

/// So much of a body is read whatever else is held: the bounds on connections bound it, too, and most bodies
/// are shorter, so that a flood of long ones refuses none of them.
const FREE_BYTES: usize = 8 * 1024;

/// The room for bodies that are held before they are authenticated. Cheap to clone.
#[derive(Clone)]
pub struct BodyRoom {
    free: Arc<Semaphore>,
    taken: IntGauge,
}

impl BodyRoom {
    /// So many bytes; `taken` shows how many of them are taken.
    pub fn new(bytes: usize, taken: IntGauge) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))), taken }
    }

    fn take(&self, bytes: usize) -> Option<TakenRoom> {
        let permits = u32::try_from(bytes).ok()?;
        let permit = self.free.clone().try_acquire_many_owned(permits).ok()?;
        self.taken.add(permits.into());
        Some(TakenRoom { permit, taken: self.taken.clone() })
    }
}

/// Room that a body takes, until it is dropped.
pub(crate) struct TakenRoom {
    permit: OwnedSemaphorePermit,
    taken: IntGauge,
}

impl TakenRoom {
    fn merge(&mut self, mut other: Self) {
        let bytes = other.permit.num_permits();
        if let Some(permit) = other.permit.split(bytes) {
            self.permit.merge(permit);
        }
    }
}

impl Drop for TakenRoom {
    fn drop(&mut self) {
        self.taken.sub(i64::try_from(self.permit.num_permits()).unwrap_or(0));
    }
}

/// A body, and the room that it takes.
struct HeldBody {
    bytes: Bytes,
    _room: TakenRoom,
}

impl AsRef<[u8]> for HeldBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body whole, chunked or not. It takes its room until the last of it is dropped.
pub(crate) async fn read_body(request: &HttpRequest, payload: Payload, api: &Api) -> Result<Bytes, ApiError> {
    let mut body = IncomingBody::new(request, payload, api.body_bytes_max, api);
    while body.read_on().await? {}
    Ok(body.into_bytes())
}

/// Reads the body of somebody who is authenticated, whatever room the others' take.
pub(crate) async fn read_proved_body(
    request: &HttpRequest,
    payload: Payload,
    api: &Api,
) -> Result<Bytes, ApiError> {
    let mut body = IncomingBody::new(request, payload, api.body_bytes_max, api);
    body.free_bytes = api.body_bytes_max;
    while body.read_on().await? {}
    Ok(body.into_parts().0)
}

/// A body that is being read.
pub(crate) struct IncomingBody<'a> {
    payload: Payload,
    received: BytesMut,
    bytes_max: usize,
    free_bytes: usize,
    room: Option<TakenRoom>,
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
        Self {
            payload,
            received: BytesMut::new(),
            bytes_max,
            free_bytes: FREE_BYTES,
            room: None,
            length: length(request),
            began: Instant::now(),
            api,
            connection,
        }
    }

    /// What has come so far.
    pub(crate) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Everything, once it is whole, and the room that it takes.
    pub(crate) fn into_parts(mut self) -> (Bytes, Option<TakenRoom>) {
        (std::mem::take(&mut self.received).freeze(), self.room.take())
    }

    /// Everything, once it is whole. It takes its room until the last of it is dropped.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self.into_parts() {
            (bytes, Some(room)) => Bytes::from_owner(HeldBody { bytes, _room: room }),
            (bytes, None) => bytes,
        }
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
            self.count_refused("length");
            let message = format!("the body is longer than {} bytes", self.bytes_max);
            return Err(ApiError::new(ErrorKind::TooLarge, message));
        }
        self.make_room(chunk.len())?;
        self.received.extend_from_slice(&chunk);
        Ok(true)
    }

    /// Reads the rest of it, from now on: until now it was the server's turn.
    pub(crate) async fn read_rest(&mut self) -> Result<(), ApiError> {
        self.began = Instant::now();
        while self.read_on().await? {}
        Ok(())
    }

    fn make_room(&mut self, more: usize) -> Result<(), ApiError> {
        let taken = self.room.as_ref().map_or(0, |room| room.permit.num_permits());
        let needed = (self.received.len() + more).saturating_sub(self.free_bytes + taken);
        if needed == 0 {
            return Ok(());
        }
        let room = self.api.unproved_bodies.take(needed).ok_or_else(|| {
            self.count_refused("room");
            let message = "the server holds too many bodies at the moment; try again";
            ApiError::with_reason(ErrorKind::Busy, message, "http.unproved_body_bytes_max is reached")
        })?;
        match &mut self.room {
            Some(taken) => taken.merge(room),
            None => self.room = Some(room),
        }
        Ok(())
    }

    fn count_refused(&self, reason: &str) {
        self.api.metrics.http_bodies_refused_total.with_label_values(&[reason]).inc();
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

/// Whether the request announces a body.
pub(crate) fn has_body(headers: &HeaderMap) -> bool {
    let is_some = |length: &header::HeaderValue| length.as_bytes() != b"0";
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(is_some)
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
