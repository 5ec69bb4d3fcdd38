//! Stopping without cutting anybody off: whoever asks is answered, and told to come back elsewhere.
//!
//! Once draining has begun, `/readyz` says so to load balancers and every answer closes its connection,
//! so that clients that keep connections open leave, too. Requests are counted until their answer is
//! made; an answer that is streamed keeps its [`InFlightRequest`] until its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::ConnectionType;
use actix_web::{HttpRequest, HttpResponse};
use prometheus::IntGauge;
use tokio::time::{Instant, sleep};

use crate::listener::connection::{ActiveAnswer, Connection};

/// How long nothing may be under way before the listener counts as drained: answers are written, and
/// clients with open connections were told.
const QUIET: Duration = Duration::from_millis(200);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(20);

const _: () = assert!(LOOK_EVERY.as_millis() < QUIET.as_millis());

/// The requests under way, and whether new ones are still welcome. Cheap to clone.
#[derive(Clone)]
pub struct Drain {
    has_begun: Arc<AtomicBool>,
    under_way: IntGauge,
}

impl Drain {
    /// Nothing is under way yet; `under_way` shows how many are.
    pub fn new(under_way: IntGauge) -> Self {
        Self { has_begun: Arc::default(), under_way }
    }

    /// Counts a request until the value is dropped, also when its client goes away first.
    pub fn enter(&self, request: &HttpRequest) -> InFlightRequest {
        self.under_way.inc();
        let on_connection = Connection::of(request).map(|connection| connection.answer(request));
        InFlightRequest { under_way: self.under_way.clone(), _on_connection: on_connection }
    }

    /// Whether the node is about to stop.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    /// Tells clients to leave from now on.
    pub fn begin(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
    }

    /// Closes the connection behind an answer, when clients shall leave.
    pub fn mark(&self, response: &mut HttpResponse) {
        if self.has_begun() {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
    }

    /// Waits until nothing was under way for a moment, at most until `deadline`. Returns how many
    /// requests are cut off.
    pub async fn finished(&self, deadline: Instant) -> i64 {
        let mut quiet_since = Instant::now();
        loop {
            let now = Instant::now();
            let count = self.under_way.get();
            if count > 0 {
                quiet_since = now;
            }
            if now.duration_since(quiet_since) >= QUIET || now >= deadline {
                return count;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// A request that is being answered.
pub struct InFlightRequest {
    under_way: IntGauge,
    _on_connection: Option<ActiveAnswer>,
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.under_way.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> HttpRequest {
        actix_web::test::TestRequest::default().to_http_request()
    }

    fn drain() -> Drain {
        Drain::new(IntGauge::new("requests", "in flight").unwrap())
    }

    #[actix::test]
    async fn what_is_under_way_is_waited_for() {
        let drain = drain();
        let answering = drain.enter(&request());
        let waiting = drain.clone();
        let began = Instant::now();
        let finished =
            actix_web::rt::spawn(async move { waiting.finished(began + Duration::from_secs(10)).await });
        sleep(Duration::from_millis(300)).await;
        drop(answering);
        assert_eq!(finished.await.unwrap(), 0);
        // Not the quiet behind it to the millisecond: that counts from when the request was last seen.
        assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    }

    #[actix::test]
    async fn patience_ends_and_what_is_cut_off_is_told() {
        let drain = drain();
        let _answering = (drain.enter(&request()), drain.enter(&request()));
        assert_eq!(drain.finished(Instant::now() + Duration::from_millis(50)).await, 2);
    }

    #[test]
    fn answers_close_their_connections_once_it_has_begun() {
        let drain = drain();
        let closes = |response: &HttpResponse| response.head().connection_type() == ConnectionType::Close;
        let mut response = HttpResponse::Ok().finish();
        drain.mark(&mut response);
        assert!(!closes(&response) && !drain.has_begun());
        drain.begin();
        drain.mark(&mut response);
        assert!(closes(&response) && drain.has_begun());
    }
}
